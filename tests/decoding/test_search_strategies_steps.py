"""Searches by steps against brute force: particles, beams, A*."""

from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_search import ScriptedSearch, Step, StepScorer, random_tree

from decoding.search.a_star import AStar
from decoding.search.beam import BeamSearch
from decoding.search.particles import ParticleFilter, logit, multinomial, systematic
from decoding.search.selection import best
from decoding.search.strategy import Strategy

FEW = settings(max_examples=40, deadline=None)
SEEDS = st.integers(0, 10**6)


def chosen_path(scripted: ScriptedSearch, strategy: Strategy) -> tuple[Step, ...]:
    """The steps of what is selected, without the root."""
    selection = scripted.search(strategy)
    assert selection is not None
    return scripted.path(selection.chosen)[1:]


def scored(text: str, score: float, *children: Step) -> Step:
    return Step(text=text, score=score, children=children)


# A*


def consistent_cost(path: tuple[Step, ...]) -> float:
    """f of an answer where increases in the score cost: 1 - r of the first step, and all that was lost afterwards."""
    return 1 - path[0].score + sum(max(0.0, a.score - b.score) for a, b in zip(path, path[1:], strict=False))


@FEW
@given(SEEDS)
def test_a_star_finds_the_answer_with_the_lowest_cost_of_all(seed: int) -> None:
    tree = random_tree(Random(seed))
    scripted = ScriptedSearch(tree=tree)
    found = chosen_path(scripted, AStar(width=3, scorer=StepScorer(scripted=scripted)))
    assert consistent_cost(found) == pytest.approx(min(consistent_cost(path[1:]) for path in tree.leaves()))


def test_a_star_expands_a_part_of_what_an_exhaustive_search_does() -> None:
    expanded = []
    for seed in range(40):
        scripted = ScriptedSearch(tree=random_tree(Random(seed), is_full=True))
        scripted.search(AStar(width=3, scorer=StepScorer(scripted=scripted)))
        expanded.append(scripted.rounds)
    assert max(expanded) <= 1 + 3 + 9
    assert sum(expanded) / len(expanded) < 0.6 * (1 + 3 + 9)


@pytest.mark.parametrize(("g", "answer"), [("gain", "falls"), ("zero", "peaks"), ("loss", "rises")])
def test_what_a_step_costs_decides_which_answer_is_found(g, answer: str) -> None:
    # f of the answers:  falls: gain .4, zero .4, loss .7; peaks: gain .55, zero .3, loss .5; rises: .45, .32, .32
    tree = Step(
        text="",
        children=(
            scored("a", 0.9, scored("falls", 0.6)),
            scored("b", 0.65, scored("c", 0.9, scored("peaks", 0.7))),
            scored("d", 0.55, scored("rises", 0.68)),
        ),
    )
    scripted = ScriptedSearch(tree=tree)
    assert chosen_path(scripted, AStar(width=3, scorer=StepScorer(scripted=scripted), g=g))[-1].text == answer


def test_an_answer_ends_the_search_only_when_nothing_costs_less() -> None:
    tree = Step(text="", children=(scored("early", 0.5), scored("a", 0.9, scored("late", 0.8))))
    scripted = ScriptedSearch(tree=tree)
    assert chosen_path(scripted, AStar(width=2, scorer=StepScorer(scripted=scripted)))[-1].text == "late"


def test_without_scores_a_star_goes_deep_and_ends() -> None:
    tree = random_tree(Random(5), depth=6, width=2, is_full=True, unscored=1.0)
    scripted = ScriptedSearch(tree=tree)
    assert len(chosen_path(scripted, AStar(width=2, scorer=StepScorer(scripted=scripted)))) == 6
    assert scripted.rounds == 6


@pytest.mark.parametrize(("most", "chosen"), [(1, "a"), (2, "answer")])
def test_where_expansions_end_an_answer_is_preferred_to_a_part(most: int, chosen: str) -> None:
    part = scored("part", 0.85, scored("end", 0.9))
    scripted = ScriptedSearch(tree=Step(text="", children=(scored("a", 0.9, scored("answer", 0.2), part),)))
    strategy = AStar(width=2, scorer=StepScorer(scripted=scripted), max_expansions=most)
    assert chosen_path(scripted, strategy)[-1].text == chosen
    assert scripted.rounds == most


