"""Episodes of several turns: what is said, by whom, in which tokens; budgets; when rows come back."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest
from scripted import Echo, Script, ScriptedEngine

from decoding.budgets import Budgets
from decoding.decoder import SampleDecoder
from decoding.engine import Generation, Timing
from decoding.episode import Episode
from decoding.models import load_tokenizer
from decoding.rollout import Group, Rollout
from decoding.token_text import encode_text
from decoding.transformers_engine import TransformersEngine
from envs.errors import ConfigurationError
from envs.layout import Tags, completed_block, read_layout
from envs.task import Task
from envs.transcript import END, Observation, Transcript


def decode(
    tokenizer: Any, script: Script, *, n: int = 1, max_new_tokens: int = 200, echo: Echo | None = None, **options: Any
) -> tuple[Group, ScriptedEngine, Echo]:
    echo = echo or Echo()
    engine = ScriptedEngine(tokenizer=tokenizer, script=script)
    decoder = SampleDecoder(
        engine=engine,
        tokenizer=tokenizer,
        environment=echo,
        budgets=Budgets(max_new_tokens=max_new_tokens, max_turn_tokens=options.pop("max_turn_tokens", None)),
        **options,
    )
    (group,) = decoder.decode([Task(id="task")], n=[n], seed=0).groups
    return group, engine, echo


def two_steps(said: str, random: Random) -> str:
    return f"<step>{said.count('<result>')}</step>" if said.count("<result>") < 2 else "so <answer>yes</answer> tail"


def test_turns_and_observations_alternate_until_the_answer(tokenizer: Any) -> None:
    group, _, echo = decode(tokenizer, two_steps)
    (rollout,) = group.rollouts
    whole = "<step>0</step><result>0</result><step>1</step><result>1</result>so <answer>yes</answer>"
    assert rollout.transcript.text == whole == tokenizer.decode(rollout.completion_ids)
    assert [segment.author for segment in rollout.transcript.segments] == ["model", "environment"] * 2 + ["model"]
    assert rollout.finish == "stop" and not rollout.transcript.is_truncated and rollout.verdict.is_correct
    assert echo.asked == ["<step>0</step>", whole.partition("<step>1")[0] + "<step>1</step>", whole]


def test_observations_have_mask_0_and_no_logprob_and_their_own_tokens(tokenizer: Any) -> None:
    (rollout,) = decode(tokenizer, two_steps)[0].rollouts
    by_environment = [token for token, mask in zip(rollout.completion_ids, rollout.env_mask, strict=True) if not mask]
    expected = encode_text(tokenizer, "<result>0</result>") + encode_text(tokenizer, "<result>1</result>")
    assert by_environment == expected
    assert [value for value, mask in zip(rollout.logprobs, rollout.env_mask, strict=True) if not mask] == [0.0] * len(
        expected
    )
    assert set(value for value, mask in zip(rollout.logprobs, rollout.env_mask, strict=True) if mask) == {-1.0}
    assert rollout.transcript.tokens == sum(rollout.env_mask)


def test_each_turn_is_asked_for_with_all_tokens_before_it_as_they_were(tokenizer: Any) -> None:
    group, engine, _ = decode(tokenizer, two_steps)
    (rollout,) = group.rollouts
    whole = [*rollout.prompt_ids, *rollout.completion_ids]
    for request in engine.requests:
        assert list(request.prompt_ids) == whole[: len(request.prompt_ids)]


def test_a_tag_without_anything_to_run_lets_the_turn_go_on(tokenizer: Any) -> None:
    def script(said: str, random: Random) -> str:
        return "<step>think</step>" if not said else " and <answer>yes</answer>"

    (rollout,) = decode(tokenizer, script)[0].rollouts
    assert [segment.text for segment in rollout.transcript.segments] == ["<step>think</step> and <answer>yes</answer>"]
    assert set(rollout.env_mask) == {1}


def test_the_end_of_the_text_ends_the_episode_wherever_it_comes(tokenizer: Any) -> None:
    group, _, echo = decode(tokenizer, lambda said, random: "no tags")
    assert group.rollouts[0].finish == "eos" and echo.asked == []


@pytest.mark.parametrize("room", range(9, 60))
def test_no_episode_is_longer_than_its_budget_or_ends_with_an_observation(tokenizer: Any, room: int) -> None:
    echo = Echo(longest_observation=1)
    (rollout,) = decode(tokenizer, two_steps, max_new_tokens=room, echo=echo)[0].rollouts
    assert 1 <= len(rollout.completion_ids) <= room
    assert rollout.env_mask[-1] == 1
    needed = len(decode(tokenizer, two_steps)[0].rollouts[0].completion_ids)
    assert rollout.transcript.is_truncated == (room < needed) == (rollout.finish == "length")


def test_a_turn_beyond_its_own_budget_ends_the_episode(tokenizer: Any) -> None:
    (rollout,) = decode(tokenizer, lambda said, random: "x " * 50, max_turn_tokens=7)[0].rollouts
    assert len(rollout.completion_ids) == 7 and rollout.finish == "length" and rollout.transcript.is_truncated


def test_budgets_without_room_for_a_step_are_refused_at_construction(tokenizer: Any) -> None:
    with pytest.raises(ConfigurationError, match="16 tokens cannot hold one turn of 8, an observation of up to 8"):
        decode(tokenizer, two_steps, max_new_tokens=16, max_turn_tokens=8)
    decode(tokenizer, two_steps, max_new_tokens=17, max_turn_tokens=8)
    with pytest.raises(ConfigurationError, match="at least 1"):
        Budgets(max_new_tokens=5, max_turn_tokens=0)


def test_the_environment_is_asked_about_many_rows_at_once(tokenizer: Any) -> None:
    _, _, echo = decode(tokenizer, two_steps, n=6, echo=Echo(delay=0.05))
    assert echo.most_at_once > 1


def test_an_error_of_the_environment_is_not_swallowed(tokenizer: Any) -> None:
    class Broken(Echo):
        def observe(self, task: Task, transcript: Transcript) -> Observation | None:
            raise KeyError("a defect")

    with pytest.raises(KeyError, match="a defect"):
        decode(tokenizer, two_steps, echo=Broken())


def test_real_rows_come_back_with_the_same_tokens_whenever_they_do(
    model: Any, tokenizer: Any, forward_logprobs: Any
) -> None:
    """The tiny model writes noise: some of its common letters close a step, and others end the episode."""

    class Letters(Echo):
        stops = ("a", "e")

        def observe(self, task: Task, transcript: Transcript) -> Observation | None:
            return Observation(text="<seen>") if len(transcript.segments) < 6 else END

    decoder = SampleDecoder(
        engine=TransformersEngine(model, tokenizer, max_batch_rows=5),
        tokenizer=tokenizer,
        environment=Letters(longest_observation=1),
        budgets=Budgets(max_new_tokens=60),
    )
    tasks = [Task(id=name) for name in ("one", "two", "three")]
    found = []
    for rejoin_after in (None, 0, 3):
        decoding = replace(decoder, rejoin_after=rejoin_after).decode(tasks, n=[3, 1, 2], seed=0)
        rollouts = [rollout for group in decoding.groups for rollout in group.rollouts]
        found.append([rollout.completion_ids for rollout in rollouts])
        assert_logprobs_are_those_of_a_forward(model, rollouts, forward_logprobs)
        assert decoding.ledger.generated_tokens == sum(sum(rollout.env_mask) for rollout in rollouts)
        assert decoding.ledger.observations == sum(
            segment.author == "environment" for rollout in rollouts for segment in rollout.transcript.segments
        )
    assert found[0] == found[1] == found[2] and len(set(found[0])) == 6
    assert max(len(rollout.transcript.segments) for rollout in rollouts) >= 5


def assert_logprobs_are_those_of_a_forward(model: Any, rollouts: Sequence[Rollout], forward: Any) -> None:
    for rollout in rollouts:
        exact = forward(model.eval(), rollout.prompt_ids, rollout.completion_ids, 1.0).tolist()
        kept = [value * mask for value, mask in zip(exact, rollout.env_mask, strict=True)]
        assert list(rollout.logprobs) == pytest.approx(kept, abs=1e-4)


def test_a_prompt_that_opens_the_reasoning_is_known_while_the_model_is_still_thinking(tiny_model: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    tokenizer.chat_template = "{{ messages[0]['content'] }}<think>"
    environment = SqlLike(tags=Tags(reasoning="think", step="step", observation="result", answer="answer"))
    said = ["I could <answer>draft</answer>", " or not.</think><answer>yes</answer>"]
    engine = ScriptedEngine(tokenizer=tokenizer, script=lambda text, random: said[bool(text)], prompt="<think>")
    decoder = SampleDecoder(
        engine=engine, tokenizer=tokenizer, environment=environment, budgets=Budgets(max_new_tokens=200)
    )
    (rollout,) = decoder.decode([Task(id="task")], n=[1], seed=0).groups[0].rollouts
    assert rollout.transcript.begins_in_reasoning and rollout.transcript.text == "".join(said)
    assert read_layout(rollout.transcript, environment.tags).answer == "yes"


class SqlLike(Echo):
    """Reads turns as the shipped environments do."""

    def observe(self, task: Task, transcript: Transcript) -> Observation | None:
        block = completed_block(transcript, self.tags)
        return None if block is None else END


def test_the_time_of_a_turn_in_parts_is_that_of_all_parts() -> None:
    def part(first: float, last: float) -> Generation:
        timing = Timing(grammar=0.5, first_token=first, last_token=last)
        return Generation(token_ids=(1, 2), logprobs=(0.0, 0.0), log_z=None, finish="length", timing=timing)

    episode = Episode(task=Task(id="task"), place=0, row=0, prompt_ids=[1])
    episode.add_generation(part(1.0, 2.0))
    episode.add_generation(part(0.1, 0.3))
    assert episode.timing == Timing(grammar=0.5, first_token=1.0, last_token=2.3)
    assert episode.generated == 4 and episode.fork(1).timing == episode.timing
    episode.add_observation([3])
    episode.add_generation(part(5.0, 9.0))
    assert episode.timing == Timing(grammar=0.5, first_token=1.0, last_token=2.3)
