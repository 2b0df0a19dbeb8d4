"""Which tasks a reward can be paid for."""

from collections import Counter
from typing import Any

from data.reader import Reading
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.task import Task
from envs.transcript import Transcript
from rewards.composite import Composite


def rewardable(reading: Reading, environment: Environment[Any], composite: Composite) -> Reading:
    """The tasks of which every part that pays, or gates one that does, can say something.

    Of any other (no gold to compare with, a gold without a canonical form) good answers would have no reward and be
    left out of their group, while those that a closed gate pays 0 for would stay. What decides is the verdict on the
    gold answer, or on an empty one where there is none. Skipped tasks are counted.

    Raises:
        ConfigurationError: no task is left.
    """
    references = [environment.reference(task) or "" for task in reading.tasks]
    # As if a model had written them: some parts count tokens.
    probes = [Transcript.of(reference, tokens=len(reference)) for reference in references]
    verdicts = environment.judge(list(zip(reading.tasks, probes, strict=True)))
    tasks: list[Task] = []
    skipped: Counter[str] = Counter()
    for task, verdict in zip(reading.tasks, verdicts, strict=True):
        # What could not be judged this once says nothing of the task.
        part = composite.unmeasurable(verdict) if verdict.unjudged is None else None
        if part is None:
            tasks.append(task)
        else:
            skipped[f"reward part '{part}' cannot be measured"] += 1
    if not tasks:
        reasons = "; ".join(f"{count} x {reason}" for reason, count in skipped.most_common(3))
        raise ConfigurationError(
            f"no task can be rewarded: {reasons}; leave such parts out, or take tasks that have what they compare with"
        )
    return Reading(tasks=tasks, skipped=Counter(reading.skipped) + skipped)
