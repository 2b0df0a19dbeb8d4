"""The directory of an evaluation: made once, continued only with --resume, finished when report.json is there.

OUTPUT/NAME/config.yaml    the resolved configuration
OUTPUT/NAME/source.json    fingerprints of the model and the tasks, and every decoding that was begun
OUTPUT/NAME/journal/       what is finished so far (eval.journal), until all is
OUTPUT/NAME/logged-to-wandb    the results have been sent
OUTPUT/NAME/report.json    written last; beside it all other files of the report
"""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout

from decoding.model_reference import resolve_reference
from envs.errors import ConfigurationError
from eval.whole_file import WriteError, write_json, write_text, writing

UNBOUND = (
    "output",
    "tracking",
    "heldout.max_batch_rows",
    "engine.url",
    "engine.api_key_variable",
    "engine.concurrency",
    "engine.timeout_s",
    "engine.attempts",
    "engine.first_wait_s",
)
"""What an evaluation may go on with another value of: nothing that is measured depends on it."""
DECODINGS = ("decoder", "heldout.decodings")
"""What one that is not finished may go on with other names of: what is finished is kept by the decoding's name."""
WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.gguf", "config.json", "adapter_config.json", "*.jsonl")


class BusyError(ConfigurationError):
    """Another process is at it."""


@contextmanager
def held(lock_file: Path, what: str) -> Iterator[None]:
    """Holds a lock, which ends with its process at the latest.

    Raises:
        BusyError: another process has it.
        WriteError: there can be none.
    """
    with writing(lock_file):
        lock_file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise BusyError(
            f"'{what}' is being evaluated by another process; wait for it, or choose another --name"
        ) from error
    except OSError as error:
        raise WriteError(f"cannot write '{lock_file}': {error.strerror or error}") from error
    try:
        yield
    finally:
        lock_file.unlink(missing_ok=True)
        lock.release()


