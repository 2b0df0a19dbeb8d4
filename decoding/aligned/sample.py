"""Draws answers from P_L(y) = p(y) 1[y in L] / p(L), by the method of a configuration."""

from collections.abc import Callable, Collection, Sequence
from typing import Any

from decoding.aligned.awrs import AwrsSampler, TextCheck
from decoding.aligned.config import AlignedAnswers, AlignedSampling
from decoding.aligned.importance import sample_masked, sample_resampled
from decoding.aligned.rejection import sample_by_rejection
from decoding.aligned.requests import require_temperature
from decoding.aligned.smc import sample_particles
from decoding.engine import Engine, Request
from envs.errors import ConfigurationError

Decode = Callable[[Sequence[int]], str]


def sample(
    engine: Engine,
    requests: Sequence[Request],
    config: AlignedSampling,
    *,
    max_batch_rows: int = 64,
    checks: Sequence[TextCheck | None] = (),
    decode: Decode | None = None,
    end_ids: Collection[int] = (),
) -> list[AlignedAnswers]:
    """``request.n`` answers to each request, independent of each other unless the method says otherwise.

    A request without a grammar (and, for ``awrs``, without a check) is sampled freely. An answer that the budget cuts
    is aligned with the texts that could still become one.

    Args:
        engine: any for ``gcd`` and ``sir``; else one whose sessions move token by token.
        requests: their seeds decide all that is drawn for them.
        config: the method and its limits.
        max_batch_rows: rows that are written at once; at most what the engine has room for.
        checks: for ``awrs``: of each request; None checks nothing.
        decode: for ``awrs``: ids to text, special tokens left out.
        end_ids: for ``awrs``: the tokens that end a text.

    Raises:
        ConfigurationError: a request is greedy, or engine and method do not go together.
    """
    require_temperature(requests)
    if config.method == "gcd":
        return sample_masked(engine, requests)
    if config.method == "sir":
        return sample_resampled(engine, requests, config)
    if config.method in ("asap", "cars"):
        return sample_by_rejection(engine, requests, config, max_batch_rows=max_batch_rows)
    samplers: list[Any] = [None] * len(requests)
    if config.method == "awrs":
        samplers = _checked(requests, checks, decode, end_ids, config)
    return sample_particles(engine, requests, config, samplers=samplers, max_batch_rows=max_batch_rows)


def _checked(
    requests: Sequence[Request],
    checks: Sequence[TextCheck | None],
    decode: Decode | None,
    end_ids: Collection[int],
    config: AlignedSampling,
) -> list[AwrsSampler | None]:
    if decode is None or not end_ids or len(checks) != len(requests):
        raise ConfigurationError(
            "alignment.method 'awrs' needs a check of the text for each request, and the tokenizer to read it with;"
            f" got {len(checks)} checks for {len(requests)} requests; for a grammar alone take 'smc'"
        )
    return [
        None if check is None else AwrsSampler(check, decode=decode, end_ids=end_ids, most_checks=config.checks)
        for check in checks
    ]
