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
from trl import GRPOConfig
from trl.trainer.utils import split_tensor_dict

from envs.errors import ConfigurationError
from train.records import packed, unpacked

Inputs = dict[str, Any]


def split_by_groups(inputs: Inputs, places: Sequence[int], parts: int) -> list[Inputs]:
    """A window's rollouts as its micro-batches: groups in random order, rows of one group side by side.

    Args:
        inputs: tensors and lists with one row a rollout, and scalars.
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
    torch.save(packed(state), _path(directory, process))


def load_window(directory: str, process: int) -> Inputs | None:
    """What ``save_window`` wrote; None for a checkpoint without it (of another trainer, or of fewer processes)."""
    path = _path(directory, process)
    if not path.exists():
        return None
    state: Inputs = unpacked(torch.load(path, map_location="cpu", weights_only=True))
    return state


Shape = dict[str, float | str]


def window_shape(args: GRPOConfig, processes: int, grammar: str) -> Shape:
    """What decides how a window is divided, and what its rollouts carry.

    Args:
        args: TRL's configuration.
        processes: of the run.
        grammar: what holds rollouts to their grammars (``rollout.grammar``).
    """
    names = (
        "steps_per_generation", "num_iterations", "per_device_train_batch_size", "gradient_accumulation_steps",
        "num_generations", "beta",
    )  # fmt: skip
    return {"processes": processes, "rollout.grammar": grammar, **{name: getattr(args, name) for name in names}}


def require_same_window(checkpoint: str, process: int, shape: Shape) -> None:
    """Checks that what a checkpoint holds of a window can be used up by a run of this ``shape``.

    Raises:
        ConfigurationError: it cannot; names what differs.
    """
    kept = load_window(checkpoint, process) or load_window(checkpoint, 0)
    if kept is None or kept["inputs"] is None or kept["shape"] == shape:
        return
    changed = [
        f"{name} was {_shown(kept['shape'].get(name))} and is {_shown(value)}"
        for name, value in shape.items()
        if kept["shape"].get(name) != value
    ]
    raise ConfigurationError(
        f"--resume: {checkpoint} holds rollouts that are not used up yet, and they do not fit this run any more:"
        f" {', '.join(changed)}; change it back, or remove this checkpoint to go on from an earlier one"
    )


def _shown(value: float | str | None) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _path(directory: str, process: int) -> Path:
    return Path(directory) / f"window_{process}.pt"


def _rows(value: Any, order: Tensor) -> Any:
    if isinstance(value, Tensor) and value.dim() > 0:
        return value[order.to(value.device)]
    return [value[row] for row in order.tolist()] if isinstance(value, list) else value
