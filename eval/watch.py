"""Evaluates each new checkpoint of a training run while the training goes on.

    python eval/watch.py --run runs/sql
    python eval/watch.py --run runs/sql --config configs/eval/sql.yaml --decoder greedy,self_consistency
    python eval/watch.py --run runs/sql --once --heldout.tasks 100

  --run DIRECTORY       the run
  --poll_seconds N      how often it is looked at (default 30)
  --once                evaluates what is there now and ends

All other flags are those of eval/run.py. Without --config the run's own environment, data and held-out measurement are
taken. Every checkpoint gets a report in RUN/evaluations/checkpoint-STEP; all of them draw RUN/evaluations/curve.png and
curve.json. Where the run is tracked, metrics, costs and a table of answers go to its own wandb run, against an axis of
their own (eval/step), unless a flag or the suite says where they go. It ends when the final model has been
evaluated; killed, it goes on where it was. Several watchers share the checkpoints among them.

Not covered: a training that dies without a final model is waited for; and training and evaluation on one GPU share its
memory: set CUDA_VISIBLE_DEVICES for one of them.
"""

import argparse
import re
import shutil
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    from eval import interruption

    interruption.end_at_once()

import torch
from accelerate import PartialState
from transformers.utils import logging as transformers_logging

from decoding.lockstep import join_process_group, leave_process_group
from envs.configuration import Parsed, parse
from envs.configuration_keys import one_line
from envs.errors import ConfigurationError
from eval.curve import curve_point, write_curve
from eval.evaluation import read_evaluation, read_measurements, run
from eval.evaluation_directory import BusyError, held
from eval.exits import exits_in_one_line
from eval.main_process import on_main
from eval.run_config import EvalConfig, untracked
from eval.tracking import join_run, logged, require_login
from eval.watched_run import WatchedRun, watched
from eval.whole_file import write_text

OWN_FLAGS = r"name|model|output|predictions(?:\.\w+)?"
"""Flags of eval/run.py that a watcher sets itself or has no use for."""


class Watcher:
    """Evaluates the checkpoints of one run. A context manager: on leaving it, its wandb run is closed."""

    def __init__(self, run: WatchedRun) -> None:
        self._run = run
        self._gone: set[int] = set()
        self._seen: set[int] = set()
        self._unlogged: set[int] = set()
        self._tracker: Any | None = None

    def turn(self) -> bool:
        """Evaluates one checkpoint, if there is one that nobody has evaluated or is evaluating.

        Returns:
            Whether there was one.

        Raises:
            ConfigurationError: it cannot be evaluated so.
            Unfinished: somebody interrupted it.
        """
        with ExitStack() as stack:
            found = on_main(lambda: self._claim(stack))
            if found is None:
                return False
            step, model = found
            parsed = self._run.parsed(step, model)
            on_main(lambda: self._run.require_same_suite(parsed))
            if not self._evaluated(step, model, parsed):
                return True
            if PartialState().is_main_process:
                self._write_down(step, parsed)
            PartialState().wait_for_everyone()
        return True

    def _claim(self, stack: ExitStack) -> tuple[int, Path] | None:
        """The first model that there is to evaluate, kept from other watchers until ``stack`` is left."""
        models = self._run.models()
        for step in sorted(self._seen - models.keys() - self._gone):
            if not self._run.evaluation(step).is_finished:
                self._notice_gone(step)
        self._seen |= models.keys()
        for step, model in models.items():
            if step in self._gone or self._is_done(step):
                continue
            try:
                stack.enter_context(held(self._run.evaluations / f".checkpoint-{step}.lock", f"checkpoint-{step}"))
            except BusyError:
                continue
            if self._is_done(step):  # by another watcher, meanwhile
                stack.close()
                continue
            return step, model
        return None

    def _is_done(self, step: int) -> bool:
        return self._run.evaluation(step).is_finished and not self._must_log(step)

    def _must_log(self, step: int) -> bool:
        is_tracked = self._run.tracking_mode != "disabled"
        return is_tracked and step not in self._unlogged and not self._run.evaluation(step).logged.exists()

    def _evaluated(self, step: int, model: Path, parsed: Parsed[EvalConfig]) -> bool:
        """Evaluates; False where the checkpoint was deleted meanwhile."""
        if on_main(lambda: self._run.evaluation(step).is_finished):
            return True  # and only has to be logged
        try:
            run(untracked(parsed), resume=True, title=f"checkpoint-{step}")
        except (ConfigurationError, OSError):
            if on_main(lambda: self._run.is_there(model)):
                raise
            if PartialState().is_main_process:
                shutil.rmtree(self._run.evaluation(step).path, ignore_errors=True)  # nothing can finish it any more
            self._notice_gone(step)
            return False
        return True

    def _notice_gone(self, step: int) -> None:
        self._gone.add(step)
        if PartialState().is_main_process:
            print(
                f"checkpoint-{step} was deleted before it was evaluated (trainer.save_total_limit): skipped",
                file=sys.stderr,
            )

    def _write_down(self, step: int, parsed: Parsed[EvalConfig]) -> None:
        """The curve, the wandb run, and a line for who looks on."""
        measured = {known: read_measurements(directory) for known, directory in self._run.finished().items()}
        write_curve(self._run.evaluations, {known: curve_point(each) for known, each in measured.items()})
        for decoding, measurement in measured[step].items():
            values = ", ".join(f"{name} {each.mean:.3f}" for name, each in measurement.metrics.items() if each)
            print(f"checkpoint-{step} {decoding}: {values}")
        if self._must_log(step):
            self._log(step, parsed)

    def _log(self, step: int, parsed: Parsed[EvalConfig]) -> None:
        import wandb

        tracking = parsed.config.tracking
        directory = self._run.evaluation(step)
        try:
            if self._tracker is None:
                self._tracker = join_run(tracking, self._run.path, self._run.evaluations)
            self._tracker.log(logged(read_evaluation(directory), answers=tracking.answers, step=step))
        except wandb.errors.Error as error:
            print(f"structrl: the report is written, but wandb has failed: {one_line(str(error))}", file=sys.stderr)
            self._unlogged.add(step)  # the next watcher tries again
            return
        write_text(directory.logged, f"{self._tracker.id}\n")

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *_: object) -> None:
        if self._tracker is not None:
            self._tracker.finish()


