"""The mathematics environment, with real worker processes."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from envs.errors import ConfigurationError
from envs.math.environment import MathEnvironment
from envs.math.judge import MathVerdict
from envs.math.task import MathTask
from envs.transcript import Transcript

ENVIRONMENT = MathEnvironment(deadline=1.5)


def task(gold: str) -> MathTask:
    return MathTask(id="1", question="How many?", gold=gold)


def judge(*pairs: tuple[str, str], environment: MathEnvironment = ENVIRONMENT) -> list[MathVerdict]:
    verdicts = environment.judge([(task(gold), Transcript.of(f"So \\boxed{{{answer}}}.")) for gold, answer in pairs])
    assert all(isinstance(verdict, MathVerdict) for verdict in verdicts)
    return verdicts  # type: ignore[return-value]


RIGHT = [
    ("5", "5.0"),
    ("1234", "1,234"),
    (r"\frac{1}{2}", "0.5"),
    ("x+1", "1+x"),
    (r"\sqrt{2}", r"\frac{2}{\sqrt{2}}"),
    (r"11\sqrt2", r"11\sqrt{2}"),
    ("(1,2)", "(1, 2)"),
    (r"\{1,2\}", r"\{2,1\}"),
    ("4343_6", "4343_{6}"),
    ("y=2x+1", "y=1+2x"),
    (r"\text{even}", "even"),
]
WRONG = [
    ("5", "6", "wrong value"),
    ("5", "3=5", "not a number"),
    ("5", "2+3", "not a number"),
    ("5", r"\sum_{k=1}^2 k + 2", "not a number"),
    ("5", r"\sqrt{25}", "not a number"),
    ("5", r"500\%", "wrong value"),
    ("(1,2)", r"\{1,2\}", "wrong value"),
    ("4343_6", "4343_2", "wrong value"),
    (r"\sqrt{2}", r"x=1=\sqrt{2}", "chain"),
    (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}", "wrong value"),
    ("x+1", "x+2", "wrong value"),
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


def test_bombs_end_within_the_deadline_and_the_good_answers_of_the_batch_are_scored() -> None:
    bombs = ["9^{9^{9^9}}", "10^6!", r"2^{2^{2^{2^{2^2}}}}", "(" * 90 + "1" + ")" * 90]
    cheap = ["9" * 20_000, "(" * 3_000 + "1" + ")" * 3_000, "9" * 190, "x" * 190, "{" * 50 + "}" * 50, "\x00", "\ud800"]
    good = [(r"\sqrt{3}", r"\frac{3}{\sqrt{3}}"), ("5", "5")]
    pairs = [(r"\sqrt{3}", bomb) for bomb in bombs] + [("7", text) for text in bombs + cheap] + good * 3
    started = time.perf_counter()
    verdicts = judge(*pairs)
    assert time.perf_counter() - started < 60
    assert [verdict.is_correct for verdict in verdicts] == [False] * (len(pairs) - 6) + [True] * 6
    reasons = [verdict.unjudged for verdict in verdicts[: len(bombs)]]
    assert set(reasons) <= {None, "deadline", "verifier crash"} and reasons.count("deadline") >= 2
    assert all(verdict.unjudged is None for verdict in verdicts[len(bombs) :])


def test_any_thread_may_judge() -> None:
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(judge((r"\sqrt{2}", r"\frac{2}{\sqrt{2}}"))[0].is_correct))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [True] * 4


def test_a_script_without_a_main_guard_may_judge_and_ends(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "print('loaded', flush=True)\n"
        "from envs.math.verification import verify\n"
        "print(verify([('x+1', '1+x')], workers=1, deadline=5)[0])\n"
        "import sys; print('sympy' in sys.modules)\n"
    )
    root = Path(__file__).resolve().parents[3]
    command = [sys.executable, str(script)]
    done = subprocess.run(command, env={"PYTHONPATH": str(root)}, capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines() == ["loaded", "Verification(error=None, unjudged=None)", "False"], done.stderr


def test_the_reference_is_correct() -> None:
    episodes = [(task(gold), Transcript.of(ENVIRONMENT.reference(task(gold)))) for gold in ("5", r"\frac{\pi}{2}")]
    assert all(verdict.is_correct for verdict in ENVIRONMENT.judge(episodes))


def test_prompts_ask_for_a_number_only_when_the_gold_is_one() -> None:
    (number,), (expression,) = ENVIRONMENT.prompt(task("5")), ENVIRONMENT.prompt(task("x+1"))
    assert "number" in number["content"] and "number" not in expression["content"]
    assert number["content"].endswith("\n\nHow many?") and r"\boxed{}" in number["content"]


def test_the_grammar_holds_one_box_with_a_number_at_the_end() -> None:
    tokenizer, grammar = LLTokenizer("byte"), ENVIRONMENT.grammar(task("5"))
    assert grammar is not None and ENVIRONMENT.grammar(task("x+1")) is None
    compiled = LLMatcher.grammar_from_lark(grammar.source)
    assert LLMatcher.validate_grammar(compiled, tokenizer) == ""

    def accepts(text: str) -> bool:
        matcher, tokens = LLMatcher(tokenizer, compiled), tokenizer.tokenize_bytes(text.encode())
        return matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()

    assert all(map(accepts, ["a\nb \\boxed{18}", "\\boxed{-1.5}", "\\box {} \\boxed{3/4}"]))
    assert not any(
        map(accepts, ["\\boxed{3} \\boxed{5}", "\\boxed{5}.", "5", "\\boxed{x}", "\\boxed{}", "\\boxed{05}"])
    )


@pytest.mark.parametrize("options", [{"workers": 0}, {"deadline": 0}, {"deadline": float("nan")}])
def test_a_meaningless_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        MathEnvironment(**options)


def test_labelled_variants_of_real_golds_are_judged_right(dataset_directory: Callable[[str, str], Path]) -> None:
    lines = (dataset_directory("gsm8k", "train.jsonl") / "test.jsonl").read_text().splitlines()
    golds = [json.loads(line)["answer"].rpartition("#### ")[2].replace(",", "") for line in lines]
    pairs, labels = [], []
    for gold in golds:
        number = int(gold)
        right = [
            gold,
            f"{number:,}",
            f"{number}.00",
            f"x = {number}",
            f"\\frac{{{2 * number}}}{{2}}",
            f"{number}\\text{{ km}}",
        ]
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
