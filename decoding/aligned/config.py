"""What an aligned decode is asked for, and what it tells of itself."""

from dataclasses import dataclass
from typing import Literal, get_args

from decoding.engine import Generation
from envs.errors import ConfigurationError, nearest

Method = Literal["gcd", "asap", "cars", "sir", "smc", "awrs"]


@dataclass(frozen=True, kw_only=True)
class AlignedSampling:
    """How answers are drawn from P_L(y) = p(y) 1[y in L] / p(L), the model's distribution given the grammar.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    method: Method = "smc"
    """``gcd``: masks alone, not aligned (what the others are measured against). ``sir``: one of ``particles`` masked
    samples, by weight; works with every engine that tells log Z. ``smc``: the same with resampling on the way.
    ``cars``: exact, by rejection that learns. ``asap``: exact in the limit. ``awrs``: ``smc`` under a slow check of the
    text."""
    particles: int = 10
    """Texts that are drawn for each answer by ``sir``, ``smc`` and ``awrs``."""
    ess_threshold: float = 0.5
    """Particles are resampled once their effective sample size is below this share of their number; 0: never."""
    tries: int = 100
    """Texts that ``cars`` begins for an answer before it takes a masked sample instead."""
    checks: int = 256
    """Tokens that ``awrs`` checks at one place before it gives the text up. A limit on cost: texts that would have
    needed more are missing from the target."""
    max_nodes: int = 100_000
    """Prefixes that ``asap`` and ``cars`` remember for each prompt."""

    def __post_init__(self) -> None:
        methods = get_args(Method)
        if self.method not in methods:
            raise ConfigurationError(
                f"alignment.method '{self.method}' is unknown{nearest(str(self.method), methods)}; known: "
                + ", ".join(methods)
            )
        for name in ("particles", "tries", "checks", "max_nodes"):
            value = getattr(self, name)
            if not isinstance(value, int) or value < 1:
                raise ConfigurationError(f"alignment.{name} is {value!r}; expected an integer from 1")
        if not 0 <= self.ess_threshold <= 1:
            raise ConfigurationError(
                f"alignment.ess_threshold is {self.ess_threshold!r}; expected a number from 0 to 1"
            )


@dataclass(frozen=True, kw_only=True)
class AlignedAnswers:
    """The answers to one request, and how they were found."""

    generations: tuple[Generation, ...]
    """As many as the request asks for. Log-probabilities and log Z are those of masks alone, whatever the method."""
    tries: int
    """Texts that were begun."""
    fallbacks: int
    """Answers that are masked samples, because the method found none."""
    model_calls: int
    """Next-token distributions that were asked for: tokens that were drawn, those of given up texts included."""
    log_evidence: float | None
    """log of an estimate of p(L), the probability that the model alone answers within the grammar. Its exponential is
    unbiased for gcd, sir, smc and awrs, consistent for cars, an upper bound for asap. None: the engine does not tell
    log Z."""
    effective_sample_size: float | None
    """The mean over answers of (sum w)^2 / sum w^2 of the last weights; None where texts have no weights."""
