"""Single-turn environment: a schema, perhaps a text, and one JSON value as the answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, get_args

from envs.errors import ConfigurationError
from envs.grammar import Grammar
from envs.json.judge import JsonVerdict, judge_answer
from envs.json.order import ordered_text
from envs.json.parsing import Limits
from envs.json.prompt import InstructionRole, SchemaStyle, messages
from envs.json.task import JsonTask
from envs.transcript import Message, Observation, Transcript
from envs.verdict import Verdict


@dataclass(frozen=True, kw_only=True)
class JsonEnvironment:
    """Answers are one JSON value, judged by its schema and, where there is one, against the gold.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    schema_style: SchemaStyle = "json"
    """How the prompt shows the schema: as ``json`` or ``compact``, a terse notation that costs far fewer tokens."""
    instruction_role: InstructionRole = "user"
    """Who gives the instruction: ``system`` replaces a chat template's own system message; not all have one."""
    should_check_formats: bool = True
    """``format`` (``date``, ``email`` ...) is an assertion and not a remark."""
    reasoning_end: str | None = None
    """The tag after which the answer begins, for models that reason first (``</think>``); None: all text counts."""
    max_characters: int = 65_536
    """A longer answer is the error ``too long``."""
    max_depth: int = 64
    """An answer whose arrays and objects nest deeper is the error ``too deep``; at most 200."""

    name = "json"
    stops: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if self.schema_style not in get_args(SchemaStyle):
            raise ConfigurationError(
                f"schema_style is '{self.schema_style}'; expected one of {', '.join(get_args(SchemaStyle))}"
            )
        if self.instruction_role not in get_args(InstructionRole):
            raise ConfigurationError(
                f"instruction_role is '{self.instruction_role}'; expected one of {', '.join(get_args(InstructionRole))}"
            )
        if self.max_characters < 1 or not 1 <= self.max_depth <= 200:
            raise ConfigurationError(
                f"max_characters is {self.max_characters} and max_depth {self.max_depth}; expected at least 1, and a"
                " depth of at most 200"
            )

    def prompt(self, task: JsonTask) -> list[Message]:
        """The instruction with the schema, the task's solved examples, and the text."""
        return messages(task, self.schema_style, self.instruction_role)

    def grammar(self, task: JsonTask) -> Grammar:
        """The schema itself. Engines may support less of it than the judge: validity is judged, not assumed."""
        return Grammar(kind="json_schema", source=task.schema)

    def reference(self, task: JsonTask) -> str | None:
        """The gold on one line, its keys in the schema's order, as constrained decoders write it."""
        return None if task.gold is None else ordered_text(task.gold, task.schema)

    def observe(self, task: JsonTask, transcript: Transcript) -> Observation | None:
        """None: the environment has one turn."""
        return None

    def judge(self, episodes: Sequence[tuple[JsonTask, Transcript]]) -> list[Verdict]:
        """One ``JsonVerdict`` an episode, in order."""
        limits = Limits(characters=self.max_characters, depth=self.max_depth)
        return [self._judge(task, transcript, limits) for task, transcript in episodes]

    def _judge(self, task: JsonTask, transcript: Transcript, limits: Limits) -> JsonVerdict:
        return judge_answer(
            task,
            transcript,
            limits=limits,
            should_check_formats=self.should_check_formats,
            reasoning_end=self.reasoning_end,
        )
