"""Tokens per second of rollouts that ask a database, against TRL's own ``environment_factory`` loop, in one run.

    python benchmarks/rollouts.py --turns 3
    python benchmarks/rollouts.py --turns 3 --spider DIR --model Qwen/Qwen3-0.6B --device cuda --dtype bfloat16

Both make the same number of rollouts of the same SQL tasks with the same model, prompts token by token the same, in one
batch, at temperature 1. A rollout is ``--turns`` turns of the model; after each but the last the task's gold query
runs in our executor, and the model reads its result. Counted are the tokens that the model wrote, the end of each turn
included, over the whole time from messages to finished rollouts, queries included; nothing is judged.

A small model writes no tool calls of itself. So a turn ends, on both sides alike, after every token with probability
1 / ``--turn-tokens``: the lengths of turns are geometric with that mean, whatever the model. TRL's turns end with
end-of-text, ours with a long word that is the environment's stop string. TRL's reading of a turn stays, and
a call of the tool is added to what it found. The prompt offers the tool, in TRL's own template, to both.

Each system has a process of its own, and they take turns; medians are reported. Peak memory is the process' resident
memory (on CUDA: what torch allocated) since the model was loaded, the model included. The last line is one JSON object.
"""

import argparse
import hashlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers.utils import get_json_schema
from trl import GRPOConfig, GRPOTrainer
from trl.trainer import grpo_trainer

from decoding.budgets import Budgets
from decoding.models import ModelConfig, load_model
from decoding.transformers_engine import TransformersEngine
from envs.configuration import exit_with
from envs.errors import ConfigurationError
from envs.examination import Examination
from envs.grammar import Grammar
from envs.sql.observation import find
from envs.sql.task import SqlTask
from envs.transcript import END, UNSAID, Message, Observation, Transcript
from envs.verdict import Verdict
from train.rollout_config import RolloutConfig

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from benchmarks import measured_model, peer_trl  # noqa: E402

LONGEST = 16
"""A turn may be so many times its mean: one in nine millions is longer."""
OBSERVATION = 512
"""Tokens that an episode has room for besides, for each turn."""


def query_result(task: SqlTask) -> str:
    """What comes of the task's gold query, as our environment shows it."""
    found = find(task.gold, database=task.database, rows=peer_trl.SQL.observation_rows, pool=peer_trl.SQL.pool)
    return "\n".join([found.text, *found.rows])


class QueryTool:
    """The environment as TRL has it: an object for each rollout, whose public method is a tool."""

    def __init__(self, tasks: Sequence[SqlTask]) -> None:
        self._tasks = tasks

    def reset(self, task: int, **columns: Any) -> None:
        """Begins the rollout of a row."""
        self._task = self._tasks[task]

    def query(self, sql: str) -> str:
        """
        Runs a query on the database.

        Args:
            sql: The query.

        Returns:
            The number of rows, the names of the columns, and the first rows.
        """
        return query_result(self._task)


@dataclass(frozen=True, kw_only=True)
class Steps:
    """The environment as we have it: it answers at a stop string."""

    turns: int
    stops: tuple[str, ...]
    name: str = field(default="steps", init=False)

    def prompt(self, task: SqlTask) -> list[Message]:
        return peer_trl.SQL.prompt(task)

    def grammar(self, task: SqlTask, transcript: Transcript = UNSAID) -> Grammar | None:
        return None

    def reference(self, task: SqlTask) -> str | None:
        return None

    def observe(self, task: SqlTask, transcript: Transcript) -> Observation | None:
        if sum(segment.author == "model" for segment in transcript.segments) >= self.turns:
            return END
        # As many tokens, up to a few, as TRL's template puts around it.
        text = f"\nuser\n<tool_response>\n{query_result(task)}\n</tool_response>\nassistant\n"
        return Observation(text=text)

    def judge(self, episodes: Sequence[tuple[SqlTask, Transcript]]) -> list[Verdict]:
        return [Verdict(is_truncated=transcript.is_truncated) for _, transcript in episodes]

    def examine(self, episodes: Sequence[tuple[SqlTask, Transcript]]) -> list[Examination]:
        return [Examination() for _ in episodes]


