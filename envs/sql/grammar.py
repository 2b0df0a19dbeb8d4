"""A Lark grammar, in llguidance's dialect, of the SELECT statements over one SQLite database.

Covers joins, WHERE, GROUP BY, HAVING, ORDER BY, LIMIT, set operations, subqueries, common table expressions, searched
CASE, CAST, window functions and every function that the executor allows. Tables and columns are those of the database.
A name that the query makes up itself is accepted only where something can have introduced it, so that rules come in
three scopes: ``known`` takes the database's names alone, ``free`` (after an alias in the select list, or beside a
derived table) takes other column names too, ``with`` (in and after WITH) other table names as well.

Wider than SQL, because a context-free grammar cannot go further: which alias was introduced, and which column belongs
to which table, it leaves to the database. Narrower: no VALUES, CASE with an operand, window frames or comments; white
space of at most 16 characters, so that a model cannot idle in it; identifiers and literals of bounded length.
"""

from collections.abc import Hashable, Iterable
from functools import lru_cache

from envs.grammar import Grammar
from envs.sql.databases.database import Database
from envs.sql.identifiers import is_plain_name
from envs.sql.schema import current_identity, read_schema
from envs.sql.scope.catalogue import MOST_CHARACTERS, NO_ALIASES, Catalogue
from envs.sql.scope.functions import Function, known_functions
from envs.sql.scope.text import SqlScope
from envs.sql.scope.words import COLLATIONS, TYPES

# llguidance's lexer takes the longest terminal and never backs up. So white space is part of the terminals, and none of
# them has an optional tail that could swallow the beginning of what follows.
_TERMINALS = r"""
SELECT: /(?i:select)WS/
DISTINCT: /(?i:distinct|all)OWS/
FROM: /WS(?i:from)WS/
WHERE: /WS(?i:where)WS/
GROUP_BY: /WS(?i:group)WS(?i:by)WS/
HAVING: /WS(?i:having)WS/
ORDER_BY: /WS(?i:order)WS(?i:by)WS/
LIMIT: /WS(?i:limit)WS/
OFFSET: /WS(?i:offset)WS/
SET_OPERATION: /WS(?i:union|unionWSall|intersect|except)WS/
JOIN: /WS((?i:natural)WS)?((?i:inner|cross|(left|right|full)(WSouter)?)WS)?(?i:join)WS/
ON: /WS(?i:on)WS/
USING: /WS(?i:using)OWS\(OWS/
AS: /WS(?i:as)WS/
AS_OPEN: /WS(?i:as)WS\(OWS/
WITH: /(?i:with)WS/
RECURSIVE: /(?i:recursive)WS/
AND: /WS(?i:and)WS/
OR: /WS(?i:or)WS/
NOT: /(?i:not)WS/
EXISTS: /(?i:exists)OWS\(OWS/
COMPARE: /OWS(==?|<>|[!<>]=|[<>])OWS/
LIKE: /WS((?i:not)WS)?(?i:like|glob)WS/
ESCAPE: /WS(?i:escape)WS'[^'\x00]'/
BETWEEN: /WS((?i:not)WS)?(?i:between)WS/
IN: /WS((?i:not)WS)?(?i:in)OWS\(OWS/
IS_NULL: /WS((?i:is)WS((?i:not)WS)?(?i:null)|(?i:isnull|notnull))/
COLLATE: /WS(?i:collate)WS(?i:COLLATIONS)/
DIRECTION: /WS(?i:asc|desc)/
NULLS: /WS(?i:nulls)WS(?i:first|last)/
CASE_WHEN: /(?i:case)WS(?i:when)WS/
CASE_OPEN: /(?i:case)OWS\(OWS/
CASE_COLUMN: /(?i:case)WS/ COLUMN
CASE_NAME: /(?i:case)WS/ NAME
CASE_QUALIFIER: /(?i:case)WS/ QUALIFIER
WHEN: /WS(?i:when)WS/
THEN: /WS(?i:then)WS/
ELSE: /WS(?i:else)WS/
END: /WS(?i:end)/
CAST: /(?i:cast)OWS\(OWS/
TYPE: /(?i:TYPES)/
FILTER: /WS(?i:filter)OWS\(OWS(?i:where)WS/
OVER: /WS(?i:over)OWS\(OWS/
PARTITION_BY: /(?i:partition)WS(?i:by)WS/
WINDOW_ORDER: /(?i:order)WS(?i:by)WS/
ARITHMETIC: /OWS(\|\||[\+\-\*\/%])(WS[\-\+])?OWS/
SIGN: /[\-\+]OWS/
STAR: /\*/
COMMA: /OWS,OWS/
OPEN: /\(OWS/
ARGUMENTS: /OWS\(OWS/
CLOSE: /OWS\)/
CONSTANT: /(?i:null|true|false|current_date|current_time|current_timestamp)/
INTEGER: /[0-9]{1,9}/
NUMBER: /([0-9]{1,20}(\.[0-9]{0,20})?|\.[0-9]{1,20})([eE][\+\-]?[0-9]{1,3})?/
STRING: /'([^'\x00]|''){0,250}'/
QUOTED: /"([^"\x00]|""){0,250}"/
IDENTIFIER: /[A-Za-z_][A-Za-z0-9_]{0,REST}/
KEYWORD: /(?i:KEYWORDS)/
NAME: IDENTIFIER & ~KEYWORD
ALIAS: /WS/ NAME
"""

