"""Function calls: the schema of answers, and how right calls are."""

import itertools
import json
import time
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.json.calls import calls_schema, calls_value, compare_calls
from envs.json.compact import compact
from envs.json.schema import compile_schema
from envs.json.task import Call, CallsGold

WEATHER = Call(function="weather", arguments={"city": ('"Oslo"', '"Oslo, Norway"'), "days": ("3",)})
FLIGHT = Call(
    function="flight",
    arguments={"to": ('"Rome"',), "seats": ("1",), "cabin": ('"economy"',)},
    optional=frozenset({"seats", "cabin"}),
)
FUNCTIONS: list[dict[str, Any]] = [
    {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
    {"name": "now"},
]


def call(function: str, **arguments: Any) -> dict[str, Any]:
    return {"name": function, "arguments": arguments}


def gold(*calls: Call, **options: Any) -> CallsGold:
    return CallsGold(calls=calls, **options)


RIGHT = call("weather", city="Oslo", days=3)


@pytest.mark.parametrize(
    "value",
    [
        [RIGHT],
        RIGHT,
        [call("weather", days=3.0, city="Oslo, Norway")],
        [{"arguments": {"days": 3, "city": "Oslo"}, "name": "weather"}],
    ],
)
def test_any_right_value_in_any_spelling_is_equal(value: Any) -> None:
    agreement = compare_calls(value, gold(WEATHER))
    assert agreement.is_equal and agreement.precision == agreement.recall == agreement.f1 == 1.0


@pytest.mark.parametrize(
    ("value", "precision", "recall"),
    [
        ([call("weather", city="Oslo", days=4)], 2 / 3, 2 / 3),
        ([call("weather", city="Oslo")], 1.0, 2 / 3),
        ([call("weather", city="Oslo", days=3, unit="C")], 3 / 4, 1.0),
        ([call("weather", city="Oslo", days=True)], 2 / 3, 2 / 3),
        ([call("weather", city="Oslo", days="3")], 2 / 3, 2 / 3),
        ([call("wether", city="Oslo", days=3)], 0.0, 0.0),
        ([RIGHT, RIGHT], 1 / 2, 1.0),
        ([{**RIGHT, "id": 1}], 3 / 4, 1.0),
        ([{"name": "weather"}], 1 / 2, 1 / 3),
        ([{"name": "weather", "arguments": [1, 2]}], 1 / 2, 1 / 3),
        ([], 0.0, 0.0),
        ({}, 0.0, 0.0),
        (None, 0.0, 0.0),
        ("weather", 0.0, 0.0),
        ([[RIGHT]], 0.0, 0.0),
        ([{"name": ["weather"], "arguments": {}}], 0.0, 0.0),
    ],
)
def test_leaves_are_the_name_and_each_argument(value: Any, precision: float, recall: float) -> None:
    agreement = compare_calls(value, gold(WEATHER))
    assert not agreement.is_equal
    assert agreement.precision == pytest.approx(precision)
    assert agreement.recall == pytest.approx(recall)
    total = precision + recall
    assert agreement.f1 == pytest.approx(2 * precision * recall / total if total else 0.0)


@pytest.mark.parametrize(
    ("value", "is_equal", "f1"),
    [
        (call("flight", to="Rome"), True, 1.0),
        (call("flight", to="Rome", seats=1), True, 1.0),
        (call("flight", to="Rome", seats=2), False, 4 / 6),
        (call("flight", seats=1), False, 4 / 5),
    ],
)
def test_an_optional_argument_may_be_missing_but_not_wrong(value: Any, is_equal: bool, f1: float) -> None:
    agreement = compare_calls([value], gold(FLIGHT))
    assert agreement.is_equal == is_equal and agreement.f1 == pytest.approx(f1)


def test_no_call_at_all_is_right_where_no_function_fits() -> None:
    assert compare_calls([], gold()).is_equal
    for value in ([RIGHT], {}, None, [[]]):
        assert compare_calls(value, gold()).f1 == 0.0


def test_calls_come_in_any_order_unless_the_gold_orders_them() -> None:
    value = [call("flight", to="Rome"), RIGHT]
    assert compare_calls(value, gold(WEATHER, FLIGHT)).is_equal
    assert compare_calls(value, gold(FLIGHT, WEATHER, is_ordered=True)).is_equal
    ordered = compare_calls(value, gold(WEATHER, FLIGHT, is_ordered=True))
    assert not ordered.is_equal and ordered.f1 == 0.0


def test_the_pairing_is_found_that_greedy_matching_misses() -> None:
    # Either given call fits the first wanted one; only the first given call fits the second.
    wanted = (
        Call(function="f", arguments={"x": ("1", "2")}),
        Call(function="f", arguments={"x": ("1",)}),
    )
    for value in itertools.permutations([call("f", x=1), call("f", x=2)]):
        assert compare_calls(list(value), gold(*wanted)).is_equal


def test_of_pairings_that_share_as_much_the_one_that_leaves_nothing_out_counts() -> None:
    wanted = (
        Call(function="f", arguments={"x": ("1",), "y": ("2",)}, optional=frozenset({"y"})),
        Call(function="f", arguments={"x": ("1",), "y": ("2",)}),
    )
    for value in itertools.permutations([call("f", x=1), call("f", x=1, y=2)]):
        assert compare_calls(list(value), gold(*wanted)).is_equal


def test_an_argument_is_right_or_wrong_as_a_whole() -> None:
    wanted = Call(function="f", arguments={"items": ('[{"n": 1, "s": "a"}, 2]',)})
    assert compare_calls([call("f", items=[{"s": "a", "n": 1.0}, 2])], gold(wanted)).is_equal
    assert compare_calls([call("f", items=[{"s": "a", "n": 1}, 3])], gold(wanted)).f1 == 0.5
    assert compare_calls([call("f", items=[2, {"s": "a", "n": 1}])], gold(wanted)).f1 == 0.5


def test_loose_strings_differ_in_case_spaces_and_signs() -> None:
    wanted = Call(function="f", arguments={"when": ('"April 1, 2024"',), "parts": ('["A-b", {"k": "C"}]',)})
    value = [call("f", when="april 1 2024", parts=["ab", {"k": "c."}])]
    assert compare_calls(value, gold(wanted, has_loose_strings=True)).is_equal
    assert not compare_calls(value, gold(wanted)).is_equal
    assert not compare_calls([call("f", when="may 1", parts=[])], gold(wanted, has_loose_strings=True)).is_equal


CALLS = st.builds(
    Call,
    function=st.sampled_from(["f", "g"]),
    arguments=st.dictionaries(st.sampled_from("xyz"), st.lists(st.sampled_from("123"), min_size=1).map(tuple)),
    optional=st.just(frozenset({"z"})),
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 3) | st.floats(allow_nan=False) | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["name", "arguments", "x", "y", "z"]), inner, max_size=4)
    ),
)
GIVEN = st.lists(
    st.builds(
        call,
        st.sampled_from(["f", "g", "h"]),
        x=st.integers(1, 3),
        y=st.integers(1, 3),
    )
    | VALUES,
    max_size=4,
)


