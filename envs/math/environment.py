"""A question, free reasoning, and a boxed final answer; expressions are computed on request."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

from envs.errors import ConfigurationError
from envs.grammar import Grammar
from envs.layout import Tags, lay_out
from envs.math.judge import judge_answers
from envs.math.number import plain_number
from envs.math.observation import find
from envs.math.prompt import messages
from envs.math.task import MathTask
from envs.options import tags_of
from envs.stepwise import Stepwise
from envs.transcript import Message, Observation, Transcript
from envs.verdict import Verdict

# Any text without a box (and without the answer's tag), then one box that holds a number, then the end.
BOXED_NUMBER = r"""start: ANSWER
ANSWER: REASONING "%OPENING%\\boxed{" NUMBER "}%CLOSING%"
REASONING: /(?s:.*)/ & ~/(?s:.*)(%FORBIDDEN%)(?s:.*)/
NUMBER: /-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,12}|\/[1-9][0-9]{0,11})?/
"""

DEFAULT_TAGS = Tags(reasoning="think")


@dataclass(frozen=True, kw_only=True)
class MathEnvironment(Stepwise):
    """Answers are reasoning that ends in ``\\boxed{...}``, judged as mathematics against the gold. Steps are
    expressions, answered with their values.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    workers: int = min(2, os.cpu_count() or 1)
    """Processes that verify answers which are no plain numbers; they start when the first such answer comes."""
    deadline: float = 5.0
    """Seconds that one answer may take to verify; beyond it the answer is unjudged. Also what computing one step may
    take."""
    canonical_number: bool = True
    """A gold that is a plain number wants a plain number; false: any expression of its value, ``2+3`` for 5."""
    tags: Tags = DEFAULT_TAGS
    """How answers are laid out; a configuration gives it as a mapping of the fields of ``Tags``. With ``answer`` the
    tag's whole content is the answer when it has no box."""

    name = "math"

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", tags_of("math", self.tags, DEFAULT_TAGS))
        self.check_steps("math", must_answer=True)
        if self.workers < 1 or not self.deadline > 0:
            raise ConfigurationError(
                f"workers is {self.workers} and deadline {self.deadline}; expected at least one worker and a deadline"
                " above 0 seconds"
            )

    def prompt(self, task: MathTask) -> list[Message]:
        """One user message with the instruction and the question."""
        is_number = plain_number(task.gold) is not None
        return messages(task, is_number=is_number, tags=self.tags, max_steps=self.max_steps)

    def grammar(self, task: MathTask) -> Grammar | None:
        """Free text that ends in its only box, with a number in it; None when the gold is no plain number, and where
        reasoning, a plan or steps in tags are asked for."""
        tags, tag = self.tags, self.tags.answer
        is_answer_alone = not tags.must_reason and tags.plan is None and tags.step is None
        if plain_number(task.gold) is None or not is_answer_alone:
            return None
        opening, closing = ("", "") if tag is None else (f"<{tag}>", f"</{tag}>")
        forbidden = r"\\boxed" if tag is None else rf"\\boxed|<\/?{tag}>"
        source = BOXED_NUMBER.replace("%OPENING%", opening).replace("%CLOSING%", closing)
        return Grammar(kind="lark", source=source.replace("%FORBIDDEN%", forbidden))

    def reference(self, task: MathTask) -> str:
        """The gold in its box, laid out in the tags."""
        return lay_out(
            f"\\boxed{{{task.gold}}}", self.tags, reasoning="The question says it.", plan="1. Give the answer."
        )

    def observe(self, task: MathTask, transcript: Transcript) -> Observation | None:
        """The value of the expression in a step that is answered, or why it has none. Callable from any thread."""
        return self.answered(transcript, lambda step: find(step, workers=self.workers, deadline=self.deadline))

    def judge(self, episodes: Sequence[tuple[MathTask, Transcript]]) -> list[Verdict]:
        """One ``MathVerdict`` an episode, in order; those that need computer algebra run in parallel."""
        return list(
            judge_answers(
                episodes,
                tags=self.tags,
                workers=self.workers,
                deadline=self.deadline,
                canonical_number=self.canonical_number,
            )
        )
