"""The generation window: rollouts that several optimiser steps learn from, kept whole between them and in checkpoints.

TRL makes rollouts for ``steps_per_generation`` micro-batches at once and uses them ``num_iterations`` times. It
shuffles them row by row; here groups stay together, so that a micro-batch shares its prompts (``train.prefix_tree``).
And it forgets them when a run is resumed in the midst of a window; here a checkpoint keeps what is left of them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from trl.trainer.utils import split_tensor_dict

Inputs = dict[str, Any]


def split_by_groups(inputs: Inputs, places: Sequence[int], parts: int) -> list[Inputs]:
    """A window's rollouts as its micro-batches: groups in random order, rows of one group side by side.

    Args:
        inputs: tensors with one row a rollout, and scalars.
        places: what group each row belongs to; rows of one group are neighbours.
        parts: micro-batches; draws from torch's state on the CPU.
    """
    starts = [index for index in range(len(places)) if index == 0 or places[index] != places[index - 1]]
    runs = [list(range(start, end)) for start, end in zip(starts, [*starts[1:], len(places)], strict=True)]
    order = torch.tensor([row for run in torch.randperm(len(runs)).tolist() for row in runs[run]])
    shuffled = {name: _rows(value, order) for name, value in inputs.items()}
    return split_tensor_dict(shuffled, parts)


def save_window(directory: str, process: int, state: Inputs) -> None:
    """Writes what one process needs to go on in the midst of a window."""
    torch.save(state, _path(directory, process))


def load_window(directory: str, process: int) -> Inputs | None:
    """What ``save_window`` wrote; None for a checkpoint without it (of another trainer, or of fewer processes)."""
    path = _path(directory, process)
    return torch.load(path, weights_only=True) if path.exists() else None


def _path(directory: str, process: int) -> Path:
    return Path(directory) / f"window_{process}.pt"


def _rows(value: Any, order: Tensor) -> Any:
    if isinstance(value, Tensor) and value.dim() > 0:
        return value[order.to(value.device)]
    return value
