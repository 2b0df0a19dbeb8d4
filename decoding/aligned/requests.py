"""What all aligned samplers ask of requests, engines and seeds."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import cast

import torch

from decoding.engine import Generation, Request
from decoding.seeds import derived_seed
from decoding.session import Session, TokenSession
from envs.errors import ConfigurationError


@dataclass(frozen=True, kw_only=True)
class Seeds:
    """Seeds of one request by name, so that its draws do not depend on what is decoded beside it."""

    seed: int

    @classmethod
    def of(cls, request: Request) -> "Seeds":
        """From the request's own seed; one without takes a number of torch's state."""
        seed = int(torch.randint(2**62, ()).item()) if request.seed is None else request.seed
        return cls(seed=seed)

    def named(self, name: str) -> int:
        """The seed of a name."""
        return derived_seed(self.seed, f"aligned {name}")

    def random(self, name: str) -> Random:
        """A random stream of its own for a name."""
        return Random(self.named(name))


def require_temperature(requests: Sequence[Request]) -> None:
    """Checks that there is a distribution to be aligned with.

    Raises:
        ConfigurationError: a request is greedy.
    """
    if any(request.temperature == 0 for request in requests):
        raise ConfigurationError(
            "aligned sampling needs a temperature above 0: the most probable token has no distribution to keep to; set"
            " a temperature, or decode with masks alone"
        )


def token_session(session: Session, method: str) -> TokenSession:
    """The session as one that moves token by token.

    Raises:
        ConfigurationError: it is none.
    """
    if not callable(getattr(session, "log_weight", None)):
        raise ConfigurationError(
            f"alignment.method '{method}' needs an engine of this process that decodes token by token, but its sessions"
            f" ({type(session).__name__}) only know whole turns; take alignment.method 'sir'"
        )
    return cast(TokenSession, session)


def one_row(request: Request, *, seed: int) -> Request:
    """The request, for one masked sample."""
    return replace(request, n=1, seed=seed, sampler=None)


def log_weight_of(generation: Generation) -> float:
    """log of prod_t Z_t of a masked sample; 0 where it was not masked, -inf where its grammar failed on the way or it
    was rejected.

    Raises:
        ConfigurationError: the engine does not tell log Z.
    """
    if generation.finish == "rejected":
        return float("-inf")
    if generation.grammar is None:
        return 0.0
    if generation.log_z is None:
        raise ConfigurationError(
            "aligned sampling needs the mass that a mask allows (log Z), which this engine does not tell; take an"
            " engine of this process, or leave aligned out"
        )
    if generation.grammar_error is not None:
        return float("-inf")
    return sum(generation.log_z) + generation.dropped_log_z
