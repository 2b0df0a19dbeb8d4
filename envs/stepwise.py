"""What environments share that answer a model's steps before its answer.

An episode is: turns of the model that each end with a step, what the environment answers to it, and a last turn that
ends with the answer (ReEx-SQL, Dai et al. 2025, arXiv 2505.12768, for SQL; ours for the others). What a step means is
each environment's own.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

from envs.errors import ConfigurationError
from envs.layout import Tags, completed_block
from envs.observation import Finding, Frame
from envs.token_counter import TokenCounter, estimated_tokens
from envs.transcript import END, Observation, Transcript

LEAST_TOKENS = 32
"""A smaller ``observation_tokens`` would hold no more than the remark that something was cut."""


@dataclass(frozen=True, kw_only=True)
class Stepwise:
    """The options of steps, and what is said between turns. Base class of environments."""

    tags: Tags = Tags()
    max_steps: int = 8
    """How many steps of an episode are answered; a further one ends it."""
    observation_tokens: int = 256
    """How long the answer to a step may be, its tags aside; it is cut to that, and says so."""
    count_tokens: TokenCounter = field(default_factory=lambda: estimated_tokens, init=False, compare=False)
    """Measures what is bounded in tokens; no option, but set by ``with_token_counter``."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The closing tags of a step and of the answer where steps are answered; else empty."""
        if not self.tags.answers_steps:
            return ()
        return (f"</{self.tags.step}>", f"</{self.tags.answer}>")

    @property
    def longest_observation(self) -> int:
        """The most tokens that one observation has, its tags included."""
        frame = Frame(tags=self.tags, budget=self.observation_tokens, count_tokens=self.count_tokens)
        return self.observation_tokens + self.count_tokens(frame.text(""))

    def with_token_counter(self, count_tokens: Callable[[str], int]) -> Self:
        """The same environment, whose budgets are counted in the tokens of a model."""
        counting = copy.copy(self)
        object.__setattr__(counting, "count_tokens", count_tokens)
        return counting

    def answered(self, transcript: Transcript, find: Callable[[str], Finding]) -> Observation | None:
        """What ``Environment.observe`` answers.

        Args:
            find: what comes of the text of a step; never raises because of it.
        """
        if not self.tags.answers_steps:
            return None
        block = completed_block(transcript, self.tags)
        if block is None:
            return None
        before = sum(segment.author == "environment" for segment in transcript.segments)
        if block.is_answer or before >= self.max_steps:
            return END
        finding = find(block.text)
        frame = Frame(tags=self.tags, budget=self.observation_tokens, count_tokens=self.count_tokens)
        text = frame.observation(finding, is_last=before + 1 == self.max_steps)
        return Observation(text=text, digest=finding.digest)

    def check_steps(self, name: str, *, must_answer: bool) -> None:
        """
        Args:
            name: of the environment.
            must_answer: it has no use for steps that are not answered.

        Raises:
            ConfigurationError: an option of steps has no meaning.
        """
        tags = self.tags
        if not _is_integer_from(1, self.max_steps):
            raise ConfigurationError(f"{name}: max_steps is {self.max_steps!r}; expected an integer from 1")
        if not _is_integer_from(LEAST_TOKENS, self.observation_tokens):
            raise ConfigurationError(
                f"{name}: observation_tokens is {self.observation_tokens!r}; expected an integer from {LEAST_TOKENS}"
            )
        if must_answer and tags.step is not None and tags.observation is None:
            raise ConfigurationError(
                f"{name}: tags.step is '{tags.step}', and nothing is said to answer it; add tags.observation (result)"
                " and tags.answer (answer), or leave tags.step out"
            )
        if tags.observation is not None and tags.answer is None:
            raise ConfigurationError(
                f"{name}: steps are answered in tags.observation '{tags.observation}', but nothing ends the episode;"
                " add tags.answer (answer), or leave tags.observation out"
            )


def _is_integer_from(least: int, value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least
