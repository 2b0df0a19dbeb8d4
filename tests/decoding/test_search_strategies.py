"""What all strategies have in common: budgets that end anywhere, options, and those that sample whole answers."""

from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_search import ScriptedSearch, Step, StepScorer, random_tree

from decoding.search.a_star import AStar
from decoding.search.beam import BeamSearch
from decoding.search.best_of_n import BestOfN
from decoding.search.particles import ParticleFilter
from decoding.search.reex_tree import ReExTree
from decoding.search.registry import STRATEGIES, SearchConfig, make_strategy
from decoding.search.scorers.validity import Validity
from decoding.search.self_consistency import SelfConsistency
from decoding.search.strategy import Strategy
from decoding.search.weighted_vote import WeightedVote
from decoding.steps import Steps
from envs.errors import ConfigurationError
from envs.task import Task

FEW = settings(max_examples=40, deadline=None)
SILENT: Any = SimpleNamespace(name="silent", stops=())
STEPWISE: Any = SimpleNamespace(name="stepwise", stops=("</step>",))
MAKERS = [
    lambda scorer: BestOfN(samples=4, scorer=scorer),
    lambda scorer: WeightedVote(samples=4, scorer=scorer),
    lambda scorer: SelfConsistency(samples=4),
    lambda scorer: ReExTree(leaves=6),
    lambda scorer: ReExTree(leaves=7, first_branching=4, branching=3, merge="level", beam=2),
    lambda scorer: ReExTree(leaves=5, merge="none", beam=1),
    lambda scorer: ParticleFilter(particles=4, scorer=scorer),
    lambda scorer: ParticleFilter(particles=5, scorer=scorer, resampling="multinomial", select="sample"),
    lambda scorer: BeamSearch(beams=2, width=2, scorer=scorer),
    lambda scorer: BeamSearch(beams=1, width=3, scorer=scorer),
    lambda scorer: AStar(width=2, scorer=scorer),
    lambda scorer: AStar(width=3, scorer=scorer, g="loss", max_expansions=3),
    lambda scorer: AStar(width=2, scorer=scorer, g="zero"),
]
LIMITS = st.none() | st.integers(0, 30)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(MAKERS), st.integers(0, 10**6), st.booleans(), LIMITS, LIMITS, LIMITS, st.sampled_from([0, 0.3, 1])
)
def test_every_strategy_selects_the_best_it_has_wherever_the_budget_ends(
    make, seed, is_drawn, tokens, verifier_calls, expansions, unscored
) -> None:
    scripted = ScriptedSearch(
        tree=random_tree(Random(seed), unscored=unscored),
        random=Random(seed) if is_drawn else None,
        tokens=tokens,
        verifier_calls=verifier_calls,
        expansions=expansions,
    )
    selection = scripted.search(make(StepScorer(scripted=scripted)))
    if selection is None:
        assert scripted.expanded == 0
        return
    states = [candidate.state for candidate in selection.candidates]
    assert any(state is selection.chosen for state in states)
    assert selection.chosen.is_final or scripted.ended == 0
    assert all(state.parent is not None for state in states)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from(MAKERS), st.integers(0, 10**6))
def test_a_search_finds_the_same_again(make, seed: int) -> None:
    chosen = []
    for _ in range(2):
        scripted = ScriptedSearch(tree=random_tree(Random(seed)), random=Random(seed))
        selection = scripted.search(make(StepScorer(scripted=scripted)))
        assert selection is not None
        chosen.append(selection.chosen.transcript)
    assert chosen[0] == chosen[1]


@pytest.mark.parametrize(
    "make",
    [
        lambda scorer: ReExTree(leaves=2),
        lambda scorer: ParticleFilter(particles=2, scorer=scorer),
        lambda scorer: BeamSearch(beams=2, width=1, scorer=scorer),
        lambda scorer: AStar(width=2, scorer=scorer),
    ],
)
def test_a_step_that_exceeds_its_share_of_the_budget_does_not_end_the_search_of_others(make: Any) -> None:
    runaway = Step(text="a", score=0.5, children=(Step(text="on and on", tokens=50, score=0.5),), is_answered=True)
    brief = Step(text="b", score=0.5, children=(Step(text="answer", score=0.5),), is_answered=True)
    scripted = ScriptedSearch(tree=Step(text="", children=(runaway, brief)), tokens=40)
    selection = scripted.search(make(StepScorer(scripted=scripted)))
    assert selection is not None
    assert selection.chosen.transcript.text == "banswer"


@FEW
@given(st.integers(0, 10**6))
def test_the_best_of_n_has_the_highest_score_of_all_that_were_sampled(seed: int) -> None:
    tree = random_tree(Random(seed))
    leaves = tree.leaves()
    scripted = ScriptedSearch(tree=tree)
    selection = scripted.search(BestOfN(samples=len(leaves), scorer=StepScorer(scripted=scripted)))
    assert selection is not None
    assert scripted.path(selection.chosen)[-1].score == max(path[-1].score for path in leaves)


