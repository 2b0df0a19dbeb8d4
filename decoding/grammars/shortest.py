"""Short ends: few tokens after which a text is a sentence of its grammar.

For structures that must be closed because their budget is spent, and to know whether a budget can be enough. Three
searches over forks of a matcher (ours): best first, which finds short ends of what a model has begun; straight ahead,
which gets over long counted repetitions; by length, which finds the short sentence beside a long one. What they find is
short, not always the shortest. Not covered: proofs that there is none (``decoding.grammars.reach``).
"""

import heapq
from collections import Counter, defaultdict
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import count
from weakref import WeakKeyDictionary

from decoding.grammars.compiled import CompiledGrammar
from decoding.grammars.ends import Ends, Place, Step
from decoding.grammars.matcher import KnowsEnding, Matcher
from decoding.grammars.reach import is_out_of_reach
from decoding.grammars.vocabulary import Vocabulary

EXPANSIONS = 400
"""How many places the search best first looks at."""
LONGEST_SENTENCE = 2048
"""The most tokens that ``shortest_sentence`` may have."""

# How many steps the search by length takes: cheaper ones, for it looks at few of the places.
_STEPS_BY_LENGTH = 1600
# How many of them may be spent on making a sentence that was found shorter.
_IMPROVING = 120
# Straight ahead, so many places may lead nowhere.
_DEAD_ENDS = 100
# By length: places of one length that are followed, those among them where the same tokens are allowed, steps of each,
# and of the first where these tokens are allowed.
_WIDTH = 8
_ALIKE = 2
_STEPS = 6
_FIRST_STEPS = 48
# See ``Ends``: best first leaves circles at once, the others stay with what they have begun.
_HASTY = 0.5
_PATIENT = 512.0
_IMPATIENT = 2.0


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

    def ends(most: int, *, patience: float, takes_words: bool) -> Ends:
        return Ends(vocabulary, most=most, endings=endings, patience=patience, takes_words=takes_words)

    found = _best_first(matcher, ends(most, patience=_HASTY, takes_words=True))
    if found is not None:
        return found
    # A matcher that knows endings computes its masks slowly, and would have told one.
    if not isinstance(matcher, KnowsEnding):
        found = _by_length(matcher, ends(most, patience=_PATIENT, takes_words=False), _STEPS_BY_LENGTH)
    if found is not None:
        return found
    for patience, takes_words in ((_IMPATIENT, False), (_PATIENT, False), (_PATIENT, True)):
        longest = most if found is None else len(found) - 1
        found = _straight_ahead(matcher, ends(longest, patience=patience, takes_words=takes_words)) or found
    return found


def _best_first(matcher: Matcher, ends: Ends) -> tuple[int, ...] | None:
    numbers = count()
    ways: list[tuple[float, int, Place, Step]] = []
    place = ends.start(matcher)
    for _ in range(EXPANSIONS):
        if place is not None:
            if place.is_end:
                return place.written
            for step in ends.steps(place):
                if len(place.written) + len(step.tokens) <= ends.most:
                    heapq.heappush(ways, (place.cost + step.cost, next(numbers), place, step))
        if not ways:
            return None
        *_, before, step = heapq.heappop(ways)
        place = ends.follow(before, step)
    return place.written if place is not None and place.is_end else None


def _straight_ahead(matcher: Matcher, ends: Ends) -> tuple[int, ...] | None:
    """The best step at each place, the next best where it leads nowhere."""
    ways: list[tuple[Place, Step]] = []
    place, dead_ends = ends.start(matcher), 0
    while dead_ends < _DEAD_ENDS:
        if place is None:
            dead_ends += 1
        elif place.is_end:
            return place.written
        elif len(place.written) >= ends.most:
            return None
        else:
            here = place
            ways += [(here, step) for step in sorted(ends.steps(here), key=lambda step: -step.cost)]
        if not ways:
            return None
        place = ends.follow(*ways.pop())
    return None


def _by_length(matcher: Matcher, ends: Ends, expansions: int) -> tuple[int, ...] | None:
    """All ways of one length before those that are longer, the best of each length alone (beam search): first those to
    where other tokens are allowed than ever before."""
    seen: set[int] = set()
    found: tuple[int, ...] | None = None
    waiting: defaultdict[int, list[Place]] = defaultdict(list)
    place = ends.start(matcher)
    if place is not None:
        waiting[len(place.written)].append(place)
    while waiting and expansions > 0:
        length = min(waiting)
        if found is not None and length >= len(found):
            break
        places = waiting.pop(length)
        finished = next((place for place in places if place.is_end), None)
        if finished is not None:
            return finished.written
        for place in _kept(places, ends, seen):
            steps = sorted(ends.steps(place), key=lambda step: step.cost)
            most = _STEPS if place.mask in seen else _FIRST_STEPS
            seen.add(place.mask)
            for step in steps[:most]:
                expansions -= 1
                following = ends.follow(place, step)
                if following is None:
                    continue
                if following.is_end and (found is None or len(following.written) < len(found)):
                    found = following.written
                waiting[len(following.written)].append(following)
    return found


def _kept(places: Sequence[Place], ends: Ends, seen: Set[int]) -> list[Place]:
    kept: list[Place] = []
    alike: Counter[int] = Counter()
    for place in sorted(filter(ends.has_mask, places), key=lambda place: (place.mask in seen, place.cost)):
        alike[place.mask] += 1
        if alike[place.mask] <= _ALIKE:
            kept.append(place)
    return kept[:_WIDTH]


@dataclass(slots=True)
class _Known:
    """What is known of the short sentences of a grammar."""

    sentence: tuple[int, ...] | None
    tried: int = -1
    """Within so many tokens none was found."""
    impossible: int = -1
    """Within so many tokens there is none."""


_KNOWN: WeakKeyDictionary[CompiledGrammar, _Known] = WeakKeyDictionary()


def _known(compiled: CompiledGrammar) -> _Known:
    known = _KNOWN.get(compiled)
    if known is None:
        start, vocabulary, endings = compiled.start, compiled.vocabulary, compiled.endings
        found = shortest_completion(start, vocabulary, most=LONGEST_SENTENCE, endings=endings)
        if found and not isinstance(start, KnowsEnding):
            ends = Ends(vocabulary, most=len(found) - 1, endings=endings, patience=_PATIENT)
            found = _by_length(start, ends, _IMPROVING) or found
        known = _KNOWN[compiled] = _Known(found)
    return known


def shortest_sentence(compiled: CompiledGrammar) -> tuple[int, ...] | None:
    """A short sentence of a grammar, searched once: as ``shortest_completion`` from its start, and tried to shorten."""
    return _known(compiled).sentence


def sentence_within(compiled: CompiledGrammar, most: int) -> tuple[int, ...] | None:
    """A sentence of at most ``most`` tokens, searched anew where ``shortest_sentence`` is longer; None: none was
    found."""
    known = _known(compiled)
    if known.sentence is not None and len(known.sentence) <= most:
        return known.sentence
    if most <= known.tried:
        return None
    found = shortest_completion(compiled.start, compiled.vocabulary, most=most, endings=compiled.endings)
    if found is None:
        known.tried = max(known.tried, most)
    else:
        known.sentence = found
    return found


def has_no_sentence_within(compiled: CompiledGrammar, most: int) -> bool:
    """It is proved that no sentence has at most ``most`` tokens; False: there may be one."""
    if sentence_within(compiled, most) is not None:
        return False
    known = _known(compiled)
    if most > known.impossible and is_out_of_reach(compiled.start, compiled.vocabulary, most):
        known.impossible = most
    return most <= known.impossible
