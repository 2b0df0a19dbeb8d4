"""A compiled grammar: where matching begins, and what its masks leave to a validator."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from decoding.grammars.matcher import Matcher
from decoding.grammars.validation import Validator
from decoding.grammars.vocabulary import Vocabulary, is_unicode
from envs.grammar import Grammar

# Words in quotes and in case-insensitive groups; a few more than there are, which does no harm.
_WORD = re.compile(r"(?<=[\"( |:])[A-Za-z]{2,12}(?=[\") |])")


@dataclass(frozen=True, kw_only=True, eq=False)
class CompiledGrammar:
    """A grammar that can be matched. Equal only to itself."""

    grammar: Grammar
    start: Matcher
    """At its start; only forks of it are moved."""
    vocabulary: Vocabulary
    """What its tokens are."""
    masked: Grammar
    """What its masks allow: the grammar, or a wider one that the back end put in its place; without narrowing."""
    leniency: str | None = None
    """What of the grammar its masks do not hold a text to, and what happens instead; None: they hold it to all of it,
    so far as the back end tells."""
    validator: Validator | None = None
    """Judges what masks leave open; None: they leave nothing open."""

    def matcher(self) -> Matcher:
        """A fresh matcher at the start."""
        return self.start.fork()

    @cached_property
    def endings(self) -> tuple[str, ...]:
        """What a search for a short end could not guess: the strings that end free text, the words of a Lark text."""
        return tuple(dict.fromkeys(_endings(self.grammar)))

    def accepts(self, text: str) -> bool:
        """The whole text is a sentence: masks allow it, to its end, and the validator finds no fault.

        What spells a mark is read as the mark where the grammar allows it, else as plain text.
        """
        ids = self._spelled(text)
        return ids is not None and self.is_sentence(ids)

    def is_sentence(self, token_ids: Sequence[int]) -> bool:
        """As ``accepts``, of tokens without an end of text: masks judge them as they are, the validator what they
        spell."""
        matcher = self.matcher()
        matcher.consume(token_ids)
        if matcher.error is not None or not matcher.is_accepting:
            return False
        return self.validator is None or self.validator.is_valid(token_ids)

    def _spelled(self, text: str) -> list[int] | None:
        """Tokens that spell a text; None: masks allow none of those that were tried."""
        if not is_unicode(text):
            return None
        matcher, ids = self.matcher(), list[int]()
        for part in self.vocabulary.parts(text):
            spellings = [self.vocabulary.encode(part)] if isinstance(part, str) else self._mark(part)
            for step in spellings:
                ahead = matcher.fork()
                ahead.consume(step)
                if ahead.error is None:
                    break
            else:
                return None
            matcher = ahead
            ids += step
        return ids

    def _mark(self, mark: int) -> list[list[int]]:
        """As what a mark in a text may be meant; one that ends texts stands in none."""
        plain = self.vocabulary.spell(self.vocabulary.text([mark]))
        return [plain] if mark in self.vocabulary.end_ids else [[mark], plain]


def _endings(grammar: Grammar) -> Iterator[str]:
    for block in [block for region in grammar.regions for block in region.blocks]:
        if block.content is not None:
            yield from _endings(block.content)
        if block.closing:
            yield block.closing
    if grammar.kind == "lark":
        yield from dict.fromkeys(word.lower() for word in _WORD.findall(grammar.source))
