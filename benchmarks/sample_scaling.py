"""How best-of-n and votes rise with n: every n from one pool of samples a task.

    python benchmarks/sample_scaling.py --config runs/warm_sql/evaluation.yaml --model runs/warm_sql --tasks 60
    python benchmarks/sample_scaling.py --config runs/warm_gsm8k/evaluation.yaml --model runs/warm_gsm8k --tasks 60

Each task is answered ``--samples`` times; all answers are examined, scored and judged once. For each n the accuracy of
a selection is its mean over ``--subsets`` random subsets of n answers, the same subsets for every selection, chosen by
the very functions that the decoders use (``decoding/search/selection.py``). So the curves of different n differ by n
and not by the luck of other samples. ``any_of_n`` is a judge's choice: what no selection can pass.

``--config`` is an evaluation's configuration, of which the environment, the data, the budgets and the first metric are
taken. The last line is one JSON object: a list of [n, accuracy] for each selection, and what the samples cost.
"""

import argparse
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from decoding.rollout import Ledger
from decoding.search.decoder import SearchDecoder
from decoding.search.plan import Plan, examine, expand
from decoding.search.scorers.registry import make_scorer
from decoding.search.selection import best, candidates_of, vote
from decoding.search.strategy import Candidate, Problem, Scorer, Selection
from decoding.steps import WHOLE_ANSWERS, Steps
from envs.configuration import exit_with
from envs.environment import Environment
from envs.errors import ConfigurationError
from rewards.registry import component

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import measured_model  # noqa: E402
from benchmarks.measured_evaluation import Bench, add_evaluation_options, open_bench  # noqa: E402

SELECTIONS: dict[str, Callable[[Sequence[Candidate]], Candidate]] = {
    "best_of_n": best,
    "self_consistency": lambda candidates: vote(candidates, weighted=False),
    "weighted_vote": lambda candidates: vote(candidates, weighted=True),
}


@dataclass(frozen=True, kw_only=True)
class Pool:
    """Samples that are kept with all that is known of them; the first is chosen."""

    samples: int
    scorer: Scorer
    pools: dict[str, tuple[Candidate, ...]] = field(default_factory=dict)
    """Task -> its candidates."""

    def steps(self, environment: Environment[Any]) -> Steps:
        """Answers are sampled whole."""
        return WHOLE_ANSWERS

    def search(self, problem: Problem) -> Plan[Selection | None]:
        """Samples, examines and scores."""
        answers = yield from expand([problem.root], width=self.samples)
        found = yield from examine(answers)
        scores = yield from self.scorer.score(problem, answers)
        candidates = candidates_of(answers, scores=scores, found=found)
        self.pools[problem.task.id] = candidates
        return Selection(chosen=candidates[0].state, candidates=candidates)


def main() -> None:
    """Measures and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_evaluation_options(parser)
    parser.add_argument("--samples", type=int, default=16, help="answers a task (default: %(default)s)")
    parser.add_argument("--subsets", type=int, default=200, help="of each size (default: %(default)s)")
    parser.add_argument(
        "--scorer",
        type=json.loads,
        default={"name": "combined", "how": "product", "scorers": ["validity", "probability"]},
        help="of best_of_n and weighted_vote, as JSON (default: %(default)s)",
    )
    options = parser.parse_args()
    measured_model.require_options(parser, options, {"tasks": 1, "samples": 2, "subsets": 1, "rows": 1})
    measured_model.quiet()
    torch.set_grad_enabled(False)
    try:
        print(json.dumps(measure(open_bench(options), options)))
    except ConfigurationError as error:
        exit_with(error)


def measure(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """The curves of one pool."""
    strategy = Pool(samples=options.samples, scorer=make_scorer(options.scorer))
    decoder = SearchDecoder(
        engine=bench.engine,
        tokenizer=bench.tokenizer,
        environment=bench.environment,
        budgets=bench.heldout.budgets,
        strategy=strategy,
        temperature=options.temperature,
        rejoin_after=bench.heldout.rejoin_after,
    )
    started = time.perf_counter()
    count = len(bench.tasks)
    cost = sum(
        (one.cost for one in decoder.stream(bench.tasks, n=[1] * count, seed=0, most_rows=options.rows)), Ledger()
    )
    seconds = time.perf_counter() - started
    right = _judged(bench, strategy)
    sizes = [2**power for power in range(options.samples.bit_length()) if 2**power <= options.samples]
    curves: dict[str, list[list[float]]] = {name: [] for name in (*SELECTIONS, "any_of_n")}
    for size in sizes:
        for name, values in _accuracies(strategy.pools, right, size, options.subsets).items():
            curves[name].append([size, round(statistics.fmean(values), 4)])
    return {
        **curves,
        "metric": bench.heldout.metrics[0],
        "tasks": len(right),
        "samples": options.samples,
        "tokens_an_answer": round(cost.generated_tokens / max(1, cost.expansions), 1),
        "seconds": round(seconds, 1),
        "hardware": measured_model.hardware(options.device),
    }


def _judged(bench: Bench, strategy: Pool) -> dict[str, list[float]]:
    """Of each task whose answers all could be judged, what the metric says of them."""
    metric = component(bench.environment, bench.heldout.metrics[0])
    right = {}
    for task in bench.tasks:
        pool = strategy.pools[task.id]
        verdicts = bench.environment.judge([(task, candidate.state.transcript) for candidate in pool])
        values = [None if one.unjudged is not None else metric.measure(one) for one in verdicts]
        if all(value is not None for value in values):
            right[task.id] = [float(value or 0) for value in values]
    return right


def _accuracies(
    pools: dict[str, tuple[Candidate, ...]], right: dict[str, list[float]], size: int, subsets: int
) -> dict[str, list[float]]:
    """Of each selection, each task's mean over random subsets of one size."""
    means: dict[str, list[float]] = {name: [] for name in (*SELECTIONS, "any_of_n")}
    for task, values in right.items():
        draw = random.Random(f"{task}:{size}")
        chosen: dict[str, list[float]] = {name: [] for name in means}
        for _ in range(subsets if size < len(values) else 1):
            places = sorted(draw.sample(range(len(values)), size))
            candidates = [pools[task][place] for place in places]
            worth = {id(candidate): values[place] for candidate, place in zip(candidates, places, strict=True)}
            for name, select in SELECTIONS.items():
                chosen[name].append(worth[id(select(candidates))])
            chosen["any_of_n"].append(max(worth.values()))
        for name, found in chosen.items():
            means[name].append(statistics.fmean(found))
    return means


if __name__ == "__main__":
    main()
