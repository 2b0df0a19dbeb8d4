"""The strategies through the decoder of searches, where rows are real and budgets bind."""

from random import Random
from typing import Any

import pytest
from scripted import Echo, ScriptedEngine

from decoding.budgets import Budgets
from decoding.search.account import SearchBudget
from decoding.search.decoder import SearchDecoder
from decoding.search.registry import SearchConfig, make_strategy
from envs.task import Task

TASKS = [Task(id=f"task {number}") for number in range(3)]
OPTIONS: dict[str, dict[str, Any]] = {
    "a_star": {"width": 2, "scorer": "probability"},
    "beam": {"beams": 2, "width": 2, "scorer": "probability"},
    "best_of_n": {"samples": 4, "scorer": "validity"},
    "particles": {"particles": 4, "scorer": "validity"},
    "reex_tree": {"leaves": 6, "branching": 3, "merge": "level", "beam": 2},
    "self_consistency": {"samples": 4},
    "weighted_vote": {"samples": 4, "scorer": "probability"},
}


def lines_and_steps(said: str, random: Random) -> str:
    """Up to two turns of a line and a step, then an answer of two lines; goes on after whatever was said of them."""
    if said.endswith("\n") and said.count("<result>") < random.randrange(3):
        return f"<step>{random.choice('ab')}</step>"
    if said.endswith("\n"):
        return f"<answer>{random.choice(['yes', 'no'])}</answer>"
    return f"{random.randrange(100)}\n{lines_and_steps(said + chr(10), random)}"


@pytest.mark.parametrize(
    "budget", [SearchBudget(), SearchBudget(max_tokens=70), SearchBudget(max_verifier_calls=2, max_expansions=5)]
)
@pytest.mark.parametrize("strategy", OPTIONS)
def test_a_strategy_is_decoded_within_its_budget_and_the_same_again(
    tokenizer: Any, strategy: str, budget: SearchBudget
) -> None:
    decodings = []
    for _ in range(2):
        decoder = SearchDecoder(
            engine=ScriptedEngine(tokenizer=tokenizer, script=lines_and_steps),
            tokenizer=tokenizer,
            environment=Echo(),
            budgets=Budgets(max_new_tokens=200),
            strategy=make_strategy(SearchConfig(strategy=strategy, options=OPTIONS[strategy])),
            budget=budget,
            rejoin_after=0,
        )
        decodings.append(decoder.decode(TASKS, n=[1] * len(TASKS), seed=1))
    once, again = decodings
    texts = [[one.transcript.text for group in each.groups for one in group.rollouts] for each in decodings]
    assert texts[0] == texts[1]
    if budget == SearchBudget():
        assert all(text.endswith("</answer>") for text in texts[0])
    ledger = once.ledger
    assert ledger.generated_tokens > 0 and ledger.judged == len(TASKS)
    for spent, limit in (
        (ledger.generated_tokens, budget.max_tokens),
        (ledger.verifier_calls, budget.max_verifier_calls),
        (ledger.expansions, budget.max_expansions),
    ):
        assert limit is None or spent <= limit * len(TASKS)
