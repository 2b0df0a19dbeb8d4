"""Explore-execute: how plans are compared and chosen, that they are carried out, and how their answers vote."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted import Echo, ScriptedEngine
from scripted_search import ScriptedSearch, Step

from decoding.budgets import Budgets
from decoding.engine import Generation, Request
from decoding.search.account import SearchBudget
from decoding.search.decoder import SearchDecoder
from decoding.search.explore_execute import EXPLORE, JUDGE, LONGEST_JUDGEMENT, ExploreExecute, with_more
from decoding.search.plan import Ask, Begin, Drop, Examine, Expand
from decoding.search.plans_of_action import PlanOfAction, at_random, closest, clustered, common_subsequence, merged
from envs.errors import ConfigurationError
from envs.examination import Examination
from envs.layout import Tags
from envs.task import Task
from envs.transcript import Message

TASK = Task(id="Is it on?")
WORD = st.sampled_from(["count", "join", "sum", "filter"])
PLANS = st.lists(
    st.builds(
        lambda words, votes: PlanOfAction(text=" ".join(words), votes=votes),
        st.lists(WORD, min_size=0, max_size=4),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=7,
)


@given(one=st.lists(st.sampled_from("abc"), max_size=6), other=st.lists(st.sampled_from("abc"), max_size=6))
@settings(max_examples=60)
def test_the_longest_common_subsequence_is_that(one: list[str], other: list[str]) -> None:
    def subsequences(words: list[str]) -> set[tuple[str, ...]]:
        return {found for length in range(len(words) + 1) for found in combinations(words, length)}

    shared = subsequences(one) & subsequences(other)
    assert common_subsequence(one, other) == max(map(len, shared))


@given(plans=PLANS, most=st.integers(1, 8))
@settings(max_examples=60)
def test_no_way_to_choose_loses_votes_or_invents_plans(plans: list[PlanOfAction], most: int) -> None:
    distinct = merged(plans)
    total = sum(plan.votes for plan in plans)
    assert sum(plan.votes for plan in distinct) == total
    assert len({plan.words for plan in distinct}) == len(distinct)
    clusters = clustered(distinct, most)
    assert sum(plan.votes for plan in clusters) == total
    assert [plan.votes for plan in clusters] == sorted((plan.votes for plan in clusters), reverse=True)
    drawn, matched = at_random(distinct, most, Random(0)), closest(distinct, "count join", most)
    for chosen in (clusters, drawn, matched):
        assert {plan.text for plan in chosen} <= {plan.text for plan in distinct}
        assert len({plan.text for plan in chosen}) == len(chosen)
    assert len(clusters) <= min(most, len(distinct))
    assert len(drawn) == len(matched) == min(most, len(distinct))


def test_clusters_are_of_plans_with_the_same_words() -> None:
    texts = ["join then count", "count all names", "Count the names", "count names", "join, then count rows"]
    largest, other = clustered([PlanOfAction(text=text) for text in texts], 2)
    assert (largest.text, largest.votes) == ("count names", 3)
    assert other.text in (texts[0], texts[-1]) and other.votes == 2
    # The middle of a cluster is where most votes are near.
    heavy = [PlanOfAction(text=text, votes=votes) for text, votes in (("a b", 1), ("a b c", 1), ("a b c d", 9))]
    assert clustered(heavy, 1) == [PlanOfAction(text="a b c d", votes=11)]


def test_a_judgement_is_matched_to_the_plan_that_it_repeats_most_of() -> None:
    plans = [PlanOfAction(text=text) for text in ("1. sum the rows", "1. count the rows", "1. join both tables")]
    said = "The best one is plan 2: Count all the rows."
    assert [plan.text for plan in closest(plans, said, 2)] == [plans[1].text, plans[0].text]
    assert closest(plans, "", 1) == plans[:1]


def answer(text: str, meaning: str | None = None) -> Step:
    return Step(text=text, meaning=meaning or text)


@dataclass(kw_only=True)
class Planned(ScriptedSearch):
    """Says plans in turn; a root whose prompt ends with one of them has answers of its own."""

    said: list[str]
    judged: str = ""
    fits: Callable[[str], bool] = lambda text: True
    begun: list[Begin] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.says = lambda ask: self.judged if JUDGE in ask.messages[-1]["content"] else self.said.pop(0)

    def _grant(self, wish: object) -> Any:
        if not isinstance(wish, Begin):
            return super()._grant(wish)
        assert wish.messages is not None
        self.begun.append(wish)
        plan = wish.messages[-1]["content"].rpartition("> ")[2]
        answered = answer(f"by {plan}", meaning=plan.split()[-1])
        return self._state((Step(text=plan, children=(answered,)),), None) if self.fits(plan) else None


def run(said: Sequence[str], **options: Any) -> tuple[Any, Planned]:
    names = ("judged", "fits", "expansions", "budget", "seed")
    given_here = {name: options.pop(name) for name in names if name in options}
    fallback = Step(text="root", children=(answer("without a plan"),))
    planned = Planned(tree=fallback, said=list(said), task=TASK, environment=Echo(tags=Tags()), **given_here)
    return planned.search(ExploreExecute(plans=len(said), **options)), planned


def test_plans_are_asked_for_and_stand_in_the_prompts_of_their_executions() -> None:
    selection, planned = run(["count rows", "sum rows", "Count rows."], choose="all", max_plan_tokens=17)
    (asked,) = [wish for wish in planned.wishes if isinstance(wish, Ask)]
    assert asked.messages == ({"role": "user", "content": f"{TASK.id}\n\n{EXPLORE}"},)
    assert (asked.n, asked.max_new_tokens) == (3, 17)
    # The first and the last plan are the same.
    prompts = [begin.messages[0]["content"] for begin in planned.begun if begin.messages is not None]
    assert len(prompts) == 2 and all(prompt.startswith(f"{TASK.id}\n\nFollow this plan:\n> ") for prompt in prompts)
    assert all(begin.temperature == 0 for begin in planned.begun)
    quotas = {candidate.state.transcript.text: candidate.state.quota for candidate in selection.candidates}
    assert quotas == {"by count rows": 2, "by sum rows": 1}
    (expanded,) = [wish for wish in planned.wishes if isinstance(wish, Expand)]
    assert expanded.until == "end" and expanded.widths == (1, 1)


def test_answers_have_the_votes_of_the_plans_behind_them() -> None:
    # Two small clusters mean the same, and together they have more votes than the largest.
    said = ["w x five", "w x five", "w x five", "a b six", "a b six", "m n six", "m n six"]
    selection, _ = run(said, executed=3)
    assert selection.chosen.transcript.text in ("by a b six", "by m n six")
    selection, _ = run(said, executed=1)
    assert len(selection.candidates) == 1 and selection.candidates[0].state.quota == 7


def test_the_model_is_asked_which_plan_is_best() -> None:
    selection, planned = run(["sum the rows", "count the rows"], choose="judge", executed=1, judged="count the rows!")
    assert selection.chosen.transcript.text == "by count the rows" and len(selection.candidates) == 1
    asked = planned.wishes[1]
    assert isinstance(asked, Ask) and asked.temperature == 0 and asked.n == 1
    shown = asked.messages[-1]["content"]
    assert "Plan 1:\n> sum the rows" in shown and "Plan 2:\n> count the rows" in shown and shown.endswith(JUDGE)


def test_chance_is_the_searchs_own() -> None:
    plans = [f"plan {letter}" for letter in "abcdefgh"]

    def chosen(seed: int) -> list[Any]:
        return [begin.messages for begin in run(plans, choose="random", executed=3, seed=seed)[1].begun]

    assert chosen(1) == chosen(1) and len(chosen(1)) == 3
    assert any(chosen(seed) != chosen(1) for seed in range(2, 6))


BUDGETS = st.builds(
    SearchBudget, max_tokens=st.none() | st.integers(1, 3000), max_expansions=st.none() | st.integers(1, 12)
)
STRATEGIES = st.builds(
    ExploreExecute,
    plans=st.integers(1, 9),
    choose=st.sampled_from(["judge", "cluster"]),
    max_plan_tokens=st.integers(1, 200),
)


@given(strategy=STRATEGIES, budget=BUDGETS, step=st.none() | st.integers(1, 700))
@settings(max_examples=200)
def test_exploring_leaves_half_of_the_tokens_and_an_expansion(strategy: Any, budget: Any, step: int | None) -> None:
    room = strategy.exploration(budget, step)
    assert 0 <= room.plans <= strategy.plans and room.plan_tokens == (step or room.plan_tokens) >= 1
    questions = int(strategy.choose == "judge" and room.plans > 1)
    half = (budget.max_tokens or 10**9) // 2
    assert room.plans * room.plan_tokens + questions * room.judgement_tokens <= half
    assert room.plans + questions < (budget.max_expansions or 10**9)
    if questions:
        assert room.judgement_tokens >= min(room.plan_tokens, LONGEST_JUDGEMENT)  # it repeats one
    # As many plans as there is room for, and long ones.
    if budget.max_tokens is None and budget.max_expansions is None:
        assert room.plans == strategy.plans and room.plan_tokens == (step or strategy.max_plan_tokens)
    elif room.plans < strategy.plans:
        one_more = (room.plans + 1 + (strategy.choose == "judge" and room.plans > 0)) * room.plan_tokens
        has_tokens = budget.max_tokens is None or one_more <= half
        has_expansions = budget.max_expansions is None or room.plans + questions + 2 < budget.max_expansions
        assert not (has_tokens and has_expansions)


def test_a_budget_bounds_what_is_asked_and_a_question_without_a_choice_is_not_put() -> None:
    said = [f"plan {letter}" for letter in "abcdefgh"]
    budget = SearchBudget(max_tokens=800)
    _, planned = run(said, choose="judge", executed=1, judged="b", budget=budget)
    explored, judged = [wish for wish in planned.wishes if isinstance(wish, Ask)]
    assert (explored.n, explored.max_new_tokens) == (2, 128) and judged.max_new_tokens == 400 - 2 * 128
    _, planned = run(said, choose="judge", executed=2, budget=budget)
    assert len([wish for wish in planned.wishes if isinstance(wish, Ask)]) == 1 and len(planned.begun) == 2
    selection, planned = run(said, budget=SearchBudget(max_expansions=1))
    assert selection.chosen.transcript.text == "without a plan"
    assert [type(wish) for wish in planned.wishes] == [Expand, Examine]


def test_without_plans_or_room_for_them_there_is_an_answer_all_the_same() -> None:
    for options in ({"said": ["", "  "]}, {"said": ["a", "b"], "fits": lambda plan: False}):
        selection, _ = run(**options)  # type: ignore[arg-type]
        assert selection.chosen.transcript.text == "without a plan"
    selection, _ = run(["a plan", "b other"], fits=lambda plan: plan == "b other")
    assert selection.chosen.transcript.text == "by b other"
    assert run(["", ""], expansions=0)[0] is None


PLANNING = Tags(plan="plan", answer="answer")


def tree(*plans: tuple[str, str], ended: Sequence[str] = ()) -> Step:
    """Episodes that begin with a plan and go on to an answer; and some that answer at once."""
    begun = [Step(text=f"<plan>{plan}</plan>", children=(answer(f"<answer>{said}</answer>"),)) for plan, said in plans]
    return Step(text="", children=(*begun, *(answer(f"<answer>{said}</answer>") for said in ended)))


def planned_in_episodes(root: Step, **options: Any) -> tuple[Any, ScriptedSearch]:
    limits = {name: options.pop(name) for name in ("tokens", "expansions", "budget") if name in options}
    scripted = ScriptedSearch(tree=root, task=TASK, environment=Echo(tags=PLANNING), **limits)
    return scripted.search(ExploreExecute(plans=len(root.children), **options)), scripted


def test_a_plan_in_the_episode_is_followed_there() -> None:
    root = tree(("count rows", "1"), ("sum it all", "2"), ("count the rows", "1"))
    selection, scripted = planned_in_episodes(root, executed=2)
    assert scripted.open == 0  # what was not chosen was given up
    explored, executed = [wish for wish in scripted.wishes if isinstance(wish, Expand)]
    assert (explored.until, explored.widths) == ("step", (3,)) and executed.until == "end"
    assert not [wish for wish in scripted.wishes if isinstance(wish, (Ask, Begin))]
    (given_up,) = [wish for wish in scripted.wishes if isinstance(wish, Drop)]
    assert len(given_up.states) == 1
    assert selection.chosen.transcript.text.endswith("<answer>1</answer>") and selection.chosen.quota == 2


def test_what_has_ended_before_any_plan_votes_too() -> None:
    root = tree(("count rows", "1"), ended=["2", "2"])
    selection, _ = planned_in_episodes(root, executed=1)
    assert selection.chosen.transcript.text == "<answer>2</answer>" and len(selection.candidates) == 3


def test_where_less_is_granted_than_was_told_one_of_the_plans_is_chosen() -> None:
    root = tree(("count rows", "1"), ("sum it all", "2"))
    selection, _ = planned_in_episodes(root, expansions=2, budget=SearchBudget())
    assert not selection.chosen.is_final and "<plan>" in selection.chosen.transcript.text
    assert planned_in_episodes(root, expansions=0)[0] is None


def test_fewer_plans_are_begun_where_expansions_would_end_with_them() -> None:
    root = tree(("count rows", "1"), ("sum it all", "2"), ("join", "3"))
    for expansions in (1, 2, 3):
        selection, _ = planned_in_episodes(root, expansions=expansions)
        assert selection.chosen.is_final and "<answer>" in selection.chosen.transcript.text


def test_a_plan_is_a_step_where_answers_hold_one() -> None:
    strategy = ExploreExecute(max_plan_tokens=50)
    assert strategy.steps(Echo(tags=Tags())).delimiters == ()
    step = strategy.steps(Echo(tags=PLANNING))
    assert (step.delimiters, step.max_tokens) == (("</plan>",), 50)
    # A budget could not be kept to by plans whose thoughts have no end.
    strategy = ExploreExecute(max_plan_tokens=50, max_thought_tokens=70)
    assert strategy.steps(Echo(tags=Tags(reasoning="think", plan="plan"))).max_tokens == 120


def test_more_of_the_user_stands_in_one_message() -> None:
    asked: list[Message] = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert with_more(asked, "more") == [asked[0], {"role": "user", "content": "u\n\nmore"}]
    assert with_more(asked[:1], "more") == [asked[0], {"role": "user", "content": "more"}]


def test_options_without_meaning_are_refused() -> None:
    for wrong in (
        {"plans": 0}, {"executed": 0}, {"max_plan_tokens": 0}, {"max_thought_tokens": 0}, {"choose": "best"},
        {"execution_temperature": -1.0},
    ):  # fmt: skip
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            ExploreExecute(**wrong)  # type: ignore[arg-type]


@dataclass(kw_only=True)
class Comparing(Echo):
    """Equal texts mean the same."""

    def examine(self, episodes: Sequence[Any]) -> list[Examination]:
        return [Examination(answer=text.text, digest=text.text, is_valid=True) for _, text in episodes]


@dataclass(kw_only=True)
class Sampled(ScriptedEngine):
    """Each sample of a request has draws of its own."""

    def generate(self, requests: Sequence[Request]) -> list[Generation]:
        return super().generate(
            [
                replace(request, n=1, seed=sample if request.seed is None else request.seed + sample)
                for request in requests
                for sample in range(request.n)
            ]
        )


def test_over_an_engine_plans_are_written_judged_and_followed(tokenizer: Any) -> None:
    def say(said: str, random: Random) -> str:
        prompt = tokenizer.decode(engine.requests[-1].prompt_ids)
        if EXPLORE in prompt:
            return random.choice(["say no", "say yes"])
        if JUDGE in prompt:
            return "say yes"
        return "<answer>yes</answer>" if "> say yes" in prompt else "<answer>no</answer>"

    engine = Sampled(tokenizer=tokenizer, script=say)
    decoder = SearchDecoder(
        engine=engine,
        tokenizer=tokenizer,
        environment=Comparing(),
        budgets=Budgets(max_new_tokens=60),
        strategy=ExploreExecute(plans=6, executed=1, choose="judge"),
    )
    decoding = decoder.decode([TASK], n=[1], seed=0)
    assert decoding.groups[0].rollouts[0].transcript.text == "<answer>yes</answer>"
    assert decoding.ledger.expansions == 8 and decoding.ledger.verifier_calls == 1


@pytest.mark.parametrize("choose", ["judge", "cluster"])
@pytest.mark.parametrize(
    "budget",
    [
        SearchBudget(max_tokens=130),
        SearchBudget(max_expansions=1),
        SearchBudget(max_expansions=2),
        SearchBudget(max_expansions=5, max_tokens=400),
    ],
)
@pytest.mark.parametrize("tags", [Echo().tags, PLANNING, Tags(reasoning="think", plan="plan", answer="answer")])
def test_over_an_engine_plans_without_end_leave_the_budget_for_an_answer(
    tokenizer: Any, tags: Tags, budget: SearchBudget, choose: Any
) -> None:
    def say(said: str, random: Random) -> str:
        prompt = tokenizer.decode(engine.requests[-1].prompt_ids) if engine.requests else ""
        if EXPLORE in prompt or JUDGE in prompt:
            return "and then " * 99
        return f"{'and then ' * 9}<answer>{random.choice(['yes', 'no'])}</answer>"

    engine = Sampled(tokenizer=tokenizer, script=say)
    decoder = SearchDecoder(
        engine=engine,
        tokenizer=tokenizer,
        environment=Comparing(tags=tags),
        budgets=Budgets(max_new_tokens=200),
        strategy=ExploreExecute(
            plans=6, executed=1, choose=choose, max_plan_tokens=15, max_thought_tokens=5, execution_temperature=None
        ),
        budget=budget,
    )
    decoding = decoder.decode([TASK], n=[1], seed=0)
    assert decoding.groups[0].rollouts[0].transcript.text.endswith("</answer>")
    assert decoding.ledger.generated_tokens <= (budget.max_tokens or 10**9)
