"""Boxed answers without their gold: what can be read, and which answers mean the same."""

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.math_bombs import BOMBS
from envs.examination import Examination
from envs.layout import Tags
from envs.math import equivalence
from envs.math.environment import MathEnvironment
from envs.math.equivalence import Reading, read_answers
from envs.math.magnitude import is_beyond_computing
from envs.math.task import MathTask
from envs.math.verification import Verification
from envs.transcript import Transcript

ENVIRONMENT = MathEnvironment()
STEPWISE = MathEnvironment(tags=Tags(reasoning="think", step="calculate", observation="result", answer="answer"))


def episode(answer: str, *, task: str = "1", gold: str = "?") -> tuple[MathTask, Transcript]:
    return MathTask(id=task, question="How many?", gold=gold), Transcript.of(f"So \\boxed{{{answer}}}.")


def examine(*answers: str, environment: MathEnvironment = ENVIRONMENT) -> list[Examination]:
    return environment.examine([episode(answer) for answer in answers])


def classes(digests: Sequence[str | None]) -> list[int]:
    """Each digest by the place where it first came; None is a class of its own each time."""
    return [place if digest is None else digests.index(digest) for place, digest in enumerate(digests)]


CLASSES = [
    ["5", "5.0", "x = 5", "5\\text{ dollars}", "5 m", "y=5"],
    ["50\\%", "50%"],
    ["50"],
    ["\\frac{1}{3}", "1/3", "0.333333", "\\dfrac{2}{6}"],
    ["0.33"],
    ["x+1", "1+x", "y = x + 1", "x + 1.", "\\frac{x^2-1}{x-1}"],
    ["\\sqrt{2}", "\\frac{2}{\\sqrt{2}}", "\\sqrt{2}\\text{ cm}", "\\sqrt{2} \\approx 1.41"],
    ["2+3", "3+2"],
    ["(1,2)", "(1, 2)", "1, 2"],
    ["\\{2,1\\}", "\\{1,2\\}"],
    ["\\text{Monday}", "monday"],
    ["(B)", "\\textbf{B}"],
]


@pytest.mark.parametrize("seed", range(3))
def test_answers_that_mean_the_same_have_one_digest(seed: int) -> None:
    answers = [(answer, number) for number, same in enumerate(CLASSES) for answer in same]
    random.Random(seed).shuffle(answers)
    found = examine(*[answer for answer, _ in answers])
    assert all(one.is_valid and one.error is None and one.unjudged is None for one in found)
    expected = [[number for _, number in answers].index(number) for _, number in answers]
    assert classes([one.digest for one in found]) == expected


def test_a_digest_hangs_on_the_answers_to_its_own_task_alone() -> None:
    answers = [answer for same in CLASSES for answer in same]
    alone = {answer: one.digest for answer, one in zip(answers, examine(*answers), strict=True)}
    others = [episode(answer, task="2") for answer in ("x", "5", "1+x", "\\frac{1}{3}")]
    mixed = [*others, *[episode(answer) for answer in reversed(answers)], *others]
    found = ENVIRONMENT.examine(mixed)[len(others) : -len(others)]
    assert [one.digest for one in found] == [alone[answer] for answer in reversed(answers)]


def test_an_expression_is_a_number_only_where_the_judge_takes_it_for_one() -> None:
    strict, loose = (
        [one.digest for one in examine("2+3", "5", "3+2", environment=MathEnvironment(canonical_number=is_strict))]
        for is_strict in (True, False)
    )
    assert (classes(strict), classes(loose)) == ([0, 1, 0], [0, 0, 0])


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "no answer"),
        ("It is 5.", "no box"),
        ("\\boxed{}", "no box"),
        (f"\\boxed{{{'1' * 300}}}", "too long"),
        ("\\boxed{9^{9^{9^9}}}", "beyond computing"),
        ("\\boxed{\\frac{+}{)}}", "unreadable"),
    ],
)
def test_an_answer_that_cannot_be_read_says_why(text: str, error: str) -> None:
    (found,) = ENVIRONMENT.examine([(episode("")[0], Transcript.of(text))])
    assert (found.is_valid, found.digest, found.error, found.unjudged) == (False, None, error, None)
    assert found.message


