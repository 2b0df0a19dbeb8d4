"""Answers to expressions: exact values, and no value that the expression has not."""

import math
import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from operator import add, mul, sub

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.layout import Tags
from envs.math.arithmetic import UnreadableError, as_latex
from envs.math.environment import MathEnvironment
from envs.math.evaluation import evaluate
from envs.math.task import MathTask
from envs.math.typed_functions import KNOWN
from envs.transcript import END, Observation, Segment, Transcript

TAGS = Tags(reasoning="think", must_reason=True, step="calc", observation="value", answer="answer")
TASK = MathTask(id="1", question="What is 12 times 3?", gold="36")
ENVIRONMENT = MathEnvironment(tags=TAGS, workers=1, deadline=1.0)


def observe(expression: str) -> Observation:
    transcript = Transcript.of(f"<think>Let us see.</think><calc>{expression}</calc>\n")
    observation = ENVIRONMENT.observe(TASK, transcript)
    assert observation is not None and not observation.ends_episode
    return observation


def body(expression: str) -> str:
    return observe(expression).text.removeprefix("<value>\n").removesuffix("\n</value>\n")


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("12*(3+4)/5", "84/5 = 16.8"),
        ("12*3 =", "36"),
        ("x = 12*3", "36"),
        (r"$\boxed{12 \times 3}$", "36"),
        ("2^10", "1024"),
        ("2**3**2", "512"),
        ("2^(3)^2", "512"),
        ("-2^2", "-4"),
        ("9-2^-2", "35/4 = 8.75"),
        ("(1+2)^(1/2)", "sqrt(3), about 1.73205080757"),
        ("sqrt(sqrt(16)) + sqrt(8)", "2 + 2*sqrt(2), about 4.82842712475"),
        (r"(\sqrt{2}+1)(\sqrt{2}-1)", "1"),
        (r"\frac{1}{3}+\frac16", "1/2 = 0.5"),
        (r"2\frac{1}{2}", "5/2 = 2.5"),
        ("1/3", "1/3, about 0.333333333333"),
        ("-1/8", "-1/8 = -0.125"),
        ("0.1+0.2", "3/10 = 0.3"),
        ("1.5e3+1e-1", "15001/10 = 1500.1"),
        ("1,234*2", "2468"),
        ("50% * 80", "40"),
        ("(8)(3)", "24"),
        ("3(4)", "12"),
        ("1/2(3)", "3/2 = 1.5"),
        (r"(2)\frac{1}{2}", "1"),
        (r"\log_2(8)", "3"),
        ("gcd(12,18) + max(3, 4)", "10"),
        ("5!", "120"),
        ("2pi", "2*pi, about 6.28318530718"),
        ("3+4i", "3 + 4*I"),
        ("10**70", "about 1.00000000000e+70"),
        ("1/0", "error: it has no value (a division by zero)"),
        ("x+1", "error: only numbers can be computed, and it has x"),
        ("12 apples", f"error: 'apples' is not known; it can have {KNOWN}"),
        ("foo(3)", f"error: 'foo' is not known; it can have {KNOWN}"),
        ("3 % of 4", f"error: 'of' is not known; it can have {KNOWN}"),
        ("sqrt 4", "error: sqrt needs brackets around what it is taken of"),
        ("sin 30", "error: sin needs brackets around what it is taken of"),
        ("100_000/3", "100000/3, about 33333.3333333"),
        ("1_234_567", "1234567"),
        ("exp(1)", "E, about 2.71828182846"),
        ("3sin(pi/6)^2*2", "3/2 = 1.5"),
        ("sin(pi/6)cos(0)", "1/2 = 0.5"),
        ("ln(exp(2)) + log2(8) + log_2(8) + log10(1000)", "11"),
        ("acos(0)*2", "pi, about 3.14159265359"),
        ("abs(-3)! + floor(-2.5) + ceil(2.1)", "6"),
        ("sqrt(abs(-16))", "4"),
        ("log(100)", "error: log has no base here; write ln(...), log2(...) or log10(...)"),
        (r"\log_{10}100", "2"),
        (r"\ln 1 + 1", "1"),
        ("2^(3!) + (2^3)!", "40384"),
        ("12=3", "error: it is no arithmetic expression"),
        ("(1,2)", "error: it is no arithmetic expression"),
        ("f(2)", f"error: 'f' is not known; it can have {KNOWN}"),
        (r"\sum_{k=1}^{3} k(k+1)", "20"),
        ("12*", "error: it cannot be read as an expression"),
        ("2^", "error: an exponent cannot be read; write it in braces, 2^{...}"),
        ("sqrt(2", "error: a bracket is never closed"),
        ("1" * 501, "error: it is longer than 500 characters"),
        (" ", "error: the step holds no expression"),
        ("__import__('os').getpid()", f"error: 'import' is not known; it can have {KNOWN}"),
        ("\ud800", "error: it cannot be read as an expression"),
    ],
)
def test_values_are_exact_and_errors_are_told(expression: str, said: str) -> None:
    assert body(expression) == said