# Queries of the scope "known": their cores tell which further names their clauses may use.
_STATEMENT = r"""
start: statement SEMICOLON?
SEMICOLON: /OWS;/
SPACE: /WS/
statement: query_known | WITH RECURSIVE? definition (COMMA definition)* SPACE query_with
definition: NAME column_list? AS_OPEN query_with CLOSE
column_list: ARGUMENTS NAME (COMMA NAME)* CLOSE

query_known: cores_known order_known? limit? | cores_free order_free? limit?
cores_known: core_known (SET_OPERATION core)*
cores_free: (core_aliased | core_derived) (SET_OPERATION core)*
core: core_known | core_aliased | core_derived
core_known: SELECT DISTINCT? plain_item (COMMA plain_item)* (FROM sources_known where_known? group_known?)?
core_aliased: SELECT DISTINCT? items_aliased (FROM sources_known where_known? group_free?)?
items_aliased: (plain_item COMMA)* aliased_item (COMMA item_known)*
core_derived: SELECT DISTINCT? item_free (COMMA item_free)* FROM sources_derived where_free? group_free?
plain_item: STAR | qualifier STAR | expression_known
aliased_item: expression_known column_alias
sources_known: table_known (link table_known condition_known?)*
sources_derived: (table_known (link table_known condition_free?)* link)? derived condition_free? linked_free*
linked_free: link (table_known | derived) condition_free?
derived: OPEN query_known CLOSE table_alias?
table_known: TABLE table_alias?
link: COMMA | JOIN
table_alias: AS alias | ALIAS
column_alias: AS alias | ALIAS
alias: NAME | QUOTED | STRING
qualifier: QUALIFIER
column_known: COLUMN
column_free: COLUMN | NAME
column_with: COLUMN | NAME
case_column_known: CASE_COLUMN
case_column_free: CASE_COLUMN | CASE_NAME
case_column_with: CASE_COLUMN | CASE_NAME
limit: LIMIT INTEGER ((OFFSET | COMMA) INTEGER)?
table_free: TABLE table_alias? | OPEN query_free CLOSE table_alias?
table_with: (TABLE | NAME) table_alias? | OPEN query_with CLOSE table_alias?
"""

_OPEN_QUERY = r"""
query_{s}: core_{s} (SET_OPERATION core_{s})* order_{s}? limit?
core_{s}: SELECT DISTINCT? item_{s} (COMMA item_{s})* (FROM sources_{s} where_{s}? group_{s}?)?
sources_{s}: table_{s} (link table_{s} condition_{s}?)*
"""

_SCOPED = r"""
item_{s}: STAR | qualifier STAR | expression_{s} column_alias?
condition_{s}: ON expression_{s} | USING column_{s} (COMMA column_{s})* CLOSE
where_{s}: WHERE expression_{s}
group_{s}: GROUP_BY expressions_{s} (HAVING expression_{s})? | HAVING expression_{s}
order_{s}: ORDER_BY orderings_{s}
orderings_{s}: ordering_{s} (COMMA ordering_{s})*
ordering_{s}: expression_{s} COLLATE? DIRECTION? NULLS?
expressions_{s}: expression_{s} (COMMA expression_{s})*
expression_{s}: predicate_{s} ((AND | OR) predicate_{s})*
predicate_{s}: NOT? (value_{s} test_{s}* | EXISTS query_{s} CLOSE)
test_{s}: COMPARE value_{s}
    | LIKE value_{s} ESCAPE?
    | BETWEEN value_{s} AND value_{s}
    | IN (query_{s} | expressions_{s}) CLOSE
    | IS_NULL
    | COLLATE
value_{s}: SIGN? operand_{s} (ARITHMETIC operand_{s})*
operand_{s}: literal | reference_{s} | call_{s} | case_{s} | OPEN (query_{s} | expression_{s}) CLOSE
reference_{s}: column_{s} | qualifier column_{s}
call_{s}: COUNT ARGUMENTS (STAR | DISTINCT? expression_{s})? CLOSE aggregate_tail_{s}?
    | EXTREME ARGUMENTS DISTINCT expression_{s} CLOSE aggregate_tail_{s}?
    | EXTREME ARGUMENTS expressions_{s} CLOSE aggregate_tail_{s}?
CALLS
    | CAST expression_{s} AS TYPE CLOSE
aggregate_tail_{s}: FILTER expression_{s} CLOSE window_{s}? | window_{s}
window_{s}: OVER (PARTITION_BY expressions_{s} order_{s}? | WINDOW_ORDER orderings_{s})? CLOSE
case_{s}: (CASE_WHEN | case_of_{s} WHEN) branch_{s} (WHEN branch_{s})* (ELSE expression_{s})? END
case_of_{s}: CASE_OPEN expression_{s} CLOSE | case_column_{s} | CASE_QUALIFIER column_{s}
branch_{s}: expression_{s} THEN expression_{s}
"""

