"""Masked samples of any engine: as they are (GCD), or resampled by weight (SIR).

A masked sample has probability q(y) = p(y) / prod_t Z_t, so its weight for P_L is prod_t Z_t.
"""

from collections.abc import Sequence
from dataclasses import replace

from decoding.aligned.config import AlignedAnswers, AlignedSampling
from decoding.aligned.requests import Seeds, log_weight_of
from decoding.aligned.weights import choose, effective_sample_size, log_mean
from decoding.engine import Engine, Generation, Request
from envs.errors import ConfigurationError


def sample_masked(engine: Engine, requests: Sequence[Request]) -> list[AlignedAnswers]:
    """Plain masking (GCD). It is not aligned."""
    return [
        AlignedAnswers(
            generations=tuple(texts),
            tries=len(texts),
            fallbacks=0,
            model_calls=_tokens(texts),
            log_evidence=_log_evidence(texts),
            effective_sample_size=None,
        )
        for texts in _generate(engine, requests)
    ]


def sample_resampled(engine: Engine, requests: Sequence[Request], config: AlignedSampling) -> list[AlignedAnswers]:
    """Sampling importance resampling (Rubin 1987): for each answer one of K masked samples, by weight.

    All K of all answers to all requests are one batch. One particle is GCD.

    Raises:
        ConfigurationError: the engine does not tell log Z.
    """
    count = config.particles
    batch = [replace(request, n=request.n * count) for request in requests]
    answers = []
    for request, texts in zip(requests, _generate(engine, batch), strict=True):
        random = Seeds.of(request).random("choice")
        log_weights = [log_weight_of(text) for text in texts]
        groups = [slice(start, start + count) for start in range(0, len(texts), count)]
        sizes = [effective_sample_size(log_weights[group]) for group in groups]
        answers.append(
            AlignedAnswers(
                generations=tuple(texts[group][choose(log_weights[group], random)] for group in groups),
                tries=len(texts),
                fallbacks=0,
                model_calls=_tokens(texts),
                log_evidence=log_mean(log_weights),
                effective_sample_size=sum(sizes) / len(sizes),
            )
        )
    return answers


def _generate(engine: Engine, requests: Sequence[Request]) -> list[list[Generation]]:
    texts = iter(engine.generate(requests))
    return [[next(texts) for _ in range(request.n)] for request in requests]


def _log_evidence(texts: Sequence[Generation]) -> float | None:
    try:
        return log_mean([log_weight_of(text) for text in texts])
    except ConfigurationError:  # masks alone need no log Z
        return None


def _tokens(texts: Sequence[Generation]) -> int:
    return sum(len(text.token_ids) - text.closed for text in texts)
