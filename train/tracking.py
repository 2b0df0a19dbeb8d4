"""Weights & Biases: opened once, before the trainer, so that nothing ever asks for a login.

Curves are sent by transformers' own callback, which finds the run opened here. Not covered: other trackers.
"""

from pathlib import Path
from typing import Any

from eval.tracking import open_run
from train.config import RunConfig


def open_tracking(config: RunConfig, directory: Path, resolved: str) -> Any | None:
    """Opens the wandb run of a training run, or continues it; None when tracking is disabled.

    Call it in the main process only. The run's id is kept beside its data, so that a resumed run draws on in the same
    curves.
    """
    if config.tracking.wandb == "disabled":
        return None
    mode, project = config.tracking.wandb, config.tracking.project
    return open_run(mode, project, directory, name=config.name, resolved=resolved)
