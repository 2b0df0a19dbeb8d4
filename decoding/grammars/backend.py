"""The contract of a back end: it turns grammars into matchers for one vocabulary."""

from dataclasses import dataclass
from typing import Protocol

from decoding.grammars.matcher import Matcher
from envs.grammar import Grammar


@dataclass(frozen=True, kw_only=True)
class Compilation:
    """What a back end makes of a grammar."""

    start: Matcher
    """At the start."""
    masked: Grammar
    """What the masks allow: the grammar, or a wider one that the back end put in its place."""
    leniency: str | None = None
    """What of the grammar its masks do not hold a text to, and what happens instead; None: they hold it to all of it,
    so far as the back end tells."""
    needs_validation: bool = False
    """Masks may be wider than the grammar without a word."""
    may_repeat_keys: bool = False
    """Masks hold a text to all of the grammar, but an object may have the same key twice."""


class Backend(Protocol):
    """Compiles grammars, without their ``narrowing``; from several threads at once."""

    def compile(self, grammar: Grammar) -> Compilation:
        """A matcher at the start of ``grammar``.

        Raises:
            GrammarError: it cannot be compiled, or accepts no text.
        """
        ...
