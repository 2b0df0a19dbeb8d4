"""Ends a structure that the budget cut off: the text is cut back to where the shortest rest of a sentence still fits.

Ours. From the end on back, the first beginning with a short enough end is kept, so the answer is what was written, less
what was unfinished. Where no end is found at all the steps back grow, so that a text is closed after few searches; at
worst the shortest sentence takes its place. Not covered: grammars in which no sentence is as short as the budget; where
that can be proved, it is known before anything is written, else the text stays as it was cut off.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from decoding.grammars.compiled import CompiledGrammar
from decoding.grammars.matcher import GrammarError
from decoding.grammars.shortest import has_no_sentence_within, sentence_within, shortest_completion

# An end that is too long by so much is looked for, because it tells how far the text has to be cut back.
LOOK_BEYOND = 16
# A search that finds no end takes long, so there are at most so many of them; each begins four times as far back as the
# one before.
MOST_FAILED = 4
NO_SENTENCE_WITHIN = "no sentence of the grammar was found within"


@dataclass(frozen=True, kw_only=True)
class Closed:
    """A text that was made a sentence."""

    kept: int
    """How many of its tokens stay."""
    completion: tuple[int, ...]
    """What follows them."""
    error: str | None = None
    """Why it is no sentence; it then stays as it was."""


def close_text(compiled: CompiledGrammar, ids: Sequence[int], *, kept: int = 0, most: int) -> Closed | None:
    """Cuts a text back to its longest beginning that a sentence of at most ``most`` tokens has, and completes it.

    Args:
        compiled: the grammar.
        ids: what was written under the grammar, from its start, without an end of text.
        kept: how many of ``ids`` must stay.
        most: tokens that the sentence may have.

    Returns:
        None where the text is a sentence as it stands.
    """
    matcher = compiled.matcher()
    matcher.consume(ids)
    if matcher.error is None and matcher.is_accepting:
        return None
    length, failed = len(ids), 0
    while length > kept and failed < MOST_FAILED:
        completion = None
        if matcher.error is None:
            completion = shortest_completion(
                matcher, compiled.vocabulary, most=most - length + LOOK_BEYOND, endings=compiled.endings
            )
        if completion is None:
            step = 4**failed
            failed += 1
        elif length + len(completion) <= most:
            return Closed(kept=length, completion=completion)
        else:
            # Its ends get shorter on the way back, too: half of what is missing is not too far.
            step = max(1, (length + len(completion) - most) // 2)
        length = max(kept, length - step)
        # Not by a rollback, which leads some back ends out of no error.
        matcher = compiled.matcher()
        matcher.consume(ids[:length])
    return _closed_at(compiled, ids[:kept], most) or Closed(kept=len(ids), completion=(), error=_not_found(most))


def _closed_at(compiled: CompiledGrammar, kept: Sequence[int], most: int) -> Closed | None:
    """The last resort: nothing is left of what may be cut off."""
    if kept:
        matcher = compiled.matcher()
        matcher.consume(kept)
        found = shortest_completion(matcher, compiled.vocabulary, most=most - len(kept), endings=compiled.endings)
    else:
        # What was found when the turn began, so that it is found again. Nothing at all would be no generation: the end
        # of an empty sentence is written out.
        sentence = sentence_within(compiled, most)
        found = (min(compiled.vocabulary.end_ids),) if sentence == () else sentence
    return None if found is None or len(kept) + len(found) > most else Closed(kept=len(kept), completion=found)


def require_room(compiled: CompiledGrammar, most: int) -> None:
    """Checks that a sentence of a grammar may fit into a budget of ``most`` tokens.

    Raises:
        GrammarError: it is proved that none does. Where no sentence was found, but there may be one, the grammar is
            worth its masks: the model may end within the budget what the search did not.
    """
    if has_no_sentence_within(compiled, most):
        raise GrammarError(_not_found(most))


def is_beyond_budget(grammar_error: str) -> bool:
    """Whether an answer's grammar was taken, and the budget too small for its sentences: told from the error, which is
    all that is kept of it."""
    return grammar_error.startswith(NO_SENTENCE_WITHIN)


def _not_found(most: int) -> str:
    return (
        f"{NO_SENTENCE_WITHIN} {most} tokens, the budget of the turn; raise it, or take a grammar with shorter"
        " sentences"
    )
