"""Weights & Biases: opened once, before the trainer, so that nothing ever asks for a login.

Curves are sent by transformers' own callback, which finds the run opened here. Not covered: other trackers.
"""

import os
from pathlib import Path
from typing import Any

import yaml

from eval.tracking import run_id
from train.config import RunConfig


def open_tracking(config: RunConfig, directory: Path, resolved: str) -> Any | None:
    """Opens the wandb run of a training run, or continues it; None when tracking is disabled.

    Call it in the main process only. The run's id is kept beside its data, so that a resumed run draws on in the same
    curves.
    """
    if config.tracking.wandb == "disabled":
        return None
    import wandb

    os.environ.setdefault("WANDB_SILENT", "true")
    return wandb.init(
        project=config.tracking.project,
        name=config.name,
        id=run_id(directory),
        resume="allow" if config.tracking.wandb == "online" else None,
        mode=config.tracking.wandb,
        dir=str(directory),
        config=yaml.safe_load(resolved),
        settings=wandb.Settings(silent=True),
    )
