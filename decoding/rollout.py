"""The token-level record of one episode, and of all episodes of a task."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from decoding.engine import FinishReason
from envs.task import Task
from envs.transcript import Transcript
from envs.verdict import Verdict
from rewards.credit import Branch


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One episode, as tokens for the trainer and as text for the reader."""

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]
    """What followed the prompt: the model's tokens and, in between, those of observations. Never empty."""
    logprobs: Sequence[float]
    """log q of each completion token under the distribution it was sampled from; 0 for observations."""
    env_mask: Sequence[int]
    """1 for a token of the model, 0 for one of an observation (never trained on)."""
    log_z: Sequence[float] | None
    """log of the mass that the grammar allowed, token by token; None for a rollout without a grammar."""
    finish: FinishReason
    transcript: Transcript
    verdict: Verdict
    branches: tuple[Branch, ...] = (Branch(node=0, start=0),)
    """The path to it in its group's tree, from the root; a rollout that shares nothing is one branch."""
    grammar_error: str | None = None
    """Why the task's grammar could not be applied, when it was asked for."""


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rollouts of one task."""

    task: Task
    rollouts: tuple[Rollout, ...]


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What a decode cost."""

    generated_tokens: int = 0
    prefilled_tokens: int = 0
    verifier_calls: int = 0
    observations: int = 0
    """Turns that the environment answered."""
    generate_seconds: float = 0.0
    wait_seconds: float = 0.0
    """Of these, spent waiting for the environment with nothing to decode meanwhile, or before a fixed rejoin."""
    judge_seconds: float = 0.0

    def __add__(self, other: "Ledger") -> "Ledger":
        return Ledger(**{item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)})
