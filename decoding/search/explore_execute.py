"""Explore-execute: several short plans, of which the promising ones are carried out (E2C, Explore-Execute Chain).

Plans are cheap, and answers that follow one are dear: k plans are explored, m of them executed, and their answers vote.
Where answers to the environment hold a plan (``Tags.plan``), the model writes it in the episode, and execution goes on
from there. Elsewhere the model is asked for one, which the prompt of the execution then holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

from decoding.search.options import require_choice, require_count
from decoding.search.plan import Plan, ask, begin, examine, expand
from decoding.search.plans_of_action import PlanOfAction, at_random, closest, clustered, merged
from decoding.search.quotation import quoted
from decoding.search.selection import candidates_of, vote
from decoding.search.state import State
from decoding.search.strategy import Problem, Selection
from decoding.seeds import derived_seed
from decoding.steps import WHOLE_ANSWERS, Steps
from envs.environment import Environment, tags_of_environment
from envs.errors import ConfigurationError
from envs.layout import read_layout
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
class ExploreExecute:
    """k plans, m of them chosen and executed, one answer each; the answers vote with the plans that theirs stands for.

    Equal plans are one, with as many votes.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    plans: int = 8
    """k."""
    executed: int = 2
    """m, at most; with ``choose: all`` all are."""
    choose: Literal["judge", "cluster", "all", "random"] = "cluster"
    """judge: the model is asked which; its answer is matched to the plans by their longest common subsequence of words.
    cluster: the middle of each of m clusters, with the votes of its cluster (``plans_of_action.clustered``). random: by
    a seed of the task's own."""
    max_plan_tokens: int = 128
    execution_temperature: float | None = 0.0
    """Of answers whose plan stands in the prompt; None: the decoder's own. Those that go on from a plan of their own
    episode keep its temperature."""

    def __post_init__(self) -> None:
        for option in ("plans", "executed", "max_plan_tokens"):
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
        # What is thought before a plan may be as long as it takes.
        return Steps(
            delimiters=(f"</{tags.plan}>",), max_tokens=None if tags.reasoning is not None else self.max_plan_tokens
        )

    def search(self, problem: Problem) -> Plan[Selection | None]:
        """Explores, chooses, executes, votes."""
        ended: list[State] = []
        asks = tags_of_environment(problem.environment).plan is None
        if asks:
            plans = yield from self._ask_for_plans(problem)
        else:
            plans, ended = yield from self._write_plans(problem)
        chosen = yield from self._choose(problem, merged(plans))
        answers = [*ended, *(yield from self._execute(problem, chosen))]
        if not answers:
            answers = [plan.state for plan in plans if plan.state is not None]
        if not answers and asks:
            # No plan was to be had, or none fitted the window: an answer without one is better than none.
            answers = yield from expand([problem.root])
        if not answers:
            return None
        found = yield from examine(answers)
        candidates = candidates_of(answers, found=found)
        return Selection(chosen=vote(candidates, weighted=False).state, candidates=candidates)

    def _write_plans(self, problem: Problem) -> Plan[tuple[list[PlanOfAction], list[State]]]:
        """Plans as the beginnings of episodes; and the episodes that came to their end before any plan did."""
        tags = tags_of_environment(problem.environment)
        begun = yield from expand([problem.root], width=self.plans, until="step")
        plans = [
            PlanOfAction(text=read_layout(state.transcript, tags).plan or state.transcript.text, state=state)
            for state in begun
            if not state.is_final
        ]
        return plans, [state for state in begun if state.is_final]

    def _ask_for_plans(self, problem: Problem) -> Plan[list[PlanOfAction]]:
        messages = with_more(problem.environment.prompt(problem.task), EXPLORE)
        said = yield from ask(messages, max_new_tokens=self.max_plan_tokens, n=self.plans)
        return [PlanOfAction(text=one.text.strip()) for one in said if one.text.strip()]

    def _choose(self, problem: Problem, plans: Sequence[PlanOfAction]) -> Plan[list[PlanOfAction]]:
        if self.choose == "all" or not plans:
            return list(plans)
        if self.choose == "cluster":
            return clustered(plans, self.executed)
        if self.choose == "random":
            return at_random(plans, self.executed, Random(derived_seed("explore_execute", problem.task.id)))
        listed = "\n\n".join(
            f"Plan {number}:\n{quoted(plan.text, longest=len(plan.text))}" for number, plan in enumerate(plans, start=1)
        )
        messages = with_more(
            problem.environment.prompt(problem.task),
            f"Do not solve the task yet. Here are plans for it.\n\n{listed}\n\n{JUDGE}",
        )
        said = yield from ask(messages, max_new_tokens=LONGEST_JUDGEMENT, temperature=0.0)
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