@FEW
@given(st.integers(0, 10**6))
def test_self_consistency_takes_a_meaning_that_most_answers_share(seed: int) -> None:
    tree = random_tree(Random(seed))
    leaves = tree.leaves()
    scripted = ScriptedSearch(tree=tree)
    selection = scripted.search(SelfConsistency(samples=len(leaves)))
    counts = Counter(path[-1].meaning for path in leaves if path[-1].meaning is not None)
    assert selection is not None
    meaning = scripted.path(selection.chosen)[-1].meaning
    assert counts[meaning] == max(counts.values(), default=0)


@FEW
@given(st.integers(0, 10**6))
def test_a_weighted_vote_takes_the_meaning_with_the_largest_sum_of_scores(seed: int) -> None:
    tree = random_tree(Random(seed))
    leaves = tree.leaves()
    scripted = ScriptedSearch(tree=tree)
    selection = scripted.search(WeightedVote(samples=len(leaves), scorer=StepScorer(scripted=scripted)))
    totals: Counter[str] = Counter()
    for path in leaves:
        if path[-1].meaning is not None:
            totals[path[-1].meaning] += path[-1].score
    assert selection is not None
    if totals:
        assert totals[scripted.path(selection.chosen)[-1].meaning] == pytest.approx(max(totals.values()))


def test_strategies_that_sample_whole_answers_pause_nowhere() -> None:
    for strategy in (BestOfN(samples=2, scorer="validity"), SelfConsistency(samples=2)):
        assert strategy.steps(SILENT) == Steps(delimiters=())
    assert ReExTree(leaves=2).steps(STEPWISE) == Steps(delimiters=())


def test_a_tree_needs_an_environment_that_answers() -> None:
    with pytest.raises(ConfigurationError, match="'silent' answers no turns.*self_consistency"):
        ReExTree(leaves=2).steps(SILENT)


@pytest.mark.parametrize(
    "make",
    [
        lambda step: ParticleFilter(particles=2, scorer="validity", step=step),
        lambda step: BeamSearch(beams=2, width=2, scorer="validity", step=step),
        lambda step: AStar(width=2, scorer="validity", step=step),
    ],
)
def test_a_search_by_steps_needs_something_that_ends_them(make: Any) -> None:
    endless = make(Steps(delimiters=()))
    with pytest.raises(ConfigurationError, match="'silent' answers no turns.*max_tokens"):
        endless.steps(SILENT)
    assert endless.steps(STEPWISE) == Steps(delimiters=())
    assert make(Steps(delimiters=(), max_tokens=9)).steps(SILENT).max_tokens == 9


