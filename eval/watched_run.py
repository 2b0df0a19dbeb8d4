"""A training run as its watcher sees it: which checkpoints there are, and what is measured of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import yaml

from decoding.model_reference import RUN_CONFIG, TRAINER_STATE, final_model, is_whole, whole_checkpoints
from envs.configuration import Parsed, parse
from envs.errors import ConfigurationError
from eval.evaluation_directory import EvaluationDirectory, differing_keys
from eval.run_config import EvalConfig, spelled_out
from eval.whole_file import write_text

EVALUATIONS = "evaluations"
OF_ONE_CHECKPOINT = ("name", "model")
"""Keys of an evaluation's configuration that differ from checkpoint to checkpoint."""


@dataclass(frozen=True, kw_only=True)
class WatchedRun:
    """A run's directory, and the command line that its checkpoints are evaluated with.

    Raises:
        ConfigurationError: the directory holds no run.
    """

    path: Path
    arguments: tuple[str, ...]
    """Of ``eval/run.py``, without model, name and output."""

    def __post_init__(self) -> None:
        if not (self.path / RUN_CONFIG).is_file():
            raise ConfigurationError(
                f"--run '{self.path}' is no training run (no {RUN_CONFIG}); give the directory OUTPUT/NAME of one"
            )

    @property
    def evaluations(self) -> Path:
        """Where all that is measured goes."""
        return self.path / EVALUATIONS

    def models(self) -> dict[int, Path]:
        """Step -> model of each that is there now; the final one under the step that the run has ended with."""
        found = whole_checkpoints(self.path)
        final = final_model(self.path)
        if final is not None:
            found.setdefault(self._final_step(final, found), final)
        return dict(sorted(found.items()))

    @property
    def has_ended(self) -> bool:
        """The final model is there: no further checkpoint will come."""
        return final_model(self.path) is not None

    def finished(self) -> dict[int, EvaluationDirectory]:
        """Step -> evaluation of each that is finished, also of checkpoints that are gone."""
        steps = [int(folder.name.partition("-")[2]) for folder in self.evaluations.glob("checkpoint-*")]
        return {step: self.evaluation(step) for step in sorted(steps) if self.evaluation(step).is_finished}

    @cached_property
    def tracking_mode(self) -> Literal["disabled", "offline", "online"]:
        """Where results go besides the reports.

        Raises:
            ConfigurationError: the suite or a flag is wrong, or asks for something else than the run's checkpoints.
        """
        config = self.parsed(0, self.path).config
        if config.engine.name == "server" or config.predictions.path is not None:
            raise ConfigurationError(
                "a watcher loads the run's checkpoints itself; leave out engine.name 'server' and predictions, or use"
                " eval/run.py"
            )
        return config.tracking.wandb

    def is_there(self, model: Path) -> bool:
        """The model was not deleted meanwhile (``save_total_limit``)."""
        return is_whole(model) or model == final_model(self.path)

    def evaluation(self, step: int) -> EvaluationDirectory:
        """Where the evaluation of a step goes."""
        return EvaluationDirectory(path=self.evaluations / f"checkpoint-{step}")

    def parsed(self, step: int, model: Path) -> Parsed[EvalConfig]:
        """The configuration of one evaluation.

        Raises:
            ConfigurationError: the suite or a flag is wrong.
        """
        own = [] if names_suite(self.arguments) else self._own_suite()
        place = ["--model", str(model), "--name", f"checkpoint-{step}", "--output", str(self.evaluations)]
        return parse(EvalConfig, spelled_out([*own, *self.arguments, *place]), description="")

    def require_same_suite(self, parsed: Parsed[EvalConfig]) -> None:
        """Checks that checkpoints measured before were measured likewise: one curve shows them all.

        Raises:
            ConfigurationError: they were not.
        """
        given = _without(yaml.safe_load(parsed.resolved))
        file = self.evaluations / RUN_CONFIG
        if file.exists():
            differing = differing_keys(_without(yaml.safe_load(file.read_text(encoding="utf-8"))), given)
            if differing:
                raise ConfigurationError(
                    f"'{self.evaluations}' was begun with another configuration: {'; '.join(differing)}; give the same,"
                    " or move it away"
                )
        else:
            write_text(file, yaml.safe_dump(given, sort_keys=False, allow_unicode=True))

    def _own_suite(self) -> list[str]:
        """The run's own environment, data and held-out measurement, as flags."""
        run = self._configuration()
        sections = {name: json.dumps(run[name]) for name in ("environment", "data", "heldout")}
        flags = [text for name, value in sections.items() for text in (f"--{name}", value)]
        return [*flags, "--dtype", run["model"]["dtype"]]

    def tracking(self) -> dict[str, Any]:
        """The run's own tracking section."""
        return dict(self._configuration().get("tracking") or {})

    def _configuration(self) -> dict[str, Any]:
        return yaml.safe_load((self.path / RUN_CONFIG).read_text(encoding="utf-8"))

    def _final_step(self, final: Path, checkpoints: dict[int, Path]) -> int:
        """The step of the final model: what was saved with it, or else the last that the run has logged."""
        state = final / TRAINER_STATE
        if state.exists():
            return int(json.loads(state.read_text(encoding="utf-8"))["global_step"])
        metrics = self.path / "metrics.jsonl"
        lines = metrics.read_text(encoding="utf-8").splitlines() if metrics.exists() else []
        return max([*checkpoints, *(int(json.loads(line)["step"]) for line in lines[-1:])], default=0)


def watched(path: str, arguments: Sequence[str]) -> WatchedRun:
    """The run of a directory; its own tracking is the default of its evaluations.

    Raises:
        ConfigurationError: it is no run.
    """
    plain = WatchedRun(path=Path(path).expanduser(), arguments=tuple(arguments))
    if names_suite(arguments) or any(each.startswith("--tracking") for each in arguments):
        return plain
    own = plain.tracking()
    flags = [f"--tracking.{name}={own[name]}" for name in ("wandb", "project") if name in own]
    return WatchedRun(path=plain.path, arguments=(*flags, *arguments))


def names_suite(arguments: Sequence[str]) -> bool:
    """A configuration file is given."""
    return any(each == "--config" or each.startswith("--config=") for each in arguments)


def _without(configuration: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in configuration.items() if name not in OF_ONE_CHECKPOINT}
