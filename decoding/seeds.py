"""Random streams by name: what a row draws follows from its seed alone, whatever is decoded beside it."""

import hashlib
from collections.abc import Sequence

import torch

from envs.task import Task


def task_seeds(tasks: Sequence[Task], seed: int | None) -> list[int]:
    """A seed of its own for each task. From ``seed`` they are stable between runs, machines and batches; without one
    they are drawn from torch's state on the CPU, one number a task whatever happens in the episodes."""
    if seed is None:
        return torch.randint(2**62, (len(tasks),)).tolist()
    return [derived_seed(seed, task.id) for task in tasks]


def derived_seed(seed: int | str, name: str) -> int:
    """A seed that follows from another, or from a stream, and a name, stable between runs and machines."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{name}".encode(errors="surrogatepass")).digest()[:7])


def sample_stream(seed: int | None, sample: int) -> str | None:
    """The name of the random stream of a request's ``sample``-th row; None without a seed."""
    return None if seed is None else f"{seed}:{sample}"


def fork_stream(seed: int | None) -> str | None:
    """The name of the random stream of a row that was forked with a seed; None without one."""
    return None if seed is None else f"fork {seed}"
