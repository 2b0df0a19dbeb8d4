"""Aligned samplers: their answers follow p given the language, and what they tell of themselves is right."""

import json
import math
from dataclasses import replace
from statistics import mean
from typing import Any

import pytest
from enumerable_model import (
    END,
    PROMPT,
    EnumerableModel,
    Text,
    chi_square_p,
    divergence,
    grammar,
)

from decoding.aligned.config import AlignedAnswers, AlignedSampling
from decoding.aligned.requests import log_weight_of
from decoding.aligned.sample import sample
from decoding.engine import Generation, Request
from decoding.replay_session import ReplaySession
from envs.errors import ConfigurationError

TEXTS = {
    (1, 2), (1, 3, 2), (1, 3, 4, 4), (2,), (2, 5), (3, 1, 1), (3, 1, 2), (3, 2), (4, 4, 4, 4), (4, 5),
}  # fmt: skip
OTHER_TEXTS = {(1, 1, 1), (1, 2), (3,), (4, 4, 4)}
# p(L) is 0.012, and masks alone are at a KL of 1.29 from the target.
MODEL = EnumerableModel(seed=62, spread=1.2)
REQUEST = Request(prompt_ids=PROMPT, max_new_tokens=8, grammar=grammar(TEXTS), n=300, seed=5)
METHODS = ["gcd", "asap", "cars", "sir", "smc"]


def run(method: Any, request: Request = REQUEST, *, rows: int = 64, jumps: bool = False, **options: Any) -> Any:
    config = AlignedSampling(method=method, **options)
    return sample(MODEL.engine(jumps=jumps), [request], config, max_batch_rows=rows)[0]


def texts(answers: AlignedAnswers) -> list[Text]:
    return [generation.token_ids for generation in answers.generations]


def test_masks_alone_are_far_from_the_target() -> None:
    drawn = texts(run("gcd"))
    assert chi_square_p(drawn, MODEL.masked_probability(TEXTS)) > 0.01
    assert divergence(drawn, MODEL.masses(TEXTS)) > 1


def test_accepted_texts_of_cars_follow_the_target_from_the_first_on() -> None:
    # Each request has a trie of its own, so these are 300 first answers and 300 second ones.
    requests = [replace(REQUEST, n=2, seed=seed) for seed in range(200)]
    answers = sample(MODEL.engine(), requests, AlignedSampling(method="cars", tries=10_000), max_batch_rows=1)
    assert not any(answer.fallbacks for answer in answers)
    for place in range(2):
        assert chi_square_p([texts(answer)[place] for answer in answers], MODEL.masses(TEXTS)) > 0.01


@pytest.mark.parametrize("rows", [1, 40])
def test_texts_that_are_tried_beside_each_other_stay_exact(rows: int) -> None:
    answers = run("cars", replace(REQUEST, n=1500), rows=rows, tries=10_000)
    assert answers.fallbacks == 0
    assert chi_square_p(texts(answers), MODEL.masses(TEXTS)) > 0.01


def test_asap_comes_near_the_target_once_it_has_learned() -> None:
    drawn = texts(run("asap", replace(REQUEST, n=800), rows=1))
    assert chi_square_p(drawn[100:], MODEL.masses(TEXTS)) > 0.01


@pytest.mark.parametrize(("method", "jumps"), [("sir", False), ("smc", False), ("smc", True)])
def test_particles_come_near_the_target(method: str, jumps: bool) -> None:
    masses = MODEL.masses(TEXTS)
    few, many = (divergence(texts(run(method, jumps=jumps, particles=count)), masses) for count in (10, 40))
    assert few < 0.15 and many < 0.06


@pytest.mark.parametrize("jumps", [False, True])
@pytest.mark.parametrize("method", ["gcd", "sir", "smc"])
def test_the_estimate_of_the_evidence_is_unbiased(method: str, jumps: bool) -> None:
    requests = [replace(REQUEST, n=1, seed=seed) for seed in range(400)]
    config = AlignedSampling(method=method, particles=5, ess_threshold=0.9)  # type: ignore[arg-type]
    answers = sample(MODEL.engine(jumps=jumps), requests, config, max_batch_rows=60)
    estimates = [math.exp(answer.log_evidence or 0) for answer in answers]
    expected = sum(MODEL.masses(TEXTS).values())
    error = (mean(value**2 for value in estimates) - mean(estimates) ** 2) ** 0.5 / len(estimates) ** 0.5
    assert error < 0.15 * expected
    assert abs(mean(estimates) - expected) < 3 * error


