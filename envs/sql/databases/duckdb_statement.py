"""What a query on DuckDB may say, decided on the syntax tree of DuckDB's own parser (``json_serialize_sql``).

An allow-list: kinds of nodes, functions and the describing views. A node that a later DuckDB adds is refused.

Not covered: what a view of the file itself does is taken for the file's author's wish; the settings of
``duckdb_seal.py`` hold there too, so that it reaches no other file either.
"""

import json
import re
from collections.abc import Callable
from typing import Any

import duckdb

from envs.sql.databases.duckdb_functions import (
    SCALAR_FUNCTIONS,
    TABLE_FUNCTIONS,
    has_bounded_size,
)
from envs.sql.databases.execution import RefusedError

DEEPEST_BRACKETS = 100
MOST_TABLES = 64
"""SQLite's limit for a join. The search for an order of hundreds takes minutes, and no interrupt reaches it."""

# What has a type but no class: query nodes, sources, what follows a SELECT, how something is sorted.
_NODES = frozenset(
    """
    SELECT_NODE SET_OPERATION_NODE RECURSIVE_CTE_NODE CTE_NODE
    BASE_TABLE CTE EMPTY EMPTY_FROM EXPRESSION_LIST JOIN PIVOT SHOW_REF SUBQUERY TABLE_FUNCTION
    DISTINCT_MODIFIER LIMIT_MODIFIER LIMIT_PERCENT_MODIFIER ORDER_MODIFIER
    ASCENDING DESCENDING ORDER_DEFAULT
    """.split()
)
_EXPRESSIONS = frozenset(
    """
    BETWEEN CASE CAST COLLATE COLUMN_REF COMPARISON CONJUNCTION CONSTANT DEFAULT FUNCTION LAMBDA LAMBDA_REF OPERATOR
    PARAMETER POSITIONAL_REFERENCE STAR SUBQUERY TYPE WINDOW
    """.split()
)
_SHOWN = frozenset(("tables", "__show_tables_expanded"))
_EXPLAIN = re.compile(r"\s*EXPLAIN\s(?P<read>.*)", re.IGNORECASE | re.DOTALL)
_TABLE_INFO = re.compile(
    r"""\s*PRAGMA\s+table_info\s*(?:\(|=)\s*(?P<quote>["']?)(?P<table>[\w. ]+?)(?P=quote)\s*\)?\s*;?\s*""",
    re.IGNORECASE,
)
_SERIALIZE = "SELECT json_serialize_sql(?::VARCHAR, skip_default := true, skip_empty := true, skip_null := true)"


def permitted_statement(
    connection: duckdb.DuckDBPyConnection,
    query: str,
    hidden_views: frozenset[str],
    is_function: Callable[[str], bool],
) -> str:
    """What to run for ``query``: the same, or what a describing PRAGMA stands for.

    Args:
        connection: any open one; its parser is asked.
        hidden_views: the views of DuckDB itself that may not be read, in lower case.
        is_function: whether there is a function of that name, in lower case.

    Raises:
        RefusedError: it is not one permitted read.
        duckdb.Error: DuckDB cannot parse it.
        RecursionError: it is nested too deeply.
    """
    _check_text(query)
    if (pragma := _TABLE_INFO.fullmatch(query)) is not None:
        return f"SELECT * FROM pragma_table_info('{pragma['table']}')"
    explain = _EXPLAIN.fullmatch(query)
    read: str = query if explain is None else explain["read"]
    ((tree_text,),) = connection.execute(_SERIALIZE, [read]).fetchall()
    tree = json.loads(tree_text)
    if tree["error"]:
        raise _refusal(connection, query)
    statements = tree.get("statements", [])
    if not statements:
        raise RefusedError("not SQL", "the text holds no statement")
    if len(statements) > 1:
        raise RefusedError("several statements", "one statement at a time")
    _TreeCheck(hidden_views, is_function).check(statements[0])
    # EXPLAIN ANALYZE runs what it explains; what parses as a read on its own has no ANALYZE in front.
    return query if explain is None else f"EXPLAIN {read}"