def watch(run_directory: str, arguments: Sequence[str], *, poll_seconds: float, once: bool) -> None:
    """Evaluates checkpoints until the run has ended, or, with ``once``, until there is none left.

    Raises:
        ConfigurationError: whatever is wrong with the run, the suite or a checkpoint.
        Unfinished: somebody interrupted it.
    """
    watched_run = watched(run_directory, arguments)
    on_main(lambda: require_login(watched_run.tracking_mode))
    with Watcher(watched_run) as watcher:
        while True:
            has_ended = on_main(lambda: watched_run.has_ended)  # asked first: the final model is then among the others
            while watcher.turn():
                pass
            if once or has_ended:
                return
            time.sleep(poll_seconds)


def main(arguments: Sequence[str]) -> None:
    """Parses the command line and watches; a mistake that the user can mend ends in one line and exit code 2."""
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    own = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    own.add_argument("--run")
    own.add_argument("--poll_seconds", type=float, default=30.0)
    own.add_argument("--once", action="store_true")
    with torch.no_grad(), exits_in_one_line():
        try:
            flags, rest = own.parse_known_args(list(arguments))
        except argparse.ArgumentError as error:
            raise ConfigurationError(str(error)) from error
        if "--help" in rest or "-h" in rest:
            print(_help(), end="")
            return
        if flags.run is None:
            raise ConfigurationError("--run is missing: give the directory OUTPUT/NAME of a training run")
        if not flags.poll_seconds > 0:
            raise ConfigurationError(f"--poll_seconds is {flags.poll_seconds:g}; expected a number above 0")
        join_process_group()
        watch(flags.run, rest, poll_seconds=flags.poll_seconds, once=flags.once)
        leave_process_group()


def _help() -> str:
    """That of eval/run.py without the flags that a watcher sets itself."""
    written = StringIO()
    with redirect_stdout(written), suppress(SystemExit):
        parse(EvalConfig, ["--help"], description="")
    options = written.getvalue().partition("options:\n")[2]
    options = re.sub(rf"(?m)^  --(?:{OWN_FLAGS})(?: .*)?\n(?:   .*\n)*", "", options)
    options = re.sub(r"(?m)^\S.*:\n\n", "", options)  # headings of nothing
    return f"{__doc__}\n{options.replace('(required, ', '(without --config the run has it, ')}"


if __name__ == "__main__":
    interruption.raise_again()
    main(sys.argv[1:])