def test_the_evidence_of_cars_is_right() -> None:
    answers = run("cars", replace(REQUEST, n=1000), tries=10_000)
    assert math.exp(answers.log_evidence) == pytest.approx(sum(MODEL.masses(TEXTS).values()), rel=0.1)


@pytest.mark.parametrize("method", ["sir", "smc"])
def test_one_particle_is_a_masked_sample(method: str) -> None:
    drawn = texts(run(method, replace(REQUEST, n=1000), particles=1))
    assert chi_square_p(drawn, MODEL.masked_probability(TEXTS)) > 0.01


@pytest.mark.parametrize("method", METHODS)
def test_answers_are_whole_texts_with_the_record_of_a_mask(method: str) -> None:
    answers = run(method, replace(REQUEST, n=30), tries=10_000)
    masked = MODEL.masked_probability(TEXTS)
    assert len(answers.generations) == 30
    for one in answers.generations:
        assert one.finish == "eos" and one.token_ids[-1] == END and one.token_ids[:-1] in TEXTS
        assert sum(one.logprobs) == pytest.approx(math.log(masked[one.token_ids]))
        assert sum(one.logprobs) + sum(one.log_z or ()) == pytest.approx(MODEL.log_p(one.token_ids))


@pytest.mark.parametrize("method", METHODS)
def test_temperature_is_applied(method: str) -> None:
    answers = run(method, replace(REQUEST, temperature=2.0, n=400), rows=32, tries=10_000, particles=30)
    drawn = texts(answers)[100:]  # where ASAp has learned
    warm, cold = (divergence(drawn, MODEL.masses(TEXTS, temperature=t)) for t in (2.0, 1.0))
    assert warm < cold and (warm < 0.06) == (method != "gcd")


@pytest.mark.parametrize("method", METHODS)
def test_a_seed_decides_all_whatever_else_is_decoded(method: str) -> None:
    request = replace(REQUEST, n=8)
    other = replace(request, prompt_ids=(2,), grammar=grammar(OTHER_TEXTS), seed=9)
    config = AlignedSampling(method=method, tries=10_000)  # type: ignore[arg-type]
    # CARS learns across the answers that are not written at once: so how many are matters, and nothing else.
    alone = sample(MODEL.engine(), [request], config)[0]
    assert alone == sample(MODEL.engine(), [request], config)[0]
    assert alone == sample(MODEL.engine(), [request, other], config)[0]
    assert alone.generations != sample(MODEL.engine(), [replace(request, seed=6)], config)[0].generations


@pytest.mark.parametrize("method", ["asap", "cars"])
def test_nothing_that_was_learned_of_a_prompt_reaches_another(method: str) -> None:
    config = AlignedSampling(method=method, tries=10_000)  # type: ignore[arg-type]
    first = replace(REQUEST, n=50)
    second = replace(REQUEST, n=50, prompt_ids=(2,), seed=11)
    together = sample(MODEL.engine(), [first, second], config, max_batch_rows=1)
    assert together[1] == sample(MODEL.engine(), [second], config, max_batch_rows=1)[0]
    # Nor a later call with the same prompt.
    assert together[0] == sample(MODEL.engine(), [first], config, max_batch_rows=1)[0]


def test_spent_tries_end_in_a_masked_sample_and_are_counted() -> None:
    answers = run("cars", replace(REQUEST, n=40), rows=8, tries=2)
    assert 0 < answers.fallbacks < 40
    assert 40 < answers.tries <= 40 * 3
    assert all(one.token_ids[:-1] in TEXTS for one in answers.generations)


def test_ended_particles_keep_their_weight() -> None:
    # Particles of the short text end at once, and are resampled with those that go on for three tokens more.
    language = {(2,), (3, 1, 1), (4, 4, 4, 4)}
    masses = MODEL.masses(language)
    assert masses[(2, END)] > 0.05 * sum(masses.values())
    answers = run("smc", replace(REQUEST, grammar=grammar(language), n=400), particles=40, ess_threshold=0.9)
    assert divergence(texts(answers), masses) < 0.03


