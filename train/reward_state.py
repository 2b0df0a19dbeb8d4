"""What the reward remembers between steps: the means that pace its curriculum, and how many answers went unjudged.

Saved in every checkpoint (``trainer_state.json``) and read back on resume: a run that is resumed at the boundary of a
generation window pays what an uninterrupted one would have paid. All processes hold the same state, since each is told
the answers of all.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.trainer_callback import ExportableState

from rewards.configuration import UnjudgedLimit

DECAY = 0.9


class TrainingStopped(RuntimeError):
    """Training cannot go on; the message says why, what to mend, and how to go on."""


@dataclass(frozen=True, kw_only=True)
class BatchCounts:
    """What one process saw of the answers of a batch."""

    reasons: tuple[str | None, ...]
    """Why each answer could not be judged; None for one that was."""
    sums: Mapping[str, tuple[float, int]]
    """Pacing part -> the sum and number of its measured values."""


class RewardState(TrainerCallback, ExportableState):
    """Running means of parts, and the latest answers that could not be judged."""

    def __init__(self, limit: UnjudgedLimit) -> None:
        """
        Args:
            limit: when unjudged answers stop the training.
        """
        self._limit = limit
        self._means: dict[str, list[float]] = {}  # part -> exponential mean, and the weight that it has gathered
        self._window: deque[str | None] = deque(maxlen=limit.window)  # why each of the latest answers was not judged

    @property
    def means(self) -> dict[str, float]:
        """The running mean of each pacing part that was ever measured.

        Exponential over batches with decay 0.9, divided by its weight as in Adam, so that early means are not drawn
        to 0 (arXiv 1412.6980, section 3).
        """
        return {part: mean / weight for part, (mean, weight) in self._means.items()}

    def update(self, counts: Sequence[BatchCounts], step: int) -> dict[str, float]:
        """Takes in a batch, as all processes saw it; returns the share of its answers that each reason left unjudged.

        Raises:
            TrainingStopped: too many of the latest answers could not be judged.
        """
        for part in dict.fromkeys(part for one in counts for part in one.sums):
            sums = [one.sums[part] for one in counts if part in one.sums]
            total, number = sum(value for value, _ in sums), sum(count for _, count in sums)
            if number:
                mean, weight = self._means.get(part, (0.0, 0.0))
                self._means[part] = [
                    DECAY * mean + (1 - DECAY) * total / number,
                    DECAY * weight + 1 - DECAY,
                ]
        batch: list[str | None] = [reason for one in counts for reason in one.reasons]
        self._window.extend(batch)
        self._require_judged(step)
        # A reason that has come up lately has a rate, be it 0: its curve goes down again.
        return {reason: batch.count(reason) / len(batch) for reason in dict.fromkeys([*self._window, *batch]) if reason}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"args": {}, "attributes": {"means": self._means, "window": list(self._window)}}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Goes on where the checkpoint that the trainer has just loaded ended."""
        # A checkpoint of a run without this callback lacks the entry, and the trainer only writes to those that exist.
        kept = state.stateful_callbacks.setdefault(type(self).__name__, self.state())
        if state.global_step > 0 and isinstance(kept, dict):
            self._means = {part: list(pair) for part, pair in kept["attributes"]["means"].items()}
            self._window = deque(kept["attributes"]["window"], maxlen=self._limit.window)

    def _require_judged(self, step: int) -> None:
        reasons = Counter(reason for reason in self._window if reason)
        if reasons.total() > self._limit.share * self._limit.window:
            listed = ", ".join(f"{count} x {reason}" for reason, count in reasons.most_common(5))
            raise TrainingStopped(
                f"training stopped at step {step}: {reasons.total()} of the last {len(self._window)} answers could"
                f" not be judged ({listed}), more than the share {self._limit.share:g} of {self._limit.window} that"
                " reward.unjudged allows; mend what the reasons name, or raise reward.unjudged.share, then --resume"
            )
