"""Which of several candidates is the answer: the best by its score, or a member of the class that wins a vote.

Both are deterministic: what still is equal after all comparisons goes to the candidate that was found first. How far a
candidate came counts before its score (``completeness``): a text that runs in circles until its budget ends is very
probable, and seldom holds an answer.
"""

import math
from collections.abc import Sequence

from decoding.search.state import State
from decoding.search.strategy import Candidate
from envs.examination import Examination

LOWEST = float("-inf")
NEUTRAL = 0.5
"""What a search takes for the score of a state of which nothing can be said yet: neither good nor bad."""


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The candidate with the highest score among those that came furthest (``completeness``); None comes last.

    Raises:
        ValueError: there are no candidates.
    """
    if not candidates:
        raise ValueError("nothing to choose from; expected one candidate or more")
    return max(candidates, key=lambda candidate: (completeness(candidate.state), comparable(candidate.score)))


def vote(candidates: Sequence[Candidate], *, weighted: bool) -> Candidate:
    """The best member of the class of equal digests that has the most votes.

    A candidate votes with the quota of its state (1 for independent samples), times its score where ``weighted``
    (None: 0), as in weighted best-of-n: argmax_a sum_{i: a_i = a} s_i. Classes with equal votes are told apart by their
    count, then by the highest mean log-probability of a member, a nan last. Within the class the highest score wins,
    then the highest mean log-probability.

    A candidate without a digest equals no other, and never outvotes an episode that has ended and has one: what means
    nothing cannot be right. Nor does a class whose members were all cut short outvote one that holds a complete
    candidate, nor one of which no member has ended one of which a member has.

    Raises:
        ValueError: there are no candidates.
    """
    if not candidates:
        raise ValueError("nothing to vote for; expected one candidate or more")
    classes: dict[object, list[Candidate]] = {}
    for place, candidate in enumerate(candidates):
        classes.setdefault(place if candidate.digest is None else candidate.digest, []).append(candidate)
    winners = max(classes.values(), key=lambda members: _votes(members, weighted))
    return max(winners, key=_within_class)


def candidates_of(
    states: Sequence[State],
    *,
    scores: Sequence[float | None] | None = None,
    found: Sequence[Examination | None] | None = None,
) -> tuple[Candidate, ...]:
    """States as candidates, with their scores and the digests of their examinations, where there are any."""
    nothing = [None] * len(states)
    return tuple(
        Candidate(state=state, score=score, digest=None if examination is None else examination.digest)
        for state, score, examination in zip(states, scores or nothing, found or nothing, strict=True)
    )


def completeness(state: State) -> tuple[bool, bool]:
    """Orders states by how far they came: those that are complete above those that the token budget of an episode cut
    off, and these above those that the budget of the search left in their midst."""
    return state.is_complete, state.is_final


def is_cut_off(state: State) -> bool:
    """The token budget of its episode has ended it in its midst: it is no answer, and cannot go on."""
    return state.is_final and not state.is_complete


def comparable(score: float | None) -> float:
    """A number that orders like ``score``, with None and nan below all."""
    return LOWEST if score is None or math.isnan(score) else score


def promise(score: float | None) -> float:
    """A number that orders what may still go on, and what competes with it, by score: None and nan are neutral. A
    scorer that judges answers says nothing of most states without one; below all others, they would lose to the first
    answer that is wrong."""
    return NEUTRAL if score is None or math.isnan(score) else score


def _votes(members: Sequence[Candidate], weighted: bool) -> tuple[bool, tuple[bool, bool], bool, float, int, float]:
    furthest = max(completeness(member.state) for member in members)
    has_digest = members[0].digest is not None
    _, has_ended = furthest
    count = sum(member.state.quota for member in members)
    # fsum: the same total whatever the order.
    weight = math.fsum(member.state.quota * _weight(member.score) for member in members) if weighted else count
    return (
        has_digest and has_ended,
        furthest,
        has_digest,
        weight,
        count,
        max(comparable(member.state.mean_logprob) for member in members),
    )


def _within_class(member: Candidate) -> tuple[tuple[bool, bool], float, float]:
    return completeness(member.state), comparable(member.score), comparable(member.state.mean_logprob)


def _weight(score: float | None) -> float:
    return 0.0 if score is None or math.isnan(score) else score
