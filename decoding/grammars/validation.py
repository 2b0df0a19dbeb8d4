"""Whole texts: is this one a sentence of the grammar, also where masks are wider than it.

JSON Schemas are validated as ``envs.json.schema`` does it: references closed, formats asserted.
"""

import json
from collections.abc import Mapping, Sequence

from decoding.grammars.lark import json_schemas, lark_text
from decoding.grammars.llguidance_backend import LlguidanceBackend
from decoding.grammars.matcher import GrammarError
from decoding.grammars.vocabulary import Vocabulary
from envs.grammar import Grammar
from envs.json.schema import CompiledSchema, compile_schema


class Validator:
    """Validates the JSON in a text by its schemas."""

    def __init__(self, grammar: Grammar, vocabulary: Vocabulary, *, masked: Grammar, is_strict: bool = False) -> None:
        """
        Args:
            grammar: its schemas count.
            vocabulary: what the tokens of its matchers are.
            masked: the same, or wider, so that llguidance can compile it leniently: it tells where the JSON stands.
            is_strict: masks hold a text to the schemas, but for keys that repeat: of a defective schema nothing else
                is looked at.

        Raises:
            GrammarError: a schema is defective, so that nothing can be said of an answer.
        """
        self._vocabulary = vocabulary
        self._schemas: Mapping[str, CompiledSchema] = {
            name: compile_schema(schema) for name, _, schema in json_schemas(grammar)
        }
        for schema in self._schemas.values():
            if schema.defect is not None and not is_strict:
                raise GrammarError(
                    f"masks cannot hold a text to the schema, and it cannot be validated: {schema.defect}"
                )
        self._is_whole = grammar.kind == "json_schema"
        if not self._is_whole:
            # Where the JSON stands in a tagged text is what llguidance captures while it reads the text.
            text = lark_text(masked, vocabulary, lenient=True, captures=True)
            self._start = LlguidanceBackend(vocabulary).start(text)[0]

    def is_valid(self, token_ids: Sequence[int]) -> bool:
        """Every JSON value in the text of these tokens, which masks allow, obeys its schema."""
        return all(self._obeys(name, value) for name, value in self._values(token_ids))

    def _values(self, token_ids: Sequence[int]) -> list[tuple[str, str]]:
        if self._is_whole:
            return [(name, self._vocabulary.text(token_ids)) for name in self._schemas]
        matcher = self._start.fork()
        matcher.consume(token_ids)
        return [(name, value.decode(errors="replace")) for name, value in matcher.captures() if name in self._schemas]

    def _obeys(self, name: str, text: str) -> bool:
        try:
            value = json.loads(text, object_pairs_hook=_unique)
        except (ValueError, RecursionError):
            return False
        schema = self._schemas[name]
        return schema.defect is not None or schema.validate(value).is_valid


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        raise ValueError("a key occurs twice")
    return members
