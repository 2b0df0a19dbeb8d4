"""Short ends: few tokens after which a text is a sentence of its grammar.

For structures that must be closed because their budget is spent, and to know whether a budget can be enough. Best-first
search over forks of a matcher (ours); what it finds is short, not always the shortest.
"""

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from weakref import WeakKeyDictionary

import numpy as np

from decoding.grammars.compiled import CompiledGrammar
from decoding.grammars.matcher import KnowsEnding, Matcher
from decoding.grammars.token_order import BRACKET, LETTER, STRING_END, TokenOrder, shared_token_order
from decoding.grammars.vocabulary import Vocabulary

EXPANSIONS = 400
"""How many places a search looks at."""
LONGEST_SENTENCE = 2048
"""The most tokens that ``shortest_sentence`` may have."""

# Costs of a way: of a token; of an ending that the matcher itself knows; of the next class of tokens at a place, and of the next token of a class, instead of the
# best; what a new run of forced tokens brings in: it is progress, and what was left out before comes later.
_TOKEN = 0.02
_KNOWN = -1.0
_OTHER_CLASS = 0.4
_OTHER_TOKEN = 0.1
_PROGRESS = 0.1
_PROGRESS_TOKENS = 2
# By how many classes one comes later for each time that it was taken where the same tokens were allowed.
_TAKEN = 2
# After so many such places the longest word is tried first.
_REPEATED = 3


@dataclass(kw_only=True, slots=True)
class _Place:
    """A place on a way."""

    matcher: Matcher
    written: tuple[int, ...]
    mask: int
    """A hash of what is allowed, once it has been looked at."""
    taken: Counter[tuple[int, int]]
    """How often a class of tokens was taken at a mask, since the last progress."""
    passed: frozenset[tuple[int, ...]]
    """The runs of forced tokens on the way here: a new one is progress, an old one may be a circle."""


@dataclass(order=True, slots=True)
class _Way:
    """Tokens to try next."""

    cost: float
    number: int
    place: _Place = field(compare=False)
    step: tuple[int, ...] = field(compare=False)
    kind: int = field(compare=False)
    """Its class."""


def shortest_completion(
    matcher: Matcher, vocabulary: Vocabulary, *, most: int, endings: Sequence[str] = ()
) -> tuple[int, ...] | None:
    """A few tokens after which the text is a sentence; end-of-text is not among them.

    Args:
        matcher: at any place; it does not move.
        vocabulary: of the matcher's tokens.
        most: the largest number of tokens.
        endings: what no search could guess: strings that end stretches of free text (``</think>``), and words of the
            language (``from``); those of a compiled grammar are its ``endings``.

    Returns:
        The tokens, none where the text is a sentence already; None where none were found.
    """
    search = _Search(vocabulary, most, endings)
    start = _Place(matcher=matcher.fork(), written=(), mask=0, taken=Counter(), passed=frozenset())
    found = search.look(start, 0.0)
    for _ in range(EXPANSIONS):
        if found is not None or not search.ways:
            break
        found = search.follow(heapq.heappop(search.ways))
    return found


