"""The facts of a verdict: the order of errors, keys, structure, and what must not change them."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.json.answer_format import written
from envs.json.environment import JsonEnvironment
from envs.json.judge import JsonVerdict
from envs.json.schema import compile_schema
from envs.json.structure import required_keys, structure
from envs.json.task import JsonTask
from envs.layout import Layout, Tags
from envs.transcript import Transcript

ORDER = {
    "type": "object",
    "properties": {
        "id": {"type": "integer"},
        "lines": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"sku": {"type": "string"}, "n": {"type": "integer"}},
                "required": ["sku", "n"],
                "additionalProperties": False,
            },
        },
    },
    "required": ["id", "lines"],
    "additionalProperties": False,
}
GOLD = {"id": 1, "lines": [{"sku": "a", "n": 2}, {"sku": "b/c", "n": 1}]}


def judge(answer: str, schema: Any = ORDER, gold: Any = None, **options: Any) -> JsonVerdict:
    task = JsonTask(id="1", schema=json.dumps(schema), gold=None if gold is None else json.dumps(gold))
    (verdict,) = JsonEnvironment(**options).judge([(task, Transcript.of(answer))])
    assert isinstance(verdict, JsonVerdict)
    return verdict


def test_a_right_answer_has_every_fact() -> None:
    verdict = judge(json.dumps(GOLD), gold=GOLD)
    assert replace(verdict, layout=Layout()) == JsonVerdict(
        answer=json.dumps(GOLD),
        is_correct=True,
        is_parsed=True,
        is_valid=True,
        progress=1.0,
        structure=1.0,
        coverage=1.0,
        is_equal=True,
        precision=1.0,
        recall=1.0,
        f1=1.0,
    )
    assert verdict.layout.characters == len(json.dumps(GOLD))


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ("", "no answer"),
        ("<a></a>", "no answer"),
        ("x <a>{</a>", "wrong layout"),
        ("<a>{</a>", "not json"),
        ('<a>{"id": NaN}</a>', "not finite"),
        ("<a>so {}</a>", "extra text"),
        ("<a>{}</a>", "not valid"),
        ('<a>{"id": 1, "lines": []}</a>', "wrong value"),
        (f"<a>{json.dumps(GOLD)}</a>", None),
    ],
)
def test_errors_come_in_this_order(answer: str, error: str | None) -> None:
    assert judge(answer, gold=GOLD, tags=Tags(answer="a")).error == error


def test_keys_are_missing_and_invented_by_the_gold() -> None:
    value = {"id": 1, "note": {"by": "me"}, "lines": [{"sku": "a", "N": 2}]}
    verdict = judge(json.dumps(value), gold=GOLD)
    assert verdict.missing == ("/lines/0/n", "/lines/1/sku", "/lines/1/n") and verdict.missing_count == 3
    assert verdict.invented == ("/lines/0/N", "/note", "/note/by") and verdict.invented_count == 3
    assert judge("[]", gold=GOLD).missing == (
        "/id",
        "/lines",
        *(f"/lines/{n}/{key}" for n in (0, 1) for key in ("sku", "n")),
    )
    assert judge("nothing", gold=GOLD).missing_count == 6
    assert judge(json.dumps(GOLD), gold=GOLD).missing == ()


def test_keys_are_missing_and_invented_by_the_schema_where_there_is_no_gold() -> None:
    value = {"lines": [{"sku": "a", "N": 2}, {"n": 1}], "x/y": 0}
    verdict = judge(json.dumps(value))
    assert sorted(verdict.missing) == ["/id", "/lines/0/n", "/lines/1/sku"] and verdict.missing_count == 3
    assert sorted(verdict.invented) == ["/lines/0/N", "/x~1y"] and verdict.invented_count == 2
    assert judge("nothing").missing == ("/id", "/lines")
    assert judge('{"id": 1, "lines": []}').missing == ()


def test_keys_are_counted_beyond_those_that_are_listed() -> None:
    gold = {f"k{n}": n for n in range(100)}
    verdict = judge("{}", {}, gold)
    assert verdict.missing_count == 100 and verdict.missing == tuple(f"/k{n}" for n in range(32))
    long = judge(json.dumps({"k" * 9_000: {"a": 1, "b": 2}}), {}, gold)
    assert long.invented_count == 3 and len(long.invented) == 1


@pytest.mark.parametrize(
    ("value", "share"),
    [
        ({"id": 1, "lines": []}, 1.0),
        ({"id": 1, "lines": [5]}, 1.0),
        ({"id": 1.0, "lines": []}, 1.0),
        ({"id": 1.5, "lines": []}, 1 / 2),
        ({"id": "1", "lines": []}, 1 / 2),
        ({"id": True, "lines": None}, 0.0),
        ({"id": 1}, 1 / 2),
        ({}, 0.0),
        ({"id": 1, "lines": [], "x": 1}, 2 / 3),
        ({"x": 1}, 0.0),
        ([], 0.0),
        ("id", 0.0),
    ],
)
def test_structure_is_the_share_of_keys_that_are_met(value: Any, share: float) -> None:
    assert structure(value, compile_schema(json.dumps(ORDER))) == pytest.approx(share)
    assert judge(json.dumps(value)).structure == pytest.approx(share)


@pytest.mark.parametrize(
    ("schema", "value", "share"),
    [
        ({}, {}, 1.0),
        ({}, 5, 1.0),
        ({"type": "array"}, [1], 1.0),
        ({"type": "array"}, {}, 0.0),
        (False, {}, 0.0),
        ({"const": {"a": 1}}, {}, 1.0),
        ({"properties": {"a": {"enum": ["x", None]}}}, {"a": 1}, 0.0),
        ({"properties": {"a": False}}, {"a": 1}, 0.0),
        ({"patternProperties": {"^x": {}}, "additionalProperties": False}, {"x1": 1, "y": 1}, 0.5),
        ({"$ref": "#/$defs/o", "$defs": {"o": ORDER}}, {"id": 1}, 0.5),
        ({"allOf": [{"required": ["a"]}, {"required": ["b"], "properties": {"a": False}}]}, {"a": 1, "b": 1}, 0.5),
        ({"anyOf": [{"required": ["a", "b"]}, {"required": ["c"]}]}, {"a": 1}, 0.5),
        ({"oneOf": [{"type": "string"}, ORDER]}, {"id": 1, "lines": []}, 1.0),
        ({"properties": {"a": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}, "type": "object"}, {"a": 1, "b": 1}, 0.5),
        ({"properties": {"a": {"$ref": "#/properties/a"}}}, {"a": 1}, 1.0),
        ({"anyOf": [{"$ref": "#"}, {"required": ["a"]}]}, {"b": 1}, 1.0),
    ],
)  # fmt: skip
def test_structure_reads_references_and_combinators(schema: Any, value: Any, share: float) -> None:
    assert structure(value, compile_schema(json.dumps(schema))) == pytest.approx(share)


def test_keys_that_every_alternative_requires_are_required() -> None:
    schema = {"required": ["b", "a"], "anyOf": [{"required": ["c", "d"]}, {"required": ["d"]}]}
    assert required_keys(compile_schema(json.dumps(schema))).pointers == ("/a", "/b", "/d")


def test_alternatives_that_multiply_are_cut_short() -> None:
    schema = {"allOf": [{"anyOf": [{"required": [f"k{i}{j}"]} for j in range(10)]} for i in range(10)]}
    assert 0 < structure({f"k{i}0": 1 for i in range(10)}, compile_schema(json.dumps(schema))) <= 1


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", 0.5]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "lines", "sku", "n"]), inner),
    max_leaves=10,
)


def turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: turned(value[key]) for key in reversed(value)}
    return [turned(item) for item in value] if isinstance(value, list) else value


def without_order(verdict: JsonVerdict) -> JsonVerdict:
    """What does not depend on where in the text something stands."""

    def sort(items: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple(sorted(items, key=str))

    return replace(
        verdict,
        answer=None,
        layout=Layout(),
        progress=float(verdict.progress == 1.0),
        schema_errors=sort(tuple((error.keyword, error.pointer) for error in verdict.schema_errors)),
        missing=sort(verdict.missing),
        invented=sort(verdict.invented),
    )


@settings(max_examples=150, deadline=None)
@given(VALUES, VALUES | st.just(GOLD), st.booleans())
def test_the_order_of_keys_never_changes_a_verdict(value: Any, gold: Any, has_gold: bool) -> None:
    schema = ORDER if not has_gold else {"$defs": {"o": ORDER}, "anyOf": [{"$ref": "#/$defs/o"}, {}]}
    wanted = gold if has_gold and gold is not None else None
    first, second = (judge(json.dumps(answer), schema, wanted) for answer in (value, turned(value)))
    assert without_order(first) == without_order(second)


@settings(max_examples=150, deadline=None)
@given(VALUES, VALUES)
def test_shares_are_bounded_and_1_together(value: Any, gold: Any) -> None:
    verdict = judge(json.dumps(value), {}, gold if gold is not None else {})
    assert verdict.precision is not None and verdict.recall is not None and verdict.f1 is not None
    assert 0 <= verdict.precision <= 1 and 0 <= verdict.recall <= 1
    assert min(verdict.precision, verdict.recall) <= verdict.f1 <= max(verdict.precision, verdict.recall)
    assert (verdict.f1 == 1.0) is verdict.is_equal is verdict.is_correct
    if verdict.is_equal:
        assert verdict.missing_count == verdict.invented_count == 0


def test_an_answer_is_judged_alone_as_in_a_batch() -> None:
    task = JsonTask(id="1", schema=json.dumps(ORDER), gold=json.dumps(GOLD))
    answers = [json.dumps(GOLD), "{", "", '{"id": 1}', "so {}"]
    judges: Callable[[list[str]], list[Any]] = lambda texts: JsonEnvironment().judge(  # noqa: E731
        [(task, Transcript.of(text)) for text in texts]
    )
    assert judges(answers) == [verdict for answer in answers for verdict in judges([answer])]


GIVES_UP = {
    "type": "object",
    "required": ["zz"],
    "patternProperties": {"^(a|a)*(?=b)c$": {"type": "number"}},
    "additionalProperties": False,
}
LONG_KEY = "a" * 40


@pytest.mark.parametrize("count", [1, 50, 200, 800])
def test_keys_on_which_a_pattern_gives_up_hide_no_missing_key(count: int) -> None:
    verdict = judge(json.dumps({f"{LONG_KEY}{number}": 1 for number in range(count)}), GIVES_UP)
    assert (verdict.error, verdict.unjudged) == ("not valid", None) and verdict.missing == ("/zz",)
    assert verdict.structure == 0


@pytest.mark.parametrize("answer", [{LONG_KEY: 1}, {LONG_KEY: 1, "bogus": "x"}, {"bogus": "x"}])
def test_no_answer_gets_out_of_its_judgement_by_a_pattern_that_gives_up(answer: Any) -> None:
    schema = {**GIVES_UP, "required": []}
    for text, error in ((json.dumps(answer), None), (f"So: {json.dumps(answer)}", "extra text")):
        verdict = judge(text, schema)
        assert verdict.unjudged is None and not verdict.is_correct and not verdict.is_valid and verdict.progress < 1
        assert verdict.error == (error or ("pattern limit" if LONG_KEY in answer else "not valid"))


def test_a_gold_on_which_a_pattern_gives_up_is_defective() -> None:
    assert judge("{}", {**GIVES_UP, "required": []}, gold={LONG_KEY: 1}).unjudged == "defective gold"


@pytest.mark.parametrize("value", [[{"k": 1}] * 900, {"a": {"b": ["x" * 3_000, 1.5]}}, [[1, "z"]] * 1_500])
def test_the_errors_that_are_listed_do_not_depend_on_the_notation(value: Any) -> None:
    schema = {"type": ["object", "array"], "required": ["q"], "items": {"required": ["q"], "items": {"type": "string"}}}
    task = JsonTask(id="1", schema=json.dumps(schema))
    found = []
    for answer_format in ("json", "xml", "yaml"):
        text = written(json.dumps(value), task.schema, answer_format)  # type: ignore[arg-type]
        found.append(judge(text, schema, answer_format=answer_format, max_characters=1_000_000))
    found.append(judge(json.dumps(value, indent=8), schema, max_characters=1_000_000))
    assert len({(verdict.listing, verdict.error, verdict.missing_count) for verdict in found}) == 1
