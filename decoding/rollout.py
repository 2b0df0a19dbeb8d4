"""The token-level record of one episode, and of all episodes of a task."""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields

from decoding.engine import FinishReason, Timing
from envs.grammar import Grammar
from envs.task import Task
from envs.transcript import Transcript
from envs.verdict import Verdict
from rewards.credit import Branch


@dataclass(frozen=True, kw_only=True)
class GrammarSpan:
    """A stretch of a completion that was sampled under the masks of one grammar, from the grammar's start."""

    start: int
    """The index of its first token in the completion."""
    end: int
    """One past its last token."""
    grammar: Grammar


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """One episode, as tokens for the trainer and as text for the reader."""

    prompt_ids: Sequence[int]
    completion_ids: Sequence[int]
    """What followed the prompt: the model's tokens and, in between, those of observations. Never empty."""
    logprobs: Sequence[float]
    """log q of each completion token under the distribution it was sampled from; 0 for observations."""
    env_mask: Sequence[int]
    """1 for a token of the model, 0 for one of an observation, or of a structure's end that the model did not write
    (never trained on)."""
    log_z: Sequence[float] | None
    """log of the mass that the grammar allowed, token by token, 0 where none was applied; None for a rollout without a
    grammar, and where the engine does not tell."""
    grammars: tuple[GrammarSpan, ...] = ()
    """The stretches that were sampled under a mask; empty: all of it was sampled freely. Replaying the matcher of each
    over its tokens gives the masks again."""
    finish: FinishReason
    transcript: Transcript
    verdict: Verdict
    branches: tuple[Branch, ...] = (Branch(node=0, start=0),)
    """The path to it in its group's tree, from the root; a rollout that shares nothing is one branch."""
    grammar_error: str | None = None
    """Why the task's grammar could not be applied, when it was asked for."""
    grammar_lenient: str | None = None
    """What of the grammar the masks did not hold the text to; None: they held it to all of it."""
    is_sentence: bool | None = None
    """Whether the text was found to be a sentence afterwards, where masks alone do not say so."""
    timing: Timing | None = field(default=None, compare=False)
    """Of the first turn; None from engines that do not tell."""


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
    """Of a search: states that were examined or rated. The judgement of an answer is none of them."""
    verifier_tokens: int = 0
    """Read by models that rated states."""
    expansions: int = 0
    """Of a search: children that were asked for."""
    judged: int = 0
    """Answers that were judged."""
    observations: int = 0
    """Turns that the environment answered."""
    generate_seconds: float = 0.0
    wait_seconds: float = 0.0
    """Of these, spent waiting for the environment with nothing to decode meanwhile, or before a fixed rejoin."""
    verify_seconds: float = 0.0
    """Of a search: spent on examining and rating states; no part of ``generate_seconds``."""
    judge_seconds: float = 0.0

    def __sub__(self, other: "Ledger") -> "Ledger":
        return Ledger(**{item.name: getattr(self, item.name) - getattr(other, item.name) for item in fields(self)})

    def __add__(self, other: "Ledger") -> "Ledger":
        return Ledger(**{item.name: getattr(self, item.name) + getattr(other, item.name) for item in fields(self)})