class _Search:
    def __init__(self, vocabulary: Vocabulary, most: int, endings: Sequence[str]) -> None:
        self.ways: list[_Way] = []
        self._vocabulary = vocabulary
        self._order: TokenOrder = shared_token_order(vocabulary)
        self._end_ids = vocabulary.end_ids
        self._most = most
        words = {ending for ending in endings if ending.isalpha()}
        self._words = self._order.words(words)
        self._endings = [tuple(vocabulary.encode(ending)) for ending in endings if ending not in words]
        self._numbers = count()

    def follow(self, way: _Way) -> tuple[int, ...] | None:
        """Goes a way and looks around there."""
        place, matcher = way.place, way.place.matcher.fork()
        matcher.consume(way.step)
        taken = place.taken.copy()
        taken[place.mask, way.kind] += 1
        here = _Place(matcher=matcher, written=place.written + way.step, mask=0, taken=taken, passed=place.passed)
        return self.look(here, way.cost + _TOKEN * len(way.step))

    def look(self, place: _Place, cost: float) -> tuple[int, ...] | None:
        """Goes on to where there is a choice and adds the ways from there. The tokens, where a sentence ends."""
        matcher = place.matcher
        while matcher.error is None and not matcher.is_accepting and len(place.written) <= self._most:
            forced = tuple(token for token in matcher.forced() if token not in self._end_ids)
            if not forced:
                break
            matcher.consume(forced)
            place.written += forced
            cost += _TOKEN * len(forced)
            if len(forced) >= _PROGRESS_TOKENS:
                place.taken = Counter()
                cost -= 0.0 if forced in place.passed else _PROGRESS * len(forced)
                place.passed |= {forced}
        if matcher.error is not None or len(place.written) > self._most:
            return None
        if matcher.is_accepting:
            return place.written
        words = matcher.mask()
        if words is not None:
            place.mask = hash(words.tobytes())
            self._add_ways(place, self._allowed(words), cost)
        return None

    def _add_ways(self, place: _Place, allowed: np.ndarray, cost: float) -> None:
        for more, kind, step in self._steps(place, allowed):
            if len(place.written) + len(step) <= self._most:
                heapq.heappush(self.ways, _Way(cost + more, next(self._numbers), place, step, kind))

    def _steps(self, place: _Place, allowed: np.ndarray) -> Iterator[tuple[float, int, tuple[int, ...]]]:
        """What may be tried at a place: what it costs more than the best, its class, the tokens."""
        is_wide = self._order.is_wide(allowed)
        if isinstance(place.matcher, KnowsEnding) and (known := place.matcher.ending()):
            yield _KNOWN, STRING_END, tuple(self._vocabulary.encode(known.decode(errors="ignore")))
        for ending in self._endings if is_wide else ():
            if self._ends(place.matcher, ending):
                yield 0.0, STRING_END, ending
        tokens, kinds = self._order.candidates(allowed, self._words)
        classes = np.unique(kinds).tolist()
        again = {kind: place.taken[place.mask, kind] for kind in classes}
        if not is_wide:
            again[BRACKET] = 0  # outside of strings what closes is always progress
        least = 0.0
        if is_wide and sum(again.values()) >= _REPEATED and (word := self._order.longest(allowed)) is not None:
            yield 0.0, LETTER, (word,)
            least = _OTHER_CLASS
        ordered = sorted(classes, key=lambda kind: classes.index(kind) + _TAKEN * again[kind])
        for later, kind in enumerate(ordered):
            members = tokens[kinds == kind].tolist()
            # Not always the same one of a class: what follows may hang on it.
            turn = again[kind] % len(members)
            for position, token in enumerate(members[turn:] + members[:turn]):
                yield least + _OTHER_CLASS * later + _OTHER_TOKEN * position, kind, (token,)

    def _ends(self, matcher: Matcher, ending: tuple[int, ...]) -> bool:
        """The ending leads out of the free text: little is allowed behind it."""
        ahead = matcher.fork()
        ahead.consume(ending)
        words = ahead.mask()
        return words is not None and not self._order.is_wide(self._allowed(words))

    def _allowed(self, words: np.ndarray) -> np.ndarray:
        return np.unpackbits(words.view(np.uint8), bitorder="little")[: self._order.size].view(bool)


_SENTENCES: WeakKeyDictionary[CompiledGrammar, tuple[int, ...] | None] = WeakKeyDictionary()


def shortest_sentence(compiled: CompiledGrammar) -> tuple[int, ...] | None:
    """A short sentence of a grammar, searched once: as ``shortest_completion`` from its start."""
    if compiled not in _SENTENCES:
        _SENTENCES[compiled] = shortest_completion(
            compiled.start, compiled.vocabulary, most=LONGEST_SENTENCE, endings=compiled.endings
        )
    return _SENTENCES[compiled]