# Beams


@settings(max_examples=30, deadline=None)
@given(SEEDS)
def test_as_many_beams_as_answers_find_the_best_one(seed: int) -> None:
    tree = random_tree(Random(seed), is_full=True)
    scripted = ScriptedSearch(tree=tree)
    found = chosen_path(scripted, BeamSearch(beams=27, width=1, scorer=StepScorer(scripted=scripted)))
    assert found[-1].score == max(path[-1].score for path in tree.leaves())


def test_an_answer_waits_for_what_goes_on_and_is_better() -> None:
    late = scored("a", 0.9, scored("b", 0.9, scored("late", 0.4)))
    tree = Step(text="", children=(scored("early", 0.5), late, scored("c", 0.1)))
    for beams, rounds in ((1, 3), (2, 3)):
        scripted = ScriptedSearch(tree=tree)
        strategy = BeamSearch(beams=beams, width=3, scorer=StepScorer(scripted=scripted))
        assert chosen_path(scripted, strategy)[-1].text == "early"
        assert scripted.rounds == rounds


@FEW
@given(SEEDS)
def test_one_beam_takes_the_best_step_each_time(seed: int) -> None:
    tree = random_tree(Random(seed))
    step, answers = tree, []
    while step.children:
        answers += [child for child in step.children if not child.children]
        step = max([*answers, *step.children], key=lambda child: child.score)
    scripted = ScriptedSearch(tree=tree)
    assert chosen_path(scripted, BeamSearch(beams=1, width=3, scorer=StepScorer(scripted=scripted)))[-1] == step


def test_the_first_step_is_as_wide_as_the_others() -> None:
    scripted = ScriptedSearch(tree=random_tree(Random(1), is_full=True))
    scripted.search(BeamSearch(beams=3, width=2, scorer=StepScorer(scripted=scripted)))
    assert [sum(wish.widths) for wish in scripted.wishes if hasattr(wish, "widths")] == [6, 6, 6]


# Particles


def target(tree: Step) -> dict[str, float]:
    """What a filter with very many particles leaves of answers of one length: the chance of each, times the odds of its
    scores along the way."""
    weights = {}
    for path in tree.leaves():
        weight = 1.0
        for before, step in zip(path, path[1:], strict=False):
            odds = step.score / (1 - step.score)
            weight *= step.chance / sum(child.chance for child in before.children) * odds
        weights[path[-1].text] = weight
    total = sum(weights.values())
    return {text: weight / total for text, weight in weights.items()}


def distance(found: Counter[str], expected: dict[str, float]) -> float:
    """Total variation."""
    total = sum(found.values())
    return sum(abs(found[text] / total - share) for text, share in expected.items()) / 2


@pytest.mark.parametrize("resampling", ["systematic", "multinomial"])
def test_many_particles_are_distributed_as_chance_and_odds_say(resampling) -> None:
    tree = random_tree(Random(2), depth=2, width=3, is_full=True)
    distances = {}
    for particles in (8, 1000):
        scripted = ScriptedSearch(tree=tree, random=Random(1))
        scorer = StepScorer(scripted=scripted)
        selection = scripted.search(ParticleFilter(particles=particles, scorer=scorer, resampling=resampling))
        assert selection is not None
        # Before its last resampling a population still has to be weighed by the scores of its last step.
        found: Counter[str] = Counter()
        for candidate in selection.candidates:
            odds = candidate.score / (1 - candidate.score)
            found[scripted.path(candidate.state)[-1].text] += odds * candidate.state.quota
        distances[particles] = distance(found, target(tree))
    assert distances[1000] < 0.06 < distances[8]


def test_the_sampled_answer_is_distributed_as_chance_and_odds_say() -> None:
    tree = random_tree(Random(2), depth=2, width=3, is_full=True)
    found: Counter[str] = Counter()
    random = Random(1)
    for place in range(200):
        scripted = ScriptedSearch(tree=tree, random=random, seed=place)
        strategy = ParticleFilter(particles=20, scorer=StepScorer(scripted=scripted), select="sample")
        found[chosen_path(scripted, strategy)[-1].text] += 1
    assert distance(found, target(tree)) < 0.1


