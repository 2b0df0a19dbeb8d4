"""A question, free reasoning, and a boxed final answer; expressions are computed on request."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace

from envs.errors import ConfigurationError
from envs.examination import Examination
from envs.grammar import Block, Grammar, Region
from envs.layout import Tags, lay_out
from envs.math.examination import examine_answers
from envs.math.judge import judge_answers
from envs.math.number import plain_number
from envs.math.observation import find
from envs.math.prompt import messages
from envs.math.task import MathTask
from envs.options import tags_of
from envs.stepwise import Stepwise
from envs.transcript import UNSAID, Message, Observation, Transcript
from envs.turn_grammar import turn_grammar
from envs.verdict import Verdict

NUMBER = r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,12}|/[1-9][0-9]{0,11})?"
"""A number as it may stand in the box of an answer that is written under the grammar."""

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

    def grammar(self, task: MathTask, transcript: Transcript = UNSAID) -> Grammar | None:
        """Free text that ends in its only box, with a number in it, laid out in the tags; None when the gold is no
        plain number. Where the answer has a tag and reasoning has none, the text before it is free."""
        if plain_number(task.gold) is None:
            return None
        tags = self.tags
        if tags.answer is None or tags.must_reason or tags.plan is not None or tags.step is not None:
            return turn_grammar(tags, transcript, answer=_boxed_number(tags), max_steps=self.max_steps)
        loose = _boxed_number(tags, opening=f"<{tags.answer}>", closing=f"</{tags.answer}>")
        return turn_grammar(replace(tags, answer=None), transcript, answer=loose)

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

    def examine(self, episodes: Sequence[tuple[MathTask, Transcript]]) -> list[Examination]:
        """Whether each answer can be read, and which mean the same (``envs.math.examination``), in order."""
        return examine_answers(
            episodes,
            tags=self.tags,
            workers=self.workers,
            deadline=self.deadline,
            canonical_number=self.canonical_number,
        )


def _boxed_number(tags: Tags, *, opening: str = "", closing: str = "") -> Grammar:
    """Any text without a box or a tag, then one box that holds a number, in the answer's tag where it is given."""
    without = (r"\boxed", *(text for name in tags.names() for text in (f"<{name}>", f"</{name}>")))
    before = Block(content=None, closing=opening + r"\boxed{", without=without)
    number = Block(content=Grammar(kind="regex", source=NUMBER), closing="}" + closing)
    regions = (Region(blocks=(before,)), Region(blocks=(number,)))
    return Grammar(kind="tagged", regions=regions, separator="")
