"""A schema, perhaps a text, and one value as the answer, in JSON, XML or YAML; drafts of it are checked on request."""

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from envs.errors import ConfigurationError
from envs.examination import Examination
from envs.grammar import Grammar
from envs.json.answer_format import AnswerFormat, written
from envs.json.calls import calls_value
from envs.json.examination import examine_answers
from envs.json.judge import JudgeSettings, judge_answers
from envs.json.observation import find
from envs.json.parsing import Limits
from envs.json.prompt import InstructionRole, SchemaStyle, messages
from envs.json.task import JsonTask, MathGold
from envs.json.xml_elements import ENTRY, ITEM, ROOT
from envs.json.yaml_answers import require_libyaml
from envs.layout import Tags, lay_out
from envs.options import tags_of
from envs.stepwise import Stepwise
from envs.transcript import UNSAID, Message, Observation, Transcript
from envs.turn_grammar import turn_grammar
from envs.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class JsonEnvironment(Stepwise):
    """Answers are one value, judged by its schema and, where there is one, against the gold. Steps are drafts of it,
    answered with the first error of the schema.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    answer_format: AnswerFormat = "json"
    """In which notation answers are written: ``json``, ``xml`` or ``yaml``; the schema is the same."""
    schema_style: SchemaStyle = "json"
    """How the prompt shows the schema: as ``json`` or ``compact``, a terse notation that costs far fewer tokens."""
    instruction_role: InstructionRole = "user"
    """Who gives the instruction: ``system`` replaces a chat template's own system message; not all have one."""
    tags: Tags = Tags()
    """Which tags an answer has, as a mapping of the fields of ``Tags`` in a configuration; by default none: the answer
    is all of the text. For models that reason first: ``{reasoning: think}``."""
    should_check_formats: bool = True
    """``format`` (``date``, ``email`` ...) is an assertion and not a remark."""
    max_characters: int = 65_536
    """A longer answer is the error ``too long``."""
    max_depth: int = 64
    """An answer whose arrays and objects nest deeper is the error ``too deep``; at most 200."""
    math_workers: int = min(2, os.cpu_count() or 1)
    """Processes that verify mathematics in answers (``MathGold``); they start when the first of them is needed."""
    math_deadline: float = 5.0
    """Seconds that the mathematics of one answer may take to verify; beyond it the answer is unjudged."""

    name = "json"

    def __post_init__(self) -> None:
        object.__setattr__(self, "tags", tags_of("json", self.tags, Tags()))
        choices: tuple[tuple[str, Any], ...] = (
            ("answer_format", AnswerFormat),
            ("schema_style", SchemaStyle),
            ("instruction_role", InstructionRole),
        )
        for option, literal in choices:
            if (given := getattr(self, option)) not in get_args(literal):
                raise ConfigurationError(f"{option} is '{given}'; expected one of {', '.join(get_args(literal))}")
        if self.answer_format == "yaml":
            require_libyaml()
        if self.answer_format == "xml" and (taken := {ROOT, ITEM, ENTRY}.intersection(self.tags.names())):
            raise ConfigurationError(
                f"json: the tag '{min(taken)}' is a name of the XML that answers are written in; choose another"
            )
        self.check_steps("json", must_answer=True)
        if self.max_characters < 1 or not 1 <= self.max_depth <= 200:
            raise ConfigurationError(
                f"max_characters is {self.max_characters} and max_depth {self.max_depth}; expected at least 1, and a"
                " depth of at most 200"
            )
        if self.math_workers < 1 or not self.math_deadline > 0:
            raise ConfigurationError(
                f"math_workers is {self.math_workers} and math_deadline {self.math_deadline}; expected at least one"
                " worker and a deadline above 0 seconds"
            )

    def prompt(self, task: JsonTask) -> list[Message]:
        """The instruction with the schema, the task's solved examples, and the text."""
        return messages(
            task,
            self.schema_style,
            self.instruction_role,
            self.answer_format,
            self.tags,
            max_steps=self.max_steps,
        )

    def grammar(self, task: JsonTask, transcript: Transcript = UNSAID) -> Grammar | None:
        """The schema, laid out in the tags, whose drafts are any text; None for XML and YAML.

        Engines may support less of a schema than the judge: validity is judged, not assumed.
        """
        if self.answer_format != "json":
            return None
        schema = Grammar(kind="json_schema", source=task.schema)
        return turn_grammar(self.tags, transcript, answer=schema, max_steps=self.max_steps)

    def reference(self, task: JsonTask) -> str | None:
        """The gold as a model should write it: on one line in JSON, its keys in the schema's order; in the tags.

        Blank where the task is defective, so that whoever judges the reference learns it.
        """
        try:
            gold = _gold_text(task)
            if gold is None:
                return None
            answer = written(gold, task.schema, self.answer_format)
            return lay_out(answer, self.tags, reasoning="The schema says what to write.", plan="1. Write the value.")
        except (ValueError, RecursionError):
            return ""

    def observe(self, task: JsonTask, transcript: Transcript) -> Observation | None:
        """Whether the draft in a step that is answered obeys the schema, or why not. Callable from any thread."""
        return self.answered(transcript, lambda step: find(step, task, self._judge_settings()))

    def judge(self, episodes: Sequence[tuple[JsonTask, Transcript]]) -> list[Verdict]:
        """One ``JsonVerdict`` an episode, in order; mathematics is verified for all of them at once."""
        return list(judge_answers(episodes, self._judge_settings()))

    def examine(self, episodes: Sequence[tuple[JsonTask, Transcript]]) -> list[Examination]:
        """Whether each answer obeys the schema, and which are equal (``envs.json.examination``), in order."""
        return examine_answers(episodes, self._judge_settings())

    def _judge_settings(self) -> JudgeSettings:
        return JudgeSettings(
            limits=Limits(characters=self.max_characters, depth=self.max_depth),
            should_check_formats=self.should_check_formats,
            tags=self.tags,
            answer_format=self.answer_format,
            math_workers=self.math_workers,
            math_deadline=self.math_deadline,
        )


def _gold_text(task: JsonTask) -> str | None:
    """A right value as JSON text; None where nobody knows one."""
    if task.gold is None or isinstance(task.gold, str):
        return task.gold
    if isinstance(task.gold, MathGold):
        return task.gold.reference
    return json.dumps(calls_value(task.gold), ensure_ascii=False)
