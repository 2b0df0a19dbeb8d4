"""The sample decoder: whose answers are whose, what they cost, and what cannot be decoded."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.bundled_tasks import BundledJsonReader
from decoding.budgets import Budgets
from decoding.chat_prompt import prompt_ids
from decoding.decoder import SampleDecoder, require_window
from decoding.models import load_tokenizer
from decoding.transformers_engine import TransformersEngine
from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment
from envs.json.task import JsonTask
from envs.math.environment import MathEnvironment
from envs.math.task import MathTask

SCHEMA = json.dumps({"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"]})
TASKS = [
    JsonTask(id=name, schema=SCHEMA, text=text, gold='{"on": true}')
    for name, text in (("lamp", "The lamp is on."), ("fan", "It is hot, and so the fan turns."), ("tap", "Drip."))
]


@pytest.fixture
def decoder(model: Any, tokenizer: Any) -> SampleDecoder:
    return SampleDecoder(
        engine=TransformersEngine(model, tokenizer, max_batch_rows=4),
        tokenizer=tokenizer,
        environment=JsonEnvironment(),
        budgets=Budgets(max_new_tokens=12),
        temperature=2.0,
    )


def test_groups_come_in_the_order_of_the_tasks_with_their_own_sizes(decoder: SampleDecoder) -> None:
    decoding = decoder.decode(TASKS, n=[1, 4, 2], seed=0)
    assert [group.task.id for group in decoding.groups] == ["lamp", "fan", "tap"]
    assert [len(group.rollouts) for group in decoding.groups] == [1, 4, 2]
    for group in decoding.groups:
        expected = prompt_ids(decoder.tokenizer, decoder.environment, group.task)
        assert all(list(rollout.prompt_ids) == expected for rollout in group.rollouts)


def test_every_task_is_judged_by_its_own_facts(decoder: SampleDecoder) -> None:
    always = SCHEMA.replace('{"type": "boolean"}', '{"const": true}').replace("]}", '], "additionalProperties": false}')
    tasks = [replace(TASKS[0], schema=always), replace(TASKS[1], schema=always, gold='{"on": false}')]
    decoding = replace(decoder, masked_share=1.0, budgets=Budgets(max_new_tokens=20)).decode(tasks, n=[2, 3], seed=0)
    verdicts = [[rollout.verdict.is_correct for rollout in group.rollouts] for group in decoding.groups]
    assert verdicts == [[True, True], [False, False, False]]
    texts = {rollout.transcript.model_text for group in decoding.groups for rollout in group.rollouts}
    assert texts == {'{"on": true}'}


def test_transcripts_are_the_decoded_ids_and_truncation_is_said(decoder: SampleDecoder) -> None:
    decoding = decoder.decode(TASKS, n=[40, 40, 40], seed=0)
    rollouts = [rollout for group in decoding.groups for rollout in group.rollouts]
    assert {rollout.finish for rollout in rollouts} == {"eos", "length"}
    for rollout in rollouts:
        text = decoder.tokenizer.decode(rollout.completion_ids, skip_special_tokens=True)
        assert rollout.transcript.model_text == text and "<|im_end|>" not in text
        assert rollout.transcript.is_truncated == (rollout.finish == "length") == rollout.verdict.is_truncated
        lengths = {len(rollout.completion_ids), len(rollout.logprobs), len(rollout.env_mask)}
        assert len(lengths) == 1 and set(rollout.env_mask) == {1}


def test_spaces_before_punctuation_survive_a_tokenizer_that_cleans_up(decoder: SampleDecoder, tiny_model: Path) -> None:
    tokenizer = load_tokenizer(str(tiny_model))
    tokenizer.clean_up_tokenization_spaces = True
    tokenizer.clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output = True
    assert tokenizer.decode(tokenizer.encode("a , b . c")) == "a, b. c"
    task = replace(TASKS[0], schema='{"enum": ["a , b . c"]}', gold='"a , b . c"')
    cleaning = replace(decoder, tokenizer=tokenizer, masked_share=1.0, budgets=Budgets(max_new_tokens=40))
    assert cleaning.decode([task], n=[1], seed=0).groups[0].rollouts[0].transcript.model_text == '"a , b . c"'


def test_the_ledger_counts_what_was_done(decoder: SampleDecoder) -> None:
    decoding = decoder.decode(TASKS, n=[1, 4, 2], seed=0)
    rollouts = [rollout for group in decoding.groups for rollout in group.rollouts]
    assert decoding.ledger.generated_tokens == sum(len(rollout.completion_ids) for rollout in rollouts)
    assert decoding.ledger.prefilled_tokens == sum(len(group.rollouts[0].prompt_ids) for group in decoding.groups)
    assert decoding.ledger.judged == 7
    assert decoding.ledger.generate_seconds > 0 and decoding.ledger.judge_seconds > 0
    assert (decoding.ledger + decoding.ledger).generated_tokens == 2 * decoding.ledger.generated_tokens


def test_a_seed_fixes_each_tasks_answers_whatever_the_batch(decoder: SampleDecoder) -> None:
    together = decoder.decode(TASKS, n=[3, 3, 3], seed=7)
    assert [group.rollouts for group in decoder.decode(TASKS, n=[3, 3, 3], seed=7).groups] == [
        group.rollouts for group in together.groups
    ]
    (alone,) = decoder.decode(TASKS[1:2], n=[3], seed=7).groups
    ids = [rollout.completion_ids for rollout in together.groups[1].rollouts]
    assert [rollout.completion_ids for rollout in alone.rollouts] == ids
    (other,) = decoder.decode(TASKS[1:2], n=[3], seed=8).groups
    assert not set(ids) & {rollout.completion_ids for rollout in other.rollouts}


def test_tasks_of_one_prompt_have_samples_of_their_own(decoder: SampleDecoder) -> None:
    twins = [TASKS[0], replace(TASKS[0], id="another lamp")]
    first, second = decoder.decode(twins, n=[2, 2], seed=0).groups
    assert {one.completion_ids for one in first.rollouts}.isdisjoint(one.completion_ids for one in second.rollouts)


def test_a_grammar_is_applied_when_asked_for_and_recorded_when_missing(model: Any, tokenizer: Any) -> None:
    engine = TransformersEngine(model, tokenizer)
    environment = MathEnvironment()
    tasks = [MathTask(id="number", question="1+1?", gold="2"), MathTask(id="letter", question="x?", gold="x^2")]
    assert environment.grammar(tasks[0]) is not None and environment.grammar(tasks[1]) is None
    budgets = Budgets(max_new_tokens=16)
    free = SampleDecoder(engine=engine, tokenizer=tokenizer, environment=environment, budgets=budgets)
    masked = replace(free, masked_share=1.0)
    (_, without) = (group.rollouts[0] for group in masked.decode(tasks, n=[1, 1], seed=0).groups)
    assert without.grammar_error == "environment 'math' has no grammar for this task" and without.log_z is None
    (number,) = masked.decode(tasks[:1], n=[1], seed=0).groups[0].rollouts
    assert number.log_z is not None and number.grammar_error is None
    for group in free.decode(tasks, n=[1, 1], seed=0).groups:
        assert group.rollouts[0].log_z is None and group.rollouts[0].grammar_error is None


def test_a_grammar_that_cannot_be_compiled_is_recorded(decoder: SampleDecoder) -> None:
    task = replace(TASKS[0], schema='{"type": "integer", "minimum": 5, "maximum": 1}', gold="1")
    (rollout,) = replace(decoder, masked_share=1.0).decode([task], n=[1], seed=0).groups[0].rollouts
    assert rollout.grammar_error is not None and "nsatisfiable" in rollout.grammar_error
    assert rollout.grammars == () and rollout.log_z is None


def test_a_grammar_that_masks_cannot_hold_is_applied_in_part_and_the_answer_is_looked_at(
    decoder: SampleDecoder,
) -> None:
    task = replace(TASKS[0], schema='{"not": {"type": "string"}, "type": ["string", "boolean"]}', gold="true")
    rollouts = replace(decoder, masked_share=1.0).decode([task], n=[8], seed=0).groups[0].rollouts
    assert all(one.grammar_lenient is not None and "#/not" in one.grammar_lenient for one in rollouts)
    whole = [one for one in rollouts if one.finish == "eos"]
    assert {one.is_sentence for one in whole} == {one.transcript.text in ("true", "false") for one in whole}
    for one in whole:
        assert one.is_sentence == (one.transcript.text in ("true", "false")), one.transcript.text


def test_no_tasks_give_no_groups(decoder: SampleDecoder) -> None:
    assert decoder.decode([], n=[]).groups == ()


def test_a_prompt_that_does_not_fit_the_window_is_named(tokenizer: Any) -> None:
    tasks = BundledJsonReader().read("heldout").tasks[:8]
    environment = JsonEnvironment()
    lengths = {task.id: len(prompt_ids(tokenizer, environment, task)) for task in tasks}
    longest = max(lengths.values())
    require_window(tokenizer, environment, tasks, max_new_tokens=32, window=longest + 32)
    require_window(tokenizer, environment, tasks, max_new_tokens=10**6, window=None)
    require_window(tokenizer, environment, [], max_new_tokens=32, window=1)
    with pytest.raises(ConfigurationError) as caught:
        require_window(tokenizer, environment, tasks, max_new_tokens=32, window=longest + 31)
    named = next(task for task, length in sorted(lengths.items(), reverse=True) if length == longest)
    assert f"task '{named}'" in str(caught.value) and f"{longest} tokens" in str(caught.value)


def test_a_chat_template_that_refuses_the_messages_is_an_error_that_names_the_roles(tiny_model: Path) -> None:
    strict = load_tokenizer(str(tiny_model))
    strict.chat_template = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(ConfigurationError, match=r"task 'lamp'.*roles .*user.*: System role not supported"):
        prompt_ids(strict, JsonEnvironment(), TASKS[0])
