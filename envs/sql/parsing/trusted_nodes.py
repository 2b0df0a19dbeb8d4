"""The kinds of sqlglot nodes whose trees tell queries of different meaning apart.

sqlglot's parser is lossy: in SQLite it makes ``x % y`` and ``mod(x, y)`` one node, and ``STRING`` and ``TEXT`` one
type, though they compute different things. Nodes get onto this list after a look at what is parsed into them (for
functions, by parsing every function name of the three dialects and comparing the trees).
"""

from sqlglot import exp

_OPERATORS = """
Add Sub Mul Div Neg DPipe And Or Not EQ NEQ GT GTE LT LTE Is NullSafeEQ NullSafeNEQ Between In Like ILike Glob Escape
Exists Case If Cast Collate Literal Null Boolean Star Tuple Distinct Paren Ordered Order DataType DataTypeParam Var
""".split()
_FUNCTIONS = """
Count Sum Avg Min Max GroupConcat Stddev StddevPop StddevSamp Variance VariancePop Filter
Abs Round Length Lower Upper Coalesce Nullif Substring Replace Trim Greatest Least StrPosition Typeof Anonymous
Date TimeToStr TsOrDsToTimestamp CurrentDate CurrentTime CurrentTimestamp Extract Interval Year Month Day
Window WindowSpec RowNumber Rank DenseRank Lag Lead FirstValue LastValue
""".split()

TRUSTED = frozenset(getattr(exp, name) for name in _OPERATORS + _FUNCTIONS)

VOLATILE_FUNCTIONS = frozenset(
    """
    changes clock_timestamp currval gen_random_uuid last_insert_rowid lastval likelihood likely nextval pg_sleep random
    random_normal randomblob setseed statement_timestamp timeofday total_changes txid_current unlikely uuid zeroblob
    """.split()
)
"""Functions that sqlglot does not know, whose value changes within one statement or from one to the next."""

_SQLITE_TYPES = frozenset(
    {
        exp.DType.INT,
        exp.DType.BIGINT,
        exp.DType.SMALLINT,
        exp.DType.DOUBLE,
        exp.DType.DECIMAL,
        exp.DType.VARCHAR,
        exp.DType.CHAR,
        exp.DType.NVARCHAR,
        exp.DType.DATE,
        exp.DType.DATETIME,
        exp.DType.BOOLEAN,
    }
)


def is_trusted(node: exp.Expr, text: str, dialect: str) -> bool:
    """True when the meaning of ``node`` itself, apart from its children, can be read off the tree.

    Args:
        text: the whole query.
    """
    kind = type(node)
    if kind is exp.Anonymous:
        return isinstance(node.this, str) and node.this.lower() not in VOLATILE_FUNCTIONS
    if kind is exp.DataType and dialect == "sqlite":
        is_text = node.this == exp.DType.TEXT and "string" not in text.lower()
        return is_text or node.this in _SQLITE_TYPES
    if kind is exp.Mod:
        return dialect != "sqlite" or "mod" not in text.lower()
    return kind in TRUSTED
