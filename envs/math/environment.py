"""Single-turn environment: a question, free reasoning, and a boxed final answer."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from envs.errors import ConfigurationError
from envs.grammar import Grammar
from envs.math.judge import judge_answers
from envs.math.number import plain_number
from envs.math.prompt import messages
from envs.math.task import MathTask
from envs.transcript import Message, Observation, Transcript
from envs.verdict import Verdict

# Any text without a box, then one box that holds a number, then the end.
BOXED_NUMBER = r"""start: ANSWER
ANSWER: REASONING "\\boxed{" NUMBER "}"
REASONING: /(?s:.*)/ & ~/(?s:.*)\\boxed(?s:.*)/
NUMBER: /-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,12}|\/[1-9][0-9]{0,11})?/
"""


@dataclass(frozen=True, kw_only=True)
class MathEnvironment:
    """Answers are reasoning that ends in ``\\boxed{...}``, judged as mathematics against the gold.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    workers: int = min(2, os.cpu_count() or 1)
    """Processes that verify answers which are no plain numbers; they start when the first such answer comes."""
    deadline: float = 5.0
    """Seconds that one answer may take to verify; beyond it the answer is unjudged."""

    name = "math"
    stops: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.workers < 1 or not self.deadline > 0:
            raise ConfigurationError(
                f"workers is {self.workers} and deadline {self.deadline}; expected at least one worker and a deadline"
                " above 0 seconds"
            )

    def prompt(self, task: MathTask) -> list[Message]:
        """One user message with the instruction and the question."""
        return messages(task, is_number=plain_number(task.gold) is not None)

    def grammar(self, task: MathTask) -> Grammar | None:
        """Free text that ends in its only box, with a number in it; None when the gold is no plain number."""
        return None if plain_number(task.gold) is None else Grammar(kind="lark", source=BOXED_NUMBER)

    def reference(self, task: MathTask) -> str:
        """The gold in its box."""
        return f"\\boxed{{{task.gold}}}"

    def observe(self, task: MathTask, transcript: Transcript) -> Observation | None:
        """None: the environment has one turn."""
        return None

    def judge(self, episodes: Sequence[tuple[MathTask, Transcript]]) -> list[Verdict]:
        """One ``MathVerdict`` an episode, in order; those that need computer algebra run in parallel."""
        return list(judge_answers(episodes, workers=self.workers, deadline=self.deadline))