@pytest.mark.parametrize("text", ["2 3", "2{3}", "{2}{3}", "2[3]", "7 % 3", "7//3", "1 1/2", "3.5.2", "7 mod 3"])
def test_what_would_be_misread_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError, match="write one operator"):
        as_latex(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("2_3", "underscore"),
        ("1_00", "underscore"),
        ("12_345_6", "underscore"),
        (r"\sqrt 16", "what the root is of"),
        (r"\sqrt16", "what the root is of"),
        (r"\sqrt4.5", "what the root is of"),
        (r"\frac123", "where the fraction ends"),
        ("3!!", "double factorial"),
        ("3! !", "double factorial"),
        ("2^3!", "factorial behind an exponent"),
        ("2^{3}!", "factorial behind an exponent"),
        ("1e3e2", "one e"),
        (r"\ln 2*3", r"argument of .ln 2\* ends"),
        (r"\sin 2(3)", r"argument of .sin 2\( ends"),
        (r"\sin(30^\circ)", "degrees"),
        ("sin(30°)", "degrees"),
        ("abs(3 - abs(-4))", "absolute value inside"),
        ("sin(2", "never closed"),
    ],
)
def test_what_would_get_another_value_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(UnreadableError, match=reason):
        as_latex(text)


FUNCTIONS: dict[str, Callable[[float], float]] = {
    "sin": math.sin, "cos": math.cos, "tan": math.tan, "exp": math.exp, "atan": math.atan, "sqrt": math.sqrt,
    "ln": math.log, "log2": math.log2, "log10": math.log10, "abs": abs, "floor": math.floor, "ceil": math.ceil,
}  # fmt: skip


@given(st.sampled_from(sorted(FUNCTIONS)), st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))
@settings(max_examples=60, deadline=None)
def test_typed_functions_have_the_values_of_pythons(name: str, number: int, factor: int, divisor: int) -> None:
    said = evaluate(as_latex(f"{factor}*{name}({number}/{divisor}) + {factor}{name}({number}/{divisor})*2"))
    value = Fraction(number, divisor)
    expected = 3 * factor * FUNCTIONS[name](value if name in ("floor", "ceil", "abs") else float(value))
    shown = re.split(" = |about ", said)[-1]
    assert float(Fraction(shown)) == pytest.approx(float(expected), rel=1e-9, abs=1e-9)


NUMBERS = st.one_of(
    st.integers(0, 99).map(lambda number: (str(number), str(number), Fraction(number))),
    st.decimals(0, 99, places=2).map(lambda number: (str(number), str(number), Fraction(str(number)))),
)
Trees = st.SearchStrategy[tuple[str, str, Fraction]]


def combined(inner: Trees) -> Trees:
    def signed(first: tuple, second: tuple, operator: tuple) -> tuple[str, str, Fraction]:
        plain, latex, compute = operator
        return (
            f"({first[0]}) {plain} ({second[0]})",
            rf"\left({first[1]}\right) {latex} ({second[1]})",
            compute(first[2], second[2]),
        )

    def divided(first: tuple, second: tuple) -> tuple[str, str, Fraction]:
        texts = f"({first[0]})/({second[0]})", rf"\frac{{{first[1]}}}{{{second[1]}}}"
        return *texts, first[2] / second[2] if second[2] else Fraction(0)

    def powered(first: tuple, exponent: int) -> tuple[str, str, Fraction]:
        texts = f"({first[0]})**{exponent}", f"({first[1]})^{exponent}"
        return *texts, first[2] ** exponent if first[2] else Fraction(0)

    operators = st.sampled_from([("+", "+", add), ("-", "-", sub), ("*", r"\times", mul), ("", r"\cdot", mul)])
    return st.one_of(
        st.builds(signed, inner, inner, operators),
        st.builds(divided, inner, inner.filter(lambda one: one[2] != 0)),
        st.builds(powered, inner.filter(lambda one: one[2] != 0), st.integers(-3, 12)),
    )


