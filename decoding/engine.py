"""The contract of an engine: token ids in, token ids out.

Text is never re-encoded: what an engine returns is what is trained on. top-k and top-p are left out on purpose: they
sample from another distribution than the one whose gradient is taken.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from envs.grammar import Grammar

if TYPE_CHECKING:
    from decoding.session import Session
    from decoding.token_sampler import TokenSampler

FinishReason = Literal["eos", "stop", "length", "rejected"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """One prompt to continue ``n`` times."""

    prompt_ids: Sequence[int]
    max_new_tokens: int
    stops: tuple[str, ...] = ()
    """A generation ends with the token that completes one of these strings."""
    grammar: Grammar | None = None
    """Tokens that leave this language are masked; None leaves the model free."""
    written: int = 0
    """How many of the last prompt tokens belong to the turn, which goes on: it paused, or ended, and is continued by
    another request. Under a grammar they are the beginning of its sentence. 0: the turn begins after the prompt."""
    temperature: float = 1.0
    """Logits are divided by it; 0 takes the most probable token."""
    n: int = 1
    pauses: bool = False
    """At its budget the first turn only pauses: a structure is left open there, for who goes on with it
    (``Session.extend`` without tokens)."""
    sampler: "TokenSampler | None" = None
    """Draws the tokens in place of the masked distribution (aligned sampling); in-process engines alone know it."""
    seed: int | None = None
    """Makes the samples of this request independent of what else is in the batch, up to the rounding of the model's
    own arithmetic; None draws from torch's state on the CPU."""

    def __post_init__(self) -> None:
        if not self.prompt_ids:
            raise ValueError("a request needs at least one prompt token")
        if self.max_new_tokens < 1 or self.n < 1 or not self.temperature >= 0:
            raise ValueError(
                "a request needs max_new_tokens >= 1, n >= 1 and temperature >= 0, "
                f"got {self.max_new_tokens}, {self.n} and {self.temperature}"
            )
        if not 0 <= self.written <= len(self.prompt_ids):
            raise ValueError(f"{self.written} of {len(self.prompt_ids)} prompt tokens cannot belong to the turn")
        if "" in self.stops:
            raise ValueError("an empty stop string would end every generation at once")


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When the parts of a turn were there, in seconds since it was asked for."""

    grammar: float
    """Its grammar was compiled (or refused); 0 without one."""
    first_token: float
    """Its first token was known: the time to first token, TTFT."""
    last_token: float
    """Its last one was."""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One sampled continuation. Never empty."""

    token_ids: tuple[int, ...]
    """The end-of-text token included, when the model wrote it."""
    logprobs: tuple[float, ...]
    """log q(token | prefix) under the distribution sampled from: temperature and mask applied (temperature 1 for
    greedy decoding, whose own distribution is degenerate)."""
    log_z: tuple[float, ...] | None
    """log of the probability mass that the mask allowed, token by token; None where no grammar was applied, and from
    engines that do not tell."""
    finish: FinishReason
    grammar: Grammar | None = None
    """The grammar whose masks the text was sampled under: the request's, or a wider one that the engine put in its
    place (``grammar_lenient`` says why). None: it was sampled freely."""
    grammar_error: str | None = None
    """Why the request's grammar could not be applied; the text was then generated without it."""
    grammar_lenient: str | None = None
    """What of the request's grammar the masks did not hold the text to, and what happened instead; None: all was."""
    is_sentence: bool | None = None
    """The whole text was found to be a sentence of the request's grammar, where masks alone do not say so: they are
    lenient (``grammar_lenient``), or a key of an object may have been repeated. None: they do, or the turn ended within
    the grammar."""
    closed: int = 0
    """How many of the last tokens were written by no model: they end the structure that the budget cut off, in place of
    what the model had written there. Their log-probability is 0, and so is their log_z."""
    dropped_log_z: float = 0.0
    """The sum of log_z over the tokens whose place they have taken: part of the weight of what was drawn."""
    timing: Timing | None = field(default=None, compare=False)
    """None from engines that do not tell."""


class Engine(Protocol):
    """Makes tokens."""

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        """All generations, request after request: ``sum(request.n)`` of them."""
        ...

    def session(self) -> "Session":
        """A new session, without rows."""
        ...
