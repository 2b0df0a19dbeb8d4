"""Closing: what a budget cuts off is a sentence all the same, and as much of it as can be is what was written."""

import json
import sqlite3
from typing import Any

import jsonschema_rs
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from session_turns import run_turn

from data.bundled_tasks import BundledSqlReader
from decoding.closing import close_text, require_room
from decoding.engine import Request
from decoding.grammars.compiled import CompiledGrammar
from decoding.grammars.compiler import shared_compiler
from decoding.grammars.shortest import shortest_sentence
from decoding.transformers_engine import TransformersEngine, end_ids
from envs.grammar import Grammar
from envs.sql.grammar import make_grammar

PROMPT = [5, 6, 7, 8]
SETTINGS = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])


def json_grammar(schema: Any) -> Grammar:
    return Grammar(kind="json_schema", source=json.dumps(schema))


def compiled(model: Any, tokenizer: Any, grammar: Grammar) -> CompiledGrammar:
    return shared_compiler(tokenizer, end_ids=end_ids(model, tokenizer)).compile(grammar)


LEAVES = st.one_of(
    st.sampled_from(
        [{"type": "boolean"}, {"type": "null"}, {"type": "string"}, {"type": "integer"}, {"type": "number"}]
    ),
    st.tuples(st.integers(-50, 50), st.integers(0, 200)).map(
        lambda ends: {"type": "integer", "minimum": ends[0], "maximum": ends[0] + ends[1]}
    ),
    st.integers(0, 6).flatmap(
        lambda least: st.integers(least, 9).map(
            lambda longest: {"type": "string", "minLength": least, "maxLength": longest}
        )
    ),
    st.sampled_from(["[a-z]{3}-[0-9]{2,}", "(ab|cd)+e"]).map(
        lambda pattern: {"type": "string", "pattern": f"^{pattern}$"}
    ),
    st.lists(st.text(max_size=6) | st.integers(-9, 9), min_size=1, max_size=3).map(lambda values: {"enum": values}),
)


