"""Trains a model by GRPO on tasks whose answers a program can check.

    accelerate launch train/grpo.py --config configs/json.yaml
    accelerate launch train/grpo.py --config configs/sql.yaml --trainer.learning_rate 1e-5 --name sql-slow
    accelerate launch train/grpo.py --config configs/sql.yaml --name sql-slow --resume

Everything is written to OUTPUT/NAME (runs/...): checkpoints, the final model, curves, transcripts and a report.
"""

import os
import sys
import warnings
from collections.abc import Sequence

# The hook is stable since TRL 1.0 and held by tests/train/test_trl_hooks.py.
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
# TRL is handed every field of its configuration, deprecated ones at their defaults included.
warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")

from transformers.utils import logging as transformers_logging  # noqa: E402

from decoding.lockstep import leave_process_group  # noqa: E402
from envs.configuration import exit_with, parse  # noqa: E402
from envs.errors import ConfigurationError  # noqa: E402
from train.config import RunConfig  # noqa: E402
from train.experiment import run  # noqa: E402
from train.reward_state import TrainingStopped  # noqa: E402

SWITCHES = {"resume": "continue the run that OUTPUT/NAME holds, from its last checkpoint"}


def main(arguments: Sequence[str]) -> None:
    """Parses the command line and runs.

    A mistake that the user can mend ends in one line and exit code 2, a training that had to stop in one and 3.
    """
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        parsed = parse(RunConfig, arguments, description=__doc__ or "", switches=SWITCHES)
        run(parsed, resume=parsed.flags.resume)
        leave_process_group()
    except ConfigurationError as error:
        exit_with(error)
    except TrainingStopped as error:
        exit_with(error, code=3)


if __name__ == "__main__":
    main(sys.argv[1:])
