"""Work that one of several processes does for all of them."""

from collections.abc import Callable
from typing import Any, TypeVar

from accelerate import PartialState
from accelerate.utils import broadcast_object_list

from envs.errors import ConfigurationError

ResultT = TypeVar("ResultT")


def on_main(work: Callable[[], ResultT]) -> ResultT:
    """Runs what touches the file system in the main process alone; its result is that of all processes.

    Raises:
        ConfigurationError: ``work`` raised it; it is raised in all processes.
    """
    result: Any = None
    error: ConfigurationError | None = None
    if PartialState().is_main_process:
        try:
            result = work()
        except ConfigurationError as refused:
            error = refused
    # The others get a copy of the error; here its cause is kept.
    result, copied = broadcast_object_list([result, error])
    failure = error or copied
    if failure is not None:
        raise failure
    return result
