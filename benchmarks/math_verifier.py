r"""How right, how fast and how robust the mathematics judge is, beside plain math-verify and TRL's accuracy reward.

    python benchmarks/math_verifier.py --gsm8k DIRECTORY

DIRECTORY holds GSM8K's test.jsonl and example_model_solutions.jsonl (github.com/openai/grade-school-math). Two sets:

* real outputs: the 1,319 x 4 solutions of OpenAI's models with their labels. They end in ``A: 18``, which is rewritten
  to ``The answer is $\boxed{18}$.``; everything is timed from this text to the verdict;
* labelled pairs: ``benchmarks/math_pairs.py``, each answer in a box at the end of a sentence.

The last line is one JSON object:

    pairs, accuracy, fpr, fnr   on the labelled pairs; unjudged answers count as errors of accuracy
    accuracy_plain              without pairs of *form* (of the gold's value, but no final answer) and *rare* spellings
    per_s                       verdicts a second on the real outputs, with --workers worker processes
    symbolic_per_s              on the labelled pairs whose gold is no number, after each gold was judged once
    agreement                   share of the real outputs on which the verdict is OpenAI's label
    bombs, bombs_survived       answers made to cost time or memory; survived: unjudged, or judged wrong, before the
                                deadline had passed by two seconds
    batch_good, batch_scored    answers of the batch in which all bombs are: those that are right, and those scored so
    slowest_s                   the slowest bomb, alone, from text to verdict
    peak_worker_mib             the most memory that a worker had
    math_verify                 the same for math-verify with its default configuration, the gold boxed, in one process;
                                ``per_s_parallel`` in as many processes as ours
    trl, trl_boxed              the same for trl.rewards.accuracy_reward, given the gold as it is (as its documentation
                                does), and the gold in a box; in one process

Not covered: that labels are right (see docs/results/math.md for the pairs that differ).
"""

import argparse
import json
import multiprocessing
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.math_bombs import BOMBS, GOLD  # noqa: E402
from benchmarks.math_pairs import Pair, build_pairs, read_golds  # noqa: E402
from envs.configuration import exit_with  # noqa: E402
from envs.errors import ConfigurationError  # noqa: E402
from envs.math.environment import MathEnvironment  # noqa: E402
from envs.math.kind import gold_kind  # noqa: E402
from envs.math.pool import shared_pool  # noqa: E402
from envs.math.task import MathTask  # noqa: E402
from envs.transcript import Transcript  # noqa: E402

Item = tuple[str, str]
"""Gold and the full text of an answer."""
Judge = Callable[[Sequence[Item]], list[bool | None]]
SOLUTIONS = "example_model_solutions.jsonl"
MARGIN_SECONDS = 2.0
"""Beyond the deadline: replacing a worker, on a busy machine."""


@dataclass(frozen=True)
class Solution:
    """A model's solution and OpenAI's label."""

    gold: str
    text: str
    is_correct: bool


def read_solutions(directory: Path) -> list[Solution]:
    """All solutions, the last line in a box."""
    path = directory / SOLUTIONS
    if not path.exists():
        raise ConfigurationError(f"{path} does not exist; it is part of github.com/openai/grade-school-math")
    solutions = []
    for line in path.read_text().splitlines():
        row = json.loads(line)
        gold = row["ground_truth"].rpartition("A: ")[2].strip().replace(",", "")
        for answer in row.values():
            if isinstance(answer, dict):
                working, mark, last = answer["solution"].rpartition("A: ")
                text = rf"{working}The answer is $\boxed{{{last.strip()}}}$." if mark else answer["solution"]
                solutions.append(Solution(gold, text, answer["is_correct"]))
    return solutions


def our_judge(environment: MathEnvironment) -> Judge:
    """The environment's verdicts."""

    def judge(items: Sequence[Item]) -> list[bool | None]:
        episodes = [(MathTask(id="0", question="", gold=gold), Transcript.of(text)) for gold, text in items]
        return [None if verdict.unjudged else verdict.is_correct for verdict in environment.judge(episodes)]

    return judge


def plain_math_verify(items: Sequence[Item]) -> list[bool | None]:
    """math-verify with its default configuration and time limits, the gold boxed."""
    from math_verify import parse, verify

    return [verify(parse(rf"\boxed{{{gold}}}"), parse(text)) for gold, text in items]


def trl_reward(items: Sequence[Item]) -> list[bool | None]:
    """TRL's reward; None where it cannot read the gold."""
    from trl.rewards import accuracy_reward

    completions = [[{"role": "assistant", "content": text}] for _, text in items]
    rewards = accuracy_reward(completions, [gold for gold, _ in items])
    return [None if reward is None else reward == 1.0 for reward in rewards]


def trl_reward_boxed(items: Sequence[Item]) -> list[bool | None]:
    """The same, with the gold in a box."""
    return trl_reward([(rf"$\boxed{{{gold}}}$", text) for gold, text in items])


