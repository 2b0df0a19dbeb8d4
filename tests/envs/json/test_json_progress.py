"""How far an answer got: by syntax and by schema, in the answer's own order."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.json.environment import JsonEnvironment
from envs.json.judge import JsonVerdict
from envs.json.parsing import Limits
from envs.json.places import Places, token_count
from envs.json.task import JsonTask
from envs.json.tokens import TOKEN, prefix_of
from envs.transcript import Transcript

PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "minLength": 2},
        "age": {"type": "integer", "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 2},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}


def verdict_on(answer: str, schema: Any = PERSON, **options: Any) -> JsonVerdict:
    task = JsonTask(id="1", schema=json.dumps(schema))
    (verdict,) = JsonEnvironment(**options).judge([(task, Transcript.of(answer))])
    assert isinstance(verdict, JsonVerdict)
    return verdict


def progress(answer: str, schema: Any = PERSON, **options: Any) -> float:
    return verdict_on(answer, schema, **options).progress


@pytest.mark.parametrize(
    ("answer", "accepted", "total"),
    [
        # In order: { "name" : "Ann" , "age" : 7 }
        ('{"name": "Ann", "age": 7}', 10, 9),
        ('{"age": 7, "name": "Ann"}', 10, 9),
        ('{"name": "A", "age": 7}', 3, 9),
        ('{"name": "Ann", "age": 121}', 7, 9),
        ('{"name": "Ann", "size": 7}', 5, 9),
        ('{"name": "Ann"}', 4, 5),
        ('{"name": 1, "size": 7}', 3, 9),
        ('{"name": "Ann", "tags": ["a", "c"], "age": 1}', 10, 17),
        ('{"name": "Ann", "tags": ["a", "b", "a"], "age": 1}', 12, 19),
        ("[]", 0, 2),
        ("12", 0, 1),
        # Broken or unfinished.
        ("", 0, 0),
        ("sorry", 0, 1),
        ("{", 1, 1),
        ('{"name', 1, 1),
        ('{"name"', 2, 2),
        ('{"size"', 1, 2),
        ('{"name": "Ann", "age": 7', 7, 7),
        ('{"name": "Ann", "age": 121', 7, 7),
        ('{"name": "Ann", "age": 121,', 7, 9),
        ('{"name": 5, "age": 7', 3, 7),
        ('{"name": "Ann", "name": "Bob"}', 5, 9),
        ('{"name": "Ann" "age": 7}', 4, 8),
        ('{"name": "Ann", "age": NaN}', 7, 9),
        ('{"name": "Ann", "age": 01}', 7, 9),
        ("{'name': 'Ann'}", 1, 5),
        ('{"name": "\\ud800", "age": 7}', 3, 9),
        ('{"name": "Ann", "tags": ["a",', 10, 10),
        ('{"name": "Ann", "tags": ["a", "b",', 12, 12),
        ('{"name": "Ann", "age": ' + "7" * 500 + "}", 7, 9),
        # The value counts, or what comes nearest to one, not the text around it.
        ('Here: {"name": "Ann", "age": 121} ok', 7, 9),
        ('Here: {"name": "Ann"', 4, 4),
        ("5 apples", 0, 2),
    ],
)
def test_tokens_up_to_the_first_that_goes_wrong_over_all_and_the_end(answer: str, accepted: int, total: int) -> None:
    assert progress(answer) == pytest.approx(accepted / (total + 1))


DRAFT_7 = "http://json-schema.org/draft-07/schema#"
NODE = {
    "$defs": {"leaf": {"type": "integer"}, "pair": {"type": "array", "items": {"type": "integer"}, "minItems": 2}},
}


@pytest.mark.parametrize(
    ("schema", "answer", "accepted"),
    [
        # The branch that gets furthest counts.
        ({**NODE, "anyOf": [{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/pair"}]}, '[1, "x", 2]', 3),
        ({**NODE, "anyOf": [{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/pair"}]}, '"x"', 0),
        ({**NODE, "oneOf": [{"$ref": "#/$defs/leaf"}, {"$ref": "#/$defs/pair"}]}, "[1]", 2),
        ({"oneOf": [{"minItems": 1}, {"maxItems": 3}]}, "[1, 2]", 4),
        ({"not": {"required": ["a"]}}, '{"a": 1, "b": 2}', 8),
        ({"properties": {"x": {"not": {"type": "null"}}}}, '{"x": null, "y": 1}', 3),
        # What only holds on a condition goes wrong where the condition is settled.
        (
            {"if": {"properties": {"k": {"const": 1}}}, "then": {"properties": {"v": {"type": "string"}}}},
            '{"v": 1, "k": 1}',
            8,
        ),
        (
            {"items": {"if": {"required": ["k"]}, "then": {"properties": {"v": False}}}},
            '[{"v": 1, "k": 1}, {"v": 2}]',
            9,
        ),
        ({"dependentSchemas": {"k": {"properties": {"v": {"type": "string"}}}}}, '{"v": 1, "k": 1}', 8),
        ({"properties": {"a": True}, "unevaluatedProperties": False}, '{"b": 1, "a": 1}', 8),
        # A property that has a keyword's name is no condition.
        ({"properties": {"then": {"properties": {"if": {"type": "null"}}}}, "if": True}, '{"then": {"if": 1}}', 6),
        ({"contains": {"const": 9}}, "[1, 2]", 4),
        ({"uniqueItems": True}, "[1, 1, 2]", 6),
        ({"const": {"a": 1}}, '{"a": 2, "b": 1}', 8),
        ({"maxProperties": 1}, '{"a": 2, "b": 1}', 5),
        ({"propertyNames": {"maxLength": 1}}, '{"a": 2, "bc": 1}', 5),
        ({"prefixItems": [True], "items": False}, "[1, 2]", 3),
        ({"$schema": DRAFT_7, "items": [True], "additionalItems": False}, "[1, 2]", 3),
        ({"dependentRequired": {"a": ["b"]}}, '{"a": 1, "c": 2}', 8),
        ({"patternProperties": {"^n": {"type": "integer"}}}, '{"m": "x", "n": "x"}', 7),
        ({"properties": {"a/b~c": {"type": "integer"}}}, '{"x": [1, 2], "a/b~c": "x"}', 11),
        ({"properties": {'a"b': {"type": "integer"}}}, '{"a\\u0022b": "x"}', 3),
    ],
)  # fmt: skip
def test_each_keyword_goes_wrong_where_nothing_can_mend_it(schema: Any, answer: str, accepted: int) -> None:
    total = len(TOKEN.findall(answer))
    assert progress(answer, schema) == pytest.approx(accepted / (total + 1))


def test_a_condition_does_not_go_wrong_before_its_value_is_closed() -> None:
    schema = {
        "properties": {"in": {"if": {"properties": {"k": {"const": 1}}}, "then": {"properties": {"v": {"const": 0}}}}}
    }
    assert progress('{"in": {"v": 1', schema) == progress('{"in": {"v": 0', schema) == pytest.approx(6 / 7)
    assert progress('{"in": {"v": 1}', schema) == pytest.approx(7 / 9)
    assert progress('{"in": {"v": 1, "k": 2}', schema) == pytest.approx(12 / 13)


@pytest.mark.parametrize(
    "answer",
    ['{"007": 1, "a": {"": "x"}}', '{"": {"b": 1}}', '{"007": "x", "7": 1}', '{"+1": "x", "1": 1}', '{"": 1, "b": 2}'],
)
def test_what_has_no_clear_place_goes_wrong_at_the_end(answer: str) -> None:
    schema = {"additionalProperties": {"type": ["integer", "object"], "additionalProperties": {"type": "null"}}}
    value = json.loads(answer)
    verdict = verdict_on(answer, schema)
    assert verdict.is_valid or verdict.progress == pytest.approx(token_count(value) / (token_count(value) + 1))


def test_a_key_that_is_a_number_has_its_place() -> None:
    schema = {"additionalProperties": {"type": "integer"}}
    assert progress('{"a": 1, "7": "x"}', schema) == pytest.approx(7 / 10)
    assert progress('{"a": 1, "007": "x"}', schema) == pytest.approx(7 / 10)


def test_limits_stop_progress_where_they_are_passed() -> None:
    assert progress("[" * 10, {}, max_depth=3) == pytest.approx(3 / 11)
    assert progress('["aaaaaaaaaa", 1, 2, 3]', {}, max_characters=15) == pytest.approx(3 / 4)


def test_where_listing_errors_would_explode_only_the_syntax_counts() -> None:
    schema = {"anyOf": [{"items": {"$ref": "#"}, "type": "array"}] * 3 + [{"type": "integer"}]}
    verdict = verdict_on("[" * 30 + '"x"' + "]" * 30, schema)
    assert verdict.listing == "none" and verdict.schema_errors == ()
    assert verdict.progress == pytest.approx(61 / 62)
    long = verdict_on(json.dumps(["x"] * 10_000), {"items": {"type": "integer"}})
    assert long.listing == "first" and len(long.schema_errors) == 1 and long.progress == pytest.approx(1 / 20_002)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 300) | st.sampled_from(["", "a", 'q"', "é", 0.5, -1e9, "{", "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c", "then", 'q"']), inner),
    max_leaves=8,
)


def members(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(["a", "b", "then"]), inner)


SCHEMAS = st.recursive(
    st.sampled_from(
        [
            True,
            {"type": "integer"},
            {"type": ["string", "null"]},
            {"minimum": 3},
            {"minLength": 1},
            {"enum": [1, "a", None, {}]},
            {"required": ["a"]},
            {"maxProperties": 1},
            {"minItems": 1},
            {"maxItems": 1},
            {"uniqueItems": True},
            {"propertyNames": {"enum": ["a", "then"]}},
            {"dependentRequired": {"a": ["b"]}},
        ]
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries({"properties": members(inner)}),
        st.fixed_dictionaries({"properties": members(inner), "additionalProperties": st.just(False)}),
        st.fixed_dictionaries({"additionalProperties": inner}),
        st.fixed_dictionaries({"items": inner}),
        st.fixed_dictionaries({"contains": inner}),
        st.fixed_dictionaries({"not": inner}),
        st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"oneOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"allOf": st.lists(inner, min_size=1, max_size=3)}),
        st.fixed_dictionaries({"if": inner, "then": inner, "else": inner}),
        st.fixed_dictionaries({"dependentSchemas": st.dictionaries(st.just("a"), inner)}),
        st.fixed_dictionaries({"properties": members(inner), "unevaluatedProperties": inner}),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(SCHEMAS, VALUES, st.integers(0, 2))
def test_a_longer_prefix_of_a_valid_answer_never_has_less(schema: Any, value: Any, indent: int) -> None:
    text = json.dumps(value, indent=indent or None)
    verdict = verdict_on(text, schema)
    assert (verdict.progress == 1.0) is verdict.is_valid
    assert 0 <= verdict.progress <= 1
    if not verdict.is_valid:
        return
    shares = [progress(text[:end], schema) for end in range(len(text) + 1)]
    if isinstance(value, dict | list):
        assert shares == sorted(shares)
        tokens = [prefix_of(text[:end], Limits()) for end in range(1, len(text))]
        expected = [prefix.accepted / (prefix.accepted + 1) for prefix in tokens]
        assert shares[1:-1] == pytest.approx(expected)


@settings(max_examples=200, deadline=None)
@given(SCHEMAS, VALUES)
def test_what_comes_after_the_first_wrong_token_does_not_change_where_it_is(schema: Any, value: Any) -> None:
    text = json.dumps(value)
    verdict = verdict_on(text, schema)
    if verdict.is_valid or verdict.listing != "all" or not isinstance(value, dict | list):
        return
    ends = [match.end() for match in TOKEN.finditer(text)]
    wrong = round(verdict.progress * (len(ends) + 1))
    if wrong < len(ends) - 1:
        # Cut behind the token that went wrong, which the comma or bracket after it shows to be whole.
        cut = progress(text[: ends[wrong + 1]], schema)
        assert cut <= (wrong + 1) / (wrong + 3) + 1e-9


@settings(max_examples=200, deadline=None)
@given(VALUES)
def test_places_are_those_of_the_text(value: Any) -> None:
    tokens = TOKEN.findall(json.dumps(value))
    places = Places(value)
    assert places.total == token_count(value) == len(tokens)

    def walk(node: Any, path: tuple[str | int, ...]) -> None:
        opening = {dict: "{", list: "["}.get(type(node))
        assert tokens[places.start(path)] == (opening or json.dumps(node))
        assert tokens[places.end(path)] == ({"{": "}", "[": "]"}[opening] if opening else json.dumps(node))
        for position, key in enumerate(node if isinstance(node, dict | list) else ()):
            if isinstance(node, dict):
                assert tokens[places.first_key(path, [key])] == json.dumps(key)
                assert places.member(path, position) == places.first_key(path, [key])
                walk(node[key], (*path, key))
            else:
                assert places.member(path, position) == places.start((*path, position))
                walk(key, (*path, position))

    walk(value, ())


@settings(max_examples=300, deadline=None)
@given(st.text('{}[]":,\\u1e-dN \ntrue', max_size=40))
def test_a_prefix_of_any_text_is_made_whole(text: str) -> None:
    prefix = prefix_of(text, Limits())
    assert 0 <= prefix.accepted <= prefix.total <= len(TOKEN.findall(text))
    if prefix.accepted:
        json.loads(prefix.text)
        assert prefix.own in (prefix.accepted, prefix.accepted - 1)
