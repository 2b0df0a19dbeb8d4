"""How far a broken text is JSON, in lexical tokens.

A token is a string, a bracket, a colon, a comma, or any other run of characters without white space. White space is
no token. Broken text has tokens too: what follows a ``"`` that is never closed is one.
"""

import json
import math
import re
from dataclasses import dataclass

from envs.json.parsing import Limits, has_lone_surrogate

TOKEN = re.compile(r'"(?:[^"\\]|\\.)*+["\\]?|[\[\]{}:,]|[^ \t\n\r\[\]{}:,"]++', re.DOTALL)
STRING_BEGUN = r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*+'
STRING = re.compile(STRING_BEGUN + '"')
UNFINISHED_STRING = re.compile(STRING_BEGUN + r"(?:\\(?:u[0-9a-fA-F]{0,3})?)?")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?")
UNFINISHED_NUMBER = re.compile(r"-?(?:(?:0|[1-9][0-9]*+)(?:\.[0-9]*+)?(?:(?<=[0-9])[eE][+-]?[0-9]*+)?)?")
LITERALS = ("true", "false", "null")
CLOSING = {"[": "]", "{": "}"}
WORD = "word"
# What may come next: each state's tokens with the state after them. A word is a number or a literal.
VALUE = {'"': "next", WORD: "next", "[": "item or close", "{": "key or close"}
GRAMMAR: dict[str, dict[str, str]] = {
    "value": VALUE,
    "item or close": {**VALUE, "]": "next"},
    "key or close": {'"': "colon", "}": "next"},
    "key": {'"': "colon"},
    "colon": {":": "value"},
    "next": {"]": "next", "}": "next"},
}


@dataclass(frozen=True, kw_only=True)
class Prefix:
    """The longest beginning of a text with which a JSON value can begin, made whole."""

    accepted: int
    """Tokens of the text that it has."""
    total: int
    """Tokens of the text; an unfinished one at its end, which more text might make whole, is not counted."""
    text: str
    """The accepted tokens, a comma at their end left out, and then those that make a whole value of them."""
    own: int
    """How many tokens of ``text`` are the answer's own."""


def prefix_of(text: str, limits: Limits) -> Prefix:
    """How far a text that holds no whole value is JSON within the limits, without duplicate keys; in linear time."""
    tokens = TOKEN.findall(text)
    if tokens and _is_unfinished(tokens[-1]):
        tokens.pop()
    state, accepted = "value", 0
    closing: list[str] = []
    keys: list[set[str]] = []
    for token in tokens:
        first = token[0]
        kind = first if first in '"[]{}:,' else WORD
        if kind == "," and state == "next" and closing:
            following = "key" if closing[-1] == "}" else "value"
        elif kind not in GRAMMAR[state] or (kind in "]}" and (not closing or closing[-1] != kind)):
            break
        else:
            following = GRAMMAR[state][kind]
        if kind in CLOSING:
            if len(closing) == limits.depth:
                break
            closing.append(CLOSING[kind])
            keys.append(set())
        elif kind in "]}":
            closing.pop()
            keys.pop()
        elif kind == '"':
            if (string := _string(token)) is None or (following == "colon" and string in keys[-1]):
                break
            if following == "colon":
                keys[-1].add(string)
        elif kind == WORD and not _is_word(token, limits.number_characters):
            break
        state = following
        accepted += 1
    kept = tokens[:accepted]
    if kept and kept[-1] == ",":
        kept.pop()
    added = [":", "null"] if state == "colon" else ["null"] if kept and kept[-1] == ":" else []
    whole = "".join([*kept, *added, *reversed(closing)])
    return Prefix(accepted=accepted, total=len(tokens), text=whole, own=len(kept))


def _string(token: str) -> str | None:
    """The string that a token stands for; None when it is not JSON, or holds half of a surrogate pair."""
    if not STRING.fullmatch(token):
        return None
    string: str = json.loads(token) if "\\" in token else token[1:-1]
    return None if has_lone_surrogate(token, string) else string


def _is_word(token: str, number_characters: int) -> bool:
    if token in LITERALS:
        return True
    return len(token) <= number_characters and bool(NUMBER.fullmatch(token)) and not math.isinf(float(token))


def _is_unfinished(token: str) -> bool:
    if token[0] == '"':
        return bool(UNFINISHED_STRING.fullmatch(token))
    if token in CLOSING or token in "]}:,":
        return False
    return any(word.startswith(token) for word in LITERALS) or bool(UNFINISHED_NUMBER.fullmatch(token))