def _check_text(query: str) -> None:
    """Refuses what misleads the parser, or takes it very long: brackets that never close are tried in every way.

    Raises:
        RefusedError: see above.
        UnicodeEncodeError: the text contains half a character.
    """
    raw = query.encode()
    if b"\0" in raw:
        raise RefusedError("not SQL", "the query contains a null character")
    depth = 0
    for start, _ in duckdb.tokenize(query):  # brackets inside texts, names and comments are no tokens of their own
        if raw[start] in b"([{":
            depth += 1
            if depth > DEEPEST_BRACKETS:
                raise RefusedError("too complex", f"more than {DEEPEST_BRACKETS} brackets inside each other")
        elif raw[start] in b")]}":
            depth -= 1
    if depth != 0:
        raise RefusedError("not SQL", "the brackets do not match")


def _refusal(connection: duckdb.DuckDBPyConnection, query: str) -> RefusedError:
    """Why a text is no SELECT that DuckDB can show us.

    Raises:
        duckdb.Error: the parser's own complaint.
    """
    statements = connection.extract_statements(query)
    if len(statements) > 1:
        return RefusedError("several statements", "one statement at a time")
    return RefusedError("not a read", f"only reading is permitted, not {str(statements[0].type).rpartition('.')[2]}")


class _TreeCheck:
    """Walks the tree of one statement and raises ``RefusedError`` at what is not on the lists."""

    def __init__(self, hidden_views: frozenset[str], is_function: Callable[[str], bool]) -> None:
        self._is_function = is_function
        self._hidden_views = hidden_views
        self._tables = 0

    def check(self, statement: dict[str, Any]) -> None:
        """Looks at every object in the tree, whatever it hangs on."""
        left: list[Any] = [statement]
        while left:
            node = left.pop()
            if isinstance(node, list):
                left += node
            elif isinstance(node, dict):
                self._check_node(node)
                if node.get("type") == "TABLE_FUNCTION":  # its call is judged with it; the arguments are judged alone
                    node = {**node, **node["function"]}
                    del node["function"]
                left += node.values()

    def _check_node(self, node: dict[str, Any]) -> None:
        kind = node.get("class", node.get("type"))
        if isinstance(kind, str):
            allowed = _EXPRESSIONS if "class" in node else _NODES
            if kind not in allowed and not kind.endswith("_TYPE_INFO"):
                raise RefusedError("not a read", f"{kind} is not permitted")
        if kind in ("BASE_TABLE", "TABLE_FUNCTION"):
            self._tables += 1
            if self._tables > MOST_TABLES:
                raise RefusedError("too complex", f"more than {MOST_TABLES} tables")
        if kind == "TABLE_FUNCTION":
            self._check_function(node["function"].get("function_name", ""), TABLE_FUNCTIONS)
        elif "function_name" in node:
            name = self._check_function(node["function_name"], SCALAR_FUNCTIONS)
            if not has_bounded_size(name, [_constant(argument) for argument in node.get("arguments", [])]):
                raise RefusedError("not a read", f"{name}: the size must be written out, and at most 1000")
        elif kind == "BASE_TABLE" and node.get("table_name", "").lower() in self._hidden_views:
            raise RefusedError("not a read", f"{node['table_name']} may not be read")
        elif kind == "SHOW_REF" and node.get("show_type") == "SHOW_SPECIAL":
            if node.get("table_name", "").strip('"').lower() not in _SHOWN:
                raise RefusedError("not a read", f"SHOW {node.get('table_name')} is not permitted")

    def _check_function(self, written: str, allowed: frozenset[str]) -> str:
        name = written.lower()
        if name not in allowed:
            if self._is_function(name):
                raise RefusedError("not a read", f"the function {written} is not permitted")
            raise RefusedError("unknown function", f"there is no function {written}")
        return name


def _constant(argument: dict[str, Any]) -> str | None:
    """The text of an argument that is written out."""
    literal = argument.get("expression", {}).get("literal")
    return literal.get("text", "") if isinstance(literal, dict) else None