@settings(deadline=None)
@given(SEEDS, st.integers(1, 6), st.sampled_from(["systematic", "multinomial"]))
def test_the_population_keeps_its_size_and_gives_its_best(seed: int, particles: int, resampling) -> None:
    scripted = ScriptedSearch(tree=random_tree(Random(seed)), random=Random(seed))
    scorer = StepScorer(scripted=scripted)
    selection = scripted.search(ParticleFilter(particles=particles, scorer=scorer, resampling=resampling))
    assert selection is not None
    assert sum(candidate.state.quota for candidate in selection.candidates) == particles
    assert selection.chosen is best(selection.candidates).state
    # Who goes on is expanded as often as it was drawn, so that no round is wider than the population.
    assert all(sum(wish.widths) <= particles for wish in scripted.wishes if hasattr(wish, "widths"))


def quota_of(scripted: ScriptedSearch, strategy: Strategy, first: str) -> int:
    """Particles whose first step is ``first`` in the last population."""
    selection = scripted.search(strategy)
    assert selection is not None
    return sum(one.state.quota for one in selection.candidates if scripted.path(one.state)[1].text == first)


def test_an_answer_that_was_not_drawn_is_better_than_none() -> None:
    runaway = Step(text="runaway", tokens=50)
    tree = Step(text="", children=(scored("end", 0.0), scored("go on", 1.0, runaway)))
    scripted = ScriptedSearch(tree=tree, tokens=20)
    path = chosen_path(scripted, ParticleFilter(particles=2, scorer=StepScorer(scripted=scripted)))
    assert path[-1].text == "end"


@pytest.mark.parametrize("seed", range(8))
def test_a_finished_particle_weighs_as_much_as_it_was_drawn(seed: int) -> None:
    go_on: tuple[Step, ...] = ()
    for place in range(6):
        go_on = (scored(f"step {place}", 0.75, *go_on),)
    # Odds: ends 3 + 3, goes on 1 + 1, so that of 4 particles 3 have ended; from then on all odds are 3.
    tree = Step(text="", children=(*(scored("end", 0.75),) * 2, *(scored("go on", 0.5, *go_on),) * 2))
    scripted = ScriptedSearch(tree=tree, seed=seed)
    assert quota_of(scripted, ParticleFilter(particles=4, scorer=StepScorer(scripted=scripted)), "end") == 3


def test_a_particle_without_a_score_keeps_the_weight_of_what_it_continues() -> None:
    unscored = Step(text="unscored", children=(Step(text="end"),))
    good, bad = scored("good", 0.75, unscored), scored("bad", 0.25, unscored)
    tree = Step(text="", children=(*(good,) * 10, *(bad,) * 10))
    scripted = ScriptedSearch(tree=tree)
    # Of 20 particles 18 are good by their first weights, and more than 19 on average when these count once more.
    assert quota_of(scripted, ParticleFilter(particles=20, scorer=StepScorer(scripted=scripted)), "bad") <= 1


@FEW
@given(st.lists(st.floats(1e-7, 1e7), min_size=1, max_size=9), st.integers(1, 40), SEEDS)
def test_systematic_counts_are_the_expected_ones_rounded_up_or_down(weights, n: int, seed: int) -> None:
    counts = systematic(weights, n, Random(seed))
    assert sum(counts) == n
    assert all(abs(count - n * w / sum(weights)) < 1 + 1e-6 for count, w in zip(counts, weights, strict=True))


@FEW
@given(st.lists(st.floats(1e-7, 1e7), min_size=1, max_size=9), st.integers(1, 40), SEEDS)
def test_multinomial_draws_as_many_as_asked_for(weights, n: int, seed: int) -> None:
    assert sum(multinomial(weights, n, Random(seed))) == n


def test_multinomial_counts_are_the_expected_ones_on_average() -> None:
    counts = multinomial([1.0, 2.0, 5.0], 8000, Random(0))
    assert counts == [pytest.approx(8000 * share / 8, abs=150) for share in (1, 2, 5)]


def test_weights_are_finite_and_rise_with_the_score() -> None:
    weights = [logit(score) for score in (-1.0, 0.0, 1e-8, 0.3, 0.5, 0.9, 1.0, 2.0)]
    assert weights == sorted(weights) and weights[4] == 0.0
    assert weights[0] == weights[2] == pytest.approx(-weights[-1]) == pytest.approx(-16.118, abs=1e-3)
