"""The mathematics environment: verdicts on whole texts, with real worker processes."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from envs.errors import ConfigurationError
from envs.layout import Tags
from envs.math.environment import MathEnvironment
from envs.math.judge import MathVerdict
from envs.math.task import MathTask
from envs.transcript import Transcript

ENVIRONMENT = MathEnvironment(deadline=3.0)


def task(gold: str) -> MathTask:
    return MathTask(id="1", question="How many?", gold=gold)


def judge_texts(*pairs: tuple[str, str], environment: MathEnvironment = ENVIRONMENT) -> list[MathVerdict]:
    verdicts = environment.judge([(task(gold), Transcript.of(text)) for gold, text in pairs])
    assert all(isinstance(verdict, MathVerdict) for verdict in verdicts)
    return verdicts  # type: ignore[return-value]


def judge(*pairs: tuple[str, str], environment: MathEnvironment = ENVIRONMENT) -> list[MathVerdict]:
    return judge_texts(*[(gold, f"So \\boxed{{{answer}}}.") for gold, answer in pairs], environment=environment)


RIGHT = [
    ("5", "5.0"),
    ("1234", "1,234"),
    (r"\frac{1}{2}", "0.5"),
    ("x+1", "1+x"),
    (r"\sqrt{2}", r"\frac{2}{\sqrt{2}}"),
    (r"11\sqrt2", r"11\sqrt{2}"),
    ("(1,2)", "(1, 2)"),
    ("(1,2)", "1, 2"),
    (r"\{1,2\}", r"\{2,1\}"),
    (r"\{1,2\}", r"2 \text{ and } 1"),
    ("4343_6", "4343_{6}"),
    ("y=2x+1", "y=1+2x"),
    ("y=2x+1", "f(x) = 2x+1"),
    ("2x+1", "f(x) = 1+2x"),
    (r"\text{even}", "even"),
    (r"\text{(A)}", r"\textbf{A}"),
    (r"\sqrt{2}", r"\sqrt{2}\text{ cm}"),
    (r"\sqrt{2}", r"\sqrt{2}cm"),
    (r"\sqrt{2}", r"\sqrt{2} cm^2"),
    (r"6\sqrt{2}\text{ square units}", r"6\sqrt{2}"),
    (r"\arctan 2", r"\operatorname{arctan} 2"),
    (r"\sqrt{2}", r"\sqrt{2} \approx 1.41"),
    (r"\frac{\pi}{3}", "1.047198"),
    ("x > 3", "(3, ∞)"),
    ("(1+i)^2", "2i"),
]
WRONG = [
    ("5", "6", "wrong value"),
    ("5", "3=5", "not a number"),
    ("5", "2+3", "not a number"),
    ("5", r"\sum_{k=1}^2 k + 2", "not a number"),
    ("5", r"\sqrt{25}", "not a number"),
    ("5", r"500\%", "wrong value"),
    ("(1,2)", r"\{1,2\}", "wrong value"),
    ("(1,2)", "2,1", "wrong value"),
    ("[1,2)", "[1,2]", "wrong value"),
    ("4343_6", "4343_2", "wrong value"),
    ("4343_6", "4343", "wrong value"),
    (r"\sqrt{2}", r"x=1=\sqrt{2}", "chain"),
    (r"\sqrt{2}", r"\sqrt{3} \neq \sqrt{2}", "chain"),
    (r"\frac{\pi}{4}", r"\int_0^1 \frac{1}{1+x^2} dx", "unevaluated"),
    (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}", "wrong value"),
    (r"\frac{\pi}{2^{99}}", r"\frac{\pi}{2^{98}}", "wrong value"),
    (r"\frac{\pi}{1000000}", "0.000003", "wrong value"),
    (r"\sqrt{2}", r"\sqrt{2}\%", "wrong value"),
    ("3c", "3d", "wrong value"),
    ("x+1", "x+2", "wrong value"),
    ("|x-90|", "90-x", "wrong value"),
    (r"\text{even}", r"\text{even or odd}", "wrong value"),
]


def test_equal_answers_are_correct() -> None:
    verdicts = judge(*RIGHT)
    assert [(verdict.error, verdict.unjudged) for verdict in verdicts] == [(None, None)] * len(RIGHT)
    assert all(verdict.is_correct and verdict.is_boxed for verdict in verdicts)


def test_answers_that_only_look_equal_are_wrong_with_their_category() -> None:
    verdicts = judge(*[(gold, answer) for gold, answer, _ in WRONG])
    assert [verdict.error for verdict in verdicts] == [error for _, _, error in WRONG]
    assert not any(verdict.is_correct for verdict in verdicts)


def test_an_answer_without_a_box_is_judged_and_not_correct() -> None:
    texts = ["", "5", r"<think>\boxed{5}</think>", r"\boxed{" + "5" * 300 + "}"]
    verdicts = ENVIRONMENT.judge([(task("5"), Transcript.of(text, is_truncated=True)) for text in texts])
    assert [verdict.error for verdict in verdicts] == ["no answer", "no box", "no answer", "too long"]
    assert all(verdict.unjudged is None and not verdict.is_correct and verdict.is_truncated for verdict in verdicts)


def test_a_verdict_carries_its_layout_and_facts() -> None:
    verdict = judge_texts(("5", r"<think>\boxed{9}</think>\boxed{4} no, \boxed{x = 5}"))[0]
    assert isinstance(verdict, MathVerdict) and verdict.is_correct
    assert verdict.layout.reasoning == r"\boxed{9}" and verdict.layout.defect is None
    assert (verdict.boxes, verdict.is_number, verdict.is_string_equal) == (2, True, True)
    assert verdict.gold_kind == "number" and verdict.answer == "x = 5"
    equal, different = judge(("5", "5.0"), (r"\sqrt{2}", "5"))
    assert (equal.is_string_equal, equal.is_correct) == (False, True)
    assert (different.gold_kind, different.is_number, different.is_boxed) == ("expression", True, True)


def test_a_number_may_be_left_unevaluated_where_the_configuration_allows_it() -> None:
    environment = MathEnvironment(canonical_number=False, deadline=3.0)
    verdicts = judge(("5", "2+3"), ("5", r"\sqrt{25}"), ("5", "3=5"), ("5", "2+4"), ("5", "6"), environment=environment)
    assert [verdict.is_correct for verdict in verdicts] == [True, True, False, False, False]


def test_with_an_answer_tag_only_its_content_counts_boxed_or_not() -> None:
    environment = MathEnvironment(tags=Tags(reasoning="think", answer="answer"), deadline=3.0)
    texts = {
        "<think>a</think><answer>5</answer>": (True, None),
        r"<answer>So \boxed{5}.</answer>": (True, None),
        "<answer>**5**</answer>": (True, None),
        "<answer>$5$</answer>": (True, None),
        "<answer>It is 5.</answer>": (False, "not a number"),
        r"\boxed{5}": (False, "no answer"),
        r"<think><answer>5</answer></think>": (False, "no answer"),
        r"<answer>5</answer><answer>6</answer>": (False, "wrong value"),
        r"<answer>\boxed{5</answer>": (False, "no box"),
        f"<answer>{'5' * 201}</answer>": (False, "too long"),
    }
    verdicts = judge_texts(*[("5", text) for text in texts], environment=environment)
    assert [(verdict.is_correct, verdict.error) for verdict in verdicts] == list(texts.values())


def test_tags_come_as_a_mapping_from_a_configuration() -> None:
    environment = MathEnvironment(tags={"reasoning": "plan_out", "answer": "answer"})  # type: ignore[arg-type]
    assert environment.tags == Tags(reasoning="plan_out", answer="answer")
    with pytest.raises(ConfigurationError, match="math"):
        MathEnvironment(tags={"reasonning": "think"})  # type: ignore[arg-type]


def test_a_gold_that_cannot_be_read_is_defective_whatever_is_answered() -> None:
    golds = ["11:15 a.m.", r"\{x \mid x>3\}", r"\frac{1}{}", "np.arcsin(10/13)"]
    verdicts = judge(*[(gold, gold) for gold in golds], *[(gold, r"\sqrt{2}") for gold in golds])
    assert {verdict.unjudged for verdict in verdicts} == {"defective gold"}


def test_golds_as_datasets_write_them_are_correct_answers_to_themselves() -> None:
    golds = [
        r"\left( 3, \frac{\pi}{2} \right)",
        r"p - q",
        r"\frac{14}{3}",
        r"\text{Evelyn}",
        r"6 - 5i",
        r"\dfrac{9}{7}",
    ]
    golds += [r"\begin{pmatrix} 1/3 \\ 2/3 \end{pmatrix}", r"x \in [-2,7]", "1,-2", r"\text{(C)}", r"3 \pm 2 \sqrt{2}"]
    golds += [r"(-\infty, 2) \cup (3, \infty)", r"4210_{5}", "90^\\circ", r"x^3+3x-6", r"\$32,\!348", "10\\%", r"\pi"]
    golds += [r"\left\{-1, 2\right\}", r"y = \frac{3}{2}x - 1", r"\emptyset", "(5,\\infty)", r"11\sqrt2", "3R^2"]
    episodes = [(task(gold), Transcript.of(ENVIRONMENT.reference(task(gold)))) for gold in golds]
    verdicts = ENVIRONMENT.judge(episodes)
    assert [gold for gold, verdict in zip(golds, verdicts, strict=True) if not verdict.is_correct] == []


def test_the_default_prompt_has_not_changed() -> None:
    (number,), (expression,) = ENVIRONMENT.prompt(task("5")), ENVIRONMENT.prompt(task("x+1"))
    assert number["content"] == (
        "Solve the problem step by step. End with the final answer, a number without its unit, in \\boxed{}."
        "\n\nHow many?"
    )
    assert expression["content"] == (
        "Solve the problem step by step. End with the final answer alone in \\boxed{}.\n\nHow many?"
    )


def test_a_prompt_asks_for_the_tags() -> None:
    environment = MathEnvironment(tags=Tags(reasoning="think", must_reason=True, answer="answer"))
    (message,) = environment.prompt(task("5"))
    assert message["content"].endswith(
        "Reason inside <think></think>, then give the final answer inside <answer></answer>.\n\nHow many?"
    )


def test_only_a_gold_that_is_a_number_has_a_grammar() -> None:
    assert ENVIRONMENT.grammar(task("x+1")) is None
    assert ENVIRONMENT.grammar(task("5")) is not None


@pytest.mark.parametrize(
    "tags",
    [
        Tags(reasoning="think"),
        Tags(reasoning="think", must_reason=True),
        Tags(answer="answer"),
        Tags(reasoning="think", must_reason=True, plan="plan", answer="answer"),
    ],
)
def test_the_reference_is_correct_and_laid_out_as_asked(tags: Tags) -> None:
    environment = MathEnvironment(tags=tags)
    episodes = [(task(gold), Transcript.of(environment.reference(task(gold)))) for gold in ("5", r"\frac{\pi}{2}")]
    for verdict in environment.judge(episodes):
        assert verdict.is_correct and verdict.layout.defect is None


@pytest.mark.parametrize(
    "options",
    [{"workers": 0}, {"deadline": 0}, {"deadline": float("nan")}, {"tags": Tags(step="run", observation="result")}],
)
def test_a_meaningless_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        MathEnvironment(**options)


def test_labelled_variants_of_real_golds_are_judged_right(dataset_directory: Callable[[str, str], Path]) -> None:
    lines = (dataset_directory("gsm8k", "train.jsonl") / "test.jsonl").read_text().splitlines()
    golds = [json.loads(line)["answer"].rpartition("#### ")[2].replace(",", "") for line in lines]
    pairs, labels = [], []
    for gold in golds:
        number = int(gold)
        right = [gold, f"{number:,}", f"{number}.00", f"x = {number}", f"\\frac{{{2 * number}}}{{2}}", f"{number} km"]
        wrong = [
            str(number + 1),
            str(-number or 1),
            f"{number}0" if number else "10",
            f"{number}.01",
            f"{number - 1}+1",
        ]
        pairs += [(gold, answer) for answer in right + wrong]
        labels += [True] * len(right) + [False] * len(wrong)
    assert len(pairs) > 10_000
    assert [verdict.is_correct for verdict in judge(*pairs)] == labels
