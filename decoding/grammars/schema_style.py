"""JSON Schemas as they stand in a Lark text: with the style that values are written in."""

import json
import re

from decoding.grammars.matcher import GrammarError
from decoding.grammars.open_keys import has_open_keys
from envs.grammar import JSON_STYLE

# What a schema may say of its style. Its other options would let masks go easy on the schema itself.
_STYLE = ("whitespace_flexible", "whitespace_pattern", "item_separator", "key_separator")
# All that ``json.dumps`` writes but for \u00XX, by which a key could be spelled in two ways.
_ESCAPES = 'nrbtf\\"'
_CONTROL = re.compile(r"[\x00-\x07\x0b\x0e-\x1f\x7f]")


def read_schema(source: str) -> object:
    """The JSON value of a schema's text.

    Raises:
        GrammarError: it is no JSON.
    """
    try:
        return json.loads(source)
    except RecursionError:
        raise GrammarError("the schema nests deeper than the recursion limit") from None
    except ValueError as error:
        raise GrammarError(f"the schema is no JSON: {error}") from error


def styled_schema(source: str, *, lenient: bool) -> str:
    """The text of a schema with llguidance's options.

    Where keys may be any, ``\\u00XX`` is left out of the escapes: masks would not know a key that is spelled by it.
    Control characters can then not be written, but where the schema itself has one.

    Raises:
        GrammarError: it is no schema, or accepts no text.
    """
    schema = read_schema(source)
    if schema is False:
        raise GrammarError("the schema 'false' accepts no text")
    if schema is True:
        schema = {}
    if not isinstance(schema, dict):
        raise GrammarError(f"a schema is an object or a boolean, got {json.dumps(schema)[:80]}")
    own = schema.get("x-guidance")
    options: dict[str, object] = dict(JSON_STYLE)
    options.update({key: own[key] for key in _STYLE if key in own} if isinstance(own, dict) else {})
    if lenient:
        options["lenient"] = True
    if has_open_keys(schema) and not _has_control_characters(schema):
        options["json_allowed_escapes"] = _ESCAPES
    try:
        return json.dumps({**schema, "x-guidance": options})
    except RecursionError:
        raise GrammarError("the schema nests deeper than the recursion limit") from None


def _has_control_characters(value: object) -> bool:
    """Some string in a JSON value can only be written with ``\\u00XX``."""
    waiting = [value]
    while waiting:
        match waiting.pop():
            case str(text) if _CONTROL.search(text):
                return True
            case dict(members):
                waiting += [*members, *members.values()]
            case list(items):
                waiting += items
    return False