def larger(schemas: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    arrays = st.builds(
        lambda items, least, more: {"type": "array", "items": items, "minItems": least, "maxItems": least + more},
        schemas, st.integers(0, 2), st.integers(0, 3),
    )  # fmt: skip
    objects = st.dictionaries(st.text("abcdé \"\\", max_size=5), schemas, max_size=3).flatmap(
        lambda properties: st.sets(st.sampled_from(sorted(properties) or [""])).map(
            lambda required: {
                "type": "object", "properties": properties, "required": sorted(required & set(properties)),
                "additionalProperties": False,
            }
        )
    )  # fmt: skip
    return arrays | objects | st.lists(schemas, min_size=1, max_size=2).map(lambda ones: {"anyOf": ones})


@settings(SETTINGS, max_examples=60)
@given(schema=st.recursive(LEAVES, larger, max_leaves=4), more=st.integers(0, 12), seed=st.integers(0, 99))
def test_whatever_the_budget_what_is_written_under_a_schema_validates(
    model: Any, tokenizer: Any, schema: Any, more: int, seed: int
) -> None:
    grammar = json_grammar(schema)
    least = shortest_sentence(compiled(model, tokenizer, grammar))
    assert least is not None
    budget = max(1, len(least)) + more
    request = Request(prompt_ids=PROMPT, max_new_tokens=budget, n=4, seed=seed, temperature=3.0, grammar=grammar)
    for generation in TransformersEngine(model, tokenizer).generate([request]):
        assert generation.grammar_error is None and generation.grammar == grammar
        assert len(generation.token_ids) <= budget and generation.finish in ("eos", "length")
        text = tokenizer.decode(generation.token_ids, skip_special_tokens=True)
        assert jsonschema_rs.Draft202012Validator(schema).is_valid(json.loads(text)), text
        assert generation.finish == "length" or not generation.closed
        ends = generation.logprobs[len(generation.token_ids) - generation.closed :]
        assert set(ends) <= {0.0} and len(generation.log_z or ()) == len(generation.token_ids)


def syntax_error(query: str) -> str | None:
    """What SQLite finds wrong with a query before it looks for its tables."""
    try:
        sqlite3.connect(":memory:").execute(f"EXPLAIN {query}")
    except sqlite3.Error as error:
        message = str(error)
        return message if any(word in message for word in ("syntax", "incomplete", "unrecognized")) else None
    return None


def test_wherever_a_query_over_a_bundled_database_is_cut_off_it_parses(model: Any, tokenizer: Any) -> None:
    assert syntax_error("SELECT name FROM") and not syntax_error("SELECT name FROM people")
    (task, *_) = BundledSqlReader().read("heldout").tasks
    grammar = compiled(model, tokenizer, make_grammar(task.database))
    least = len(shortest_sentence(grammar) or ())
    kept = 0
    for query in (
        "SELECT name FROM customer WHERE town = 'Le",
        "SELECT COUNT(*) FROM bicycle WHERE bicycle.brand = 'a' AND frame_cm ",
        "SELECT b.brand, MAX(b.frame_cm) FROM bicycle AS b GROUP BY b.brand ORDER B",
    ):
        ids = tokenizer.encode(query)
        for more in (0, 2):
            closed = close_text(grammar, ids, most=max(least, len(ids) + more))
            assert closed is not None and closed.error is None
            text = [*ids[: closed.kept], *closed.completion]
            assert len(text) <= len(ids) + more
            assert syntax_error(tokenizer.decode(text)) is None, tokenizer.decode(text)
            kept += closed.kept
    assert kept > 120


def test_a_query_that_a_budget_cut_off_parses(model: Any, tokenizer: Any) -> None:
    (task, *_) = BundledSqlReader().read("heldout").tasks
    grammar = make_grammar(task.database)
    least = len(shortest_sentence(compiled(model, tokenizer, grammar)) or ())
    request = Request(prompt_ids=PROMPT, max_new_tokens=least, n=2, seed=0, temperature=0.5, grammar=grammar)
    for generation in TransformersEngine(model, tokenizer).generate([request]):
        text = tokenizer.decode(generation.token_ids, skip_special_tokens=True)
        assert generation.grammar_error is None and syntax_error(text) is None, text


def test_as_much_is_kept_as_leaves_room_for_the_end(model: Any, tokenizer: Any) -> None:
    grammar = json_grammar({"type": "array", "items": {"enum": ["one", "two"]}, "minItems": 1})
    start = compiled(model, tokenizer, grammar)
    written = tokenizer.encode('["one", "two", "one", "t')
    for most in range(len(written), len(written) + 6):
        closed = close_text(start, written, most=most)
        assert closed is not None and closed.error is None and closed.kept + len(closed.completion) <= most
        ids = [*written[: closed.kept], *closed.completion]
        assert json.loads(tokenizer.decode(ids))[:3] == ["one", "two", "one"]
    whole = tokenizer.encode('["one", "two"]')
    assert close_text(start, whole, most=len(whole)) is None


def test_what_a_turn_has_returned_stays_when_the_next_is_closed(model: Any, tokenizer: Any) -> None:
    grammar = json_grammar({"type": "array", "items": {"enum": ["one", "two"]}})
    start = compiled(model, tokenizer, grammar)
    written = tokenizer.encode('["one", "t')
    closed = close_text(start, written, kept=len(written), most=len(written) + 9)
    assert closed is not None and closed.kept == len(written)
    assert json.loads(tokenizer.decode([*written, *closed.completion])) == ["one", "two"]
    closed = close_text(start, written, kept=len(written), most=len(written))
    assert closed is not None and closed.error is not None and closed.kept == len(written)


def test_masks_are_applied_where_no_sentence_was_found_but_there_may_be_one(model: Any, tokenizer: Any) -> None:
    grammar = json_grammar({"type": "string", "minLength": 90})
    require_room(compiled(model, tokenizer, grammar), 8)
    request = Request(prompt_ids=PROMPT, max_new_tokens=8, n=2, seed=0, grammar=grammar)
    for generation in TransformersEngine(model, tokenizer).generate([request]):
        assert generation.grammar == grammar and generation.log_z is not None
        assert tokenizer.decode(generation.token_ids).startswith('"')
        assert "no sentence of the grammar was found within 8" in (generation.grammar_error or "")


def test_a_text_that_is_cut_within_a_format_is_closed_there(model: Any, tokenizer: Any) -> None:
    schema = {
        "type": "object",
        "properties": {"text": {"type": "string"}, "when": {"type": "string", "format": "date-time"}},
        "required": ["text", "when"],
        "additionalProperties": False,
    }
    written = tokenizer.encode('{"text": "' + "a long answer " * 8 + '", "when": "2024-01-')
    closed = close_text(compiled(model, tokenizer, json_grammar(schema)), written, most=len(written) + 40)
    assert closed is not None and closed.error is None and closed.kept == len(written)


@pytest.mark.parametrize("budget", [1, 3])
def test_a_budget_without_room_for_a_sentence_leaves_the_model_free_and_says_so(
    model: Any, tokenizer: Any, budget: int
) -> None:
    grammar = Grammar(kind="choice", source='["certainly", "naturally"]')
    masked = Request(prompt_ids=PROMPT, max_new_tokens=budget, n=2, seed=0, grammar=grammar)
    free = Request(prompt_ids=PROMPT, max_new_tokens=budget, n=2, seed=0)
    generations = TransformersEngine(model, tokenizer).generate([masked, free])
    assert [one.token_ids for one in generations[:2]] == [one.token_ids for one in generations[2:]]
    for generation in generations[:2]:
        assert generation.grammar is None and generation.log_z is None
        assert f"no sentence of the grammar was found within {budget} tokens" in (generation.grammar_error or "")


def test_an_empty_sentence_is_its_end(model: Any, tokenizer: Any) -> None:
    grammar = Grammar(kind="regex", source="(abcdefghij)*")
    request = Request(prompt_ids=PROMPT, max_new_tokens=2, n=8, seed=0, temperature=9.0, grammar=grammar)
    generations = TransformersEngine(model, tokenizer).generate([request])
    assert {one.token_ids for one in generations} == {(tokenizer.eos_token_id,)}
    assert {one.finish for one in generations} == {"eos", "length"}


def test_a_row_goes_on_after_its_closed_turn(model: Any, tokenizer: Any, forward_logprobs: Any) -> None:
    # What was begun is long, and is taken back as a whole.
    grammar = json_grammar({"type": "array", "items": {"enum": ["certainly", "naturally"]}, "minItems": 1})
    request = Request(prompt_ids=PROMPT, max_new_tokens=16, n=16, seed=0, temperature=3.0, grammar=grammar)
    with TransformersEngine(model, tokenizer).session() as session:
        session.open(request)
        turns = run_turn(session, most_steps=60)
        assert sum(turn.closed > 0 and len(turn.token_ids) < 15 for turn in turns.values()) >= 2
        for row in turns:
            session.extend(row, [20, 21], max_new_tokens=5)
        later = run_turn(session, most_steps=60)
    for row, turn in later.items():
        before = [*PROMPT, *turns[row].token_ids, 20, 21]
        assert turn.grammar is None
        expected = forward_logprobs(model, before, turn.token_ids, 3.0)
        assert (expected - torch.tensor(turn.logprobs)).abs().max() < 1e-4


def test_text_that_was_held_to_a_part_of_its_schema_is_looked_at_afterwards(model: Any, tokenizer: Any) -> None:
    grammar = json_grammar(
        {"type": "array", "items": {"enum": [1, 2]}, "uniqueItems": True, "minItems": 2, "maxItems": 2}
    )
    request = Request(prompt_ids=PROMPT, max_new_tokens=12, n=16, seed=0, temperature=9.0, grammar=grammar)
    generations = TransformersEngine(model, tokenizer).generate([request])
    assert {one.is_sentence for one in generations} == {True, False}
    for generation in generations:
        values = json.loads(tokenizer.decode(generation.token_ids, skip_special_tokens=True))
        assert generation.is_sentence == (len(set(values)) == 2)
        assert generation.grammar == grammar and "uniqueItems" in (generation.grammar_lenient or "")