@given(st.lists(CALLS, max_size=4), st.booleans())
def test_the_reference_value_is_always_right_in_any_permitted_order(calls: list[Call], is_ordered: bool) -> None:
    wanted = CallsGold(calls=tuple(calls), is_ordered=is_ordered)
    value = calls_value(wanted)
    assert compare_calls(value, wanted).is_equal
    assert is_ordered or compare_calls(value[::-1], wanted).is_equal


@given(GIVEN | VALUES, st.lists(CALLS, max_size=4), st.booleans(), st.booleans())
def test_any_value_gets_shares_that_agree_with_each_other(
    value: Any, calls: list[Call], is_ordered: bool, is_loose: bool
) -> None:
    agreement = compare_calls(value, CallsGold(calls=tuple(calls), is_ordered=is_ordered, has_loose_strings=is_loose))
    shares = (agreement.precision, agreement.recall, agreement.f1)
    assert all(0.0 <= share <= 1.0 for share in shares)
    assert agreement.is_equal == (shares == (1.0, 1.0, 1.0))


GIVEN_CALLS = st.lists(
    st.builds(
        lambda function, arguments: call(function, **arguments),
        st.sampled_from("fg"),
        st.dictionaries(st.sampled_from("xyz"), st.integers(1, 3)),
    ),
    min_size=1,
    max_size=3,
)


