"""Searches whose plan is a test's own, over an engine whose answers are scripts."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from scripted import Echo, Script, ScriptedEngine

from decoding.budgets import Budgets
from decoding.search.decoder import SearchDecoder
from decoding.search.plan import Plan
from decoding.search.state import State
from decoding.search.strategy import Candidate, Problem, Selection
from decoding.steps import Steps
from envs.environment import Environment

Searcher = Callable[[Problem], Plan[Selection | None]]


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A strategy whose plan is a test's own."""

    plan: Searcher
    step: Steps = Steps()

    def steps(self, environment: Environment[Any]) -> Steps:
        return self.step

    def search(self, problem: Problem) -> Plan[Selection | None]:
        return (yield from self.plan(problem))


def chosen(states: Sequence[State]) -> Selection | None:
    return Selection(chosen=states[0], candidates=tuple(Candidate(state=one) for one in states)) if states else None


def searcher(tokenizer: Any, script: Script, plan: Searcher, **options: Any) -> SearchDecoder:
    steps = options.pop("steps", Steps())
    return SearchDecoder(
        engine=ScriptedEngine(tokenizer=tokenizer, script=script),
        tokenizer=tokenizer,
        environment=options.pop("environment", Echo()),
        budgets=options.pop("budgets", Budgets(max_new_tokens=400)),
        strategy=Planned(plan=plan, step=steps),
        rejoin_after=0,
        **options,
    )


def two_steps(said: str, random: Random) -> str:
    """Two turns of a line and a step, and one of a line and an answer; goes on after whatever was said of them."""
    rest = f"<step>{random.choice('ab')}</step>" if said.count("<result>") < 2 else "<answer>yes</answer>"
    return rest if said.endswith("\n") else f"{random.randrange(100)}\n{rest}"


def lines(said: str, random: Random) -> str:
    """Three lines and an answer; goes on after whatever was said of them."""
    return "".join(f"{random.randrange(1000)}\n" for _ in range(3 - said.count("\n"))) + "<answer>yes</answer>"
