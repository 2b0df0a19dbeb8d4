"""The ways from a place in a grammar towards the end of a sentence, the most promising first (ours)."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from decoding.grammars.mask_words import allowed_bits
from decoding.grammars.matcher import KnowsEnding, Matcher
from decoding.grammars.token_order import BRACKET, LETTER, STRING_END, TokenOrder, shared_token_order
from decoding.grammars.vocabulary import Vocabulary

# Costs of a way: of a token; of an ending that the matcher itself knows; of the next class of tokens at a place, and
# of the next token of a class, instead of the best; what a new run of forced tokens brings in: it is progress, and what
# was left out before comes later.
_TOKEN = 0.02
_KNOWN = -1.0
_OTHER_CLASS = 0.4
_OTHER_TOKEN = 0.1
_PROGRESS = 0.1
_PROGRESS_TOKENS = 2
# After so many places where the same tokens were allowed the longest word is tried first.
_REPEATED = 3


@dataclass(kw_only=True, slots=True)
class Place:
    """A place on a way."""

    matcher: Matcher
    written: tuple[int, ...] = ()
    cost: float = 0.0
    words: np.ndarray | None = None
    """Its mask, once it has been asked for."""
    mask: int = 0
    """A hash of it."""
    taken: Counter[tuple[int, int]]
    """How often a class of tokens was taken at a mask, since the last progress."""
    passed: frozenset[tuple[int, ...]] = frozenset()
    """The runs of forced tokens on the way here: a new one is progress, an old one may be a circle."""
    is_end: bool = False
    """A sentence ends here."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """Tokens to try next at a place."""

    tokens: tuple[int, ...]
    cost: float
    """More than that of the best step."""
    kind: int
    """The class of the tokens."""


class Ends:
    """Looks for steps in one grammar."""

    def __init__(
        self, vocabulary: Vocabulary, *, most: int, endings: Sequence[str], patience: float, takes_words: bool = True
    ) -> None:
        """
        Args:
            vocabulary: of the matchers' tokens.
            most: the largest number of tokens of a way.
            endings: as ``shortest_completion``.
            patience: how often a class of tokens is taken where the same tokens are allowed, before the next class
                comes first. Large: counted repetitions are got over; small: circles are left soon.
            takes_words: in strings that do not end, long words are taken, to get over their least length.
        """
        self.most = most
        self._patience = patience
        self._takes_words = takes_words
        self._vocabulary = vocabulary
        self._order: TokenOrder = shared_token_order(vocabulary)
        words = {ending for ending in endings if ending.isalpha()}
        self._words = self._order.words(words)
        self._endings = [tuple(vocabulary.encode(ending)) for ending in endings if ending not in words]

    def start(self, matcher: Matcher) -> Place | None:
        """The place where a matcher stands, which does not move; None as ``follow``."""
        return self._look(Place(matcher=matcher.fork(), taken=Counter()))

    def follow(self, place: Place, step: Step) -> Place | None:
        """The place behind a step and all that is forced after it; None: no way leads on, or it is too long."""
        matcher = place.matcher.fork()
        matcher.consume(step.tokens)
        taken = place.taken.copy()
        taken[place.mask, step.kind] += 1
        return self._look(
            Place(
                matcher=matcher,
                written=place.written + step.tokens,
                cost=place.cost + step.cost + _TOKEN * len(step.tokens),
                taken=taken,
                passed=place.passed | {step.tokens} if step.tokens in self._endings else place.passed,
            )
        )

    def has_mask(self, place: Place) -> bool:
        """Looks at what is allowed at a place; False: nothing is known of it."""
        if place.words is None:
            words = place.matcher.mask()
            if words is not None:
                place.words = words.copy()
                place.mask = hash(words.tobytes())
        return place.words is not None

    def steps(self, place: Place) -> Iterator[Step]:
        """What may be tried at a place that was looked at, each class of tokens from its best on."""
        if not self.has_mask(place) or place.words is None:
            return
        allowed = self._allowed(place.words)
        is_wide = self._order.is_wide(allowed)
        if isinstance(place.matcher, KnowsEnding) and (known := place.matcher.ending()):
            yield Step(tokens=tuple(self._vocabulary.encode_bytes(known)), cost=_KNOWN, kind=STRING_END)
        for ending in self._endings if is_wide else ():
            # From free text into other free text: that it led out is seen with the next ending.
            if ending not in place.passed or self._ends(place, ending):
                yield Step(tokens=ending, cost=0.0, kind=STRING_END)
        tokens, kinds = self._order.candidates(allowed, self._words)
        classes = np.unique(kinds).tolist()
        again = {kind: place.taken[place.mask, kind] for kind in classes}
        if not is_wide:
            again[BRACKET] = 0  # outside of strings what closes is always progress
        least = 0.0
        wants_word = is_wide and self._takes_words and sum(again.values()) >= _REPEATED
        if wants_word and (word := self._order.longest(allowed)) is not None:
            yield Step(tokens=(word,), cost=0.0, kind=LETTER)
            least = _OTHER_CLASS
        ordered = sorted(classes, key=lambda kind: classes.index(kind) + again[kind] / self._patience)
        for later, kind in enumerate(ordered):
            members = tokens[kinds == kind].tolist()
            # Not for ever the same one of a class: what follows may hang on it.
            turn = int(again[kind] / max(1.0, self._patience)) % len(members)
            for position, token in enumerate(members[turn:] + members[:turn]):
                cost = least + _OTHER_CLASS * later + _OTHER_TOKEN * position
                yield Step(tokens=(token,), cost=cost, kind=kind)

    def _look(self, place: Place) -> Place | None:
        """Goes on to where there is a choice, or to the end of a sentence."""
        matcher = place.matcher
        end_ids = self._vocabulary.end_ids
        while matcher.error is None and not matcher.is_accepting and len(place.written) <= self.most:
            forced = tuple(token for token in matcher.forced() if token not in end_ids)
            if not forced:
                break
            matcher.consume(forced)
            place.written += forced
            place.cost += _TOKEN * len(forced)
            if len(forced) >= _PROGRESS_TOKENS:
                is_new = forced not in place.passed
                if is_new or self._patience < 1:
                    place.taken = Counter()
                place.cost -= _PROGRESS * len(forced) if is_new else 0.0
                place.passed |= {forced}
        if matcher.error is not None or len(place.written) > self.most:
            return None
        place.is_end = matcher.is_accepting
        return place

    def _ends(self, place: Place, ending: tuple[int, ...]) -> bool:
        """The ending leads out of the free text: little is allowed behind it."""
        ahead = place.matcher.fork()
        ahead.consume(ending)
        if ahead.error is None and ahead.is_accepting:
            return True
        words = ahead.mask()
        return words is not None and not self._order.is_wide(self._allowed(words))

    def _allowed(self, words: np.ndarray) -> np.ndarray:
        return allowed_bits(words)[: self._order.size]
