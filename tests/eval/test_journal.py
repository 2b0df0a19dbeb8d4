"""The journal: whatever byte a process is killed at, what was finished before is there, once."""

import errno
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kept_records import finished, kept_record

from decoding.rollout import Ledger
from envs.errors import ConfigurationError
from envs.math.environment import MathEnvironment
from envs.task import Task
from eval.config import DecodingConfig, HeldoutConfig
from eval.journal import Journal, cut_torn_lines, finished_pairs
from eval.measurement import Evaluation, evaluate_answers
from eval.record_lines import line_of, record_from_json
from eval.records import Finished
from eval.whole_file import WriteError

LINES = [finished("task-1", "a"), finished("task-2", "\ud800 \n\r\u2028\x85 ü"), finished("task-1", "b", "greedy")]


def journal_bytes() -> bytes:
    return b"".join(line_of(one).encode() for one in LINES)


@settings(max_examples=80, deadline=None)
# What stands behind a torn line is no line either: zeros of a file system that was cut off, a line that is no JSON.
@given(st.integers(0, len(journal_bytes())), st.sampled_from([b"", b"\x00" * 50, b'{"task": \n{}\n']))
def test_a_journal_cut_at_any_byte_keeps_its_whole_lines_and_goes_on(cut: int, debris: bytes) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "0-of-1.jsonl"
        path.write_bytes(journal_bytes()[:cut] + debris)
        whole = journal_bytes()[:cut].count(b"\n")
        cut_torn_lines(Path(folder))
        with Journal(Path(folder)) as journal:
            kept = journal.read()
            assert kept == LINES[:whole]
            journal.write(LINES[-1])
        with Journal(Path(folder)) as journal:
            assert journal.read() == list({(each.decoding, each.task): each for each in [*kept, LINES[-1]]}.values())
        assert path.read_bytes().endswith(line_of(LINES[-1]).encode())


def test_the_lines_of_all_processes_are_one_journal_whatever_their_number_was(tmp_path: Path) -> None:
    for rank in range(3):
        with Journal(tmp_path, rank=rank, processes=3) as journal:
            journal.write(finished(f"task-{rank}"))
            assert journal.count_lines() == rank + 1
    with Journal(tmp_path, rank=0, processes=1) as journal:
        assert [one.task for one in journal.read()] == ["task-0", "task-1", "task-2"]
        journal.write(finished("task-2", "again"))
        journal.write(finished("task-3"))
        assert journal.count_lines() == 5
        assert finished_pairs(tmp_path) == {("free", f"task-{number}") for number in range(4)}
        assert sorted(one.task for one in journal.read()) == ["task-0", "task-1", "task-2", "task-3"]


def test_a_count_reads_each_line_once(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        assert journal.count_lines() == 0
        for number in range(1, 4):
            journal.write(finished(f"task-{number}"))
            assert journal.count_lines() == number


def test_a_journal_of_another_version_is_an_error_that_says_so(tmp_path: Path) -> None:
    line = json.loads(line_of(finished("task-1")))
    line["records"][0]["colour"] = "green"
    (tmp_path / "0-of-1.jsonl").write_text(json.dumps(line) + "\n")
    with Journal(tmp_path) as journal, pytest.raises(ConfigurationError, match="another version.*colour"):
        journal.read()


def test_a_line_that_cannot_be_written_says_where_and_costs_no_other(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.write(finished("task-1"))
        file = journal._file

        class Full:
            """A file on a disk with room for ten more bytes."""

            room = 10

            def write(self, line: memoryview) -> int:
                if not self.room:
                    raise OSError(errno.ENOSPC, "No space left on device")
                written, self.room = file.write(line[: self.room]), 0
                return written

            def close(self) -> None:
                file.close()

        journal._file = Full()  # type: ignore[assignment]
        with pytest.raises(WriteError, match="cannot write '.*/0-of-1.jsonl': No space left on device"):
            journal.write(finished("task-2"))
    assert finished_pairs(tmp_path) == {("free", "task-1")}


class Killed(Exception):
    """In place of SIGKILL, which test_resume.py sends."""


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 12), max_size=4), st.permutations(range(6)))
def test_wherever_it_is_interrupted_every_task_is_answered_once_and_costs_add_up(
    stops: list[int], order: list[int]
) -> None:
    environment = MathEnvironment()
    config = HeldoutConfig(metrics=["correct"], decodings={"free": DecodingConfig(), "greedy": DecodingConfig()})
    tasks = [Task(id=f"task-{number}") for number in order]
    asked: list[tuple[str, str]] = []

    def evaluated(journal: Journal | None, most: int) -> Evaluation:
        def answers(decoding: str, share: Sequence[Task]) -> Iterator[Finished]:
            for task in share:
                if len(asked) - before == most:
                    raise Killed
                asked.append((decoding, task.id))
                value = float(len(task.id + decoding) % 2)
                record = kept_record(task.id, decoding, decoding=decoding, metrics={"correct": value})
                cost = Ledger(generated_tokens=int(task.id[5:]) + 1)
                yield Finished(task=task.id, decoding=decoding, records=(record,), cost=cost)

        before = len(asked)
        return evaluate_answers(answers, environment, tasks, config, title="test", journal=journal)

    straight = evaluated(None, 99)
    asked.clear()
    with TemporaryDirectory() as folder:
        for most in stops:
            with Journal(Path(folder)) as journal, suppress(Killed):
                evaluated(journal, most)
        with Journal(Path(folder)) as journal:
            assert evaluated(journal, 99) == straight
            assert journal.count_lines() == len(finished_pairs(Path(folder))) == 12
    assert len(asked) == len(set(asked)) == 12
    assert straight.measurements["free"].ledger.generated_tokens == 21


@given(st.text(st.characters() | st.sampled_from("\ud800\n\r\u2028\x00")))
def test_a_record_of_any_text_is_one_line_and_comes_back(text: str) -> None:
    record = kept_record(text=text)
    line = line_of(record)
    assert line.isascii() and line.count("\n") == 1
    assert record_from_json(json.loads(line)) == record
