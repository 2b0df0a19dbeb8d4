"""Grammars compiled by xgrammar, the second back end.

Not covered: Lark. Slower to compile than llguidance, and silent about the keywords of a JSON Schema that it drops, so
that every answer is validated. Its masks allow every spelling of a forced text.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from decoding.grammars.backend import Compilation
from decoding.grammars.lark import json_schemas, read_choice
from decoding.grammars.leniency import AFTERWARDS, leniency_line
from decoding.grammars.matcher import GrammarError
from decoding.grammars.schema_nodes import schema_nodes
from decoding.grammars.schema_style import read_schema
from decoding.grammars.vocabulary import Vocabulary
from decoding.grammars.xgrammar_matcher import XgrammarMatcher
from decoding.grammars.xgrammar_tags import StructuralTags
from envs.errors import ConfigurationError
from envs.grammar import JSON_STYLE, Grammar

# Measured on the official test suite: these are dropped without a word.
_DROPPED = frozenset(
    "not contains minContains maxContains if then else uniqueItems dependencies dependentRequired dependentSchemas "
    "unevaluatedProperties unevaluatedItems propertyNames $dynamicRef $recursiveRef multipleOf".split()
)
_FORMATS = frozenset(
    "date time date-time duration email hostname ipv4 ipv6 uuid uri uri-reference uri-template json-pointer "
    "relative-json-pointer".split()
)
_MESSAGE_CHARACTERS = 500


class XgrammarBackend:
    """Compiles grammars for one vocabulary."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        """
        Raises:
            ConfigurationError: xgrammar is not installed.
        """
        try:
            import xgrammar
        except ImportError as error:
            raise ConfigurationError(
                "the grammar back end 'xgrammar' needs the package xgrammar: pip install 'structrl[xgrammar]', "
                f"or use 'llguidance' ({error})"
            ) from error
        self._xgrammar = xgrammar
        self._vocabulary = vocabulary
        self._compilers: dict[frozenset[str], Any] = {}
        self._compiler_of(frozenset())

    def compile(self, grammar: Grammar) -> Compilation:
        """A matcher at the start of ``grammar``.

        Raises:
            GrammarError: xgrammar cannot compile it, or it accepts no text.
        """
        try:
            compiled = self._compiled(grammar)
        # Its errors are RuntimeError, subclasses of ValueError, and pydantic's.
        except (RuntimeError, ValueError, TypeError, RecursionError) as error:
            if isinstance(error, GrammarError):
                raise
            raise GrammarError(_one_line(error)) from error
        start = XgrammarMatcher(self._xgrammar.GrammarMatcher(compiled), self._vocabulary)
        if start.fork().mask() is None:
            ahead = start.fork()
            ahead.mask()
            raise GrammarError(f"accepts no text: {ahead.error}")
        schemas = list(json_schemas(grammar))
        places = [
            f"in {opening}: {place}" if opening else place
            for _, opening, schema in schemas
            for place in _dropped(read_schema(schema))
        ]
        return Compilation(
            start=start,
            masked=grammar,
            leniency=leniency_line(places) if places else None,
            needs_validation=bool(schemas),
        )

    def _compiler_of(self, marks: frozenset[str]) -> Any:
        """A compiler for which a few marks are tokens with a spelling: xgrammar refuses all tokens that have none."""
        if marks not in self._compilers:
            spellings = list(self._vocabulary.spellings)
            for mark in marks:
                spellings[self._vocabulary.marks[mark]] = mark.encode()
            tokenizer = self._xgrammar.TokenizerInfo(spellings, stop_token_ids=sorted(self._vocabulary.end_ids))
            self._compilers[marks] = self._xgrammar.GrammarCompiler(tokenizer, max_threads=1, cache_enabled=False)
        return self._compilers[marks]

    def _compiled(self, grammar: Grammar) -> Any:
        match grammar.kind:
            case "lark":
                raise GrammarError("xgrammar reads no Lark in llguidance's dialect: use the back end 'llguidance'")
            case "tagged":
                tags = StructuralTags(grammar, self._vocabulary, self._ebnf)
                return self._compiler_of(tags.marks).compile_structural_tag(tags.text())
            case "regex":
                return self._compiler_of(frozenset()).compile_regex(grammar.source)
            case _:
                return self._compiler_of(frozenset()).compile_grammar(self._ebnf(grammar))

    def _ebnf(self, grammar: Grammar) -> str:
        """A grammar in xgrammar's EBNF, its start named ``root``."""
        match grammar.kind:
            case "ebnf":
                return grammar.source
            case "choice":
                return "root ::= " + " | ".join(map(_quoted, read_choice(grammar.source)))
            case "json_schema":
                schema = read_schema(grammar.source)
                if schema is False:
                    raise GrammarError("the schema 'false' accepts no text")
                source = "{}" if schema is True else json.dumps(schema)
                separators = (str(JSON_STYLE["item_separator"]), str(JSON_STYLE["key_separator"]))
                return str(
                    self._xgrammar.Grammar.from_json_schema(
                        source, any_whitespace=False, separators=separators, strict_mode=False
                    )
                )
            case _:
                raise GrammarError(f"xgrammar takes no {grammar.kind} here: use the back end 'llguidance'")


def _quoted(text: str) -> str:
    # Its EBNF knows no pairs of surrogates.
    return json.dumps(text, ensure_ascii=False)


def _dropped(schema: Any) -> Iterator[str]:
    for pointer, node in schema_nodes(schema):
        yield from _dropped_at(pointer, node)


def _dropped_at(pointer: str, node: Mapping[str, Any]) -> Iterator[str]:
    for key, value in node.items():
        if key in _DROPPED or (key == "allOf" and isinstance(value, list) and len(value) > 1):
            yield f"{pointer}/{key}: not enforced by the mask, {AFTERWARDS}"
        elif key == "format" and isinstance(value, str) and value not in _FORMATS:
            yield f"{pointer}/format: '{value}' is not enforced by the mask, {AFTERWARDS}"
        elif key == "oneOf":
            yield f"{pointer}/oneOf: taken as anyOf by the mask, {AFTERWARDS}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:_MESSAGE_CHARACTERS] or type(error).__name__