_LITERAL = "literal: NUMBER | STRING | QUOTED | CONSTANT\n"


def make_grammar(database: Database, only: tuple[str, ...] | None = None) -> Grammar:
    """The queries over a SQLite ``database``, with or without a final semicolon.

    Args:
        only: the names of the tables that a query may read; None for all.

    Raises:
        ConfigurationError: the database cannot be read.
    """
    return _make_grammar(database, only, current_identity(database))


@lru_cache(maxsize=1024)
def _make_grammar(database: Database, only: tuple[str, ...] | None, _identity: Hashable) -> Grammar:
    schema = read_schema(database, only)
    catalogue = Catalogue(tuple((table.name, tuple(column.name for column in table.columns)) for table in schema))
    tables = sorted({table for table, _ in catalogue.tables})
    columns = sorted({column for _, names in catalogue.tables for column in names})
    quoted_tables = [spelling for table in tables for spelling in _quoted_spellings(table)]
    calls, function_terminals = _calls()
    terminals = _TERMINALS
    for marker, words in (("KEYWORDS", NO_ALIASES), ("COLLATIONS", _texts(COLLATIONS)), ("TYPES", _texts(TYPES))):
        terminals = terminals.replace(marker, "|".join(sorted(words)))
    source = (
        _STATEMENT
        + _LITERAL
        + "".join(_OPEN_QUERY.replace("{s}", scope) for scope in ("free", "with"))
        + "".join(_SCOPED.replace("CALLS", calls).replace("{s}", scope) for scope in ("known", "free", "with"))
        + terminals
        + function_terminals
        + f"TABLE: {_any_of(tables)}\n"
        + f"COLUMN: {_any_of(columns)}\n"
        + f"QUALIFIER: (NAME | {_words(quoted_tables)}) /\\./\n"
    )
    source = source.replace("REST", str(MOST_CHARACTERS - 1))
    source = source.replace("OWS", r"[ \t\r\n]{0,16}").replace("WS", r"[ \t\r\n]{1,16}")
    return Grammar(kind="lark", source=source, narrowing=SqlScope(catalogue))


def _texts(words: Iterable[bytes]) -> list[str]:
    return [word.decode() for word in words]


def _calls() -> tuple[str, str]:
    """The alternatives of a call, and the terminals of functions: one for each sort and number of arguments."""
    families: dict[Function, list[str]] = {}
    for name, function in known_functions().items():
        families.setdefault(function, []).append(name)
    calls: list[str] = []
    terminals: list[str] = []
    for function, names in families.items():
        if function.sort == "aggregate" and (function.least == 0 or function.most is None):
            terminal = "COUNT" if function.least == 0 else "EXTREME"
        else:
            terminal = _terminal(function)
            tail = {"scalar": "", "aggregate": " aggregate_tail_{s}?", "window": " window_{s}"}[function.sort]
            calls.append(f"    | {terminal} ARGUMENTS {_arguments(function)} CLOSE{tail}")
        terminals.append(f"{terminal}: {_words(names)}\n")
    return "\n".join(calls), "".join(terminals)


def _terminal(function: Function) -> str:
    return f"{function.sort.upper()}_{function.least}_{'MORE' if function.most is None else function.most}"


def _arguments(function: Function) -> str:
    """As many arguments as a function takes."""
    if function.most == 0:
        return ""
    needed = " COMMA ".join(["expression_{s}"] * max(function.least, 1))
    if function.sort == "aggregate" and function.least == 1:
        needed = (
            f"DISTINCT expression_{{s}} CLOSE aggregate_tail_{{s}}?\n    | {_terminal(function)} ARGUMENTS {needed}"
        )
    further = ""
    if function.most is None:
        further = " (COMMA expression_{s})*"
    elif function.most > max(function.least, 1):
        further = " (COMMA expression_{s}" * (function.most - max(function.least, 1)) + ")?" * (
            function.most - max(function.least, 1)
        )
    return f"({needed}{further})?" if function.least == 0 else needed + further


def _any_of(names: Iterable[str]) -> str:
    """A terminal that takes each name in every spelling that SQLite knows."""
    spellings = []
    for name in names:
        spellings.extend(([name] if is_plain_name(name) else []) + _quoted_spellings(name))
    return _words(spellings)


def _quoted_spellings(name: str) -> list[str]:
    spellings = ['"' + name.replace('"', '""') + '"', "`" + name.replace("`", "``") + "`"]
    return spellings if "]" in name else [*spellings, f"[{name}]"]


def _words(words: Iterable[str]) -> str:
    return "/(?i:" + "|".join("".join(map(_escaped, word)) for word in sorted(words)) + ")/"


def _escaped(character: str) -> str:
    if character.isalnum() or character == "_" or character > "~":
        return character
    return f"\\x{ord(character):02x}"