def run_trl(options: argparse.Namespace, turns: peer_trl.Turns) -> None:
    """TRL's side."""
    tokenizer = peer_trl.tool_tokenizer(options.model)
    tasks = peer_trl.sql_tasks(options, tokenizer, options.tasks)
    model = load_model(ModelConfig(reference=options.model, dtype=options.dtype)).to(options.device)
    with tempfile.TemporaryDirectory() as directory:
        config = GRPOConfig(
            output_dir=directory, report_to="none", bf16=False, use_cpu=options.device == "cpu", top_k=0,
            gradient_checkpointing=False, per_device_train_batch_size=options.tasks * options.group,
            num_generations=options.group, max_completion_length=longest(options),
            max_tool_calling_iterations=options.turns - 1,
        )  # fmt: skip
        trainer = GRPOTrainer(
            model=model,
            reward_funcs=lambda completions, **columns: [0.0] * len(completions),
            args=config,
            train_dataset=Dataset.from_list([{"prompt": "-"}]),
            processing_class=tokenizer,
            environment_factory=partial(QueryTool, tasks),
        )
    trainer.model.train()
    parse_response = grpo_trainer.parse_response
    call = {"type": "function", "function": {"name": "query", "arguments": {"sql": "SELECT 1"}}}
    grpo_trainer.parse_response = lambda *texts, **more: {**parse_response(*texts, **more), "tool_calls": [call]}

    def roll_out() -> dict[str, Any]:
        rows = [(index, task) for index, task in enumerate(tasks) for _ in range(options.group)]
        # What _generate_and_score_completions does before it generates.
        trainer._batch_environments = [None] * len(rows)
        pool = trainer._environment_pool[None]
        pool += [QueryTool(tasks) for _ in rows[len(pool) :]]
        for environment, (index, _) in zip(pool, rows, strict=True):
            environment.reset(task=index)
        trainer.environments = pool
        trainer._sync_tool_dicts = [{"query": environment.query} for environment in pool]
        trainer._async_tool_dicts = [{} for _ in rows]
        prompts, completions, masks, *_ = trainer._generate([peer_trl.SQL.prompt(task) for _, task in rows])
        return summary(prompts, completions, masks, tokenizer.eos_token_id)

    never = [*peer_trl.special_ids(model, tokenizer), peer_trl.rare_word(tokenizer)]
    with peer_trl.fixed_lengths(model, never, tokenizer.eos_token_id, options.turn_tokens):
        serve(roll_out, turns)


def run_ours(options: argparse.Namespace, turns: peer_trl.Turns) -> None:
    """Our side, as training makes its rollouts."""
    tokenizer = peer_trl.tool_tokenizer(options.model)
    tasks = peer_trl.sql_tasks(options, tokenizer, options.tasks)
    model = load_model(ModelConfig(reference=options.model, dtype=options.dtype)).to(options.device)
    end = peer_trl.rare_word(tokenizer)
    environment = Steps(turns=options.turns, stops=(tokenizer.decode([end]),))
    # TRL hands its tools to the template; here the template has them.
    tools = [get_json_schema(QueryTool(tasks).query)]
    tokenizer.chat_template = f"{{%- set tools = {json.dumps(tools)} -%}}{tokenizer.chat_template}"
    decoder = RolloutConfig(max_batch_rows=options.tasks * options.group).decoder(
        TransformersEngine(model, tokenizer, max_batch_rows=options.tasks * options.group),
        tokenizer, environment, Budgets(max_new_tokens=longest(options)), 1.0,
    )  # fmt: skip

    def roll_out() -> dict[str, Any]:
        decoding = decoder.decode(tasks, n=[options.group] * options.tasks)
        rollouts = [rollout for group in decoding.groups for rollout in group.rollouts]
        waited = round(decoding.ledger.wait_seconds, 3)
        prompts, completions = [one.prompt_ids for one in rollouts], [one.completion_ids for one in rollouts]
        return {**summary(prompts, completions, [one.env_mask for one in rollouts], end), "waited_s": waited}

    with peer_trl.fixed_lengths(model, peer_trl.special_ids(model, tokenizer), end, options.turn_tokens):
        serve(roll_out, turns)


