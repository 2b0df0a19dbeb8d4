"""The driver of searches: what plans are granted, what it costs, and what is judged in the end."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

import pytest
from planned_search import Planned, chosen, lines, searcher, two_steps
from scripted import Echo, ScriptedEngine

from decoding.budgets import Budgets
from decoding.decoder import Finish, SampleDecoder
from decoding.rollout import Ledger
from decoding.search.account import SearchBudget
from decoding.search.decoder import SearchDecoder
from decoding.search.plan import Plan, ask, begin, drop, examine, expand
from decoding.search.state import State
from decoding.search.strategy import Problem, Selection
from decoding.steps import Steps
from decoding.transformers_engine import TransformersEngine
from envs.examination import Examination
from envs.json.environment import JsonEnvironment
from envs.json.task import JsonTask
from envs.task import Task
from envs.transcript import Transcript


@dataclass(kw_only=True)
class CountingEcho(Echo):
    """Notes how many answers were examined in each call."""

    examined: list[int] = field(default_factory=list)

    def examine(self, episodes: Sequence[tuple[Task, Transcript]]) -> list[Examination]:
        self.examined.append(len(episodes))
        return super().examine(episodes)


TASKS = [Task(id=f"task {number}") for number in range(5)]


def test_whole_answers_are_those_of_the_sample_decoder(model: Any, tokenizer: Any) -> None:
    schema = '{"type": "object", "properties": {"on": {"type": "boolean"}}}'
    tasks = [JsonTask(id=name, schema=schema, text=name, gold='{"on": true}') for name in ("lamp", "fan", "tap")]
    common: dict[str, Any] = {
        "engine": TransformersEngine(model, tokenizer, max_batch_rows=4),
        "tokenizer": tokenizer,
        "environment": JsonEnvironment(),
        "budgets": Budgets(max_new_tokens=10),
        "temperature": 2.0,
    }
    sampled = SampleDecoder(**common).decode(tasks, n=[3] * 3, seed=1)
    found: dict[str, list[State]] = {}

    def plan(problem: Problem) -> Plan[Selection | None]:
        answers = yield from expand([problem.root], width=3)
        found[problem.task.id] = answers
        return chosen(answers)

    searched = SearchDecoder(strategy=Planned(plan=plan), **common).decode(tasks, n=[1] * 3, seed=1)
    for group, judged in zip(sampled.groups, searched.groups, strict=True):
        assert [one.transcript for one in found[group.task.id]] == [one.transcript for one in group.rollouts]
        assert judged.rollouts == group.rollouts[:1]
        for state, rollout in zip(found[group.task.id], group.rollouts, strict=True):
            assert state.logprob == pytest.approx(sum(rollout.logprobs)) and state.tokens == sum(rollout.env_mask)
    assert searched.ledger.generated_tokens == sampled.ledger.generated_tokens
    assert searched.ledger.expansions == 9 and searched.ledger.judged == 3 and sampled.ledger.judged == 9


def test_the_steps_of_an_answer_are_the_answer_written_at_once(model: Any, tokenizer: Any) -> None:
    """Pausing changes neither what is drawn nor what is recorded of it, under a grammar or without."""
    schema = (
        '{"type": "object", "properties": {"on": {"type": "array", "items": {"type": "integer"}}}, "required": ["on"]}'
    )
    tasks = [JsonTask(id=name, schema=schema, text=name, gold="[1]") for name in ("lamp", "fan")]

    def stepwise(problem: Problem) -> Plan[Selection | None]:
        states = [problem.root]
        while not states[0].is_final:
            states = yield from expand(states, until="step")
        return chosen(states)

    def whole(problem: Problem) -> Plan[Selection | None]:
        return chosen((yield from expand([problem.root])))

    for is_masked in (True, False):
        rollouts = []
        for plan, step in ((stepwise, Steps(delimiters=("a", "1"), max_tokens=3)), (whole, Steps(delimiters=()))):
            decoder = SearchDecoder(
                engine=TransformersEngine(model, tokenizer, max_batch_rows=4),
                tokenizer=tokenizer,
                environment=JsonEnvironment(),
                budgets=Budgets(max_new_tokens=24),
                strategy=Planned(plan=plan, step=step),
                is_masked=is_masked,
                temperature=2.0,
            )
            rollouts.append([group.rollouts[0] for group in decoder.decode(tasks, n=[1, 1], seed=3).groups])
        for parts, at_once in zip(*rollouts, strict=True):
            # What the budget's end has closed may differ: of an answer in parts, only the last is taken back.
            drawn = [all(marks) for marks in zip(parts.env_mask, at_once.env_mask, strict=False)]
            kept = drawn.index(False) if False in drawn else len(drawn)
            assert parts.completion_ids[:kept] == at_once.completion_ids[:kept]
            assert parts.logprobs[:kept] == pytest.approx(at_once.logprobs[:kept], abs=1e-4)


def test_a_step_ends_at_a_delimiter_and_a_turn_at_the_environments_answer(tokenizer: Any) -> None:
    seen: list[State] = []

    def plan(problem: Problem) -> Plan[Selection | None]:
        states = [problem.root]
        while not states[0].is_final:
            states = yield from expand(states, until="step" if len(seen) % 2 == 0 else "turn")
            seen.extend(states)
        return chosen(states)

    decoder = searcher(tokenizer, two_steps, plan)
    (group,) = decoder.decode(TASKS[:1], n=[1], seed=0).groups
    texts = [state.transcript.text for state in seen]
    assert texts[0].endswith("\n") and "<step>" not in texts[0]
    assert texts[1].endswith("</result>") and seen[1].digest in {"a", "b"}
    assert texts[2].endswith("\n") and texts[2].startswith(texts[1])
    assert seen[-1].is_final and texts[-1].endswith("</answer>") and not any(one.is_final for one in seen[:-1])
    assert [state.depth for state in seen] == list(range(1, len(seen) + 1))
    assert group.rollouts[0].transcript == seen[-1].transcript


def test_children_share_what_was_said_before_and_states_never_change(tokenizer: Any) -> None:
    levels: list[list[State]] = []

    def plan(problem: Problem) -> Plan[Selection | None]:
        states = [problem.root]
        while states:
            states = yield from expand(states, width=2, until="step")
            levels.append(states)
            states = [state for state in states if not state.is_final]
        return chosen([state for state in levels[-1] if state.is_final])

    searcher(tokenizer, lines, plan).decode(TASKS[:1], n=[1], seed=0)
    assert [len(level) for level in levels] == [2, 4, 8, 16]
    for level in levels[1:]:
        for child in level:
            assert child.parent is not None
            assert child.transcript.text.startswith(child.parent.transcript.text)
            assert child.tokens > child.parent.tokens and len(child.parent.transcript.text.splitlines()) < 5
    for level in levels[:3]:
        assert len({child.transcript.text for child in level}) == len(level)


def test_a_search_that_was_granted_nothing_is_judged_as_an_empty_answer(tokenizer: Any) -> None:
    def plan(problem: Problem) -> Plan[Selection | None]:
        yield from expand([problem.root], width=1)
        return None

    (group,) = searcher(tokenizer, lines, plan).decode(TASKS[:1], n=[1], seed=0).groups
    (rollout,) = group.rollouts
    assert rollout.transcript.text == "" and rollout.finish == "length" and not rollout.verdict.is_correct


def test_states_are_examined_together_and_paid_once(tokenizer: Any) -> None:
    environment = CountingEcho()
    found: list[Any] = []

    def plan(problem: Problem) -> Plan[Selection | None]:
        answers = yield from expand([problem.root], width=2)
        found.append((yield from examine(answers)))
        found.append((yield from examine([*answers, replace(answers[0], quota=3)])))
        return chosen(answers)

    budget = SearchBudget(max_verifier_calls=2)
    decoding = searcher(tokenizer, lines, plan, environment=environment, budget=budget).decode(
        TASKS[:3], n=[1] * 3, seed=0
    )
    assert environment.examined == [6, 9] and decoding.ledger.verifier_calls == 6
    assert all(one is not None and one.is_valid for ones in found for one in ones)


def test_questions_are_asked_in_one_batch_and_kept_to_the_budget_and_the_window(tokenizer: Any) -> None:
    said: list[list[str]] = []

    def plan(problem: Problem) -> Plan[Selection | None]:
        for content in ("why?", "why? " * 400):
            answers = yield from ask([{"role": "user", "content": content}], max_new_tokens=5, n=2)
            said.append([one.text for one in answers])
            assert all(one.tokens <= 5 for one in answers)
        other = yield from begin([{"role": "user", "content": "why? " * 400}])
        assert other is None
        return chosen((yield from expand([problem.root])))

    decoder = searcher(tokenizer, lines, plan, window=900)
    engine: ScriptedEngine = decoder.engine  # type: ignore[assignment]
    ledger = decoder.decode(TASKS[:2], n=[1, 1], seed=0).ledger
    assert [request.n for request in engine.requests[:2]] == [2, 2]
    assert [len(ones) for ones in said] == [2, 2, 0, 0]
    assert ledger.expansions == 6


def test_other_roots_begin_with_their_own_messages(tokenizer: Any) -> None:
    def plan(problem: Problem) -> Plan[Selection | None]:
        root = yield from begin([{"role": "user", "content": "once more"}], temperature=0.0)
        assert root is not None
        return chosen((yield from expand([root])))

    decoder = searcher(tokenizer, lines, plan)
    engine: ScriptedEngine = decoder.engine  # type: ignore[assignment]
    (group,) = decoder.decode(TASKS[:1], n=[1], seed=0).groups
    assert "once more" in tokenizer.decode(group.rollouts[0].prompt_ids)
    assert {request.temperature for request in engine.requests} == {0.0}


def test_expanding_what_cannot_be_expanded_is_an_error_of_the_strategy(tokenizer: Any) -> None:
    def twice(problem: Problem) -> Plan[Selection | None]:
        yield from expand([problem.root])
        return chosen((yield from expand([problem.root])))

    def final(problem: Problem) -> Plan[Selection | None]:
        answers = yield from expand([problem.root])
        return chosen((yield from expand(answers)))

    with pytest.raises(ValueError, match="expanded before"):
        searcher(tokenizer, lines, twice).decode(TASKS[:1], n=[1], seed=0)
    with pytest.raises(ValueError, match="is final"):
        searcher(tokenizer, lines, final).decode(TASKS[:1], n=[1], seed=0)


def sums(finishes: Sequence[Finish]) -> Ledger:
    return sum((finish.cost for finish in finishes), Ledger())


@pytest.mark.parametrize("most_rows", [None, 1, 3])
def test_a_stream_hands_every_task_over_once_and_its_costs_add_up(tokenizer: Any, most_rows: int | None) -> None:
    def plan(problem: Problem) -> Plan[Selection | None]:
        return chosen((yield from expand([problem.root], width=2)))

    searching = searcher(tokenizer, two_steps, plan)
    sampling = SampleDecoder(
        engine=ScriptedEngine(tokenizer=tokenizer, script=two_steps),
        tokenizer=tokenizer,
        environment=Echo(),
        budgets=Budgets(max_new_tokens=400),
    )
    for decoder in (searching, sampling):
        n = [2, 1, 0, 3, 1]
        finishes = list(decoder.stream(TASKS, n=n, seed=4, most_rows=most_rows))
        whole = decoder.decode(TASKS, n=n, seed=4)
        assert sorted(finish.place for finish in finishes) == [0, 1, 2, 3, 4]
        assert [group for _, group in sorted((one.place, one.group) for one in finishes)] == list(whole.groups)
        counted = replace(sums(finishes), generate_seconds=0, wait_seconds=0, judge_seconds=0)
        assert counted == replace(whole.ledger, generate_seconds=0, wait_seconds=0, judge_seconds=0)
        assert all(value >= 0 for finish in finishes for value in vars(finish.cost).values())


def test_searches_do_not_depend_on_their_batch(tokenizer: Any) -> None:
    def plan(problem: Problem) -> Plan[Selection | None]:
        states = [problem.root]
        while not all(state.is_final for state in states):
            going = [state for state in states if not state.is_final]
            states = [one for one in states if one.is_final] + (yield from expand(going, width=2, until="turn"))
        return chosen(states[::-1])

    decoder = searcher(tokenizer, two_steps, plan)
    together = decoder.decode(TASKS, n=[2] * 5, seed=9).groups
    for task, group in zip(TASKS, together, strict=True):
        assert decoder.decode([task], n=[2], seed=9).groups == (group,)
        assert group.rollouts[0] != group.rollouts[1]


def test_states_that_are_given_up_leave_the_session(tokenizer: Any) -> None:
    rows: list[int] = []

    def plan(problem: Problem) -> Plan[Selection | None]:
        states = yield from expand([problem.root], width=4, until="step")
        yield from drop(states[1:])
        rows.append(len(session_rows()))
        return chosen((yield from expand(states[:1])))

    decoder = searcher(tokenizer, lines, plan)
    opened: list[Any] = []
    make_session = decoder.engine.session
    object.__setattr__(decoder.engine, "session", lambda: opened.append(make_session()) or opened[-1])

    def session_rows() -> dict[int, Any]:
        return opened[-1]._rows

    decoder.decode(TASKS[:1], n=[1], seed=0)
    assert rows == [1] and not session_rows()


def test_an_episode_that_ended_without_an_answer_means_nothing(tokenizer: Any) -> None:
    """Its last step is examined where there may be an answer yet; of an episode that is over it is none."""
    found: list[Any] = []

    def say(said: str, random: Random) -> str:
        return "a" if "<result>" in said else "<step>ok</step>"

    class StepsCount(Echo):
        def examine(self, episodes: Sequence[tuple[Task, Transcript]]) -> list[Examination]:
            return [Examination(digest="step ok", is_valid=True) for _ in episodes]

    def plan(problem: Problem) -> Plan[Selection | None]:
        partial = yield from expand([problem.root], until="turn")
        found.extend((yield from examine(partial)))
        answers = yield from expand(partial)
        found.extend((yield from examine(answers)))
        return chosen(answers)

    searcher(tokenizer, say, plan, environment=StepsCount()).decode(TASKS[:1], n=[1], seed=0)
    of_step, of_end = found
    assert of_step.is_valid and of_step.digest == "step ok"
    assert not of_end.is_valid and of_end.digest is None and of_end.error == "empty"


def test_searches_of_one_task_are_examined_apart_and_have_seeds_of_their_own(tokenizer: Any) -> None:
    asked: list[list[str]] = []
    seeds: set[int] = set()

    class Grouping(Echo):
        def examine(self, episodes: Sequence[tuple[Task, Transcript]]) -> list[Examination]:
            asked.append([task.id for task, _ in episodes])
            return super().examine(episodes)

    def plan(problem: Problem) -> Plan[Selection | None]:
        seeds.add(problem.seed)
        answers = yield from expand([problem.root], width=2)
        yield from examine(answers)
        return chosen(answers)

    searcher(tokenizer, lines, plan, environment=Grouping()).decode(TASKS[:2], n=[2, 1], seed=0)
    (ids,) = asked
    assert len(ids) == 6 and len(set(ids)) == 3 and len(seeds) == 3


def test_the_time_of_verifying_is_none_of_generating(tokenizer: Any) -> None:
    class Slow(Echo):
        def examine(self, episodes: Sequence[tuple[Task, Transcript]]) -> list[Examination]:
            time.sleep(0.2)
            return super().examine(episodes)

    def plan(problem: Problem) -> Plan[Selection | None]:
        answers = yield from expand([problem.root])
        yield from examine(answers)
        return chosen(answers)

    ledger = searcher(tokenizer, lines, plan, environment=Slow()).decode(TASKS[:1], n=[1], seed=0).ledger
    assert ledger.verify_seconds >= 0.2 > ledger.generate_seconds
