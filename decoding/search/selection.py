"""Which of several candidates is the answer: the best by its score, or a member of the class that wins a vote.

Both are deterministic: what still is equal after all comparisons goes to the candidate that was found first. A state
that a budget cut short is chosen only where no candidate is complete: it has no answer that could be right.
"""

import math
from collections.abc import Sequence

from decoding.search.state import State
from decoding.search.strategy import Candidate
from envs.examination import Examination

LOWEST = float("-inf")


def best(candidates: Sequence[Candidate]) -> Candidate:
    """The complete candidate with the highest score; None comes last.

    Raises:
        ValueError: there are no candidates.
    """
    if not candidates:
        raise ValueError("nothing to choose from; expected one candidate or more")
    return max(candidates, key=lambda candidate: (candidate.state.is_final, comparable(candidate.score)))


def vote(candidates: Sequence[Candidate], *, weighted: bool) -> Candidate:
    """The best member of the class of equal digests that has the most votes.

    A candidate votes with the quota of its state (1 for independent samples), times its score where ``weighted``
    (None: 0), as in weighted best-of-n: argmax_a sum_{i: a_i = a} s_i. Classes with equal votes are told apart by their
    count, then by the highest mean log-probability of a member, a nan last. Within the class the highest score wins,
    then the highest mean log-probability.

    A candidate without a digest equals no other, and never outvotes one with a digest; nor does a class whose members
    were all cut short outvote one that holds a complete candidate.

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


def comparable(score: float | None) -> float:
    """A number that orders like ``score``, with None and nan below all."""
    return LOWEST if score is None or math.isnan(score) else score


def _votes(members: Sequence[Candidate], weighted: bool) -> tuple[bool, bool, float, int, float]:
    count = sum(member.state.quota for member in members)
    # fsum: the same total whatever the order.
    weight = math.fsum(member.state.quota * _weight(member.score) for member in members) if weighted else count
    return (
        members[0].digest is not None,
        any(member.state.is_final for member in members),
        weight,
        count,
        max(comparable(member.state.mean_logprob) for member in members),
    )


def _within_class(member: Candidate) -> tuple[bool, float, float]:
    return member.state.is_final, comparable(member.score), comparable(member.state.mean_logprob)


def _weight(score: float | None) -> float:
    return 0.0 if score is None or math.isnan(score) else score
