"""The budget of a search: nothing that a plan asks for leads out of it, and nothing of it is lost."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planned_search import Planned, Searcher, chosen, lines, searcher

from decoding.budgets import Budgets
from decoding.search.account import Account, SearchBudget
from decoding.search.decoder import SearchDecoder
from decoding.search.plan import Plan, Rating, examine, expand, rate
from decoding.search.state import State
from decoding.search.strategy import Problem, Selection
from decoding.steps import Steps
from decoding.transformers_engine import TransformersEngine
from envs.json.environment import JsonEnvironment
from envs.json.task import JsonTask
from envs.task import Task

TASKS = [Task(id="task")]


def _half(states: Sequence[State]) -> list[Rating]:
    return [Rating(score=0.5, tokens=7) for _ in states]


@given(
    tokens=st.integers(1, 120),
    children=st.integers(1, 12),
    width=st.integers(1, 4),
    until=st.sampled_from(["step", "end"]),
)
@settings(max_examples=40, deadline=None)
def test_no_search_spends_more_than_its_budget(
    tokenizer: Any, tokens: int, children: int, width: int, until: Any
) -> None:
    asked = 0

    def plan(problem: Problem) -> Plan[Selection | None]:
        nonlocal asked
        found: list[State] = []
        states = [problem.root]
        while states:
            asked += len(states) * width
            states = yield from expand(states, width=width, until=until)
            found += states
            states = [state for state in states if not state.is_final]
        return chosen(found[::-1])

    budget = SearchBudget(max_tokens=tokens, max_expansions=children)
    decoding = searcher(tokenizer, lines, plan, budget=budget).decode(TASKS[:1], n=[1], seed=0)
    ledger = decoding.ledger
    assert 0 < ledger.generated_tokens <= tokens and 0 < ledger.expansions <= children
    (rollout,) = decoding.groups[0].rollouts
    assert rollout.transcript.is_truncated == (rollout.finish == "length")
    assert sum(rollout.env_mask) <= tokens
    if asked <= children and tokens == 120 and width == 1:
        assert rollout.finish == "stop"


SCHEMA = '{"type": "array", "items": {"type": "integer"}, "minItems": 1}'
JSON_TASKS = [JsonTask(id=name, schema=SCHEMA, text=name, gold="[1]") for name in ("lamp", "fan", "tap")]


def masked(model: Any, tokenizer: Any, plan: Searcher, **options: Any) -> SearchDecoder:
    return SearchDecoder(
        engine=TransformersEngine(model, tokenizer, max_batch_rows=options.pop("rows", 8)),
        tokenizer=tokenizer,
        environment=JsonEnvironment(),
        budgets=options.pop("budgets", Budgets(max_new_tokens=30)),
        strategy=Planned(plan=plan, step=options.pop("step", Steps(delimiters=()))),
        temperature=2.0,
        **options,
    )


def eight(problem: Problem) -> Plan[Selection | None]:
    return chosen((yield from expand([problem.root], width=8)))


def test_answers_are_whole_as_far_as_the_budget_goes_whatever_the_batch(model: Any, tokenizer: Any) -> None:
    """A tight budget lets answers come to their end one after the other, in place of cutting all of them off."""
    found: list[list[State]] = []

    def plan(problem: Problem) -> Plan[Selection | None]:
        found.append((yield from expand([problem.root], width=8)))
        return chosen(found[-1])

    for rows in (1, 8):
        decoder = masked(model, tokenizer, plan, rows=rows, budget=SearchBudget(max_tokens=100))
        ledger = decoder.decode(JSON_TASKS[:1], n=[1], seed=0).ledger
        assert ledger.generated_tokens <= 100 and ledger.expansions == len(found[-1]) < 8
    one_by_one, together = found
    assert [state.transcript for state in one_by_one] == [state.transcript for state in together]
    # Only the last one had less than an episode may have.
    assert len(one_by_one) >= 4 and all(state.tokens == 30 or state.is_complete for state in one_by_one[:-1])


def test_a_budget_that_is_large_enough_changes_nothing(model: Any, tokenizer: Any) -> None:
    unlimited = masked(model, tokenizer, eight).decode(JSON_TASKS, n=[1] * 3, seed=0)
    limited = masked(model, tokenizer, eight, budget=SearchBudget(max_tokens=240)).decode(JSON_TASKS, n=[1] * 3, seed=0)
    assert limited.groups == unlimited.groups


@pytest.mark.parametrize("step", [None, 1, 5])
@pytest.mark.parametrize("tokens", [6, 11, 29, 30, 31, 70])
def test_structures_are_closed_where_a_budget_ends_them(
    model: Any, tokenizer: Any, tokens: int, step: int | None
) -> None:
    """Whatever is cut off, by the search's budget or the episode's, in parts or at once, is a sentence."""

    def plan(problem: Problem) -> Plan[Selection | None]:
        found: list[State] = []
        states = [problem.root]
        while states:
            states = yield from expand(states, width=1, until="step" if step else "end")
            found += states
            states = [state for state in states if not state.is_final]
        return chosen(found[::-1])

    steps = Steps(delimiters=(","), max_tokens=step) if step else Steps(delimiters=())
    decoder = masked(model, tokenizer, plan, is_masked=True, step=steps, budget=SearchBudget(max_tokens=tokens))
    for group in decoder.decode(JSON_TASKS, n=[1] * 3, seed=tokens).groups:
        (rollout,) = group.rollouts
        assert rollout.verdict.error != "not JSON" and json.loads(rollout.transcript.text)
        assert rollout.grammar_error is None and len(rollout.completion_ids) <= min(30, tokens)
        assert len(rollout.env_mask) == len(rollout.logprobs) == len(rollout.completion_ids)


@given(limit=st.integers(0, 5))
@settings(max_examples=6, deadline=None)
def test_beyond_the_budget_nothing_is_examined_or_rated(tokenizer: Any, limit: int) -> None:
    results: list[list[Any]] = []

    def plan(problem: Problem) -> Plan[Selection | None]:
        answers = yield from expand([problem.root], width=3)
        results.append((yield from examine(answers)))
        results.append((yield from rate(_half, answers)))
        return chosen(answers)

    budget = SearchBudget(max_verifier_calls=limit)
    ledger = searcher(tokenizer, lines, plan, budget=budget).decode(TASKS[:1], n=[1], seed=0).ledger
    examined, rated = results
    assert [one is not None for one in examined] == [place < limit for place in range(3)]
    assert [one is not None for one in rated] == [place < limit - 3 for place in range(3)]
    assert ledger.verifier_calls == min(limit, 6) and ledger.verifier_tokens == 7 * max(0, min(limit, 6) - 3)


@given(limit=st.integers(1, 200), rows=st.lists(st.tuples(st.integers(1, 60), st.integers(0, 60)), max_size=12))
def test_reservations_never_lead_out_of_the_budget(limit: int, rows: list[tuple[int, int]]) -> None:
    account = Account(SearchBudget(max_tokens=limit))
    written = 0
    for need, wanted in rows:
        left = account.tokens_left
        assert left == limit - written and left >= 0
        account.reserve(min(need, left))
        assert account.tokens_left == left - min(need, left)
        tokens = min(need, left, wanted)
        account.write(tokens)
        account.release(min(need, left))
        written += tokens
    assert account.spent.generated_tokens == written <= limit
