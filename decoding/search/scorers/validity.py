"""Validity: whether what can be checked without the gold holds."""

from collections.abc import Sequence
from dataclasses import dataclass

from decoding.search.plan import Plan, examine
from decoding.search.state import State
from decoding.search.strategy import Problem
from envs.examination import Examination


@dataclass(frozen=True, kw_only=True)
class Validity:
    """1 for an answer that is valid, 0 for one that is not: the query runs, the value obeys its schema, the mathematics
    can be read. A state that goes on is judged by its last step; None where it has none yet."""

    def score(self, problem: Problem, states: Sequence[State]) -> Plan[list[float | None]]:
        """One number from 0 to 1 a state; one verifier call each."""
        found = yield from examine(states)
        return [_validity(state, one) for state, one in zip(states, found, strict=True)]


def _validity(state: State, found: Examination | None) -> float | None:
    if found is None or found.unjudged is not None:
        return None
    if found.is_valid:
        return 1.0
    # An episode that goes on is not wrong for having no answer yet; that of a step which was answered is known.
    has_step = any(segment.author == "environment" for segment in state.transcript.segments)
    return 0.0 if state.is_final or has_step else None
