"""A training run as its watcher sees it: which checkpoints there are, and what is measured of each."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import yaml

from decoding.model_reference import (
    ADAPTER_FILE,
    RUN_CONFIG,
    TRAINER_STATE,
    final_model,
    is_whole,
    whole_checkpoints,
)
from envs.configuration import Parsed, parse
from envs.errors import ConfigurationError
from eval.evaluation_directory import EvaluationDirectory, differing_keys
from eval.run_config import EvalConfig, spelled_out
from eval.whole_file import write_text

EVALUATIONS = "evaluations"
SECTIONS = {"environment", "data", "heldout"}
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
        if (what := _no_run(self.path)) is not None:
            raise ConfigurationError(
                f"--run '{self.path}' is no training run: {what}; give the directory OUTPUT/NAME of one"
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
    """The run of a directory; its own tracking is that of its evaluations where neither a flag nor a suite names one.

    Raises:
        ConfigurationError: it is no run.
    """
    plain = WatchedRun(path=Path(path).expanduser(), arguments=tuple(arguments))
    if any(each.startswith("--tracking") for each in arguments) or any(map(_tracks, _suites(arguments))):
        return plain
    own = plain.tracking()
    flags = [f"--tracking.{name}={own[name]}" for name in ("wandb", "project") if name in own]
    return WatchedRun(path=plain.path, arguments=(*arguments, *flags))


def names_suite(arguments: Sequence[str]) -> bool:
    """A configuration file is given."""
    return bool(_suites(arguments))


def _suites(arguments: Sequence[str]) -> list[str]:
    """The configuration files that are given."""
    behind = [each for before, each in pairwise(arguments) if before == "--config"]
    return [*behind, *(each.removeprefix("--config=") for each in arguments if each.startswith("--config="))]


def _tracks(suite: str) -> bool:
    """Whether a suite has a tracking section. What is wrong with its file is said where it is parsed."""
    content = _yaml(Path(suite))
    return isinstance(content, dict) and "tracking" in content


def _no_run(path: Path) -> str | None:
    """What a directory is that is no training run; None: it is one."""
    if not path.is_dir():
        return "it is a file" if path.exists() else "there is no such directory"
    if (path / TRAINER_STATE).exists():
        return "it is a checkpoint, or the final model, of one"
    if (path / "config.json").exists() or (path / ADAPTER_FILE).exists():
        return "it is a model"
    if not (path / RUN_CONFIG).is_file():
        return f"it has no {RUN_CONFIG}"
    content = _yaml(path / RUN_CONFIG)
    if not isinstance(content, dict):
        return f"its {RUN_CONFIG} holds no configuration"
    if isinstance(content.get("model"), dict) and SECTIONS <= content.keys():
        return None
    if "heldout" in content and not isinstance(content.get("model"), dict):
        subject = content.get("model") or (content.get("predictions") or {}).get("path") or "something else"
        return f"it is an evaluation of '{subject}'"
    return (
        f"its {RUN_CONFIG} is that of something else (it lacks {', '.join(sorted({'model', *SECTIONS} - {*content}))})"
    )


def _yaml(path: Path) -> Any | None:
    """What a file holds; None where it cannot be read as YAML."""
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return None


def _without(configuration: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in configuration.items() if name not in OF_ONE_CHECKPOINT}
