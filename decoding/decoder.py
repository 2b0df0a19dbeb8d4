"""Decoders: strategies over an engine and an environment. Training and evaluation use the same one.

So far one: independent samples of single-turn episodes.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Protocol

from jinja2 import TemplateError
from transformers import PreTrainedTokenizerBase

from decoding.engine import Engine, Generation, Request
from decoding.rollout import Group, Ledger, Rollout
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.task import Task
from envs.transcript import Transcript


@dataclass(frozen=True, kw_only=True)
class Decoding:
    """The groups of a decode, in the order of its tasks, and what they cost."""

    groups: tuple[Group, ...]
    ledger: Ledger


class Decoder(Protocol):
    """Makes and judges the rollouts of tasks."""

    def decode(self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None) -> Decoding:
        """``n[i]`` rollouts of ``tasks[i]``; with a ``seed`` the same ones each time, whatever the batch."""
        ...


@dataclass(frozen=True, kw_only=True)
class SampleDecoder:
    """Independent samples, each of one model turn, freely or under the task's grammar."""

    engine: Engine
    tokenizer: PreTrainedTokenizerBase
    environment: Environment[Any]
    max_new_tokens: int
    temperature: float = 1.0
    with_grammar: bool = False

    def __post_init__(self) -> None:
        if self.environment.stops:
            raise ConfigurationError(
                f"environment '{self.environment.name}' answers between turns ({', '.join(self.environment.stops)}); "
                "this decoder makes single-turn episodes"
            )

    def decode(self, tasks: Sequence[Task], *, n: Sequence[int], seed: int | None = None) -> Decoding:
        """``n[i]`` rollouts of ``tasks[i]``; with a ``seed`` the same ones each time, whatever the batch."""
        requests = [self._request(task, count, seed) for task, count in zip(tasks, n, strict=True)]
        start = time.perf_counter()
        generations = self.engine.generate(requests)
        generated = time.perf_counter()
        owners = [index for index, count in enumerate(n) for _ in range(count)]
        transcripts = [self._transcript(generation) for generation in generations]
        verdicts = self.environment.judge(
            [(tasks[owner], transcript) for owner, transcript in zip(owners, transcripts, strict=True)]
        )
        judged = time.perf_counter()
        rollouts = [
            Rollout(
                prompt_ids=requests[owner].prompt_ids,
                completion_ids=generation.token_ids,
                logprobs=generation.logprobs,
                env_mask=(1,) * len(generation.token_ids),
                log_z=generation.log_z,
                finish=generation.finish,
                transcript=transcript,
                verdict=verdict,
                grammar_error=generation.grammar_error or self._missing_grammar(requests[owner]),
            )
            for owner, generation, transcript, verdict in zip(owners, generations, transcripts, verdicts, strict=True)
        ]
        return Decoding(
            groups=tuple(
                Group(task=task, rollouts=tuple(rollouts[end - count : end]))
                for task, count, end in zip(tasks, n, accumulate(n), strict=True)
            ),
            ledger=Ledger(
                generated_tokens=sum(len(generation.token_ids) for generation in generations),
                prefilled_tokens=sum(len(request.prompt_ids) for request in requests),
                verifier_calls=len(transcripts),
                generate_seconds=generated - start,
                judge_seconds=judged - generated,
            ),
        )

    def _request(self, task: Task, n: int, seed: int | None) -> Request:
        return Request(
            prompt_ids=prompt_ids(self.tokenizer, self.environment, task),
            max_new_tokens=self.max_new_tokens,
            grammar=self.environment.grammar(task) if self.with_grammar else None,
            temperature=self.temperature,
            n=n,
            seed=None if seed is None else _task_seed(task, seed),
        )

    def _missing_grammar(self, request: Request) -> str | None:
        if self.with_grammar and request.grammar is None:
            return f"environment '{self.environment.name}' has no grammar for this task"
        return None

    def _transcript(self, generation: Generation) -> Transcript:
        # The clean-up that some tokenizers ask for would take the space out of " ," also inside a string.
        text = self.tokenizer.decode(generation.token_ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return Transcript.of(text, is_truncated=generation.finish == "length", tokens=len(generation.token_ids))


def prompt_ids(tokenizer: PreTrainedTokenizerBase, environment: Environment[Any], task: Task) -> list[int]:
    """The token ids of a task's opening messages, up to where the model begins to write.

    Raises:
        ConfigurationError: the tokenizer's chat template refuses the messages, as some refuse a system message.
    """
    messages = environment.prompt(task)
    try:
        ids = tokenizer.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=False)
    except TemplateError as error:
        roles = ", ".join(message["role"] for message in messages)
        raise ConfigurationError(
            f"task '{task.id}': the model's chat template refuses messages of the roles {roles}: {error}"
        ) from error
    return list(ids)


def require_window(
    tokenizer: PreTrainedTokenizerBase,
    environment: Environment[Any],
    tasks: Sequence[Task],
    *,
    max_new_tokens: int,
    window: int | None,
) -> None:
    """Checks that every prompt and its answer fit the model's window.

    Raises:
        ConfigurationError: one does not; names the task with the longest prompt.
    """
    if window is None or not tasks:
        return
    lengths = [(len(prompt_ids(tokenizer, environment, task)), task.id) for task in tasks]
    longest, task_id = max(lengths)
    if longest + max_new_tokens > window:
        raise ConfigurationError(
            f"task '{task_id}': its prompt of {longest} tokens and max_new_tokens {max_new_tokens} exceed the model's "
            f"window of {window}; shorten the prompt, lower max_new_tokens or take a model with a longer window"
        )


def _task_seed(task: Task, seed: int) -> int:
    """A seed of its own for each task, stable between runs and machines."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{task.id}".encode(errors="surrogatepass")).digest()[:7])
