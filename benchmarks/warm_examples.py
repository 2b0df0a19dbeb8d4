"""The training examples of ``warm_model.py`` in tokens, in packs whose prompts begin alike; and the kinds of tasks.

Not covered: readers other than Spider's and GSM8K's.
"""

import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from transformers import PreTrainedTokenizerBase

from benchmarks.warm_transcripts import gsm8k_transcripts, sql_transcript
from data.registry import DataConfig, make_reader
from decoding.chat_prompt import prompt_ids
from decoding.token_text import encode_text
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.task import Task
from envs.transcript import Transcript

REEX = {
    "reasoning": "think", "must_reason": True, "step": "intermediate_sql", "observation": "result",
    "answer": "final_sql",
}  # fmt: skip
# Short prompts and observations: on a CPU, training sees twice as many examples with them.
SQL = {"tags": REEX, "max_steps": 4, "sample_values": 0, "schema_tokens": 400, "observation_tokens": 64}
ENVIRONMENTS: dict[str, dict[str, Any]] = {
    "sql": {"name": "sql", "options": SQL},
    "gsm8k": {"name": "math", "options": {}},
}
"""What the model is trained for and measured with."""
READERS = {"sql": "spider", "gsm8k": "gsm8k"}


@dataclass(frozen=True, kw_only=True)
class Example:
    """A prompt and a right answer to it, in tokens."""

    prompt: list[int]
    completion: list[int]
    learned: list[bool]
    """Of each token of the completion: the model writes it."""

    @property
    def length(self) -> int:
        """Of prompt and completion."""
        return len(self.prompt) + len(self.completion)


def training_environment(kind: str) -> dict[str, Any]:
    """The environment that transcripts are made in: the gold in other words is judged on its own database alone."""
    environment = ENVIRONMENTS[kind]
    if kind != "sql":
        return environment
    return {**environment, "options": {**environment["options"], "executor": {"suite": None, "workers": 1}}}


def make_packs(
    kind: str,
    path: str,
    environment: Environment[Any],
    tokenizer: PreTrainedTokenizerBase,
    draw: random.Random,
    *,
    most_examples: int,
    most_tokens: int,
    size: int,
) -> list[list[Example]]:
    """Packs of up to ``size`` examples with equal instructions and schema and answers of like length; those of less
    than half the size are left out.

    Args:
        path: of the dataset's directory.
        most_examples: tasks that are looked at, drawn evenly from the schemas that have enough of them for a pack.
        most_tokens: of an example; longer ones are left out.

    Raises:
        ConfigurationError: the data cannot be read, or no pack is left.
    """
    reader = make_reader(DataConfig(reader=READERS[kind], options={"path": path}), environment)
    tasks = _drawn(reader.read("train").tasks, environment, draw, most_examples, size)
    written: Sequence[Transcript | None]
    if kind == "sql":
        written = [sql_transcript(environment, task, draw) for task in tasks]
    else:
        written = gsm8k_transcripts(path, tasks)
    episodes = [(task, one) for task, one in zip(tasks, written, strict=True) if one is not None]
    groups: dict[str, list[Example]] = defaultdict(list)
    for (task, transcript), verdict in zip(episodes, environment.judge(episodes), strict=True):
        if verdict.is_correct:
            example = encode(tokenizer, environment, task, transcript)
            if example.length <= most_tokens:
                groups[_shared_text(environment, task)].append(example)
    packs = []
    for examples in groups.values():
        examples.sort(key=lambda one: one.length)
        packs += [examples[start : start + size] for start in range(0, len(examples), size)]
    packs = [pack for pack in packs if len(pack) >= size / 2]
    if not packs:
        raise ConfigurationError(
            f"no pack of {size} examples of at most {most_tokens} tokens is left of {len(tasks)} tasks; raise the"
            " number of examples or of tokens"
        )
    return packs


def encode(
    tokenizer: PreTrainedTokenizerBase, environment: Environment[Any], task: Task, transcript: Transcript
) -> Example:
    """The tokens of a transcript, turn by turn as decoding has them, and the end of text."""
    ids: list[int] = []
    learned: list[bool] = []
    for segment in transcript.segments:
        part = encode_text(tokenizer, segment.text)
        ids += part
        learned += [segment.author == "model"] * len(part)
    return Example(
        prompt=prompt_ids(tokenizer, environment, task),
        completion=[*ids, int(tokenizer.eos_token_id)],
        learned=[*learned, True],
    )


def _drawn(tasks: Sequence[Any], environment: Environment[Any], draw: random.Random, most: int, size: int) -> list[Any]:
    """At most ``most`` tasks of groups of at least ``size``, of each group the same share, in multiples of ``size``."""
    groups: dict[str, list[Any]] = defaultdict(list)
    for task in tasks:
        groups[_shared_text(environment, task)].append(task)
    large = [group for group in groups.values() if len(group) >= size]
    share = min(1.0, most / max(1, sum(map(len, large))))
    drawn = []
    for group in large:
        draw.shuffle(group)
        drawn += group[: max(1, round(len(group) * share / size)) * size]
    return drawn


def _shared_text(environment: Environment[Any], task: Any) -> str:
    """What a prompt says besides the question: instructions and schema."""
    return "\0".join(message["content"] for message in environment.prompt(task)).replace(task.question, "")