@settings(max_examples=30)
@given(st.recursive(NUMBERS, combined, max_leaves=4))
def test_arithmetic_has_the_value_that_fractions_have(tree: tuple[str, str, Fraction]) -> None:
    plain, latex, value = tree
    for text in {plain, latex}:
        said = evaluate(as_latex(text))
        if said.startswith("about"):
            assert float(said.removeprefix("about ")) == pytest.approx(float(value), rel=1e-9)
        else:
            assert Fraction(said.partition(" = ")[0].partition(",")[0]) == value
            if " = " in said:
                assert Fraction(said.partition(" = ")[2]) == value


@given(st.text(max_size=40) | st.text(alphabet=r"0123(){}[]^*/+-.,!%\frac sqrteE=", max_size=40))
def test_hostile_text_is_read_or_refused(text: str) -> None:
    try:
        assert as_latex(text)
    except UnreadableError as error:
        assert str(error)


@pytest.mark.parametrize("bomb", ["9**9**9", "9^{9^{9^9}}", "((9!)!)!", "2^(10^9)"])
def test_what_nobody_could_compute_is_told_at_once(bomb: str) -> None:
    start = time.perf_counter()
    assert body(bomb) == "error: it is too large to compute"
    assert time.perf_counter() - start < 0.5


def test_a_bomb_comes_back_with_its_deadline_and_costs_that_once() -> None:
    body("1+1")  # the worker runs
    start = time.perf_counter()
    assert body("(2^99999)^(99999)") == "error: it was not computed within 1 s"
    assert time.perf_counter() - start < 8
    start = time.perf_counter()
    assert body("(2^99999)^(99999)") == "error: it was not computed within 1 s"
    assert time.perf_counter() - start < 0.5
    assert body("1+2") == "3"


def test_a_crash_is_no_value_and_is_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    class Crashing:
        def evaluate(self, expression: str) -> str:
            return "verifier crash"

    with monkeypatch.context() as context:
        context.setattr("envs.math.observation.shared_pool", lambda **_: Crashing())
        assert observe("7*191") == Observation(text="<value>\n(the expression could not be computed)\n</value>\n")
    assert body("7*191") == "1337"


def test_expressions_of_one_value_have_one_digest() -> None:
    digests = [observe(text).digest for text in ("84/5", "12*(3+4)/5", "16.8", "16.80001", "1/0", "x", "")]
    assert digests[0] == digests[1] == digests[2]
    assert None not in digests and len(set(digests)) == 5


def test_threads_observe_at_once() -> None:
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(body, (f"{number}*7+1" for number in range(60)))) == [
            str(number * 7 + 1) for number in range(60)
        ]


def test_a_step_is_not_taken_for_the_answer() -> None:
    computed = (
        Segment(author="model", text=r"<think>a</think><calc>\boxed{36}</calc>"),
        Segment(author="environment", text="<value>\n36\n</value>\n"),
    )
    endings = [r"<think>b</think>", r"<answer>\boxed{35}</answer>", r"<answer>\boxed{36}</answer>"]
    transcripts = [Transcript(segments=(*computed, Segment(author="model", text=text))) for text in endings]
    verdicts = ENVIRONMENT.judge([(TASK, transcript) for transcript in transcripts])
    assert [verdict.error for verdict in verdicts] == ["no answer", "wrong value", None]
    assert verdicts[2].layout.defect is None
    assert ENVIRONMENT.observe(TASK, transcripts[2]) == END


def test_the_reference_needs_no_steps() -> None:
    (verdict,) = ENVIRONMENT.judge([(TASK, Transcript.of(ENVIRONMENT.reference(TASK)))])
    assert verdict.is_correct


def test_the_prompt_offers_steps_in_their_order() -> None:
    (message,) = ENVIRONMENT.prompt(TASK)
    parts = ["<think></think>", "at most 8", "<calc></calc>", "<value></value>", "Last", "<answer></answer>", "What is"]
    places = [message["content"].index(part) for part in parts]
    assert places == sorted(places)
