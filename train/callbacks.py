"""What happens beside the optimisation: progress bar, metrics, transcripts, copies of the configuration."""

import json
import math
import random
from pathlib import Path
from typing import Any

from tqdm import tqdm
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from decoding.model_reference import RUN_CONFIG
from eval.whole_file import write_text
from train.run_directory import RunDirectory
from train.trainer import ScoredRollout, StructuredGRPOTrainer

TRANSCRIPT_COLUMNS = ("step", "task", "reward", "parts", "error", "unjudged", "completion")


class ProgressBar(TrainerCallback):
    """One line: steps done, time left, and the latest mean reward."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            self._bar = tqdm(total=state.max_steps, initial=state.global_step, desc="train", unit="step", smoothing=0.1)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if self._bar is not None:
            self._bar.update(state.global_step - self._bar.n)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if self._bar is not None and logs and logs.get("reward") is not None:
            self._bar.set_postfix(reward=f"{logs['reward']:.3f}")

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if self._bar is not None:
            self._bar.close()
            self._bar = None


class RunRecorder(TrainerCallback):
    """Writes metrics.jsonl, transcripts.jsonl and the wandb table, and lays config.yaml beside every checkpoint."""

    def __init__(self, directory: RunDirectory, resolved: str, transcripts: int) -> None:
        """
        Args:
            directory: where the files go.
            resolved: the configuration as YAML.
            transcripts: sampled transcripts kept of every logged step.
        """
        self._directory = directory
        self._resolved = resolved
        self._transcripts = transcripts
        self._table: Any | None = None
        self.tracker: Any | None = None
        """The wandb run; None when tracking is disabled."""
        self.trainer: StructuredGRPOTrainer | None = None
        """Set once the trainer exists: it is built with its callbacks."""

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        if state.is_world_process_zero:
            # A run that was killed after its last checkpoint repeats steps: their lines are written anew.
            for path in (self._directory.metrics, self._directory.transcripts):
                _drop_after(path, state.global_step)

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        numbers = {name: value for name, value in logs.items() if not _is_nan(value)}
        _append(self._directory.metrics, {"step": state.global_step, **numbers})
        if "reward" not in logs:  # a step that learned from rollouts of an earlier one
            return
        assert self.trainer is not None
        chosen = random.Random(state.global_step).sample(
            self.trainer.latest, min(self._transcripts, len(self.trainer.latest))
        )
        rows = [_transcript_row(state.global_step, scored) for scored in chosen]
        for row in rows:
            _append(self._directory.transcripts, row)
        self._log_table(rows)

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        if state.is_world_process_zero:
            write_text(self._directory.checkpoints / f"checkpoint-{state.global_step}" / RUN_CONFIG, self._resolved)

    def _log_table(self, rows: list[dict[str, Any]]) -> None:
        if self.tracker is None or not rows:
            return
        import wandb

        if self._table is None:
            # Incremental: the table on the page holds all steps, and each call uploads its new rows only.
            self._table = wandb.Table(columns=list(TRANSCRIPT_COLUMNS), log_mode="INCREMENTAL")
        for row in rows:
            self._table.add_data(*(_cell(row[column]) for column in TRANSCRIPT_COLUMNS))
        self.tracker.log({"transcripts": self._table})


def _transcript_row(step: int, scored: ScoredRollout) -> dict[str, Any]:
    verdict = scored.rollout.verdict
    return {
        "step": step,
        "task": scored.task.id,
        "reward": scored.score.value,
        "parts": dict(scored.score.parts),
        "error": verdict.error,
        "unjudged": verdict.unjudged,
        "completion": scored.rollout.transcript.text,
    }


def _cell(value: Any) -> Any:
    return json.dumps(value) if isinstance(value, dict) else value


def _is_nan(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _append(path: Path, row: dict[str, Any]) -> None:
    with path.open("a", encoding="utf-8") as lines:
        # A lone surrogate in a model's text is no valid UTF-8: JSON escapes keep it readable and whole.
        lines.write(json.dumps(row) + "\n")


def _drop_after(path: Path, step: int) -> None:
    """Keeps the lines of steps up to ``step``; a half-written last line goes too."""
    if not path.exists():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row["step"] <= step:
            kept.append(line + "\n")
    write_text(path, "".join(kept))
