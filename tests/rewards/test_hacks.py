"""Answers that try to earn without being right, in hacks/*.yaml: none earns more than an honest wrong answer.

Each is scored by every run configuration of its environment and every preset for it, at the start and late in the
training, laid out in the tags that these ask for. An answer is {reasoning, plan, steps, answer}, or ``raw``, which is
taken as it stands. Words in capitals stand for long texts (``LONG``).
"""

from collections.abc import Callable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml

from envs.environment import Environment
from envs.layout import Tags
from envs.options import construct
from envs.registry import ENVIRONMENTS
from envs.task import Task
from envs.transcript import Transcript
from rewards.composite import Composite, Score
from rewards.configuration import RewardConfig
from rewards.registry import COMPONENTS
from rewards.schedule import START, Moment

MakeTask = Callable[[Mapping[str, Any]], Task]

ROOT = Path(__file__).resolve().parents[2]
HACKS = Path(__file__).parent / "hacks"
LONG = {
    "FILLER": "so " * 400,
    "DIGITS": "5" * 20_000,
    "BOXES": r"\boxed{5} \boxed{" * 500,
    "HEADINGS": "\n".join(f"{number}. Do step {number}" for number in range(1, 101)),
    "OBJECTS": '{"city": "Lyon"} ' * 100,
    "NESTED": '{"city": ' * 5_000,
    "TEXT": "Lyon has 520,774 inhabitants and lies on the Rhône; its mayor is Grégory Doucet.",
}


def presets() -> Iterator[tuple[str, str, Mapping[str, Any], Mapping[str, Any]]]:
    """(name, environment, its options, reward) of every run configuration and every preset."""
    for path in sorted((ROOT / "configs").glob("*.yaml")):
        run = yaml.safe_load(path.read_text())
        options = run["environment"].get("options", {})
        yield f"configs/{path.name}", run["environment"]["name"], options, run["reward"]
    for path in sorted((ROOT / "configs" / "rewards").glob("*.yaml")):
        text = path.read_text()
        _, mark, header = text.partition("# Environment:\n")
        assert mark, f"{path} does not say which environment it is for"
        lines = [line.removeprefix("#") for line in header.splitlines()]
        said = yaml.safe_load(
            "\n".join(line for line in lines[: next(i for i, x in enumerate(lines) if x == "parts:")])
        )
        yield f"rewards/{path.name}", said["name"], said.get("options", {}), yaml.safe_load(text)


PRESETS = list(presets())


def make_reward(reward: Mapping[str, Any]) -> RewardConfig:
    return construct("reward section", "reward", {"reward": RewardConfig}, reward)


def make_environment(kind: str, options: Mapping[str, Any]) -> Environment[Any]:
    """The environment, with less patience for queries that never end."""
    if kind == "sql":
        options = {**options, "executor": {**options.get("executor", {}), "limits": {"seconds": 0.3}}}
    if kind == "math":
        options = {**options, "deadline": 1.0}
    return construct("environment", kind, ENVIRONMENTS, options)


def laid_out(answer: Mapping[str, Any], tags: Tags) -> Transcript:
    text = answer.get("raw")
    if text is None:
        text = ""
        if tags.must_reason or (tags.reasoning and "reasoning" in answer):
            text += f"<{tags.reasoning}>{answer.get('reasoning', 'Let us see.')}</{tags.reasoning}>\n"
        if tags.plan:
            text += f"<{tags.plan}>{answer.get('plan', 'Just do it, step by step.')}</{tags.plan}>\n"
        for step in answer.get("steps", ()) if tags.step else ():
            text += f"<{tags.step}>{step}</{tags.step}>\n"
        text += f"<{tags.answer}>{answer['answer']}</{tags.answer}>" if tags.answer else answer["answer"]
    for word, long in LONG.items():
        text = text.replace(word, long)
    return Transcript.of(text, tokens=len(text) // 4)


MOMENTS = (START, Moment(step=10**6, means={name: 1.0 for kind in COMPONENTS.values() for name in kind}))


def score(
    environment: Environment[Any],
    composite: Composite,
    task: Task,
    answers: list[Mapping[str, Any]],
    moment: Moment = START,
) -> list[Score]:
    """The scores of wrong answers; each of them can be judged."""
    tags = environment.tags  # type: ignore[attr-defined]
    verdicts = environment.judge([(task, laid_out(answer, tags)) for answer in answers])
    assert not any(verdict.is_correct for verdict in verdicts)
    scores = [composite.score(verdict, moment) for verdict in verdicts]
    assert all(score.value is not None for score in scores)
    return scores


@pytest.mark.parametrize(("name", "kind", "options", "reward"), PRESETS, ids=[preset[0] for preset in PRESETS])
def test_no_hack_earns_more_than_an_honest_wrong_answer(
    name: str, kind: str, options: Mapping[str, Any], reward: Mapping[str, Any], make_task: MakeTask
) -> None:
    environment = make_environment(kind, options)
    composite = Composite(environment, make_reward(reward))
    earned = []
    for row, moment in product(yaml.safe_load((HACKS / f"{kind}.yaml").read_text()), MOMENTS):
        honest, *hacks = score(environment, composite, make_task(row), [row["honest"], *row["hacks"].values()], moment)
        for hack, scored in zip(row["hacks"], hacks, strict=True):
            if scored.value > honest.value:
                earned.append(
                    f"{hack}: {scored.value:.3f} {dict(scored.parts)} > {honest.value:.3f} {dict(honest.parts)}"
                )
    assert not earned, "\n".join(earned)


@pytest.mark.parametrize("kind", sorted(ENVIRONMENTS))
def test_a_right_answer_earns_more_than_any_hack(kind: str, make_task: MakeTask) -> None:
    """Under the run configuration; of the honest wrong answer the test above says the same."""
    _, _, options, reward = next(preset for preset in PRESETS if preset[0] == f"configs/{kind}.yaml")
    environment = make_environment(kind, options)
    composite = Composite(environment, make_reward(reward))
    for row in yaml.safe_load((HACKS / f"{kind}.yaml").read_text()):
        task = make_task(row)
        reference = environment.reference(task)
        right = {"raw": reference if reference is not None else '{"reasoning": "2 + 3 = 5", "answer": 5}'}
        (verdict,) = environment.judge([(task, laid_out(right, environment.tags))])
        best = composite.score(verdict).value
        assert verdict.is_correct and best is not None
        for scored in score(environment, composite, task, list(row["hacks"].values())):
            assert scored.value < best


def test_there_are_at_least_sixty_of_them() -> None:
    rows = [row for path in HACKS.glob("*.yaml") for row in yaml.safe_load(path.read_text())]
    assert sum(len(row["hacks"]) for row in rows) >= 60
