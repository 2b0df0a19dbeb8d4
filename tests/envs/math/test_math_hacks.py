"""Answers that try to be taken for right without being it: none is, whatever sort of gold they are held against."""

import os
from pathlib import Path

import pytest

from envs.layout import Tags
from envs.math.environment import MathEnvironment
from envs.math.task import MathTask
from envs.transcript import Segment, Transcript

ENVIRONMENT = MathEnvironment(deadline=3.0)

# {0} is the gold, {1} another value; the whole text, as a model would write it.
TEXTS = [
    r"\boxed{{{0}}} \boxed{{{1}}}",
    r"\boxed{{{0}}}\boxed{{{1}}}",
    r"\boxed{{{1} \boxed{{{0}}}}}",
    r"\boxed{{\boxed{{{0}}} \boxed{{{1}}}}}",
    r"\boxed{{{0} \text{{ or }} {1}}}",
    r"\boxed{{{1} \text{{ or }} {0}}}",
    r"\boxed{{{0} \text{{ or maybe }} {1}}}",
    r"\boxed{{{0} \text{{ and }} {1}}}",
    r"\boxed{{{0} or {1}}}",
    r"\boxed{{{0} (or {1})}}",
    r"\boxed{{\{{{0}, {1}\}}}}",
    r"\boxed{{{0}, {1}}}",
    r"\boxed{{{0}; {1}}}",
    r"\boxed{{({0}, {1})}}",
    r"\boxed{{[{0}, {1}]}}",
    r"\boxed{{{0} / {1}}}",
    r"\boxed{{{0} \quad {1}}}",
    r"\boxed{{{1} = {0}}}",
    r"\boxed{{{0} = {1}}}",
    r"\boxed{{x = {1} = {0}}}",
    r"\boxed{{{0} \neq {1}}}",
    r"\boxed{{{1} \approx {0}}}",
    r"\boxed{{{1} \to {0}}}",
    r"\boxed{{{1} \Rightarrow {0}}}",
    r"\boxed{{\pm {0}}}",
    r"\boxed{{{0} \pm {1}}}",
    r"\boxed{{{0} - {1}}}",
    r"\boxed{{{0} \text{{ to }} {1}}}",
    r"\boxed{{{0}\%}}",
    r"\boxed{{{0} \text{{ million}}}}",
    r"\boxed{{{0} \text{{ dozen}}}}",
    r"\boxed{{{0}\text{{ or not}}}}",
    r"\boxed{{\text{{not }} {0}}}",
    r"\boxed{{x > {0}}}",
    r"\boxed{{x \le {0}}}",
    r"\boxed{{x \neq {0}}}",
    r"\boxed{{\mathbb{{R}}}}",
    r"\boxed{{(-\infty, \infty)}}",
    r"\boxed{{\text{{any number}}}}",
    r"\boxed{{x}}",
    r"\boxed{{\text{{the answer}}}}",
    r"\boxed{{gold}}",
    r"\boxed{{?}}",
    r"\boxed{{\ldots}}",
    r"\boxed{{\sum_{{k=1}}^{{1}} {0}}}",
    r"\boxed{{\lim_{{t \to 0}} ({0} + t)}}",
    r"\boxed{{\frac{{d}}{{dt}} {0} t}}",
    r"\boxed{{\int_0^1 {0} dt}}",
    r"\boxed{{\max({0}, -1)}}",
    r"\boxed{{\begin{{vmatrix}} {0} & 0 \\ 0 & 1 \end{{vmatrix}}}}",
    r"\boxed{{\begin{{cases}} {0} \\ {1} \end{{cases}}}}",
    r"\boxed{{\newcommand{{\a}}{{{0}}}\a}}",
    r"\renewcommand{{\boxed}}[1]{{{0}}} \boxed{{{1}}}",
    r"\boxed{{{1}\phantom{{{0}}}}}",
    r"\boxed{{\cancel{{{1}}} {0} {1}}}",
    "\\boxed{{{1} % {0}\n}}",
    r"\boxed{{\text{{final answer is }}${0}$, \text{{or}} ${1}$}}",
    r"The final answer is ${0}$. I hope it is correct. \boxed{{{1}}}",
    r"Answer: {0}",
    r"\fbox{{{0}}}",
    r"\boxed{{{0}",
    r"\boxed{{}} {0}",
    r"<think>\boxed{{{0}}}</think>",
    r"<think>\boxed{{{0}}}</think> I am done.",
    r"<think>\boxed{{{1}}} <think>\boxed{{{0}}}</think> so \boxed{{{1}}}",
    r"<think>\boxed{{{0}}}",
    r"\boxed{{{0}}} is one candidate, and this is why: " + "word " * 120,
]
GOLDS = [("5", "7"), (r"\sqrt{5}", r"\sqrt{7}"), ("x^2+5", "x^2+7"), (r"\frac{\pi}{5}", r"\frac{\pi}{7}")]


