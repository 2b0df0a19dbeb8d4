r"""Whether answers equal their golds, as mathematics and as answers: rules first, then computer algebra.

A gold that is a plain number (``envs.math.number``) is decided here, exactly; so are words and all that the rules
(``envs.math.rules``) refuse. What is left is compared in worker processes (``envs.math.pool``), equal pairs once, and
remembered. So is whether a gold can be read and equals itself; where it does not, every answer to it is unjudged
(``defective gold``), be its text the gold's own.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from envs.math.memo import OutcomeMemo
from envs.math.pool import Outcome, shared_pool
from envs.math.rules import AnswerError, Decision, Gold, Question, decide, read_gold

KNOWN = OutcomeMemo()
os.register_at_fork(after_in_child=KNOWN.renew_lock)


@dataclass(frozen=True, kw_only=True)
class Verification:
    """The judgement of one answer; equal when both fields are None."""

    error: AnswerError | None = None
    unjudged: str | None = None


EQUAL = Verification()
WRONG = Verification(error="wrong value")


def verify(
    pairs: Sequence[tuple[str, str]], *, workers: int, deadline: float, canonical_number: bool = True
) -> list[Verification]:
    """Judges (gold, answer) pairs; one verification a pair, in order. Callable from any thread.

    Args:
        pairs: expressions alone, without boxes; answers may be hostile.
        workers: processes that compare what the rules do not decide.
        deadline: seconds that one comparison may take; beyond it the answer is unjudged.
        canonical_number: a gold that is a plain number wants a plain number; false: any expression of its value.
    """
    golds = [read_gold(gold) for gold, _ in pairs]
    decisions = [
        decide(gold, answer, canonical_number=canonical_number) for gold, (_, answer) in zip(golds, pairs, strict=True)
    ]
    questions = {decision for decision in decisions if isinstance(decision, Question)}
    questions |= {gold.own_question for gold in golds if gold.needs_algebra}
    outcomes = _outcomes(questions, workers=workers, deadline=deadline) if questions else {}
    return [_verification(gold, decision, outcomes) for gold, decision in zip(golds, decisions, strict=True)]


def _outcomes(questions: Iterable[Question], *, workers: int, deadline: float) -> dict[Question, Outcome]:
    known = KNOWN.known(questions, deadline=deadline)
    unknown = [question for question in questions if question not in known]
    if unknown:
        pairs = [question.pair for question in unknown]
        found = dict(zip(unknown, shared_pool(workers=workers, deadline=deadline).run(pairs), strict=True))
        KNOWN.keep(found, deadline=deadline)
        known.update(found)
    return known


def _verification(gold: Gold, decision: Decision, outcomes: Mapping[Question, Outcome]) -> Verification:
    if gold.needs_algebra and outcomes[gold.own_question] == "defective gold":
        return Verification(unjudged="defective gold")
    outcome = outcomes[decision] if isinstance(decision, Question) else decision
    if outcome == "equal":
        return EQUAL
    if outcome == "different":
        return WRONG
    is_unjudged = isinstance(decision, Question)
    return Verification(unjudged=outcome) if is_unjudged else Verification(error=decision)  # type: ignore[arg-type]
