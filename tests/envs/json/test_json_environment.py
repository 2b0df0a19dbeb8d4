"""The JSON environment: verdicts, prompts, grammars."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from llguidance import LLMatcher, LLTokenizer

from envs.errors import ConfigurationError
from envs.json.environment import JsonEnvironment
from envs.json.judge import JsonVerdict
from envs.json.task import JsonTask
from envs.transcript import Transcript

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}
TASK = JsonTask(id="1", schema=json.dumps(SCHEMA), text="Ann is 7.", gold='{"name": "Ann", "age": 7}')


def judge(answer: str, task: JsonTask = TASK, **options: Any) -> JsonVerdict:
    (verdict,) = JsonEnvironment(**options).judge([(task, Transcript.of(answer))])
    assert isinstance(verdict, JsonVerdict)
    return verdict


def test_the_reference_is_correct_in_any_key_order() -> None:
    reference = JsonEnvironment().reference(TASK)
    assert reference == '{"name": "Ann", "age": 7}'
    for answer in (reference, '{"age":7.0,\n"name":"Ann"}'):
        verdict = judge(answer)
        assert verdict.is_correct and verdict.error is None and verdict.f1 == 1.0


@pytest.mark.parametrize(
    ("answer", "error", "facts"),
    [
        ("", "no answer", (False, False, False)),
        ("Ann", "not json", (False, False, False)),
        ('Here: {"name": "Ann", "age": 7}', "extra text", (True, True, True)),
        ('{"name": "Ann"}', "not valid", (True, False, False)),
        ('{"name": "Ann", "age": 8}', "wrong value", (True, True, False)),
        ('{"name": "Ann", "age": true}', "not valid", (True, False, False)),
    ],
)
def test_facts_of_a_wrong_answer(answer: str, error: str, facts: tuple[bool, bool, bool]) -> None:
    verdict = judge(answer)
    assert verdict.error == error and not verdict.is_correct and verdict.unjudged is None
    assert (verdict.is_parsed, verdict.is_valid, verdict.has_extra_text) == facts


def test_content_is_measured_for_invalid_values_too_and_is_zero_without_a_value() -> None:
    partial = judge('{"name": "Ann"}')
    assert (partial.precision, partial.recall) == (1.0, 0.5)
    assert partial.f1 == pytest.approx(2 / 3)
    assert judge("nothing").f1 == 0.0


def test_without_a_gold_every_valid_value_is_correct_and_content_is_unknown() -> None:
    verdict = judge('{"name": "Bob", "age": 1}', JsonTask(id="2", schema=TASK.schema))
    assert verdict.is_correct and verdict.f1 is None and verdict.precision is None


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (JsonTask(id="3", schema='{"type": "text"}', gold="1"), "defective schema"),
        (JsonTask(id="4", schema="{}", gold="{"), "defective gold"),
        (JsonTask(id="5", schema='{"type": "string"}', gold="1"), "defective gold"),
    ],
)
def test_a_defective_task_is_unjudged(task: JsonTask, reason: str) -> None:
    assert judge("1", task).unjudged == reason


def test_reasoning_is_left_out_where_the_environment_says_so() -> None:
    answer = '<think>{"name": "no", "age": 1}</think>\n{"name": "Ann", "age": 7}'
    assert judge(answer).error == "extra text"
    assert judge(answer, reasoning_end="</think>").is_correct


def test_hostile_answers_do_not_keep_a_batch_from_being_judged() -> None:
    hostile = [
        "[" * 100_000,
        '{"a":' * 100_000,
        "1" * 5_000,
        '{"name": "Ann", "age": ' + "7" * 5_000 + "}",
        "NaN",
        '{"name": "Ann", "age": 1e400}',
        '{"name": "Ann", "age": 7, "age": 7}',
        '{"name": "' + "x" * 2_000_000 + '", "age": 7}',
        '{"name": "\\ud800", "age": 7}',
        '{"name": "\ud800", "age": 7}',
        "\x00" * 1_000,
        "{" * 60_000,
        '{"' + "k" * 20_000 + '": [' + "1," * 20_000 + "1]}",
    ]
    answers = [answer for text in hostile for answer in (text, '{"name": "Ann", "age": 7}')]
    started = time.perf_counter()
    verdicts = JsonEnvironment().judge([(TASK, Transcript.of(answer)) for answer in answers])
    assert time.perf_counter() - started < 3
    assert [verdict.is_correct for verdict in verdicts] == [False, True] * len(hostile)
    assert all(verdict.unjudged is None for verdict in verdicts)
    json.dumps([verdict.answer for verdict in verdicts], ensure_ascii=False).encode()


def test_truncation_is_carried_over() -> None:
    (verdict,) = JsonEnvironment().judge([(TASK, Transcript.of('{"name": "A', is_truncated=True))])
    assert verdict.is_truncated and verdict.error == "not json"


@pytest.mark.parametrize("style", ["json", "compact"])
def test_the_prompt_is_short_and_holds_schema_and_text(style: Any) -> None:
    (message,) = JsonEnvironment(schema_style=style).prompt(TASK)
    instruction, schema, text = message["content"].split("\n\n")
    assert len(instruction.split()) <= 25
    assert "age" in schema and text == "Text:\nAnn is 7."


def test_the_compact_prompt_is_shorter() -> None:
    short, long = (JsonEnvironment(schema_style=style).prompt(TASK)[0]["content"] for style in ("compact", "json"))
    assert "{name: string, age: integer(min 0)}" in short
    assert len(short) < len(long)


@pytest.mark.parametrize("options", [{"schema_style": "yaml"}, {"max_depth": 0}, {"max_characters": 0}])
def test_a_meaningless_option_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError):
        JsonEnvironment(**options)


def rows(directory: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (directory / "schemas.jsonl").read_text().splitlines()]


def test_every_label_of_real_schemas_is_reproduced(dataset_directory: Callable[[str, str], Path]) -> None:
    environment, labels, episodes = JsonEnvironment(), [], []
    for row in rows(dataset_directory("jsonschemabench-sample", "schemas.jsonl")):
        task = JsonTask(id=row["id"], schema=json.dumps(row["schema"]))
        for test in row["tests"]:
            labels.append(test["valid"])
            episodes.append((task, Transcript.of(json.dumps(test["data"]))))
    verdicts = environment.judge(episodes)
    assert len(labels) > 2_000
    assert [verdict.unjudged for verdict in verdicts if verdict.unjudged] == []
    assert [verdict.is_correct for verdict in verdicts] == labels
    listed = sum(bool(verdict.schema_errors) for verdict in verdicts if isinstance(verdict, JsonVerdict))
    assert listed > 0.9 * labels.count(False)


def test_real_references_are_accepted_by_the_grammar(dataset_directory: Callable[[str, str], Path]) -> None:
    environment, tokenizer = JsonEnvironment(), LLTokenizer("byte")
    accepted = compiled = 0
    for row in rows(dataset_directory("jsonschemabench-sample", "schemas.jsonl"))[::10]:
        gold = next((json.dumps(test["data"]) for test in row["tests"] if test["valid"]), None)
        if gold is None:
            continue
        task = JsonTask(id=row["id"], schema=json.dumps(row["schema"]), gold=gold)
        grammar = LLMatcher.grammar_from_json_schema(environment.grammar(task).source)
        if LLMatcher.validate_grammar(grammar, tokenizer):
            continue  # llguidance supports fewer keywords than the judge
        compiled += 1
        matcher = LLMatcher(tokenizer, grammar)
        tokens = tokenizer.tokenize_bytes((environment.reference(task) or "").encode())
        accepted += matcher.try_consume_tokens(tokens) == len(tokens) and matcher.is_accepting()
    assert compiled > 40
    assert accepted >= 0.97 * compiled
