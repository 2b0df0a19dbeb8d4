"""Equal numbers of forwards on all processes.

Where a forward is a collective (parameters gathered layer by layer under ZeRO-3, layers split by tensor parallelism), a
process that has finished its rows must go on with forwards until all have. Not covered: processes that fail; the others
then wait until the timeout of their process group.
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Protocol

import torch
import torch.distributed as dist
from accelerate import DistributedType, PartialState

LONGEST_WAIT = timedelta(days=7)
"""For a process that has done its share: the others may have the long answers, or the one hard database."""


class Lockstep(Protocol):
    """Keeps the forwards of several processes in step."""

    def before_forward(self) -> None:
        """Announces a forward to the other processes. Precedes each one."""
        ...

    def run_out(self, forward: Callable[[], object]) -> None:
        """Calls ``forward`` as often as others still announce one; returns when no process does."""
        ...


class ProcessLockstep:
    """Lockstep over a process group: an all-reduce of one number before each forward."""

    def __init__(self, *, device: torch.device | str = "cpu", group: dist.ProcessGroup | None = None) -> None:
        """
        Args:
            device: where the group's backend reduces tensors: the CPU for gloo, the process's own GPU for nccl.
            group: the processes that share each forward; None: all.
        """
        self._device = device
        self._group = group

    def before_forward(self) -> None:
        """Announces a forward to the other processes. Precedes each one."""
        self._any_works(True)

    def run_out(self, forward: Callable[[], object]) -> None:
        """Calls ``forward`` as often as others still announce one; returns when no process does."""
        while self._any_works(False):
            forward()

    def _any_works(self, i_work: bool) -> bool:
        works = torch.tensor(int(i_work), device=self._device)
        dist.all_reduce(works, op=dist.ReduceOp.MAX, group=self._group)
        return bool(works.item())


def join_process_group() -> None:
    """Joins the run's process group, if it has one, with ``LONGEST_WAIT`` as the timeout of its collectives.

    To be called before anything else makes the group: the first ``PartialState()`` does, with a timeout of 10 minutes
    under nccl, by which a process that has finished early would end them all. A process that dies is noticed without
    it, by the launcher. A group that is there stays as it is. Without an accelerator the processes talk over gloo; each
    would take itself for the only one if accelerate were not told so.
    """
    PartialState(cpu=not torch.accelerator.is_available(), timeout=LONGEST_WAIT)


def leave_process_group() -> None:
    """Ends the run's own process group, if it has one: a process that leaves with its group open may be aborted by the
    threads of the group, its work done. A group that another library has made (vLLM) is left to it."""
    state = PartialState()
    if state.distributed_type != DistributedType.NO:
        state.destroy_process_group()
