"""Measures a model, or a file of predictions, on held-out tasks and writes a report.

    python eval/run.py --config configs/eval/json.yaml --model runs/quickstart
    python eval/run.py --config configs/eval/sql.yaml --model Qwen/Qwen3-0.6B --heldout.tasks 100 --decoder greedy
    python eval/run.py --config configs/eval/sql.yaml --predictions predictions.jsonl
    accelerate launch --num_processes 4 eval/run.py --config configs/eval/sql.yaml --model runs/sql

``--model`` takes a run's directory, a model or adapter directory, a hub id, or package://NAME/FILE.gguf. ``--decoder``
takes names of ``heldout.decodings`` and of presets, divided by commas. ``--predictions`` takes a file, or ``gold`` for
the reference answers. The report is written to OUTPUT/NAME: report.md, report.html, report.json, records.jsonl,
tasks.jsonl, pictures and the resolved config.yaml. ``--resume`` goes on with an evaluation that was interrupted, and
starts one that does not exist yet. One that is finished is left as it is; results that wandb has not got are sent.

Exit codes: 0 done; 2 something to mend; 3 the server cannot be reached or the disk is full, and --resume goes on; 130
interrupted.
"""

import sys
from collections.abc import Sequence

if __name__ == "__main__":
    from eval import interruption

    interruption.end_at_once()

import torch
from accelerate import PartialState
from transformers.utils import logging as transformers_logging

from decoding.lockstep import join_process_group, leave_process_group
from envs.configuration import parse
from eval.evaluation import read_measurements, run
from eval.exits import exits_in_one_line
from eval.report_tables import metrics_table
from eval.run_config import EvalConfig, spelled_out

RESUME = {"resume": "go on with the evaluation of this name; start it if there is none"}


def main(arguments: Sequence[str]) -> None:
    """Parses the command line and runs; a mistake that the user can mend ends in one line and exit code 2."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    with torch.no_grad(), exits_in_one_line():
        parsed = parse(EvalConfig, spelled_out(arguments), description=__doc__ or "", switches=RESUME)
        join_process_group()
        directory = run(parsed, resume=parsed.flags.resume)
        if PartialState().is_main_process:
            table = metrics_table(read_measurements(directory))
            print(f"\n{table}\n\nreport: {directory.path / 'report.md'}")
        leave_process_group()


if __name__ == "__main__":
    interruption.raise_again()
    main(sys.argv[1:])
