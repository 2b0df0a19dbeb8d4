"""What the benchmarks against TRL share: tasks, turns whose length no model decides, and systems that take turns.

Each system has a process of its own, so that its peak memory is its own, and works only when it is its turn.
"""

import argparse
import functools
import math
import multiprocessing
import os
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl.chat_template_utils import qwen2_5_chat_template, supports_tool_calling

from benchmarks import measured_model
from data.bundled_tasks import BundledSqlReader
from data.spider import SpiderReader
from decoding.chat_prompt import prompt_ids
from decoding.models import load_tokenizer
from decoding.transformers_engine import end_ids
from envs.errors import ConfigurationError
from envs.sql.environment import SqlEnvironment
from envs.sql.task import SqlTask

SQL = SqlEnvironment()


def sql_tasks(options: argparse.Namespace, tokenizer: PreTrainedTokenizerBase, count: int) -> list[SqlTask]:
    """Training tasks in random order: of Spider in its official layout, or the bundled ones.

    Raises:
        ConfigurationError: not as many have prompts of ``options.longest_prompt`` tokens or fewer.
    """
    reader = BundledSqlReader() if options.spider is None else SpiderReader(path=options.spider)
    tasks = [task for task in reader.read("train").tasks if isinstance(task, SqlTask)]
    random.Random(0).shuffle(tasks)
    fitting: list[SqlTask] = []
    for task in tasks:
        if len(fitting) == count:
            break
        if len(prompt_ids(tokenizer, SQL, task)) <= options.longest_prompt:
            fitting.append(task)
    if len(fitting) < count:
        raise ConfigurationError(
            f"{count} tasks are needed, and {len(fitting)} have prompts of up to {options.longest_prompt} tokens; ask "
            "for fewer, or raise --longest-prompt"
        )
    return fitting


def tool_tokenizer(reference: str) -> PreTrainedTokenizerBase:
    """The model's tokenizer, with a chat template that can tell of tools.

    Raises:
        ConfigurationError: its own cannot, and it is none of ChatML.
    """
    tokenizer = load_tokenizer(reference)
    if not supports_tool_calling(tokenizer):
        if tokenizer.eos_token != "<|im_end|>":
            raise ConfigurationError(
                f"model {reference!r}: its chat template knows no tools, and its turns do not end with <|im_end|>, so "
                "that none of TRL's templates fits; take another model"
            )
        tokenizer.chat_template = qwen2_5_chat_template
    return tokenizer


