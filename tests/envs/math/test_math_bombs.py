"""Answers that cost time or memory: each ends with its deadline, and costs no other answer of the batch."""

import time

import pytest

from benchmarks.math_bombs import BOMBS, GOLD
from envs.math.environment import MathEnvironment
from envs.math.pool import shared_pool
from envs.math.task import MathTask
from envs.math.worker import WORKER_BYTES
from envs.transcript import Transcript

DEADLINE = 0.7
ENVIRONMENT = MathEnvironment(workers=2, deadline=DEADLINE)
HANG_SECONDS = 120.0
"""Generous: a bound against hangs, not a measurement."""


def episode(gold: str, answer: str) -> tuple[MathTask, Transcript]:
    return MathTask(id="1", question="", gold=gold), Transcript.of(rf"So \boxed{{{answer}}}")


def test_there_are_many_bombs() -> None:
    assert len(set(BOMBS)) == len(BOMBS) >= 40


def test_bombs_end_and_the_good_answers_among_them_are_scored() -> None:
    good = [episode(GOLD, rf"x + \frac{{{3 * number}}}{{{number}\sqrt{{3}}}}") for number in range(1, len(BOMBS) + 1)]
    mixed = [pair for bomb, right in zip(BOMBS, good, strict=True) for pair in (episode(GOLD, bomb), right)]
    start = time.monotonic()
    verdicts = ENVIRONMENT.judge(mixed)
    assert time.monotonic() - start < HANG_SECONDS
    assert [verdict.is_correct for verdict in verdicts] == [False, True] * len(BOMBS)
    assert {verdict.unjudged for verdict in verdicts[::2]} <= {None, "deadline", "verifier crash"}
    assert sum(verdict.unjudged == "deadline" for verdict in verdicts[::2]) >= 5


@pytest.mark.parametrize("gold", ["7", r"\text{even}"])
def test_bombs_against_numbers_and_words_need_no_worker(gold: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.math.verification.shared_pool", None)
    verdicts = ENVIRONMENT.judge([episode(gold, bomb) for bomb in BOMBS])
    assert not any(verdict.is_correct or verdict.unjudged for verdict in verdicts)


def test_a_gold_may_be_a_bomb() -> None:
    (verdict,) = ENVIRONMENT.judge([episode("9^{9^{9^9}} - x", "x")])
    assert verdict.unjudged == "deadline"


def test_workers_have_a_bound_on_memory() -> None:
    ENVIRONMENT.judge([episode("x+1", "1+x+0")])
    (pid, *_) = shared_pool(workers=2, deadline=DEADLINE).pids
    with open(f"/proc/{pid}/limits") as limits:
        (line,) = [line for line in limits if line.startswith("Max address space")]
    assert line.split()[3] == str(WORKER_BYTES)
