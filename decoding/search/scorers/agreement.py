"""Execution agreement: an answer is as good as many others mean the same."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from decoding.search.plan import Plan, examine
from decoding.search.state import State
from decoding.search.strategy import Problem


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The share of the other states of the same call that mean the same, by the digest of their examination:

        score(s) = #{s' != s : digest(s') = digest(s)} / #{s' != s}

    over the states of which something could be said; 0 for one that is not valid, whose answer means nothing. It is the
    vote of self-consistency (Wang et al. 2022, arXiv 2203.11171) as a number: for SQL over results, for JSON over
    values, for mathematics over what is equal. None where no other state can be compared with.
    """

    def score(self, problem: Problem, states: Sequence[State]) -> Plan[list[float | None]]:
        """One number from 0 to 1 a state; one verifier call each."""
        found = yield from examine(states)
        known = [one for one in found if one is not None and one.unjudged is None]
        counts = Counter(one.digest for one in known if one.is_valid and one.digest is not None)
        scores: list[float | None] = []
        for one in found:
            if one is None or one.unjudged is not None or len(known) < 2:
                scores.append(None)
            elif not one.is_valid or one.digest is None:
                scores.append(0.0)
            else:
                scores.append((counts[one.digest] - 1) / (len(known) - 1))
        return scores
