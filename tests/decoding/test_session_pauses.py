"""Turns that pause: a text written in parts is the text that is written at once, and only its last part is closed."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from session_turns import run_turn

from decoding.engine import Generation, Request
from decoding.grammars.compiler import shared_compiler
from decoding.replay_session import ReplaySession
from decoding.server_turn import TurnReader, Written
from decoding.transformers_engine import TransformersEngine, end_ids
from decoding.vllm_grammar import AppliedGrammar, continued_grammar
from envs.grammar import Grammar

PROMPT = [5, 6, 7, 8, 9, 10, 11]
MOST_STEPS = 300
NAMES = Grammar(
    kind="json_schema",
    source=json.dumps(
        {
            "type": "object",
            "properties": {"surname": {"type": "string", "maxLength": 3}, "member": {"type": "boolean"}},
            "required": ["surname", "member"],
            "additionalProperties": False,
        }
    ),
)
DIGITS = Grammar(kind="regex", source="[0-9]{1,4}(, [0-9]{1,4}){1,3}")
QUOTED = Grammar(kind="regex", source='"[a-z]{12,90}"')


def written_in_parts(session: Any, request: Request, size: int) -> dict[int, list[Generation]]:
    """Every sample of a request in parts of ``size`` tokens, of which the last one may end it."""
    whole = request.max_new_tokens
    first = replace(request, max_new_tokens=min(size, whole), pauses=size < whole)
    parts: dict[int, list[Generation]] = {row: [] for row in session.open(first)}
    while not session.is_idle:
        for row, part in run_turn(session, most_steps=MOST_STEPS).items():
            parts[row].append(part)
            left = whole - sum(len(one.token_ids) for one in parts[row])
            if part.finish == "length" and left:
                session.extend(row, (), max_new_tokens=min(size, left), pauses=size < left)
    return parts


def merged(parts: Sequence[Generation]) -> tuple[list[int], list[float], list[float]]:
    return (
        [token for part in parts for token in part.token_ids],
        [value for part in parts for value in part.logprobs],
        [value for part in parts for value in part.log_z or ()],
    )


@pytest.mark.parametrize("grammar", [None, NAMES, DIGITS], ids=["free", "names", "digits"])
@pytest.mark.parametrize(("kind", "skips_forced"), [("cached", True), ("cached", False), ("replayed", True)])
def test_a_text_in_parts_is_the_text_of_one_turn(
    model: Any, tokenizer: Any, kind: str, skips_forced: bool, grammar: Grammar | None
) -> None:
    engine = TransformersEngine(model, tokenizer, skips_forced=skips_forced)
    # A replayed part has a random stream of its own.
    temperature = 2.0 if kind == "cached" else 0.0
    request = Request(
        prompt_ids=PROMPT, max_new_tokens=24, n=4 if temperature else 1, seed=3, temperature=temperature,
        grammar=grammar,
    )  # fmt: skip
    wholes = engine.generate([request])
    for size in (1, 5, 23):
        with engine.session() if kind == "cached" else ReplaySession(engine.generate) as session:
            rows = written_in_parts(session, request, size)
        for whole, parts in zip(wholes, rows.values(), strict=True):
            ids, logprobs, log_z = merged(parts)
            drawn = len(whole.token_ids) - whole.closed
            assert len(parts) > 1 or len(ids) <= size
            assert all(len(part.token_ids) == size for part in parts[:-1])
            assert ids[:drawn] == list(whole.token_ids[:drawn])
            assert logprobs[:drawn] == pytest.approx(whole.logprobs[:drawn], abs=1e-4)
            assert log_z[:drawn] == pytest.approx((whole.log_z or ())[:drawn], abs=1e-4)
            assert all(part.closed == 0 and part.grammar_error is None for part in parts[:-1])
            if not whole.closed:
                assert (len(ids), parts[-1].finish) == (drawn, whole.finish)


def test_the_last_part_is_closed_and_what_the_others_wrote_stays(model: Any, tokenizer: Any) -> None:
    engine = TransformersEngine(model, tokenizer)
    compiled = shared_compiler(tokenizer, end_ids=end_ids(model, tokenizer)).compile(QUOTED)
    request = Request(prompt_ids=PROMPT, max_new_tokens=9, n=8, seed=0, temperature=2.0, grammar=QUOTED)
    with engine.session() as session:
        rows = written_in_parts(session, request, 5)
        closed = [parts for parts in rows.values() if parts[-1].closed]
        assert len(closed) >= 2
        for parts in closed:
            ids, logprobs, log_z = merged(parts)
            assert compiled.is_sentence(ids) and len(ids) <= 9
            assert len(ids) == len(logprobs) == len(log_z)
            assert parts[-1].finish == "length"
        # Nothing fits behind what is there: that is said, and nothing is taken back.
        row = session.open(replace(request, n=1, max_new_tokens=1, pauses=True))[0]
        (begun,) = run_turn(session, most_steps=MOST_STEPS).values()
        session.extend(row, (), max_new_tokens=1)
        ended = run_turn(session, most_steps=MOST_STEPS)[row]
    assert begun.grammar_error is None and (ended.closed, len(ended.token_ids)) == (0, 1)
    assert ended.grammar_error is not None and "within 2 tokens" in ended.grammar_error


@pytest.mark.parametrize("kind", ["cached", "replayed"])
def test_a_part_too_short_for_a_sentence_is_masked_all_the_same(model: Any, tokenizer: Any, kind: str) -> None:
    engine = TransformersEngine(model, tokenizer)
    request = Request(prompt_ids=PROMPT, max_new_tokens=2, seed=0, grammar=NAMES)
    with engine.session() if kind == "cached" else ReplaySession(engine.generate) as session:
        refused, paused = session.open(request)[0], session.open(replace(request, pauses=True))[0]
        turns = run_turn(session, most_steps=MOST_STEPS)
        assert turns[refused].grammar is None and "within 2 tokens" in (turns[refused].grammar_error or "")
        assert turns[paused].grammar == NAMES and turns[paused].finish == "length"
        assert tokenizer.decode(turns[paused].token_ids).startswith('{"')
        # So is one that begins after an observation.
        session.extend(paused, [20], max_new_tokens=2, grammar=NAMES, pauses=True)
        (again,) = run_turn(session, most_steps=MOST_STEPS).values()
    assert again.grammar == NAMES and tokenizer.decode(again.token_ids).startswith('{"')


@pytest.mark.parametrize("kind", ["cached", "replayed"])
@pytest.mark.parametrize("grammar", [None, NAMES], ids=["free", "names"])
def test_a_stop_that_a_pause_cuts_in_two_ends_the_turn(
    model: Any, tokenizer: Any, kind: str, grammar: Grammar | None
) -> None:
    engine = TransformersEngine(model, tokenizer)
    request = Request(prompt_ids=PROMPT, max_new_tokens=20, temperature=0, grammar=grammar)
    (whole,) = engine.generate([request])
    text = tokenizer.decode(whole.token_ids, skip_special_tokens=True)
    begin = next(place for place in range(1, len(text) - 4) if text[place : place + 4].isascii())
    stopping = replace(request, stops=(text[begin : begin + 4],))
    (cut,) = engine.generate([stopping])
    assert cut.finish == "stop" and len(cut.token_ids) < 20
    for size in sorted({1, len(cut.token_ids) - 2, len(cut.token_ids) - 1} - {0}):
        with engine.session() if kind == "cached" else ReplaySession(engine.generate) as session:
            ((row, parts),) = written_in_parts(session, stopping, size).items()
            assert (merged(parts)[0], parts[-1].finish) == (list(cut.token_ids), "stop")
            # It is not found again when the turn goes on behind it.
            session.extend(row, (), max_new_tokens=1, pauses=True)
            (more,) = run_turn(session, most_steps=MOST_STEPS).values()
        assert more.finish == "length" and more.token_ids == whole.token_ids[len(cut.token_ids) :][:1]
        # Nor does a fork forget what was written before the pause.
        with engine.session() if kind == "cached" else ReplaySession(engine.generate) as session:
            (row,) = session.open(replace(stopping, max_new_tokens=size, pauses=True))
            run_turn(session, most_steps=MOST_STEPS)
            fork = session.fork(row, seed=1)
            session.extend(fork, (), max_new_tokens=20)
            rest = run_turn(session, most_steps=MOST_STEPS)[fork]
        assert (rest.token_ids, rest.finish) == (cut.token_ids[size:], "stop")


def test_what_may_go_on_is_not_said_to_be_no_sentence(model: Any, tokenizer: Any) -> None:
    # Masks know no "not", so whole texts are validated: 7 is none, 71 may be written yet.
    grammar = Grammar(kind="json_schema", source='{"type": "integer", "minimum": 1, "not": {"maximum": 9}}')
    engine = TransformersEngine(model, tokenizer)
    request = Request(prompt_ids=PROMPT, max_new_tokens=1, seed=0, grammar=grammar, n=8)
    for pauses in (False, True):
        turns = engine.generate([replace(request, pauses=pauses)])
        assert any(turn.grammar == grammar for turn in turns)
        assert any(turn.is_sentence is False for turn in turns) == (not pauses)


def test_a_fork_of_a_paused_turn_goes_on_within_the_same_sentence(model: Any, tokenizer: Any) -> None:
    engine = TransformersEngine(model, tokenizer)
    compiled = shared_compiler(tokenizer, end_ids=end_ids(model, tokenizer)).compile(NAMES)
    request = Request(
        prompt_ids=PROMPT, max_new_tokens=4, seed=0, temperature=2.0, grammar=NAMES, pauses=True, stops=("true", "fals")
    )
    with engine.session() as session:
        (row,) = session.open(request)
        twin = session.fork(row, seed=9)
        begun, other = run_turn(session, most_steps=MOST_STEPS).values()
        assert other.closed == 0 and other.grammar_error is None and len(other.token_ids) == 4
        session.close(twin)
        forks = [row, *(session.fork(row, seed=seed) for seed in range(3))]
        for fork in forks:
            session.extend(fork, (), max_new_tokens=40)
        ended = run_turn(session, most_steps=MOST_STEPS)
        assert {one.finish for one in ended.values()} == {"stop"}
        for fork in forks:
            session.extend(fork, (), max_new_tokens=40)
        ends = run_turn(session, most_steps=MOST_STEPS)
    for fork in forks:
        ids = [*begun.token_ids, *ended[fork].token_ids, *ends[fork].token_ids]
        assert compiled.is_sentence(ids[:-1] if ends[fork].finish == "eos" else ids)


def test_what_an_engine_out_of_sight_wrote_of_a_paused_turn_is_left_open(tokenizer: Any) -> None:
    ids = tuple(tokenizer.encode('{"surname": "A'))
    reader = TurnReader(tokenizer, {tokenizer.eos_token_id})
    written = Written(token_ids=ids, logprobs=(-1.0,) * len(ids), finish="length")
    applied = AppliedGrammar(masks=NAMES, judge=NAMES)
    request = Request(prompt_ids=PROMPT, max_new_tokens=len(ids), grammar=NAMES, pauses=True)
    paused = reader.read(request, written, applied)
    assert (paused.token_ids, paused.closed, paused.grammar_error) == (ids, 0, None)
    assert reader.read(replace(request, pauses=False), written, applied).grammar_error is not None
    # It goes on without masks, and with the stop that the pause cut in two.
    later = replace(request, prompt_ids=[*PROMPT, *ids], written=len(ids), stops=('"A",',))
    more = tuple(tokenizer.encode('", "member'))
    rest = Written(token_ids=more, logprobs=(-1.0,) * len(more), finish="length")
    going_on = continued_grammar(later)
    assert going_on is not None and going_on.error is not None and going_on.masks is None
    ended = reader.read(later, rest, going_on)
    assert ended.finish == "stop" and tokenizer.decode([*ids, *ended.token_ids]).rstrip().endswith('"A",')
