"""Which category an error of PostgreSQL belongs to: by SQLSTATE, and where one stands for several mistakes, by the
function of the server that found it. Both are the same in every language of its messages."""

from psycopg.pq import DiagnosticField
from psycopg.pq.abc import PGresult

from envs.sql.databases.execution import DatabaseFault, QueryError, shortened

SYNTAX_ERROR = b"42601"
QUERY_CANCELED = b"57014"

_CATEGORY_BY_STATE = {
    b"0A000": "runtime error",
    b"25006": "not a read",  # a write in a read-only transaction
    b"3F000": "unknown table",  # the schema
    b"42501": "not a read",
    b"42601": "not SQL",
    b"42703": "unknown column",
    b"42704": "runtime error",  # a type, a collation
    b"42883": "unknown function",
    b"42P01": "unknown table",
    b"42P02": "not SQL",  # $1
    b"53200": "too large",  # memory
    b"53400": "too large",  # temp_file_limit
    b"54000": "too large",
    b"54001": "too complex",
    b"54011": "too complex",
    b"54023": "too complex",
}
# The function of the server's source that raised the error, where the state alone says too little.
_CATEGORY_BY_FUNCTION = {
    (b"42P01", b"errorMissingRTE"): "unknown column",  # q.name where FROM has no q
    (b"42883", b"op_error"): "runtime error",  # text = integer
    (b"0A000", b"transformDeclareCursorStmt"): "not a read",  # WITH ... AS (INSERT ...)
    (b"08P01", b"exec_bind_message"): "not SQL",  # $1 where a type can be guessed
    (b"42601", b"exec_parse_message"): "several statements",
    (b"XX000", b"MemoryContextAlloc"): "too large",
    (b"XX000", b"palloc"): "too large",
    (b"XX000", b"repalloc"): "too large",
}
# 08 connection, 53 too little of something, 55 a lock, 57 shutdown, 58 input and output, F0 configuration, XX internal
_FAULT_CLASSES = (b"08", b"53", b"55", b"57", b"58", b"F0")
_FAULT_STATES = (
    b"XX001",
    b"XX002",
    b"25P02",
    b"25P03",
)  # corrupt data or index; left over, idle too long


def state_of(result: PGresult) -> bytes:
    """The five characters of SQLSTATE; empty when the connection was lost."""
    return result.error_field(DiagnosticField.SQLSTATE) or b""


def classified(result: PGresult, *, is_late: bool) -> QueryError | DatabaseFault:
    """What a result that is an error says: the query's fault, by category, or the database's.

    Args:
        is_late: the query's time is up, so that it was this that cancelled it.
    """
    state = state_of(result)
    message = _message(result)
    if state == QUERY_CANCELED and is_late:
        return QueryError(category="timeout", message=message)
    function = result.error_field(DiagnosticField.SOURCE_FUNCTION) or b""
    category = _CATEGORY_BY_FUNCTION.get((state, function)) or _CATEGORY_BY_STATE.get(state)
    if category is None and (not state or state.startswith(_FAULT_CLASSES) or state in _FAULT_STATES):
        return DatabaseFault(message=message)
    return QueryError(category=category or "runtime error", message=message)


def _message(result: PGresult) -> str:
    fields = (DiagnosticField.MESSAGE_PRIMARY, DiagnosticField.MESSAGE_DETAIL, DiagnosticField.MESSAGE_HINT)
    parts = [raw.decode(errors="replace") for field in fields if (raw := result.error_field(field))]
    return shortened(" ".join(parts) or result.get_error_message().strip() or "the connection was lost")