@pytest.mark.parametrize(
    ("strategy", "options", "message"),
    [
        ("best_of_n", {"samples": 0, "scorer": "validity"}, "'samples'.*0.*integer from 1"),
        ("best_of_n", {"samples": 2}, "needs the option 'scorer'"),
        ("best_of_n", {"samples": 2, "scorer": "validty"}, "did you mean 'validity'"),
        ("weighted_vote", {"samples": True, "scorer": "validity"}, "samples"),
        ("self_consistency", {"samples": -1}, "'samples'.*-1"),
        ("self_consistency", {"sample": 2}, "unknown option 'sample'.*did you mean 'samples'"),
        ("reex_tree", {"leaves": 0}, "'leaves'"),
        ("reex_tree", {"leaves": 4, "branching": 1}, "'branching'.*from 2"),
        ("reex_tree", {"leaves": 4, "first_branching": 0}, "'first_branching'"),
        ("reex_tree", {"leaves": 4, "merge": "all"}, "'siblings' or 'level' or 'none'"),
        ("reex_tree", {"leaves": 4, "beam": 0}, "'beam'"),
        ("particles", {"particles": 0, "scorer": "validity"}, "'particles'"),
        ("particles", {"particles": 2, "scorer": "validity", "resampling": "none"}, "systematic"),
        ("particles", {"particles": 2, "scorer": "validity", "step": {"max_tokens": 0}}, "max_tokens is 0"),
        ("beam", {"beams": 0, "width": 2, "scorer": "validity"}, "'beams'"),
        ("beam", {"beams": 2, "width": 0, "scorer": "validity"}, "'width'"),
        ("a_star", {"width": 2, "scorer": "validity", "g": "sum"}, "'gain' or 'loss' or 'zero'"),
        ("a_star", {"width": 2, "scorer": "validity", "max_expansions": 0}, "'max_expansions'"),
        ("a_star", {"width": 2, "scorer": 7}, "scorer is 7"),
        ("a-star", {}, "did you mean 'a_star'"),
    ],
)
def test_an_option_without_meaning_is_refused_by_name(strategy: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        make_strategy(SearchConfig(strategy=strategy, options=options))


@pytest.mark.parametrize(
    "make",
    [
        lambda: ReExTree(leaves=4, merge="all"),  # type: ignore[arg-type]
        lambda: ParticleFilter(particles=4, scorer="validity", select="worst"),  # type: ignore[arg-type]
        lambda: AStar(width=2, scorer="validity", g="sum"),  # type: ignore[arg-type]
        lambda: AStar(width=2.0, scorer="validity"),  # type: ignore[arg-type]
    ],
)
def test_code_is_refused_what_a_configuration_is_refused(make: Any) -> None:
    with pytest.raises(ConfigurationError, match="expected"):
        make()


def test_a_configuration_names_the_scorer_and_spells_out_the_step() -> None:
    options = {
        "width": 2,
        "g": "zero",
        "scorer": {"name": "validity"},
        "step": {"delimiters": ["\n\n", ". "], "max_tokens": 64},
    }
    made = make_strategy(SearchConfig(strategy="a_star", options=options))
    assert made == AStar(width=2, g="zero", scorer=Validity(), step=Steps(delimiters=("\n\n", ". "), max_tokens=64))


def test_every_strategy_is_known_by_its_name() -> None:
    ours: dict[str, Strategy] = {
        "a_star": AStar(width=2, scorer="validity"),
        "beam": BeamSearch(beams=2, width=2, scorer="validity"),
        "best_of_n": BestOfN(samples=2, scorer="validity"),
        "particles": ParticleFilter(particles=2, scorer="validity"),
        "reex_tree": ReExTree(leaves=2),
        "self_consistency": SelfConsistency(samples=2),
        "weighted_vote": WeightedVote(samples=2, scorer="validity"),
    }
    assert all(STRATEGIES[name] is type(strategy) for name, strategy in ours.items())
    assert set(STRATEGIES) == {*ours, "explore_execute", "iterative"}


def test_what_is_drawn_follows_from_the_seed_of_the_search_alone() -> None:
    def chosen(seed: int, name: str) -> Any:
        scripted = ScriptedSearch(tree=random_tree(Random(3), is_full=True), seed=seed, task=Task(id=name))
        selection = scripted.search(ParticleFilter(particles=3, scorer=StepScorer(scripted=scripted), select="sample"))
        assert selection is not None
        return selection.chosen.transcript

    assert len({chosen(seed, "task") for seed in range(20)}) > 1
    assert len({chosen(7, name) for name in "abcdefgh"}) == 1


@pytest.mark.parametrize("make", MAKERS)
def test_an_answer_that_is_cut_off_loses_to_one_that_is_complete_whatever_its_score(make: Any) -> None:
    # As probable and as well scored as can be, and without an end.
    loop = Step(text="la la la", score=1.0, logprob=-1e-9, is_cut=True, meaning="la")
    brief = Step(text="so", score=0.3, is_answered=True, children=(Step(text="brief", score=0.2, meaning="brief"),))
    scripted = ScriptedSearch(tree=Step(text="", children=(loop, brief, loop)))
    selection = scripted.search(make(StepScorer(scripted=scripted)))
    assert selection is not None and selection.chosen.transcript.text == "sobrief"
    # Where nothing else is found it is better than nothing.
    scripted = ScriptedSearch(tree=Step(text="", children=(loop,)))
    selection = scripted.search(make(StepScorer(scripted=scripted)))
    assert selection is not None and selection.chosen.transcript.text == "la la la"


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(MAKERS[3:]), st.integers(0, 10**6), LIMITS)
def test_whatever_could_go_on_at_the_end_was_given_up(make, seed: int, expansions: int | None) -> None:
    scripted = ScriptedSearch(tree=random_tree(Random(seed)), random=Random(seed), expansions=expansions)
    scripted.search(make(StepScorer(scripted=scripted)))
    # Nothing but the root, where it could not be expanded.
    assert scripted.open == (scripted.expanded == 0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 4),
    st.integers(0, 2),
    st.sampled_from([
        lambda scorer: BeamSearch(beams=1, width=6, scorer=scorer),
        lambda scorer: BeamSearch(beams=2, width=3, scorer=scorer),
        lambda scorer: AStar(width=6, scorer=scorer),
        lambda scorer: AStar(width=6, scorer=scorer, g="loss"),
        lambda scorer: AStar(width=6, scorer=scorer, g="zero"),
        lambda scorer: ParticleFilter(particles=6, scorer=scorer),
    ]),
)  # fmt: skip
def test_a_scorer_of_answers_alone_does_not_stop_at_the_first_one_that_is_wrong(depth: int, place: int, make) -> None:
    good = Step(text="good", score=1.0)
    for _ in range(depth):
        good = Step(text="go on, ", children=(good,))
    wrong = [Step(text="wrong", score=0.0)] * 2
    scripted = ScriptedSearch(tree=Step(text="", children=(*wrong[:place], good, *wrong[place:])))
    selection = scripted.search(make(StepScorer(scripted=scripted)))
    assert selection is not None and selection.chosen.transcript.text == "go on, " * depth + "good"


def test_a_search_for_the_best_first_ends_by_itself() -> None:
    endless = Step(text="end", score=0.0)
    for _ in range(200):
        endless = Step(text="on", score=0.9, children=(endless,))
    for limit, rounds in ((AStar(width=1, scorer="validity").max_expansions, 64), (None, 201)):
        scripted = ScriptedSearch(tree=Step(text="", children=(endless,)))
        scripted.search(AStar(width=1, scorer=StepScorer(scripted=scripted), max_expansions=limit))
        assert scripted.rounds == rounds