def serve(roll_out: Callable[[], dict[str, Any]], turns: peer_trl.Turns) -> None:
    """Rolls out whenever it is its turn."""
    turns.ready()
    while True:
        torch.manual_seed(turns.begin())
        start = time.perf_counter()
        result = roll_out()  # ends with the tokens on the CPU, so there is nothing left to wait for
        turns.end({**result, "seconds": time.perf_counter() - start})


def summary(
    prompts: Sequence[Sequence[int]], completions: Sequence[Sequence[int]], masks: Sequence[Sequence[int]], end: int
) -> dict[str, Any]:
    """What was written and read in rollouts; ``end`` is the token that ends a turn of the model."""
    written = sum(map(sum, masks))
    ends = (
        token == end and by_model
        for ids, mask in zip(completions, masks, strict=True)
        for token, by_model in zip(ids, mask, strict=True)
    )
    digest = hashlib.sha256(repr([list(prompt) for prompt in prompts]).encode()).hexdigest()
    return {
        "prompts": digest,
        "prompt_tokens": [min(map(len, prompts)), max(map(len, prompts))],
        "tokens": written,
        "observed_tokens": sum(map(len, masks)) - written,
        "turns": sum(ends),
    }


def longest(options: argparse.Namespace) -> int:
    """Tokens that an episode may have, what it reads included."""
    return options.turns * (LONGEST * options.turn_tokens + OBSERVATION)


def benchmark(options: argparse.Namespace) -> dict[str, Any]:
    """Runs both systems by turns and returns what each did."""
    peers = [peer_trl.Peer("trl", run_trl, options), peer_trl.Peer("ours", run_ours, options)]
    try:
        results = dict(zip(("trl", "ours"), peer_trl.by_turns(peers, options.repeats, told), strict=True))
    finally:
        for peer in peers:
            peer.close()
    every = [result for ones in results.values() for result in ones]
    expected = options.turns * options.tasks * options.group
    if len({result["prompts"] for result in every}) > 1:
        raise ConfigurationError(
            f"model {options.model!r}: its template gives both sides different prompts; take another"
        )
    if any(result["turns"] != expected for result in every):
        raise RuntimeError(f"expected {expected} whole turns a repeat; a budget cut some. Run it again")
    speeds = {name: statistics.median(one["tokens"] / one["seconds"] for one in ones) for name, ones in results.items()}
    return {
        "model": options.model,
        "data": "spider" if options.spider else "bundled",
        **{name: getattr(options, name) for name in ("tasks", "group", "turns", "turn_tokens", "dtype")},
        "prompt_tokens": every[0]["prompt_tokens"],
        "trl_tok_s": round(speeds["trl"], 1),
        "ours_tok_s": round(speeds["ours"], 1),
        "ratio": round(speeds["ours"] / speeds["trl"], 3),
        **{
            f"{key}_{name}": [round(one[key], 2) for one in ones]
            for key in ("tokens", "observed_tokens", "seconds")
            for name, ones in results.items()
        },
        "waited_s_ours": [one["waited_s"] for one in results["ours"]],
        **{f"peak_mib_{name}": max(one["peak_mib"] for one in ones) for name, ones in results.items()},
        **{f"loaded_mib_{peer.name}": peer.facts["loaded_mib"] for peer in peers},
        "hardware": measured_model.hardware(options.device),
    }


def told(result: dict[str, Any]) -> str:
    """A repeat in words."""
    return f"{result['tokens']} tokens in {result['seconds']:.1f} s, peak {result['peak_mib']} MiB"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    peer_trl.add_common_options(parser)
    parser.add_argument("--tasks", type=int, default=1, help="tasks of a batch (default: %(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="turns of the model in a rollout (default: %(default)s)")
    parser.add_argument("--turn-tokens", type=int, default=16, help="mean tokens of a turn (default: %(default)s)")
    options = parser.parse_args(arguments)
    measured_model.require_options(
        parser, options, {"tasks": 1, "group": 2, "repeats": 1, "turns": 2, "turn_tokens": 2}
    )
    return options


if __name__ == "__main__":
    peer_trl.quiet()
    try:
        print(json.dumps(benchmark(parse())))
    except ConfigurationError as error:
        exit_with(error)
