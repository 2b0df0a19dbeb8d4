"""The configuration of ``eval/run.py``, and its command line's short forms."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from data.registry import DataConfig
from envs.configuration import Parsed
from envs.errors import ConfigurationError, nearest
from envs.registry import EnvironmentConfig
from eval.config import DecodingConfig, HeldoutConfig, require_directory_name
from eval.decoders import DECODERS
from eval.engines import EngineConfig
from eval.predictions import PredictionsConfig
from eval.tracking import TrackingConfig


@dataclass(frozen=True, kw_only=True)
class EvalConfig:
    """One evaluation of one model, or of one file of predictions."""

    name: str
    """The report is written to OUTPUT/NAME."""
    environment: EnvironmentConfig
    """Which kind of task."""
    data: DataConfig
    """Which dataset; its held-out split is measured."""
    heldout: HeldoutConfig
    """What is measured."""
    model: str | None = None
    """A run's directory, a model directory, a hub id, or package://NAME/FILE.gguf."""
    decoder: list[str] | None = None
    """Which decodings are measured: names of ``heldout.decodings``, or of presets; null: all of ``heldout.decodings``.
    """
    predictions: PredictionsConfig = field(default_factory=PredictionsConfig)
    """Scores a file in place of a model: nothing is loaded, nothing is decoded."""
    engine: EngineConfig = field(default_factory=EngineConfig)
    """What generates."""
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    """Where the results go besides the report."""
    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """Type of the weights."""
    chat_template_options: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    """Variables of the chat template (``{enable_thinking: false}``); a trained run has its own in the template."""
    output: str = "runs"
    """Directory of all runs."""

    def __post_init__(self) -> None:
        require_directory_name(self.name)
        if self.model is None and self.predictions.path is None:
            raise ConfigurationError(
                "the configuration lacks 'model'; set it in the file or with --model ..., or score a file with"
                " --predictions FILE"
            )

    @property
    def measured(self) -> HeldoutConfig:
        """``heldout`` with the decodings that are measured.

        Raises:
            ConfigurationError: ``decoder`` names one that neither ``heldout`` nor the presets have.
        """
        if self.predictions.path is not None:
            return replace(self.heldout, decodings={"predictions": DecodingConfig()})
        if self.decoder is None:
            return self.heldout
        known = {**DECODERS, **self.heldout.decodings}
        if unknown := [name for name in self.decoder if name not in known]:
            raise ConfigurationError(
                f"unknown decoder '{unknown[0]}'{nearest(unknown[0], known)}; known: {', '.join(known)}"
            )
        return replace(self.heldout, decodings={name: known[name] for name in self.decoder})

    @property
    def subject(self) -> str:
        """What is measured, for titles."""
        return self.predictions.path or self.model or ""


def untracked(parsed: Parsed[EvalConfig]) -> Parsed[EvalConfig]:
    """The same evaluation for somebody who tracks its results otherwise."""
    return replace(parsed, config=replace(parsed.config, tracking=TrackingConfig()))


def spelled_out(arguments: Sequence[str]) -> list[str]:
    """A command line with ``--predictions FILE`` and ``--decoder A,B`` written as the configuration has them."""
    return list(_spelled_out(arguments))


def _spelled_out(arguments: Sequence[str]) -> Iterator[str]:
    flag = ""
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if name in ("--predictions", "--decoder") and equals:
            yield from _short(name, value)
        elif argument in ("--predictions", "--decoder"):
            flag = argument
        elif flag:
            yield from _short(flag, argument)
            flag = ""
        else:
            yield argument
    if flag:
        yield flag


def _short(flag: str, value: str) -> list[str]:
    if flag == "--predictions":
        return [flag, value] if value.startswith("{") else ["--predictions.path", value]
    is_plain = flag == "--decoder" and value != "null" and not value.startswith("[")
    return [flag, f"[{value}]" if is_plain else value]
