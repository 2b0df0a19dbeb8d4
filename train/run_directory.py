"""The directory of a run: made once, never overwritten, continued only with --resume.

With --resume a run that does not exist yet is started: a job that was requeued early needs no other command.

    runs/NAME/config.yaml        the resolved configuration
    runs/NAME/checkpoints/       checkpoint-STEP/, each with the configuration beside it
    runs/NAME/before.json        held-out measurement before training (after.json: after it)
    runs/NAME/metrics.jsonl      one line a logged step
    runs/NAME/transcripts.jsonl  sampled transcripts
    runs/NAME/model/             the final model or adapter
    runs/NAME/report.md, report.json, curves.png
"""

from dataclasses import dataclass
from pathlib import Path

from decoding.model_reference import RUN_CHECKPOINTS, RUN_CONFIG, RUN_FINAL_MODEL, last_checkpoint
from envs.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class RunDirectory:
    """Paths of one run."""

    path: Path

    @classmethod
    def prepare(cls, output: str, name: str, *, resume: bool) -> "RunDirectory":
        """The directory OUTPUT/NAME, checked but not yet made: a run that fails to start leaves nothing behind.

        Raises:
            ConfigurationError: it holds something and ``resume`` is False, or what it holds is no run.
        """
        directory = cls(path=Path(output) / name)
        exists = directory.path.exists() and any(directory.path.iterdir())
        if exists and not resume:
            raise ConfigurationError(
                f"'{directory.path}' already holds a run; pass --resume to continue it, or another --name"
            )
        if exists and not directory.config.exists():
            raise ConfigurationError(
                f"--resume: '{directory.path}' holds something that is no run; choose another --name"
            )
        return directory

    @property
    def config(self) -> Path:
        return self.path / RUN_CONFIG

    @property
    def checkpoints(self) -> Path:
        return self.path / RUN_CHECKPOINTS

    @property
    def model(self) -> Path:
        return self.path / RUN_FINAL_MODEL

    @property
    def transcripts(self) -> Path:
        return self.path / "transcripts.jsonl"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.jsonl"

    def measurement(self, moment: str) -> Path:
        """Where the held-out measurement of a moment (before, after) is kept."""
        return self.path / f"{moment}.json"

    def last_checkpoint(self) -> Path | None:
        """The newest complete checkpoint, or None."""
        return last_checkpoint(self.path)