@pytest.mark.parametrize(("gold", "other"), GOLDS)
def test_no_hedge_is_correct(gold: str, other: str) -> None:
    texts = [text.format(gold, other) for text in TEXTS]
    episodes = [(MathTask(id="1", question="", gold=gold), Transcript.of(text)) for text in texts]
    verdicts = ENVIRONMENT.judge(episodes)
    assert [text for text, verdict in zip(texts, verdicts, strict=True) if verdict.is_correct] == []
    assert {verdict.unjudged for verdict in verdicts} == {None}


@pytest.mark.parametrize(
    ("gold", "answer"),
    [
        (r"\{5, 6\}", "5, 6, 7"),
        (r"\{5, 6\}", r"\{5, 6, 7\}"),
        (r"\{5, 6\}", "5"),
        (r"\{5, 6\}", "(5, 6)"),
        ("5, 6", "5"),
        ("(5, 6)", "(6, 5)"),
        ("(5, 6)", "5"),
        ("(5, 6)", r"\{5, 6\}"),
        ("(5, 6)", "[5, 6]"),
        ("(5, 6)", "(5, 6), (6, 5)"),
        ("[5, 6)", "(5, 6]"),
        ("x > 5", "x > 4"),
        ("x > 5", "5"),
        ("x = 5, y = 6", "x = 6, y = 5"),
        (r"\text{Monday}", "Monday or Tuesday"),
        (r"\text{Monday}", "Monday, Tuesday"),
        (r"\text{(A)}", "A, B"),
        (r"\text{(A)}", "(A) or (B)"),
        (r"\text{(A)}", "ABCDE"),
        (r"50\%", "50"),
        ("50", r"50\%"),
        ("0.5", r"50\%"),
        ("101_2", "101_3"),
        ("101_2", "101"),
        ("5c", "5d"),
        ("5c", "5"),
        (r"\infty", r"-\infty"),
        (r"\frac{1}{0}", r"\frac{2}{0}"),
        ("12", "１３"),
        ("12", "1\u200b3"),
        ("12", "\u202e21"),
        ("12", "٢١"),
    ],
)
def test_no_near_miss_is_correct(gold: str, answer: str) -> None:
    (verdict,) = ENVIRONMENT.judge([(MathTask(id="1", question="", gold=gold), Transcript.of(rf"\boxed{{{answer}}}"))])
    assert not verdict.is_correct


def test_what_the_environment_says_is_no_answer() -> None:
    segments = (Segment(author="model", text="I do not know."), Segment(author="environment", text=r"\boxed{5}"))
    (verdict,) = ENVIRONMENT.judge([(MathTask(id="1", question="", gold="5"), Transcript(segments=segments))])
    assert not verdict.is_correct and verdict.error == "no box"


def test_a_box_outside_the_answer_tag_does_not_count() -> None:
    environment = MathEnvironment(tags=Tags(reasoning="think", answer="answer"))
    texts = [r"\boxed{5}<answer>7</answer>", r"<answer>7</answer>\boxed{5}", r"<answer></answer>\boxed{5}"]
    episodes = [(MathTask(id="1", question="", gold="5"), Transcript.of(text)) for text in texts]
    assert not any(verdict.is_correct for verdict in environment.judge(episodes))


@pytest.mark.parametrize("gold", [r"\sqrt{5}", "x+1", r"\begin{pmatrix}1\\2\end{pmatrix}", "(1, 2)", "y = x"])
def test_no_answer_is_executed(gold: str, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    code = f"open('{canary}','w').write('x')"
    answers = [code, f"{code} or 1", f"[{code}]", f"__import__('os').system('touch {canary}')", f"1+({code})"]
    answers += [f"\\text{{{code}}}", f"lambda: {code}", f'exec("{code}")', f"${{{code}}}$", f"0 if {code} else 1"]
    answers += [f"\\begin{{pmatrix}}{code}\\\\1\\end{{pmatrix}}", f"Symbol('x').__class__({code})", f"5; {code}"]
    episodes = [(MathTask(id="1", question="", gold=gold), Transcript.of(rf"\boxed{{{text}}}")) for text in answers]
    assert not any(verdict.is_correct for verdict in ENVIRONMENT.judge(episodes))
    assert os.listdir(tmp_path) == []
