"""Grammars compiled by llguidance: strictly; where it cannot express a JSON Schema, leniently.

Masks are narrower than the grammar in one way: where it forces the next bytes, they allow the one token that the
tokenizer itself would write there, and not its other spellings.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

import llguidance

from decoding.grammars.backend import Compilation
from decoding.grammars.lark import json_schemas, lark_text
from decoding.grammars.leniency import leniency_line, unenforced
from decoding.grammars.llguidance_matcher import LlguidanceMatcher
from decoding.grammars.matcher import GrammarError
from decoding.grammars.open_keys import has_open_keys
from decoding.grammars.schema_nodes import schema_nodes
from decoding.grammars.schema_style import read_schema
from decoding.grammars.vocabulary import Vocabulary
from decoding.grammars.widening import widened, with_schemas
from envs.grammar import Grammar

# The excerpt of the Lark text that llguidance adds to a reason.
_EXCERPT = re.compile(r"\n\s*\d+ \| .*", re.DOTALL)
_SCHEMA = "failed to compile JSON schema: "
_MESSAGE_CHARACTERS = 500
# Each takes out what the compilation before could not express.
_ROUNDS = 4
# How many subschemas are compiled alone, to tell which of them is at fault.
_BLAMED = 64
_DEFINITIONS = ("$defs", "definitions", "$schema", "$id", "id")


class LlguidanceBackend:
    """Compiles grammars for one vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._vocabulary = vocabulary

    def compile(self, grammar: Grammar) -> Compilation:
        """A matcher at the start of ``grammar``.

        Raises:
            GrammarError: llguidance cannot compile it, or it accepts no text.
        """
        try:
            start = self.start(lark_text(grammar, self._vocabulary))[0]
            is_open = any(has_open_keys(read_schema(schema)) for _, _, schema in json_schemas(grammar))
            return Compilation(start=start, masked=grammar, may_repeat_keys=is_open)
        except GrammarError:
            if not any(True for _ in json_schemas(grammar)):
                raise
        return self._lenient(grammar)

    def _lenient(self, grammar: Grammar) -> Compilation:
        masked = grammar
        places: list[str] = []
        for rounds_left in reversed(range(_ROUNDS)):
            try:
                start, warnings = self.start(lark_text(masked, self._vocabulary, lenient=True))
                break
            except GrammarError as error:
                masked, taken_out = _wider(masked, str(error))
                if not taken_out or not rounds_left:
                    raise GrammarError(self._with_pointer(grammar, str(error))) from error
                places += taken_out
        for _, opening, schema in json_schemas(masked):
            places += _within(opening, unenforced(read_schema(schema), warnings))
        return Compilation(start=start, masked=masked, leniency=leniency_line(places or warnings))

    def start(self, text: str) -> tuple[LlguidanceMatcher, list[str]]:
        """A matcher at the start of a Lark text, and llguidance's warnings.

        Raises:
            GrammarError: llguidance cannot compile it, or it accepts no text.
        """
        matcher = llguidance.LLMatcher(self._vocabulary.trie, llguidance.LLMatcher.grammar_from_lark(text), log_level=0)
        if matcher.is_error():
            raise GrammarError(reason(matcher.get_error()))
        start = LlguidanceMatcher(matcher, self._vocabulary)
        start.require_beginning()
        return start, list(matcher.get_grammar_warnings())

    def _with_pointer(self, grammar: Grammar, message: str) -> str:
        """The message, and in which subschema its reason lies: the innermost one that fails alike on its own."""
        for _, opening, source in json_schemas(grammar):
            root, found = read_schema(source), ""
            for pointer, node in [*schema_nodes(root)][:_BLAMED]:
                if pointer.startswith(found or "#") and self._fails(root, node, message):
                    found = pointer
            if found:
                return f"{''.join(_within(opening, [found]))}: {message}"
        return message

    def _fails(self, root: Any, node: dict[str, Any], message: str) -> bool:
        around = {key: root[key] for key in _DEFINITIONS if key in root}
        grammar = Grammar(kind="json_schema", source=json.dumps({**around, **node}))
        try:
            self.start(lark_text(grammar, self._vocabulary, lenient=True))
        except GrammarError as error:
            return str(error) == message
        return False


def reason(error: str) -> str:
    """One line of an error of llguidance."""
    line = " ".join(_EXCERPT.sub("", error.partition("<state>")[0]).split())
    before, _, after = line.partition(_SCHEMA)
    line = after or before
    if line.startswith("Unsatisfiable"):
        line = f"accepts no text: {line}"
    return line[:_MESSAGE_CHARACTERS]


def _wider(grammar: Grammar, message: str) -> tuple[Grammar, list[str]]:
    openings = iter([opening for _, opening, _ in json_schemas(grammar)])
    places: list[str] = []

    def change(source: str) -> str:
        opening, found = next(openings), widened(read_schema(source), message)
        if found is None:
            return source
        schema, taken_out = found
        places.extend(_within(opening, taken_out))
        return json.dumps(schema)

    return with_schemas(grammar, change), places


def _within(opening: str, places: Iterator[str] | list[str]) -> list[str]:
    return [f"in {opening}: {place}" if opening else place for place in places]
