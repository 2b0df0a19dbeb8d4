"""Worker processes with a hard deadline for each call; a worker that is late is killed and replaced.

Callable from any thread. Nothing is installed in the caller: no signal handler, no alarm. Workers are spawned, never
forked (forking a process that runs CUDA or threads breaks it), and do not import the caller's main module again.
"""

import atexit
import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import CancelledError, TimeoutError
from contextlib import contextmanager
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.context import SpawnContext, SpawnProcess
from multiprocessing.process import BaseProcess
from typing import Any, Generic, Literal, TypeVar

from pebble import ProcessExpired, ProcessPool

ResultT = TypeVar("ResultT")
START_SECONDS = 120.0
"""What starting a worker may take on a busy machine, beyond the deadlines of the calls before."""
