"""Hostile answers and schemas: a category each, within bounds of time, and never an exception."""

import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.json_bombs import BOMBS, Bomb
from envs.json.environment import JsonEnvironment
from envs.json.judge import JsonVerdict
from envs.json.task import CallsGold, JsonTask, MathGold
from envs.layout import Tags
from envs.transcript import Transcript

GENEROUS_SECONDS = 5.0


@pytest.mark.parametrize("bomb", BOMBS, ids=[bomb.name for bomb in BOMBS])
def test_every_bomb_has_its_category_within_bounds(bomb: Bomb) -> None:
    environment = JsonEnvironment(answer_format=bomb.answer_format, tags=bomb.tags)
    started = time.perf_counter()
    bombed, right = environment.judge([(bomb.task, Transcript.of(bomb.answer)), (RIGHT, Transcript.of("1"))])
    assert time.perf_counter() - started < GENEROUS_SECONDS
    assert (bombed.unjudged or bombed.error) == bomb.category
    assert bomb.answer_format != "json" or right.is_correct
    json.dumps(bombed.answer, ensure_ascii=False).encode()


RIGHT = JsonTask(id="right", schema='{"type": "integer"}', gold="1")
SCHEMAS = [
    "{}",
    '{"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": false}',
    '{"anyOf": [{"type": "array", "items": {"$ref": "#"}}, {"type": "string"}]}',
]
GOLDS: list[Any] = [None, '{"a": 1}', MathGold(value="1", pointer="/a"), CallsGold(calls=())]
TEXTS = (
    st.text(st.characters(), max_size=60)
    | st.text('{}[]":,\\u1e-dNa <>/\n', max_size=60)
    | st.lists(st.sampled_from(["<think>", "</think>", "<answer>", "</answer>", '{"a": 1}', "{", '"', "x", "\ud800"]))
    .map("".join)
)  # fmt: skip
TAGS = st.sampled_from(
    [
        Tags(),
        Tags(reasoning="think"),
        Tags(reasoning="think", must_reason=True, answer="answer"),
        Tags(plan="think", answer="answer"),
    ]
)


@settings(max_examples=300, deadline=None)
@given(TEXTS, TAGS, st.sampled_from(SCHEMAS), st.sampled_from(GOLDS), st.sampled_from(["json", "xml", "yaml"]))
def test_no_text_raises(text: str, tags: Tags, schema: str, gold: Any, answer_format: Any) -> None:
    environment = JsonEnvironment(tags=tags, answer_format=answer_format)
    (verdict,) = environment.judge([(JsonTask(id="1", schema=schema, gold=gold), Transcript.of(text))])
    assert isinstance(verdict, JsonVerdict)
    if verdict.unjudged is not None:
        assert verdict.unjudged == "defective gold"
        return
    assert verdict.is_correct is (verdict.error is None)
    assert 0 <= verdict.progress <= 1 and (verdict.progress == 1) is verdict.is_valid
    assert 0 <= verdict.structure <= 1 and (verdict.structure == 1 or not verdict.is_valid)
    assert (verdict.is_equal is None) is (gold is None)
    json.dumps([verdict.answer, verdict.missing, verdict.invented], ensure_ascii=False)
