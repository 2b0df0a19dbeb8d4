"""The budget of a search: nothing that a plan asks for leads out of it, and nothing of it is lost."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from planned_search import Planned, chosen, lines, searcher

from decoding.budgets import Budgets
from decoding.search.account import Account, SearchBudget
from decoding.search.decoder import SearchDecoder
from decoding.search.plan import Plan, Rating, examine, expand, rate
from decoding.search.state import State
from decoding.search.strategy import Problem, Selection
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


def test_tokens_that_a_finished_sibling_leaves_go_to_the_others(model: Any, tokenizer: Any) -> None:
    """A budget that is just enough for all is enough for each, though they are of different lengths."""
    found: list[list[State]] = []

    def plan(problem: Problem) -> Plan[Selection | None]:
        found.append((yield from expand([problem.root], width=8)))
        return chosen(found[-1])

    task = JsonTask(id="lamp", schema='{"type": "boolean"}', text="lamp", gold="true")
    unlimited = SearchDecoder(
        engine=TransformersEngine(model, tokenizer, max_batch_rows=8),
        tokenizer=tokenizer,
        environment=JsonEnvironment(),
        budgets=Budgets(max_new_tokens=300),
        strategy=Planned(plan=plan),
        temperature=3.0,
    )
    need = unlimited.decode([task], n=[1], seed=0).ledger.generated_tokens
    exact = replace(unlimited, budget=SearchBudget(max_tokens=need)).decode([task], n=[1], seed=0)
    lengths = [[state.tokens for state in states] for states in found]
    assert lengths[0] == lengths[1] and max(lengths[0]) > need / 8  # an even share is too little
    assert exact.ledger.generated_tokens == need and all(state.is_final for state in found[1])


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


@given(limit=st.integers(1, 200), rows=st.lists(st.integers(0, 30), min_size=1, max_size=12))
def test_reservations_never_lead_out_of_the_budget(limit: int, rows: list[int]) -> None:
    account = Account(SearchBudget(max_tokens=limit))
    granted = account.grant_children(len(rows))
    shares = [account.reserve(granted - place) for place in range(granted)]
    assert all(share is not None and share >= 1 for share in shares) and sum(map(int, shares)) <= limit  # type: ignore[arg-type]
    for share, wanted in zip(shares, rows, strict=False):
        assert share is not None
        account.write(min(share, wanted), reserved=share)
    assert account.spent.generated_tokens == sum(
        min(int(share or 0), wanted) for share, wanted in zip(shares, rows, strict=False)
    )
    left = limit - account.spent.generated_tokens
    assert account.reserve(1) == left
