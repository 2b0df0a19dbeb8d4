"""Explore-execute: several short plans, of which the promising ones are carried out (E2C, Explore-Execute Chain).

Plans are cheap, and answers that follow one are dear: k plans are explored, m of them executed, and their answers vote.
Where answers to the environment hold a plan (``Tags.plan``), the model writes it in the episode, and execution goes on
from there. Elsewhere the model is asked for one, which the prompt of the execution then holds.

Ours: of what the search may spend, exploring takes at most half of the tokens, and leaves one expansion; where there is
no room for a plan, there is an answer without one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

from decoding.search.account import SearchBudget
from decoding.search.options import require_choice, require_count
from decoding.search.plan import Plan, ask, begin, drop, examine, expand
from decoding.search.plans_of_action import PlanOfAction, at_random, closest, clustered, merged
from decoding.search.quotation import quoted
from decoding.search.selection import candidates_of, vote
from decoding.search.state import State
from decoding.search.strategy import Problem, Selection
from decoding.seeds import derived_seed
from decoding.steps import WHOLE_ANSWERS, Steps
from envs.environment import Environment, tags_of_environment
from envs.errors import ConfigurationError
from envs.layout import Tags, read_layout
from envs.transcript import Message

EXPLORE = (
    "Do not solve the task yet. Write a short plan for it: numbered steps, one line each, without results."
    " Write nothing else."
)
EXECUTE = "Follow this plan:"
JUDGE = "Which of these plans is the most promising for the task? Repeat it word by word, and write nothing else."
LONGEST_JUDGEMENT = 512
"""Tokens; plans are shorter."""


@dataclass(frozen=True, kw_only=True)
class Exploration:
    """How much is explored before anything is executed."""

    plans: int
    """From 0."""
    plan_tokens: int
    """Of each, at most."""
    judgement_tokens: int
    """Of the answer to which plan is best, at most."""


@dataclass(frozen=True, kw_only=True)
class ExploreExecute:
    """k plans, m of them chosen and executed, one answer each; the answers vote with the plans that theirs stands for.

    Equal plans are one, with as many votes.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    plans: int = 8
    """k, at most: fewer where the budget has no room for them."""
    executed: int = 2
    """m, at most; with ``choose: all`` all are."""
    choose: Literal["judge", "cluster", "all", "random"] = "cluster"
    """judge: the model is asked which; its answer is matched to the plans by their longest common subsequence of words.
    cluster: the middle of each of m clusters, with the votes of its cluster (``plans_of_action.clustered``). random: by
    the seed of the search."""
    max_plan_tokens: int = 128
    max_thought_tokens: int = 512
    """Of what is thought before a plan in its episode, where the environment has a tag for that; a thought that is
    longer counts as the plan, and goes on where it is executed."""
    execution_temperature: float | None = 0.0
    """Of answers whose plan stands in the prompt; None: the decoder's own. Those that go on from a plan of their own
    episode keep its temperature."""

    def __post_init__(self) -> None:
        for option in ("plans", "executed", "max_plan_tokens", "max_thought_tokens"):
            require_count("explore_execute", option, getattr(self, option))
        require_choice("explore_execute", "choose", self.choose, ("judge", "cluster", "all", "random"))
        if self.execution_temperature is not None and not 0 <= self.execution_temperature < float("inf"):
            raise ConfigurationError(
                "option 'execution_temperature' of strategy 'explore_execute' is"
                f" {self.execution_temperature}; expected a number from 0, or null"
            )

    def steps(self, environment: Environment[Any]) -> Steps:
        """A plan is a step, where answers hold one."""
        tags = tags_of_environment(environment)
        if tags.plan is None:
            return WHOLE_ANSWERS
        return Steps(delimiters=(f"</{tags.plan}>",), max_tokens=self._most(tags))

    def _most(self, tags: Tags) -> int:
        """Tokens of a plan in its episode."""
        return self.max_plan_tokens + (0 if tags.reasoning is None else self.max_thought_tokens)

    def search(self, problem: Problem) -> Plan[Selection | None]:
        """Explores, chooses, executes, votes."""
        ended: list[State] = []
        tags = tags_of_environment(problem.environment)
        asks = tags.plan is None
        room = self.exploration(problem.budget, None if asks else self._most(tags))
        if asks:
            plans = yield from self._ask_for_plans(problem, room)
        else:
            plans, ended = yield from self._write_plans(problem, room)
        chosen = yield from self._choose(problem, merged(plans), room)
        followed = {id(plan.state.episode) for plan in chosen if plan.state is not None}
        begun = [plan.state for plan in plans if plan.state is not None]
        yield from drop([state for state in begun if id(state.episode) not in followed])
        answers = [*ended, *(yield from self._execute(problem, chosen))]
        if not answers:
            answers = begun
        if not answers and (asks or not room.plans):
            # No plan was to be had, or none fitted the window: an answer without one is better than none.
            answers = yield from expand([problem.root])
        if not answers:
            return None
        found = yield from examine(answers)
        candidates = candidates_of(answers, found=found)
        return Selection(chosen=vote(candidates, weighted=False).state, candidates=candidates)

    def exploration(self, budget: SearchBudget, step: int | None) -> Exploration:
        """As much as fits into half of the tokens and leaves one expansion. Rather fewer plans than shorter ones.

        Args:
            budget: of the whole search.
            step: tokens of a plan that is written in its episode; None: plans are asked for, and can be shortened.
        """
        tokens = self.max_plan_tokens if step is None else step
        half, most = None, self.plans + 1
        if budget.max_tokens is not None:
            half = budget.max_tokens // 2
            tokens = max(1, min(tokens, half)) if step is None else tokens
            most = min(most, half // tokens)
        if budget.max_expansions is not None:
            most = min(most, budget.max_expansions - 1)
        # A judgement takes the place of a plan, which it repeats; of one alone there is none.
        plans = most - 1 if self.choose == "judge" and most > 1 else min(most, self.plans)
        left = LONGEST_JUDGEMENT if half is None else half - plans * tokens
        return Exploration(plans=plans, plan_tokens=tokens, judgement_tokens=min(LONGEST_JUDGEMENT, left))

    def _write_plans(self, problem: Problem, room: Exploration) -> Plan[tuple[list[PlanOfAction], list[State]]]:
        """Plans as the beginnings of episodes; and the episodes that came to their end before any plan did."""
        if not room.plans:
            return [], []
        tags = tags_of_environment(problem.environment)
        begun = yield from expand([problem.root], width=room.plans, until="step")
        plans = [
            PlanOfAction(text=read_layout(state.transcript, tags).plan or state.transcript.text, state=state)
            for state in begun
            if not state.is_final
        ]
        return plans, [state for state in begun if state.is_final]

    def _ask_for_plans(self, problem: Problem, room: Exploration) -> Plan[list[PlanOfAction]]:
        if not room.plans:
            return []
        messages = with_more(problem.environment.prompt(problem.task), EXPLORE)
        said = yield from ask(messages, max_new_tokens=room.plan_tokens, n=room.plans)
        return [PlanOfAction(text=one.text.strip()) for one in said if one.text.strip()]

    def _choose(self, problem: Problem, plans: Sequence[PlanOfAction], room: Exploration) -> Plan[list[PlanOfAction]]:
        if self.choose == "all" or not plans:
            return list(plans)
        if self.choose == "cluster":
            return clustered(plans, self.executed)
        if self.choose == "random":
            return at_random(plans, self.executed, Random(derived_seed(problem.seed, "explore_execute")))
        if len(plans) <= self.executed:
            return list(plans)
        listed = "\n\n".join(
            f"Plan {number}:\n{quoted(plan.text, longest=len(plan.text))}" for number, plan in enumerate(plans, start=1)
        )
        messages = with_more(
            problem.environment.prompt(problem.task),
            f"Do not solve the task yet. Here are plans for it.\n\n{listed}\n\n{JUDGE}",
        )
        said = yield from ask(messages, max_new_tokens=room.judgement_tokens, temperature=0.0)
        return closest(plans, said[0].text if said else "", self.executed)

    def _execute(self, problem: Problem, plans: Sequence[PlanOfAction]) -> Plan[list[State]]:
        """One answer for each plan, which stands for as many as its plan does."""
        roots = []
        for plan in plans:
            root = plan.state
            if root is None:
                instruction = f"{EXECUTE}\n{quoted(plan.text, longest=len(plan.text))}"
                messages = with_more(problem.environment.prompt(problem.task), instruction)
                root = yield from begin(messages, temperature=self.execution_temperature)
            if root is not None:
                roots.append(replace(root, quota=plan.votes))
        return (yield from expand(roots))


def with_more(messages: Sequence[Message], text: str) -> list[Message]:
    """Messages with a text behind the last one of the user: chat templates may refuse two of the user in a row."""
    *before, last = messages
    if last["role"] != "user":
        return [*messages, Message(role="user", content=text)]
    return [*before, Message(role="user", content=f"{last['content']}\n\n{text}")]
