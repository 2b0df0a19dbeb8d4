"""Single-turn environment: a question, free reasoning, and a boxed final answer."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from envs.errors import ConfigurationError
from envs.grammar import Grammar
from envs.layout import Tags, lay_out
from envs.math.judge import judge_answers
from envs.math.number import plain_number
from envs.math.prompt import messages
from envs.math.task import MathTask
from envs.options import tags_of
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
class MathEnvironment:
    """Answers are reasoning that ends in ``\\boxed{...}``, judged as mathematics against the gold.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    workers: int = min(2, os.cpu_count() or 1)
    """Processes that verify answers which are no plain numbers; they start when the first such answer comes."""
    deadline: float = 5.0
    """Seconds that one answer may take to verify; beyond it the answer is unjudged."""
    canonical_number: bool = True
    """A gold that is a plain number wants a plain number; false: any expression of its value, ``2+3`` for 5."""
    tags: Tags = DEFAULT_TAGS
    """How answers are laid out; a configuration gives it as a mapping of the fields of ``Tags``. With ``answer`` the
    tag's whole content is the answer when it has no box."""

    name = "math"
    stops: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", tags_of("math", self.tags, DEFAULT_TAGS))
        if self.tags.step is not None:
            raise ConfigurationError(
                f"math: tags.step is '{self.tags.step}'; expected null, since nothing is run before the answer"
            )
        if self.workers < 1 or not self.deadline > 0:
            raise ConfigurationError(
                f"workers is {self.workers} and deadline {self.deadline}; expected at least one worker and a deadline"
                " above 0 seconds"
            )

    def prompt(self, task: MathTask) -> list[Message]:
        """One user message with the instruction and the question."""
        return messages(task, is_number=plain_number(task.gold) is not None, tags=self.tags)

    def grammar(self, task: MathTask) -> Grammar | None:
        """Free text that ends in its only box, with a number in it; None when the gold is no plain number, and where
        reasoning or a plan in tags is asked for."""
        if plain_number(task.gold) is None or self.tags.must_reason or self.tags.plan is not None:
            return None
        tag = self.tags.answer
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
        """None: the environment has one turn."""
        return None

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