def test_without_an_answer_the_last_step_counts() -> None:
    texts = [
        "<calculate>2*21</calculate>",
        "<think>a</think><calculate>1</calculate><calculate>42</calculate><think>b",
        "<calculate>2 *</calculate>",
        "<calculate>42</calculate><answer>42</answer>",
        "<calculate>42</calculate><answer> </answer>",
        "<think>a",
    ]
    found = STEPWISE.examine([(episode("")[0], Transcript.of(text)) for text in texts])
    assert classes([one.digest for one in found]) == [0, 0, 2, 3, 4, 5]
    assert [one.is_valid for one in found] == [True, True, False, True, False, False]
    assert [one.error for one in found] == [None, None, "no value", None, "no answer", "no answer"]
    assert [one.answer for one in found] == [None, None, None, "42", None, None]
    assert found[0].message.endswith("42")


def test_powers_that_nobody_could_compute_need_no_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("envs.math.verification.shared_pool", None)
    bombs = [bomb for bomb in BOMBS if is_beyond_computing(bomb)]
    found = examine("5", *bombs, "five", "5.0")
    assert [one.error for one in found] == [None, *["beyond computing"] * len(bombs), None, None] and len(bombs) > 9
    assert found[0].digest == found[-1].digest


def test_an_answer_whose_reading_comes_to_no_end_is_unjudged(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless(pairs: Sequence[tuple[str, str]], **_: object) -> list[Verification]:
        return [Verification(unjudged="deadline" if "bomb" in pair[0] else None) for pair in pairs]

    monkeypatch.setattr(equivalence, "verify", endless)
    one, bomb, other = examine("a+b", "bomb+1", "b+a")
    assert bomb == Examination(unjudged="deadline")
    assert one.is_valid and one.digest == other.digest


def test_comparisons_without_an_end_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str]] = []

    def endless(pairs: Sequence[tuple[str, str]], **_: object) -> list[Verification]:
        asked.extend(pair for pair in pairs if pair[0] != pair[1])
        return [Verification() if gold == answer else Verification(unjudged="deadline") for gold, answer in pairs]

    monkeypatch.setattr(equivalence, "verify", endless)
    answers = [f"x+{number}" for number in range(20)]
    (readings,) = read_answers([answers], workers=1, deadline=1.0)
    assert len({reading.meaning for reading in readings}) == 20
    assert len(asked) <= 2 * 20


def test_beyond_the_bound_answers_are_classes_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(equivalence, "COMPARED_CLASSES", 2)
    (readings,) = read_answers([["a+b", "b+a", "c+d", "d+c", "e+f", "f+e", "e + f"]], workers=2, deadline=5.0)
    assert classes([reading.meaning for reading in readings]) == [0, 0, 2, 2, 4, 5, 4]
    assert all(reading == Reading(meaning=reading.meaning) for reading in readings)


TEXTS = st.text("0123456789xy+-*/^{}()\\frac, =%", max_size=12)


@settings(max_examples=15, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=6))
def test_no_text_raises_and_no_gold_is_looked_at(texts: list[str]) -> None:
    episodes = [episode(text) for text in texts]
    found = ENVIRONMENT.examine(episodes)
    for gold in ("5", "x+1"):
        assert ENVIRONMENT.examine([(replace(task, gold=gold), text) for task, text in episodes]) == found
    for one in found:
        assert one.is_valid is (one.digest is not None)
        assert one.unjudged is not None or one.is_valid is (one.error is None)


def test_digests_agree_with_the_judge_on_pairs_of_real_answers(
    dataset_directory: Callable[[str, str], Path],
) -> None:
    file = dataset_directory("real", "math500_test.jsonl") / "math500_test.jsonl"
    golds = [json.loads(line)["answer"] for line in file.read_text().splitlines()[::25]]
    tasks = [list(dict.fromkeys(golds[place : place + 6])) for place in range(0, len(golds), 6)]
    told = [
        (str(number), answer)
        for number, task in enumerate(tasks)
        for gold in task
        for answer in dict.fromkeys([gold, gold.replace("frac", "dfrac"), f"x = {gold}", f"{gold}."])
    ]
    found = ENVIRONMENT.examine([episode(answer, task=task) for task, answer in told])
    assert all(one.is_valid for one in found)
    digests = dict(zip(told, [one.digest for one in found], strict=True))
    pairs = [(one, other) for one, other in product(told, told) if one[0] == other[0]]
    verdicts = ENVIRONMENT.judge([episode(other[1], gold=one[1]) for one, other in pairs])
    right = dict(zip(pairs, [verdict.is_correct for verdict in verdicts], strict=True))
    for one, other in pairs:
        is_either = right[one, other] or right[other, one]
        assert (digests[one] == digests[other]) is is_either, (one, other)
