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
from decoding.search.decoder import SearchDecoder
from decoding.search.explore_execute import EXPLORE, JUDGE, ExploreExecute, with_more
from decoding.search.plan import Ask, Begin, Expand
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
    given_here = {name: options.pop(name) for name in ("judged", "fits", "expansions") if name in options}
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


def test_chance_is_the_tasks_own() -> None:
    plans = [f"plan {letter}" for letter in "abcdefgh"]
    chosen = [run(plans, choose="random", executed=3)[1].begun for _ in range(2)]
    assert [begin.messages for begin in chosen[0]] == [begin.messages for begin in chosen[1]]
    assert len(chosen[0]) == 3


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
    limits = {name: options.pop(name) for name in ("tokens", "expansions") if name in options}
    scripted = ScriptedSearch(tree=root, task=TASK, environment=Echo(tags=PLANNING), **limits)
    return scripted.search(ExploreExecute(plans=len(root.children), **options)), scripted


def test_a_plan_in_the_episode_is_followed_there() -> None:
    root = tree(("count rows", "1"), ("sum it all", "2"), ("count the rows", "1"))
    selection, scripted = planned_in_episodes(root, executed=2)
    explored, executed = [wish for wish in scripted.wishes if isinstance(wish, Expand)]
    assert (explored.until, explored.widths) == ("step", (3,)) and executed.until == "end"
    assert not [wish for wish in scripted.wishes if isinstance(wish, (Ask, Begin))]
    assert selection.chosen.transcript.text.endswith("<answer>1</answer>") and selection.chosen.quota == 2


def test_what_has_ended_before_any_plan_votes_too() -> None:
    root = tree(("count rows", "1"), ended=["2", "2"])
    selection, _ = planned_in_episodes(root, executed=1)
    assert selection.chosen.transcript.text == "<answer>2</answer>" and len(selection.candidates) == 3


def test_where_the_budget_ends_with_the_plans_one_of_them_is_chosen() -> None:
    root = tree(("count rows", "1"), ("sum it all", "2"))
    selection, _ = planned_in_episodes(root, expansions=2)
    assert not selection.chosen.is_final and "<plan>" in selection.chosen.transcript.text
    assert planned_in_episodes(root, expansions=0)[0] is None


def test_a_plan_is_a_step_where_answers_hold_one() -> None:
    strategy = ExploreExecute(max_plan_tokens=50)
    assert strategy.steps(Echo(tags=Tags())).delimiters == ()
    step = strategy.steps(Echo(tags=PLANNING))
    assert (step.delimiters, step.max_tokens) == (("</plan>",), 50)
    assert strategy.steps(Echo(tags=Tags(reasoning="think", plan="plan"))).max_tokens is None


def test_more_of_the_user_stands_in_one_message() -> None:
    asked: list[Message] = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert with_more(asked, "more") == [asked[0], {"role": "user", "content": "u\n\nmore"}]
    assert with_more(asked[:1], "more") == [asked[0], {"role": "user", "content": "more"}]


def test_options_without_meaning_are_refused() -> None:
    for wrong in (
        {"plans": 0}, {"executed": 0}, {"max_plan_tokens": 0}, {"choose": "best"}, {"execution_temperature": -1.0}
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
