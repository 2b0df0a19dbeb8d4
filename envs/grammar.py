"""What an answer must match. Only the description: engines compile it (see decoding/)."""

from dataclasses import dataclass
from typing import Literal

# Objects are written as json.dumps writes them; free white space would let a model spend its budget on blanks.
JSON_STYLE = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """A formal language that contains every well-formed answer to one task.

    Hashable, so that compiled forms can be cached by content.
    """

    kind: Literal["json_schema", "lark", "regex"]
    source: str
    """A JSON Schema as JSON text, a Lark grammar in llguidance's dialect, or a regular expression."""