def test_a_text_that_the_budget_cuts_is_weighed_as_it_stands() -> None:
    answers = run("smc", replace(REQUEST, max_new_tokens=2, n=400), particles=40)
    prefixes: dict[Text, float] = {}
    for text in TEXTS:
        cut = (*text, END)[:2]
        prefixes[cut] = math.exp(MODEL.log_p(cut))
    assert {one.finish for one in answers.generations} <= {"eos", "length"}
    assert divergence(texts(answers), prefixes) < 0.05


def test_costs_are_counted() -> None:
    masked = run("gcd")
    assert masked.model_calls == sum(map(len, texts(masked))) and masked.tries == 300
    resampled = run("sir", replace(REQUEST, n=20), particles=7)
    assert resampled.tries == 140 and 140 * 2 <= resampled.model_calls <= 140 * 6
    particles = run("smc", replace(REQUEST, n=20), particles=7)
    assert particles.tries == 140 and 140 * 2 <= particles.model_calls <= 140 * 6
    assert 1 <= particles.effective_sample_size <= 7


def test_a_request_without_a_grammar_is_sampled_freely() -> None:
    free = replace(REQUEST, grammar=None, n=5)
    for method in METHODS:
        answers = run(method, free, tries=3)
        assert len(answers.generations) == 5 and answers.fallbacks == 0
        assert answers.log_evidence == pytest.approx(0.0)


@pytest.mark.parametrize("method", METHODS)
def test_greedy_decoding_is_refused(method: str) -> None:
    with pytest.raises(ConfigurationError, match="temperature above 0"):
        run(method, replace(REQUEST, temperature=0.0))


class TurnEngine:
    """Knows whole turns only."""

    def __init__(self, *, tells_log_z: bool) -> None:
        self.tells_log_z = tells_log_z

    def generate(self, requests: Any) -> list[Generation]:
        made = MODEL.engine().generate(requests)
        return made if self.tells_log_z else [replace(one, log_z=None) for one in made]

    def session(self) -> ReplaySession:
        return ReplaySession(self.generate)


@pytest.mark.parametrize("method", ["asap", "cars", "smc"])
def test_an_engine_of_whole_turns_is_refused(method: str) -> None:
    with pytest.raises(ConfigurationError, match="take alignment.method 'sir'"):
        sample(TurnEngine(tells_log_z=True), [REQUEST], AlignedSampling(method=method))  # type: ignore[arg-type]


def test_importance_resampling_works_with_every_engine_that_tells_log_z() -> None:
    request = replace(REQUEST, n=10)
    config = AlignedSampling(method="sir")
    assert sample(TurnEngine(tells_log_z=True), [request], config) == sample(MODEL.engine(), [request], config)
    with pytest.raises(ConfigurationError, match="log Z"):
        sample(TurnEngine(tells_log_z=False), [request], config)
    plain = sample(TurnEngine(tells_log_z=False), [request], AlignedSampling(method="gcd"))[0]
    assert plain.log_evidence is None and len(plain.generations) == 10


def test_a_failed_grammar_has_no_weight() -> None:
    whole = run("gcd").generations[0]
    assert log_weight_of(whole) == pytest.approx(sum(whole.log_z or ()))
    assert log_weight_of(replace(whole, grammar_error="a limit")) == -math.inf
    assert log_weight_of(replace(whole, finish="rejected")) == -math.inf
    assert log_weight_of(replace(whole, grammar=None, log_z=None, grammar_error="cannot be compiled")) == 0.0


def test_more_particles_than_rows_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="only 8 rows"):
        run("smc", particles=9, rows=8)


@pytest.mark.parametrize(
    "options",
    [{"method": "mcmc"}, {"particles": 0}, {"tries": 0}, {"ess_threshold": 1.5}, {"max_nodes": "many"}],
    ids=json.dumps,
)
def test_options_without_meaning_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=f"alignment.{next(iter(options))}"):
        AlignedSampling(**options)
