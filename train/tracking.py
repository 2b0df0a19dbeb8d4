"""Weights & Biases: opened once, before the trainer, so that nothing ever asks for a login.

Curves are sent by transformers' own callback, which finds the run opened here. Not covered: other trackers.
"""

import os
import uuid
from pathlib import Path
from typing import Any

import yaml

from envs.errors import ConfigurationError
from train.config import RunConfig

RUN_ID_FILE = "wandb-run-id"


def require_login(config: RunConfig) -> None:
    """Checks that an online run can be opened without asking anybody.

    Raises:
        ConfigurationError: there is no API key.
    """
    if config.tracking.wandb != "online":
        return
    import wandb

    if not wandb.login(prompt=False):
        raise ConfigurationError(
            "tracking.wandb=online but there is no API key: set WANDB_API_KEY, run 'wandb login', "
            "or use tracking.wandb=offline and 'wandb sync' later"
        )


def open_tracking(config: RunConfig, directory: Path, resolved: str) -> Any | None:
    """Opens the wandb run of a training run, or continues it; None when tracking is disabled.

    Call it in the main process only. The run's id is kept beside its data, so that a resumed run draws on in the same
    curves.
    """
    if config.tracking.wandb == "disabled":
        return None
    import wandb

    os.environ.setdefault("WANDB_SILENT", "true")
    id_file = directory / RUN_ID_FILE
    run_id = id_file.read_text(encoding="utf-8").strip() if id_file.exists() else uuid.uuid4().hex[:8]
    id_file.write_text(run_id, encoding="utf-8")
    return wandb.init(
        project=config.tracking.project,
        name=config.name,
        id=run_id,
        resume="allow" if config.tracking.wandb == "online" else None,
        mode=config.tracking.wandb,
        dir=str(directory),
        config=yaml.safe_load(resolved),
        settings=wandb.Settings(silent=True),
    )
