"""The contract between a kind of task and everything that makes or scores answers."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar, runtime_checkable

from envs.examination import Examination
from envs.grammar import Grammar
from envs.layout import Tags
from envs.task import Task
from envs.transcript import UNSAID, Message, Observation, Transcript
from envs.verdict import Verdict

TaskT = TypeVar("TaskT", bound=Task, contravariant=True)


class Environment(Protocol[TaskT]):
    """Turns a task into a prompt, answers the model's turns, judges the end.

    Model text is hostile: ``observe`` and ``judge`` never raise because of it, never write, never leave their time or
    memory limit. An episode that could not be judged gets a verdict with ``unjudged`` set, never a zero.
    """

    @property
    def name(self) -> str:
        """The name that configurations use."""
        ...

    @property
    def stops(self) -> tuple[str, ...]:
        """Closing tags at which the model's turn stops and ``observe`` is asked; empty where that never happens."""
        ...

    def prompt(self, task: TaskT) -> list[Message]:
        """The chat messages that open the episode."""
        ...

    def grammar(self, task: TaskT, transcript: Transcript = UNSAID) -> Grammar | None:
        """The language of the model's next turn after ``transcript``, such that its turns together are a well-formed
        answer to the task; None when the environment has none for it.

        Args:
            task: what is to be solved.
            transcript: what was said so far, the environment's answer to the last turn included; before the first turn
                it tells by ``begins_in_reasoning`` whether the prompt has opened the reasoning.
        """
        ...

    def reference(self, task: TaskT) -> str | None:
        """The gold answer as a model should write it; None when the task has no gold."""
        ...

    def observe(self, task: TaskT, transcript: Transcript) -> Observation | None:
        """What the environment answers to a transcript whose last turn stopped at one of ``stops``.

        None: there is nothing to run (a tag inside of the reasoning, for example), and the model goes on. The answer
        itself ends the episode (``envs.transcript.END``). Callable from several threads at once.
        """
        ...

    def judge(self, episodes: Sequence[tuple[TaskT, Transcript]]) -> list[Verdict]:
        """One verdict an episode, in order."""
        ...

    def examine(self, episodes: Sequence[tuple[TaskT, Transcript]]) -> list[Examination]:
        """What can be said of each answer, in order, without its task's gold; as safe as ``judge``."""
        ...


@runtime_checkable
class HasTokenBudget(Protocol):
    """An environment whose prompts keep to a number of tokens. It estimates them until it is told how to count."""

    def with_token_counter(self, count_tokens: Callable[[str], int]) -> Environment[Any]:
        """The same environment, which counts as the model's tokenizer does."""
        ...


@runtime_checkable
class HasObservationBudget(Protocol):
    """An environment whose observations keep to a number of tokens."""

    @property
    def longest_observation(self) -> int:
        """The most tokens that one observation has, its tags included."""
        ...


def tags_of_environment(environment: Environment[Any]) -> Tags:
    """What answers to an environment are laid out in; nothing for one that knows no tags."""
    tags = getattr(environment, "tags", None)
    return tags if isinstance(tags, Tags) else Tags()
