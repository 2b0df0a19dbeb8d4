"""Tree decoding against linear sampling: the same number of ReEx answers, voted over, in one run.

    python benchmarks/warm_model.py --kind sql --data SPIDER --minutes 25 --output runs/warm_sql
    python benchmarks/tree_decoding.py --config runs/warm_sql/evaluation.yaml --model runs/warm_sql --tasks 60

Linear: ``--leaves`` independent episodes a task (``self_consistency``); the model asks the database between its turns,
and the answers vote by their results. Tree: episodes that branch where the database answered, and merge where it
answered alike, up to as many leaves (``reex_tree``); the leaves vote with what they stand for. Both have the same
model, tasks, temperature, budgets, engine and batch; the time is from prompts to chosen answers, votes included,
judging left out. The two take turns, and who begins alternates; seconds are medians of ``--repeats``, accuracy is that
of all.

``--config`` is an evaluation's configuration: the environment, whose tags must ask for steps, the data and the budgets.
The last line is one JSON object: ``saved`` is 1 - tree_s / linear_s, ``linear_ex`` and ``tree_ex`` are means of the
configuration's first metric, ``difference`` is tree less linear on the same tasks with its 95 % interval.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from decoding.rollout import Ledger
from decoding.search.registry import SearchConfig
from envs.configuration import exit_with
from envs.errors import ConfigurationError
from envs.task import Task
from eval.config import DecodingConfig
from eval.paired import compare
from rewards.registry import component

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import measured_model  # noqa: E402
from benchmarks.measured_evaluation import Bench, add_evaluation_options, open_bench  # noqa: E402


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One side, once."""

    seconds: float
    """By the clock, judging left out."""
    cpu_seconds: float
    """Of this process, all threads together; what other programs do at the same time changes it little."""
    values: tuple[float | None, ...]
    """The metric of each task; None: unjudged."""
    ledger: Ledger


def main() -> None:
    """Measures and prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_evaluation_options(parser)
    parser.add_argument("--leaves", type=int, default=8, help="answers a task (default: %(default)s)")
    parser.add_argument("--branching", type=int, default=2, help="children of a turn (default: %(default)s)")
    parser.add_argument("--first-branching", type=int, default=None, help="first turns; default: as --branching")
    parser.add_argument("--merge", default="siblings", choices=["siblings", "level", "none"])
    parser.add_argument("--repeats", type=int, default=1)
    options = parser.parse_args()
    measured_model.require_options(parser, options, {"tasks": 1, "leaves": 2, "branching": 2, "rows": 1, "repeats": 1})
    measured_model.quiet()
    torch.set_grad_enabled(False)
    try:
        print(json.dumps(measure(open_bench(options), options)))
    except ConfigurationError as error:
        exit_with(error)


def measure(bench: Bench, options: argparse.Namespace) -> dict[str, Any]:
    """Both sides by turns, and what they differ in."""
    tree: dict[str, Any] = {"leaves": options.leaves, "branching": options.branching, "merge": options.merge}
    if options.first_branching is not None:
        tree["first_branching"] = options.first_branching
    sides = {
        "linear": SearchConfig(strategy="self_consistency", options={"samples": options.leaves}),
        "tree": SearchConfig(strategy="reex_tree", options=tree),
    }
    _decode(bench, sides["tree"], options, bench.tasks[:1], seed=0)  # warms up caches and workers
    outcomes: dict[str, list[Outcome]] = {"linear": [], "tree": []}
    for repeat in range(options.repeats):
        order = list(sides) if repeat % 2 == 0 else list(sides)[::-1]
        for name in order:
            outcomes[name].append(_decode(bench, sides[name], options, bench.tasks, seed=repeat))
    seconds = {name: statistics.median(one.seconds for one in ones) for name, ones in outcomes.items()}
    means = {name: _mean([value for one in ones for value in one.values]) for name, ones in outcomes.items()}
    paired = compare(_by_task(bench, outcomes["linear"]), _by_task(bench, outcomes["tree"]))
    figures: dict[str, Any] = {
        "leaves": options.leaves,
        "linear_s": round(seconds["linear"], 2),
        "tree_s": round(seconds["tree"], 2),
        "saved": round(1 - seconds["tree"] / seconds["linear"], 4),
        "linear_ex": means["linear"],
        "tree_ex": means["tree"],
        "difference": None if paired is None else [paired.difference, paired.low, paired.high],
        "metric": bench.heldout.metrics[0],
        "tasks": len(bench.tasks),
        "repeats": options.repeats,
        "options": tree,
        "hardware": measured_model.hardware(options.device),
    }
    for name, ones in outcomes.items():
        figures[f"{name}_cpu_s"] = round(statistics.median(one.cpu_seconds for one in ones), 2)
        total = sum((one.ledger for one in ones), Ledger())
        for field in ("generated_tokens", "prefilled_tokens", "observations", "expansions"):
            figures[f"{name}_{field}"] = getattr(total, field)
    return figures


def _decode(
    bench: Bench, search: SearchConfig, options: argparse.Namespace, tasks: Sequence[Task], *, seed: int
) -> Outcome:
    decoding = DecodingConfig(temperature=options.temperature, search=search)
    decoder = decoding.decoder(bench.engine, bench.tokenizer, bench.environment, bench.heldout)
    metric = component(bench.environment, bench.heldout.metrics[0])
    values: list[float | None] = [None] * len(tasks)
    started, worked, judging, ledger = time.perf_counter(), time.process_time(), 0.0, Ledger()
    for finish in decoder.stream(tasks, n=[1] * len(tasks), seed=seed, most_rows=options.rows):
        judging += finish.cost.judge_seconds
        ledger += finish.cost
        verdict = finish.group.rollouts[0].verdict
        values[finish.place] = None if verdict.unjudged is not None else metric.measure(verdict)
    return Outcome(
        seconds=time.perf_counter() - started - judging,
        cpu_seconds=time.process_time() - worked,
        values=tuple(values),
        ledger=ledger,
    )


def _by_task(bench: Bench, outcomes: Sequence[Outcome]) -> dict[str, list[float | None]]:
    return {task.id: [one.values[place] for one in outcomes] for place, task in enumerate(bench.tasks)}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.fmean(known), 4) if known else None


if __name__ == "__main__":
    main()
