"""The journal of an evaluation: one line a finished task and decoding, so that a killed evaluation goes on.

Every process appends to a file of its own, JOURNAL/RANK-of-PROCESSES.jsonl; whoever goes on reads all of them, whatever
the number of processes was. A process that is killed loses at most the line that it was writing.

Not covered: a machine that loses power may lose lines that the operating system had not written to the disk yet; and
nodes that do not share the directory.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

from envs.errors import ConfigurationError
from eval.record_lines import finished_from_json, line_of
from eval.records import Finished
from eval.whole_file import writing


class Journal:
    """One process's hold on the journal. A context manager: on leaving it, its file is closed."""

    def __init__(self, directory: Path, *, rank: int = 0, processes: int = 1) -> None:
        """
        Args:
            directory: of the journal; made where it is not there.
            rank: of this process.
            processes: how many there are.

        Raises:
            WriteError: it cannot be written.
        """
        self._directory = directory
        self._path = directory / f"{rank}-of-{processes}.jsonl"
        with writing(self._path):
            directory.mkdir(parents=True, exist_ok=True)
            # Unbuffered: what was written is the operating system's by the time write() returns.
            self._file = self._path.open("ab", buffering=0)
        self._counted: dict[Path, tuple[int, int]] = {}

    def write(self, finished: Finished) -> None:
        """Adds a line.

        Raises:
            WriteError: it cannot be written, or not in full.
        """
        line = memoryview(line_of(finished).encode("ascii"))
        with writing(self._path):
            while line:
                line = line[self._file.write(line) :]

    def read(self) -> list[Finished]:
        """What all processes have finished, each pair of task and decoding once.

        Raises:
            ConfigurationError: another version of structrl has written it.
        """
        found: dict[tuple[str, str], Finished] = {}
        for path in _files(self._directory):
            for line in path.read_bytes().splitlines():
                try:
                    finished = finished_from_json(json.loads(line))
                except (KeyError, TypeError) as error:
                    raise ConfigurationError(
                        f"'{path}' was written by another version ({error}); remove its directory, or choose another"
                        " --name"
                    ) from error
                found.setdefault((finished.decoding, finished.task), finished)
        return list(found.values())

    def count_lines(self) -> int:
        """How many lines all processes have written; reads only what is new since the last call."""
        for path in _files(self._directory):
            lines, place = self._counted.get(path, (0, 0))
            with path.open("rb") as file:
                file.seek(place)
                new = file.read()
            self._counted[path] = (lines + new.count(b"\n"), place + len(new))
        return sum(lines for lines, _ in self._counted.values())

    def __enter__(self) -> "Journal":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with writing(self._path):
            self._file.close()


def finished_pairs(directory: Path) -> set[tuple[str, str]]:
    """Decoding and task of all that is finished, as far as it is whole; none where there is no journal."""
    contents = [json.loads(line) for path in _files(directory) for line in _whole_lines(path.read_bytes())]
    return {(content["decoding"], content["task"]) for content in contents}


def cut_torn_lines(directory: Path) -> None:
    """Removes what a killed process has left half-written. Before any process opens the journal again."""
    for path in _files(directory):
        content = path.read_bytes()
        whole = sum(len(line) for line in _whole_lines(content))
        if whole < len(content):
            os.truncate(path, whole)


def _whole_lines(content: bytes) -> Iterator[bytes]:
    """Lines up to the first that is not whole: what stands behind it cannot be trusted either."""
    for line in content.splitlines(keepends=True):
        if not line.endswith(b"\n"):
            return
        try:
            json.loads(line)
        except ValueError:
            return
        yield line


def _files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*-of-*.jsonl"))