@given(st.lists(CALLS, min_size=1, max_size=3), GIVEN_CALLS)
def test_the_pairing_is_the_best_of_all(calls: list[Call], value: list[dict[str, Any]]) -> None:
    leaves = sum(1 + len(each["arguments"]) for each in value)
    found = compare_calls(value, gold(*calls))
    best = max(
        # By position, with gaps: each gap is one more leaf of the value, and shared with nothing.
        ordered.precision * (leaves + len(calls)) + ordered.recall / 100
        for order in itertools.permutations([*value[: len(calls)], *[None] * len(calls)])
        for ordered in [compare_calls([*order, *value[len(calls) :]], gold(*calls, is_ordered=True))]
    )
    assert found.precision * leaves + found.recall / 100 == pytest.approx(best)


@given(st.lists(CALLS, min_size=1, max_size=3), GIVEN_CALLS, GIVEN_CALLS, st.booleans())
def test_more_calls_than_there_should_be_never_earn_more(
    calls: list[Call], value: list[dict[str, Any]], more: list[dict[str, Any]], is_ordered: bool
) -> None:
    full = (value * len(calls))[: len(calls)]
    wanted = gold(*calls, is_ordered=is_ordered)
    assert compare_calls([*full, *more], wanted).f1 <= compare_calls(full, wanted).f1


def test_hostile_lists_of_calls_are_compared_in_time() -> None:
    wanted = CallsGold(calls=(WEATHER,) * 6 + (FLIGHT,) * 6)
    started = time.process_time()
    for value in (
        [{}] * 20_000,
        [{"name": "weather", "arguments": {}}] * 2_000,
        [call("weather", **{f"a{number}": number for number in range(4_000)})],
        [call("weather", city=[[["Oslo"] * 20] * 20] * 20)] * 8,
        {"name": "weather", "arguments": {"city": 10**400}},
    ):
        assert not compare_calls(value, wanted).is_equal
    assert time.process_time() - started < 5


def is_valid(value: Any, functions: list[dict[str, Any]] = FUNCTIONS) -> bool:
    compiled = compile_schema(json.dumps(calls_schema(functions)))
    assert compiled.defect is None
    return compiled.validate(value).is_valid


def test_the_schema_accepts_lists_of_calls_of_these_functions_and_nothing_else() -> None:
    assert all(map(is_valid, ([], [RIGHT], [call("now"), RIGHT, call("weather", city="Bonn")])))
    wrong = [
        RIGHT,
        [call("weather", days=3)],
        [call("weather", city=3)],
        [call("weather", city="Oslo", unit="C")],
        [call("rain", city="Oslo")],
        [call("now", city="Oslo")],
        [{"name": "now"}],
        [{**call("now"), "id": 1}],
        [[RIGHT]],
        "now",
    ]
    assert not any(map(is_valid, wrong))


def test_the_schema_of_one_function_has_no_alternatives() -> None:
    assert "anyOf" not in json.dumps(calls_schema(FUNCTIONS[:1]))
    assert is_valid([RIGHT], FUNCTIONS[:1]) and not is_valid([call("now")], FUNCTIONS[:1])


def test_other_arguments_are_refused_unless_the_function_says_otherwise() -> None:
    for parameters in (
        {"type": "object", "additionalProperties": {"type": "integer"}},
        {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}]},
    ):
        functions = [{"name": "f", "parameters": parameters}]
        assert is_valid([call("f", a=1)], functions) and not is_valid([call("f", a="x")], functions)


def test_references_inside_parameters_still_lead_to_their_definitions() -> None:
    parameters = {
        "type": "object",
        "properties": {"tree": {"$ref": "#/$defs/default"}, "other": {"const": {"$ref": "#/$defs/none"}}},
        "$defs": {
            "default": {
                "type": "object",
                "properties": {"value": {"type": "integer"}, "next": {"$ref": "#/$defs/default"}},
                "required": ["value"],
            }
        },
    }
    before = json.dumps(parameters)
    for functions in ([{"name": "f", "parameters": parameters}], [*FUNCTIONS, {"name": "f", "parameters": parameters}]):
        assert is_valid([call("f", tree={"value": 1, "next": {"value": 2}})], functions)
        assert not is_valid([call("f", tree={"value": 1, "next": {"value": "2"}})], functions)
        assert is_valid([call("f", other={"$ref": "#/$defs/none"})], functions)
        assert compact(json.dumps(calls_schema(functions)))
    assert json.dumps(parameters) == before


def test_the_reference_value_obeys_the_schema() -> None:
    value = calls_value(gold(WEATHER))
    assert value == [RIGHT]
    assert calls_value(gold(FLIGHT)) == [call("flight", to="Rome")]
    assert jsonschema_rs.Draft202012Validator(calls_schema(FUNCTIONS)).is_valid(value)