def parallel(workers: int, items: Sequence[Item]) -> float:
    """Verdicts a second of plain math-verify in several processes, which are started before."""
    chunks = [items[start : start + 64] for start in range(0, len(items), 64)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        pool.map(plain_math_verify, [items[:2]] * workers * 4, chunksize=1)
        start = time.perf_counter()
        pool.map(plain_math_verify, chunks, chunksize=1)
        return len(items) / (time.perf_counter() - start)


def measure(judge: Judge, pairs: Sequence[Pair], solutions: Sequence[Solution], *, show: int = 0) -> dict[str, Any]:
    """Accuracy on the pairs, speed and agreement on the solutions."""
    judge([("x+1", r"\boxed{1+x}")])  # imports, and starts workers
    texts = [(pair.gold, f"So the answer is $\\boxed{{{pair.answer}}}$.") for pair in pairs]
    found = judge(texts)
    start = time.perf_counter()
    on_solutions = judge([(solution.gold, solution.text) for solution in solutions])
    seconds = time.perf_counter() - start
    wrong = [(pair, is_right) for pair, is_right in zip(pairs, found, strict=True) if is_right is not pair.is_equal]
    for pair, is_right in wrong[:show]:
        print(f"{pair.family}: {pair.gold}   |   {pair.answer}   |   truth {pair.is_equal}, judged {is_right}")
    equal = sum(pair.is_equal for pair in pairs)
    plain = sum(pair.sort == "plain" for pair in pairs)
    wrong_plain = sum(pair.sort == "plain" for pair, _ in wrong)
    return {
        "accuracy": round(1 - len(wrong) / len(pairs), 5),
        "accuracy_plain": round(1 - wrong_plain / plain, 5),
        "fpr": round(sum(is_right is True for _, is_right in wrong) / (len(pairs) - equal), 5),
        "fnr": round(sum(pair.is_equal for pair, _ in wrong) / equal, 5),
        "unjudged": found.count(None),
        "per_s": round(len(solutions) / seconds),
        "agreement": round(
            sum(one is other.is_correct for one, other in zip(on_solutions, solutions, strict=True)) / len(solutions), 5
        ),
    }


def symbolic_rate(judge: Judge, pairs: Sequence[Pair]) -> float:
    """Verdicts a second where the gold is no number."""
    symbolic = [pair for pair in pairs if gold_kind(pair.gold) not in ("number", "words")]
    judge([(gold, rf"\boxed{{{gold}}}") for gold in dict.fromkeys(pair.gold for pair in symbolic)])
    items = [(pair.gold, rf"So \boxed{{{pair.answer}}}") for pair in symbolic]
    start = time.perf_counter()
    judge(items)
    return len(items) / (time.perf_counter() - start)


class PeakMemory:
    """Looks at the workers' largest memory until it is told to stop."""

    def __init__(self, pids: Callable[[], Sequence[int]]) -> None:
        self._pids = pids
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        self.bytes = 0

    def _look(self) -> None:
        while not self._stopped.wait(0.02):
            for pid in self._pids():
                try:
                    status = Path(f"/proc/{pid}/status").read_text()
                except OSError:  # it is gone
                    continue
                if "VmHWM:" in status:
                    self.bytes = max(self.bytes, int(status.split("VmHWM:")[1].split()[0]) * 1024)

    def stop(self) -> int:
        """The most that was seen, in bytes."""
        self._stopped.set()
        self._thread.join()
        return self.bytes


def measure_bombs(environment: MathEnvironment, deadline: float) -> dict[str, Any]:
    """Each bomb alone, then all of them in one batch with good answers."""
    judge = our_judge(environment)
    peak = PeakMemory(lambda: shared_pool(workers=environment.workers, deadline=deadline).pids)
    survived, slowest = 0, 0.0
    for bomb in BOMBS:
        start = time.perf_counter()
        (is_right,) = judge([(GOLD, rf"\boxed{{{bomb}}}")])
        seconds = time.perf_counter() - start
        survived += is_right is not True and seconds < deadline + MARGIN_SECONDS
        slowest = max(slowest, seconds)
    good = [
        (rf"\sqrt{{{number}}}+y", rf"\boxed{{y+\frac{{{number}}}{{\sqrt{{{number}}}}}}}") for number in range(2, 202)
    ]
    mixed = [item for bomb in BOMBS for item in ((GOLD, rf"\boxed{{{bomb}}}"), good[len(bomb) % len(good)])] + good
    is_good = [text in {text for _, text in good} for _, text in mixed]
    start = time.perf_counter()
    found = judge(mixed)
    return {
        "bombs": len(BOMBS),
        "bombs_survived": survived,
        "slowest_s": round(slowest, 2),
        "deadline_s": deadline,
        "batch_good": sum(is_good),
        "batch_scored": sum(is_right is True for is_right, expected in zip(found, is_good, strict=True) if expected),
        "batch_s": round(time.perf_counter() - start, 1),
        "peak_worker_mib": round(peak.stop() / 2**20),
    }


def main() -> None:
    """Measures all of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gsm8k", required=True, type=Path, help=f"directory with test.jsonl and {SOLUTIONS}")
    parser.add_argument("--workers", type=int, default=2, help="worker processes (default 2)")
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds for one comparison (default 2)")
    parser.add_argument("--seed", type=int, default=0, help="of the pairs' coefficients")
    parser.add_argument("--show", type=int, default=20, help="how many wrong verdicts of ours are printed")
    parser.add_argument("--no-baselines", action="store_true", help="leave out math-verify and TRL, which take minutes")
    arguments = parser.parse_args()
    try:
        pairs = build_pairs(read_golds(str(arguments.gsm8k)), seed=arguments.seed)
        solutions = read_solutions(arguments.gsm8k)
        environment = MathEnvironment(workers=arguments.workers, deadline=arguments.deadline)
    except ConfigurationError as error:
        exit_with(error)
    ours = our_judge(environment)
    result: dict[str, Any] = {"pairs": len(pairs), "solutions": len(solutions)}
    result["symbolic_per_s"] = round(symbolic_rate(ours, pairs))
    result |= measure(ours, pairs, solutions, show=arguments.show)
    result |= measure_bombs(environment, arguments.deadline)
    if not arguments.no_baselines:
        result["math_verify"] = measure(plain_math_verify, pairs, solutions)
        items = [(solution.gold, solution.text) for solution in solutions]
        result["math_verify"]["per_s_parallel"] = round(parallel(arguments.workers, items))
        result["trl"] = measure(trl_reward, pairs, solutions)
        result["trl_boxed"] = measure(trl_reward_boxed, pairs, solutions)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
