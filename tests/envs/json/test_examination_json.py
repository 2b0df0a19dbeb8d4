"""JSON, XML and YAML answers without their gold: what obeys the schema, what is said of it, and which are equal."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.json_bombs import BOMBS
from envs.examination import Examination
from envs.examined_text import MESSAGE_CHARACTERS
from envs.json.answer_format import written
from envs.json.content import agreement
from envs.json.environment import JsonEnvironment
from envs.json.judge import JsonVerdict
from envs.json.task import CallsGold, JsonTask, MathGold
from envs.layout import Tags
from envs.transcript import Transcript

ANY = "{}"
PERSON = json.dumps(
    {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer", "maximum": 120}},
        "required": ["name", "age"],
        "additionalProperties": False,
    }
)
TAGGED = Tags(reasoning="think", must_reason=True, step="draft", observation="result", answer="answer")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "1", 0.5, 1.0, -0.0, 1e22, 10**22]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", ""]), inner, max_size=3),
    max_leaves=8,
)


def examine(*texts: str, schema: str = PERSON, gold: Any = None, **options: Any) -> list[Examination]:
    task = JsonTask(id="1", schema=schema, gold=gold)
    return JsonEnvironment(**options).examine([(task, Transcript.of(text)) for text in texts])


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        ('{"name": "Ada", "age": 30}', None, "valid"),
        ('{"age": 121, "name": "Ada"}', "not valid", "/age: 121 is greater than the maximum of 120"),
        (
            '{"age": "121"}',
            "not valid",
            'the whole value: "name" is a required property\n/age: "121" is not of type "integer"',
        ),
        ("", "no answer", "error: the draft is empty"),
        ('{"name": "Ada", "age": 30} yes', "extra text", "error: there is other text beside the value"),
        ('{"name": "Ada", "age": ', "not json", "error: it is not JSON: Expecting value at line 1, column 23"),
        ("[" * 100 + "]" * 100, "too deep", "error: its arrays and objects nest too deep"),
    ],
)
def test_an_answer_is_valid_or_its_first_errors_are_told(answer: str, error: str | None, message: str) -> None:
    (found,) = examine(answer)
    assert (found.is_valid, found.error, found.unjudged) == (error is None, error, None)
    assert found.message.startswith(message)


def test_errors_are_told_with_their_places_up_to_a_few() -> None:
    schema = json.dumps({"items": {"items": {"type": "string"}}})
    (found,) = examine("[[1, 2], [3, 4, 5]]", schema=schema)
    lines = found.message.split("\n")
    assert [line.split(":")[0] for line in lines[:3]] == ["/0/0", "/0/1", "/1/0"] and lines[3:] == ["(2 more errors)"]
    hostile = json.dumps({"k" * 5_000: [1]})
    strings = '{"additionalProperties": {"type": "string"}}'
    (found,) = examine(hostile, schema=strings)
    assert found.message == f'/{"k" * 99}...: [1] is not of type "string"'
    draft = json.dumps({"<answer>": "</think>" * 5_000})
    (found,) = examine(f"<draft>{draft}</draft>", schema='{"maxProperties": 0}', tags=TAGGED)
    assert not found.is_valid and len(found.message) <= MESSAGE_CHARACTERS
    assert "<answer>" not in found.message and "</think>" not in found.message


@settings(max_examples=80, deadline=None)
@given(VALUES, VALUES)
def test_digests_are_equal_as_the_judge_finds_values_equal(one: Any, other: Any) -> None:
    first, second = examine(json.dumps(one), json.dumps(other, indent=1), schema=ANY)
    assert first.digest is not None and first.is_valid
    assert (first.digest == second.digest) is agreement(one, other).is_equal


@settings(max_examples=40, deadline=None)
@given(VALUES, st.randoms())
def test_neither_keys_order_nor_what_stands_around_counts(value: Any, chance: Any) -> None:
    def turned(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: turned(node[key]) for key in chance.sample(list(node), len(node))}
        return [turned(item) for item in node] if isinstance(node, list) else node

    first, second = examine(json.dumps({"v": value}), f"It is {json.dumps({'v': turned(value)})}", schema=ANY)
    assert first.digest == second.digest
    assert first.is_valid and (second.is_valid, second.error) == (False, "extra text")


def test_notations_of_one_value_have_one_digest() -> None:
    text = '{"name": "Ada", "age": 30}'
    digests = set()
    for notation in ("json", "xml", "yaml"):
        (found,) = examine(written(text, PERSON, notation), answer_format=notation)  # type: ignore[arg-type]
        assert found.is_valid
        digests.add(found.digest)
    assert len(digests) == 1


def test_without_an_answer_the_last_draft_counts() -> None:
    draft, answer = '<draft>{"name": "Ada", "age": 30}</draft>', '<answer>{"age": 30.0, "name": "Ada"}</answer>'
    texts = [f"<think>a</think>{draft}", f"<draft>1</draft>{draft}\n<think>so", f"<think>a</think>{answer}"]
    found = examine(*texts, f"{draft}<answer> </answer>", "<think>a", tags=TAGGED)
    assert [one.digest == found[2].digest for one in found] == [True, True, True, False, False]
    assert [one.is_valid for one in found] == [True, True, True, False, False]
    assert [one.error for one in found] == [None, None, None, "no answer", "no answer"]
    assert [one.answer is None for one in found] == [True, True, False, True, True]


def test_the_part_that_is_verified_as_mathematics_decides_alone() -> None:
    gold = MathGold(value="nobody knows")
    answers = [("so", 18), ("thus", "18.0"), ("so", 19), ("so", "x+1"), ("thus", "1 + x"), ("so", None), ("so", "?+")]
    texts = [json.dumps({"reasoning": reasoning, "answer": answer}) for reasoning, answer in answers]
    found = examine(*texts, "{}", schema=ANY, gold=gold)
    digests = [one.digest for one in found]
    assert digests[0] == digests[1] and digests[3] == digests[4]
    assert len(set(digests[:5])) == 3 and None not in digests[:5] and digests[5:] == [None] * 3
    whole = [one.digest for one in examine(*texts, schema=ANY, gold='{"answer": 18}')]
    assert len(set(whole)) == len(whole)
    # What breaks the schema is wrong, whatever its mathematics says.
    strict = '{"properties": {"reasoning": {"const": "so"}}}'
    assert [one.digest is None for one in examine(*texts[:3], schema=strict, gold=gold)] == [False, True, False]


def test_a_value_that_breaks_the_schema_means_nothing_however_often_it_is_given() -> None:
    right, wrong = '{"name": "Ada", "age": 30}', '{"name": "Ada", "age": "30"}'
    found = examine(right, wrong, wrong, f"It is {wrong}", f"<draft>{wrong}</draft>")
    assert found[0].digest is not None and [one.digest for one in found[1:]] == [None] * 4
    (draft,) = examine(f"<draft>{wrong}</draft>", tags=TAGGED)
    assert draft.answer is None and draft.digest is None


def test_a_defective_schema_leaves_the_answer_unjudged() -> None:
    assert examine("1", schema='{"type": 1}') == [Examination(unjudged="defective schema")]


@pytest.mark.parametrize("bomb", BOMBS[::4], ids=[bomb.name for bomb in BOMBS[::4]])
def test_no_bomb_raises(bomb: Any) -> None:
    environment = JsonEnvironment(answer_format=bomb.answer_format, tags=bomb.tags)
    (found,) = environment.examine([(bomb.task, Transcript.of(bomb.answer))])
    assert len(found.message) <= MESSAGE_CHARACTERS
    json.dumps([found.message, found.answer, found.digest], ensure_ascii=False).encode()


TEXTS = st.text('{}[]":,\\u1e-dNa <>/\n', max_size=40) | st.lists(
    st.sampled_from(["<think>", "</think>", "<draft>", "</draft>", "<answer>", "</answer>", '{"a": 1}', "{", "\ud800"])
).map("".join)
SCHEMAS = [ANY, PERSON, '{"properties": {"a": {"type": "string"}}}']


@settings(max_examples=60, deadline=None)
@given(TEXTS, st.sampled_from([Tags(), TAGGED]), st.sampled_from(SCHEMAS), st.sampled_from(["json", "xml", "yaml"]))
def test_no_text_raises_and_no_gold_is_looked_at(text: str, tags: Tags, schema: str, answer_format: Any) -> None:
    environment = JsonEnvironment(tags=tags, answer_format=answer_format)
    task, transcript = JsonTask(id="1", schema=schema), Transcript.of(text)
    (found,) = environment.examine([(task, transcript)])
    for gold in ('{"a": 1}', "no JSON", CallsGold(calls=())):
        assert environment.examine([(replace(task, gold=gold), transcript)]) == [found]
    assert found.unjudged is None and found.is_valid is (found.error is None)
    (verdict,) = environment.judge([(task, transcript)])
    assert isinstance(verdict, JsonVerdict)
    if found.answer is not None or verdict.error == "no answer":
        has_draft = found.answer is None and found.error != "no answer"
        assert has_draft or (found.answer, found.error) == (verdict.answer, verdict.error)
    if found.answer is not None:
        assert (found.digest is not None) is verdict.is_valid
