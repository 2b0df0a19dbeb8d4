"""AWRS: its weights are proper, also inside of particle systems, and its check is asked sparingly."""

import itertools
import math
from dataclasses import replace
from statistics import mean
from typing import Any

import numpy as np
import pytest
from enumerable_model import END, PROMPT, EnumerableModel, Text, divergence, grammar

from decoding.aligned.awrs import properly_weighted
from decoding.aligned.config import AlignedAnswers, AlignedSampling
from decoding.aligned.sample import sample
from decoding.engine import Request
from envs.errors import ConfigurationError

MODEL = EnumerableModel(seed=3, spread=1.5)
TEXTS = {text for length in (1, 2, 3) for text in itertools.product((1, 2, 3), repeat=length)}
REQUEST = Request(prompt_ids=PROMPT, max_new_tokens=8, grammar=grammar(TEXTS), n=100, seed=5)


def passes(text: Text) -> bool:
    """Beginnings of texts whose sum is 4 or 5."""
    return sum(text) <= 5


def check(text: str, *, is_whole: bool) -> bool:
    tokens = tuple(map(int, text))
    return passes(tokens) and (not is_whole or sum(tokens) >= 4)


GOOD = {text for text in TEXTS if 4 <= sum(text) <= 5}


def decode(ids: Any) -> str:
    return "".join(str(token) for token in ids if token != END)


def run(request: Request = REQUEST, check: Any = check, **options: Any) -> AlignedAnswers:
    config = AlignedSampling(method="awrs", **options)
    return sample(MODEL.engine(), [request], config, checks=[check], decode=decode, end_ids=[END])[0]


@pytest.mark.parametrize("good", [{0}, {3}, {1, 2}, {0, 3, 4}, {0, 1, 2, 3, 4}], ids=str)
def test_the_weight_of_each_token_is_its_probability_on_average(good: set[int]) -> None:
    p = np.array([0.45, 0.3, 0.15, 0.07, 0.03])
    random = np.random.default_rng(0)
    weights = np.zeros(5)
    squares = np.zeros(5)
    draws = 6000
    for uniform in random.random(draws):
        token, log_weight = properly_weighted(np.log(p), good.__contains__, uniform, most_checks=10)
        assert token in good
        weights[token] += math.exp(log_weight)
        squares[token] += math.exp(2 * log_weight)
    expected = np.where([token in good for token in range(5)], p, 0)
    errors = np.sqrt(np.maximum(squares / draws - (weights / draws) ** 2, 0) / draws)
    assert np.all(np.abs(weights / draws - expected) <= 4 * errors + 1e-12)


def test_a_check_that_passes_all_is_asked_twice_and_weighs_nothing() -> None:
    asked: list[int] = []
    log_q = np.log(np.full(1000, 1e-3))

    def passes_all(token: int) -> bool:
        asked.append(token)
        return True

    assert properly_weighted(log_q, passes_all, 0.3, most_checks=10)[1] == pytest.approx(0.0)
    assert len(asked) == len(set(asked)) == 2


def test_tokens_without_probability_are_never_asked() -> None:
    log_q = np.array([-math.inf, 0.0, -math.inf])
    assert properly_weighted(log_q, lambda token: token == 1, 0.5, most_checks=10) == (1, pytest.approx(0.0))
    assert properly_weighted(log_q, lambda token: token == 2, 0.5, most_checks=10) == (1, -math.inf)


def test_answers_follow_the_model_given_grammar_and_check() -> None:
    answers = run(particles=30)
    drawn = [one.token_ids for one in answers.generations]
    assert all(text[:-1] in GOOD for text in drawn)
    assert divergence(drawn, MODEL.masses(GOOD)) < 0.06


def test_the_estimate_of_the_evidence_is_unbiased() -> None:
    estimates = [
        math.exp(run(replace(REQUEST, n=1, seed=seed), particles=5, ess_threshold=0.9).log_evidence or 0)
        for seed in range(200)
    ]
    expected = sum(MODEL.masses(GOOD).values())
    error = (mean(value**2 for value in estimates) - mean(estimates) ** 2) ** 0.5 / len(estimates) ** 0.5
    assert error < 0.15 * expected
    assert abs(mean(estimates) - expected) < 3 * error


def test_what_is_recorded_is_the_mask_alone() -> None:
    for one in run(replace(REQUEST, n=10)).generations:
        assert sum(one.logprobs) + sum(one.log_z or ()) == pytest.approx(MODEL.log_p(one.token_ids))


def test_where_nothing_passes_a_masked_sample_is_taken() -> None:
    answers = run(replace(REQUEST, n=4), check=lambda text, is_whole: False)
    assert answers.fallbacks == 4 and answers.log_evidence == -math.inf
    assert all(one.finish == "eos" and one.token_ids[:-1] in TEXTS for one in answers.generations)


def test_a_check_needs_no_grammar() -> None:
    good = {(1, 1, 2), (1, 3), (2, 2, 1)}

    def one_of(text: str, *, is_whole: bool) -> bool:
        tokens = tuple(map(int, text))
        return tokens in good if is_whole else any(one[: len(tokens)] == tokens for one in good)

    answers = run(replace(REQUEST, grammar=None), check=one_of, particles=20)
    assert divergence([one.token_ids for one in answers.generations], MODEL.masses(good)) < 0.05


def test_a_request_without_a_check_goes_by_its_grammar() -> None:
    assert all(one.token_ids[:-1] in TEXTS for one in run(replace(REQUEST, n=5), check=None).generations)


def test_checks_are_asked_for() -> None:
    with pytest.raises(ConfigurationError, match="needs a check"):
        sample(MODEL.engine(), [REQUEST], AlignedSampling(method="awrs"))