@dataclass(frozen=True, kw_only=True)
class EvaluationDirectory:
    """Paths of one evaluation."""

    path: Path

    @classmethod
    def prepare(
        cls, output: str, name: str, *, resolved: str, resume: bool, decodings: Mapping[str, Any]
    ) -> "EvaluationDirectory":
        """The directory OUTPUT/NAME, checked but not yet made: an evaluation that fails to start leaves nothing behind.

        Args:
            output: directory of all runs.
            name: of this one.
            resolved: the configuration as YAML.
            resume: go on with what is there.
            decodings: name -> configuration, as plain values, of each that is measured.

        Raises:
            ConfigurationError: it holds something and ``resume`` is False, what it holds is no evaluation or one that
                was configured otherwise, or it cannot be written to.
        """
        directory = cls(path=Path(output).expanduser() / name)
        if directory.path.is_dir() and any(not each.name.startswith(".") for each in directory.path.iterdir()):
            directory._require_resumable(resolved, resume, decodings)
        home = next(parent for parent in (directory.path, *directory.path.absolute().parents) if parent.exists())
        if not home.is_dir() or not os.access(home, os.W_OK):
            raise ConfigurationError(f"'{home}' is no directory that can be written to; choose another --output")
        return directory

    @property
    def config(self) -> Path:
        return self.path / "config.yaml"

    @property
    def source(self) -> Path:
        return self.path / "source.json"

    @property
    def journal(self) -> Path:
        return self.path / "journal"

    @property
    def report(self) -> Path:
        return self.path / "report.json"

    @property
    def is_finished(self) -> bool:
        """The report is there, and whole."""
        return self.report.exists()

    @property
    def logged(self) -> Path:
        """Is there once the results are in a wandb run."""
        return self.path / "logged-to-wandb"

    def begin(self, resolved: str, source: Mapping[str, str], decodings: Mapping[str, Any]) -> None:
        """Writes down what is measured, or checks that it is what was written down.

        Args:
            resolved: the configuration as YAML.
            source: what is measured -> its fingerprint.
            decodings: as for ``prepare``. Those that were begun before are kept: they may come back.

        Raises:
            ConfigurationError: model, file or tasks have changed since.
            WriteError: it cannot be written.
        """
        self.require_same(source)
        write_text(self.config, resolved)
        write_json(self.source, {**source, "decodings": {**self._begun(), **decodings}})

    def require_same(self, source: Mapping[str, str]) -> None:
        """Checks that what is measured is what was measured here before, as far as that is known.

        Raises:
            ConfigurationError: model, file or tasks have changed since.
        """
        known = self._kept_source()
        changed = [name for name in source if known and known.get(name) != source[name]]
        if changed:
            raise ConfigurationError(
                f"--resume: the {' and the '.join(changed)} of '{self.path}' changed since it was begun; choose"
                " another --name, or remove it"
            )

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    @contextmanager
    def report_files(self) -> Iterator[Path]:
        """A folder to write the report into. At the end its files are moved to their place, report.json as the last of
        all, and the journal, which was only for going on, is removed.

        Raises:
            WriteError: the report cannot be written.
        """
        building = self.path / ".report"
        shutil.rmtree(building, ignore_errors=True)  # of a process that was killed
        with writing(self.report):
            building.mkdir(parents=True)
            yield building
            for file in sorted(building.iterdir(), key=lambda file: file.name == self.report.name):
                target = self.path / file.name
                if target.is_dir():
                    shutil.rmtree(target)
                os.replace(file, target)
            building.rmdir()
        shutil.rmtree(self.journal, ignore_errors=True)

    def _kept_source(self) -> dict[str, Any]:
        return json.loads(self.source.read_text(encoding="utf-8")) if self.source.exists() else {}

    def _begun(self) -> dict[str, Any]:
        """The decodings that were begun here."""
        return dict(self._kept_source().get("decodings", {}))

    def _require_resumable(self, resolved: str, resume: bool, decodings: Mapping[str, Any]) -> None:
        if not resume and self.is_finished:
            raise ConfigurationError(
                f"'{self.path}' already holds a report; choose another --name or remove it (--resume would leave it as"
                " it is)"
            )
        if not self.config.exists():
            raise ConfigurationError(f"'{self.path}' holds something that is no evaluation; choose another --name")
        if not resume:
            raise ConfigurationError(
                f"'{self.path}' holds an evaluation that was interrupted; pass --resume to go on with it, or another"
                " --name"
            )
        kept = yaml.safe_load(self.config.read_text(encoding="utf-8"))
        unbound = UNBOUND if self.is_finished else (*UNBOUND, *DECODINGS)
        differing = differing_keys(kept, yaml.safe_load(resolved), unbound=unbound)
        for name, before in self._begun().items():
            if name in decodings and not self.is_finished:
                differing += differing_keys(before, decodings[name], f"heldout.decodings.{name}")
        if differing:
            done = "finished" if self.is_finished else "begun"
            raise ConfigurationError(
                f"--resume: '{self.path}' was {done} with another configuration: {'; '.join(differing)}; give the same,"
                " or choose another --name"
            )


def differing_keys(kept: Any, given: Any, path: str = "", *, unbound: Sequence[str] = UNBOUND) -> list[str]:
    """``key was A and is B`` for every key of two configurations that differs, but for those of ``unbound``."""
    if path in unbound or kept == given:
        return []
    if isinstance(kept, dict) and isinstance(given, dict):
        names = dict.fromkeys([*kept, *given])
        prefix = f"{path}." if path else ""
        pairs = [(kept.get(name), given.get(name), f"{prefix}{name}") for name in names]
        return [line for pair in pairs for line in differing_keys(*pair, unbound=unbound)]
    return [f"{path} was {json.dumps(kept)[:80]} and is {json.dumps(given)[:80]}"]


def fingerprint_of_lines(lines: Iterable[str]) -> str:
    """Of lines, in any order."""
    return hashlib.sha256("\n".join(sorted(lines)).encode(errors="surrogatepass")).hexdigest()


def fingerprint_of_files(reference: str) -> str:
    """Of the files that a model's reference, or a path, stands for: where they are, how large, and from when. A hub id
    stands for itself."""
    place = Path(reference).expanduser()
    if not place.is_file():
        place = Path(resolve_reference(reference))
    files = [place] if place.is_file() else sorted({file for name in WEIGHTS for file in place.glob(name)})
    parts = [f"{file.name}:{file.stat().st_size}:{file.stat().st_mtime_ns}" for file in files]
    return hashlib.sha256("\n".join([str(place), *parts]).encode(errors="surrogatepass")).hexdigest()