def special_ids(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """The ids of all special tokens, and of all that end a text."""
    special = {token for token, added in tokenizer.added_tokens_decoder.items() if added.special}
    return sorted(special | end_ids(model, tokenizer))


def rare_word(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token of the longest word of the vocabulary: an ordinary token, whose text stands for a closing tag."""
    vocabulary = tokenizer.get_vocab()
    return int(vocabulary[max((piece for piece in vocabulary if piece.isascii() and piece.isalpha()), key=len)])


@contextmanager
def fixed_lengths(
    model: PreTrainedModel, never: Sequence[int], end: int | None = None, mean_tokens: int = 0
) -> Iterator[None]:
    """Takes it from the model to decide how long it writes.

    Args:
        model: the one that generates; inside of what peft has wrapped around it.
        never: tokens that are not written.
        end: one that is, also where it is one of them: after every token with probability 1 / ``mean_tokens``,
            whatever stands before it. The other tokens keep their proportions.
        mean_tokens: of a turn, its end counted; from 2.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    forward = inner.forward
    forbidden = list(never)

    @functools.wraps(forward)
    def fixed(*arguments: Any, **options: Any) -> Any:
        output = forward(*arguments, **options)
        output.logits = output.logits[:, -1:].float()  # generating reads no other place
        output.logits[..., forbidden] = -math.inf
        if end is not None:
            # p / (1 - p) = 1 / (mean - 1), against all that others have together.
            output.logits[..., end] = output.logits.logsumexp(dim=-1) - math.log(mean_tokens - 1)
        return output

    inner.forward = fixed
    try:
        yield
    finally:
        inner.forward = forward


class Turns:
    """The side of the system: when it is to work, and what it has to tell."""

    def __init__(self, connection: Connection, device: str) -> None:
        """
        Args:
            connection: to the benchmark.
            device: whose memory counts.
        """
        self._connection = connection
        self._device = device if device.startswith("cuda") else None

    def ready(self) -> None:
        """Says that all is loaded; from now on memory counts."""
        if self._device:
            torch.cuda.reset_peak_memory_stats(self._device)
        else:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # forgets the peak of loading
        self._connection.send({"loaded_mib": self._peak_mib()})

    def begin(self) -> int:
        """Waits for the next turn; its number, which serves as a seed."""
        return int(self._connection.recv())

    def end(self, result: dict[str, Any]) -> None:
        """Says what came of the turn."""
        self._connection.send({**result, "peak_mib": self._peak_mib()})

    def synchronize(self) -> None:
        """Waits for the device."""
        if self._device:
            torch.cuda.synchronize(self._device)

    def _peak_mib(self) -> int:
        if self._device:
            return torch.cuda.max_memory_allocated(self._device) >> 20
        account = Path("/proc/self/status").read_text(encoding="ascii")
        return next(int(line.split()[1]) >> 10 for line in account.splitlines() if line.startswith("VmHWM"))


System = Callable[[argparse.Namespace, Turns], None]
"""Loads, says ``ready``, then works in as many turns as it is given."""


class Peer:
    """The benchmark's side of a system in a process of its own."""

    def __init__(self, name: str, system: System, options: argparse.Namespace) -> None:
        """
        Args:
            name: what the benchmark calls it.
            system: a function of a module.
            options: of the command line.

        Raises:
            ConfigurationError: the system says so.
        """
        self.name = name
        self._connection, theirs = multiprocessing.Pipe()
        context = multiprocessing.get_context("spawn")
        self._process = context.Process(target=_serve, args=(system, options, theirs), daemon=True)
        self._process.start()
        theirs.close()
        self.facts = self._receive()

    def work(self, turn: int) -> dict[str, Any]:
        """One turn, start to end."""
        self._connection.send(turn)
        return self._receive()

    def close(self) -> None:
        """Ends the process."""
        self._process.terminate()
        self._process.join()

    def _receive(self) -> dict[str, Any]:
        try:
            message = self._connection.recv()
        except EOFError:
            raise RuntimeError(f"the process of {self.name} ended; its own message stands above") from None
        if isinstance(message, ConfigurationError):
            raise message
        return dict(message)


def by_turns(peers: Sequence[Peer], repeats: int, tell: Callable[[dict[str, Any]], str]) -> list[list[dict[str, Any]]]:
    """All results of each system but the first one, which warms up. Who begins alternates.

    Args:
        peers: the systems.
        repeats: results of each.
        tell: a result in words.
    """
    results: list[list[dict[str, Any]]] = [[] for _ in peers]
    for turn in range(repeats + 1):
        order = list(zip(peers, results, strict=True))
        for peer, kept in order if turn % 2 else reversed(order):
            result = peer.work(turn)
            print(f"{f'repeat {turn}' if turn else 'warm-up'}: {peer.name} {tell(result)}", flush=True)
            if turn:
                kept.append(result)
    return results


def _serve(system: System, options: argparse.Namespace, connection: Connection) -> None:
    quiet()
    try:
        system(options, Turns(connection, options.device))
    except ConfigurationError as error:
        connection.send(error)


def quiet() -> None:
    """Without the progress bars and warnings of loading."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    measured_model.quiet()


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Model, device and data."""
    measured_model.add_model_options(parser)
    parser.add_argument("--spider", help="directory of Spider in its official layout; without it bundled questions")
    parser.add_argument(
        "--longest-prompt", type=int, default=1024, help="tasks with more tokens are left out (default: %(default)s)"
    )
    parser.add_argument("--group", type=int, default=8, help="rollouts of a task (default: %(default)s)")
    parser.add_argument("--repeats", type=int, default=2, help="timed repeats of each system (default: %(default)s)")
