"""Sessions: what the model reads again, and whose keys and values are held."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from session_turns import run_turn

from decoding import slot_reading
from decoding.cached_session import TOKENS_PER_STEP_OF_REST
from decoding.engine import Request
from decoding.transformers_engine import TransformersEngine

PROMPT = [5, 6, 7, 8, 9, 10, 11]
# More than any of these turns takes: one that makes no progress is to fail, not to hang.
MOST_STEPS = 100


@contextmanager
def tokens_read(model: Any) -> Iterator[list[int]]:
    """The number of tokens of each forward, padding counted."""
    counts: list[int] = []

    def count(module: Any, inputs: tuple[Any, ...], options: dict[str, Any]) -> None:
        counts.append(options["input_ids"].numel())

    handle = model.register_forward_pre_hook(count, with_kwargs=True)
    yield counts
    handle.remove()


def test_a_turn_reads_its_observation_alone(model: Any, tokenizer: Any) -> None:
    engine = TransformersEngine(model, tokenizer)
    request = Request(prompt_ids=PROMPT * 6, max_new_tokens=3, n=4, seed=0)
    with tokens_read(model) as counts, engine.session() as session:
        session.open(request)
        (first,) = {len(one.token_ids) for one in run_turn(session, most_steps=MOST_STEPS).values()}
        # The prompt but its last token once, then a token a row and step.
        assert (first, counts) == (3, [len(request.prompt_ids) - 1, 4, 4, 4])
        counts.clear()
        for row in range(4):
            session.extend(row, [30, 31, 32, 33], max_new_tokens=2)
        run_turn(session, most_steps=MOST_STEPS)
        # The token that was drawn last has not been read yet, and the observation's last is read with the step.
        assert counts == [4 * 4, 4, 4]
        counts.clear()
        forks = [session.fork(row, seed=row) for row in range(4)]
        for row in forks:
            session.extend(row, [40], max_new_tokens=1)
        run_turn(session, most_steps=MOST_STEPS)
        assert counts == [4 * 1, 4]


def test_a_prompt_is_read_once_though_its_rows_do_not_all_find_room(model: Any, tokenizer: Any) -> None:
    engine = TransformersEngine(model, tokenizer, max_batch_rows=2)
    requests = [Request(prompt_ids=[one, *PROMPT * 6], max_new_tokens=3, n=6, seed=0) for one in (20, 21)]
    with tokens_read(model) as counts:
        engine.generate(requests)
    assert [count for count in counts if count > 2] == [len(requests[0].prompt_ids) - 1] * 2


def test_many_prompts_are_read_in_forwards_of_bounded_size(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TransformersEngine(model, tokenizer)
    requests = [Request(prompt_ids=[20 + one] * (3 + 5 * one), max_new_tokens=3, seed=one) for one in range(12)]
    at_once = engine.generate(requests)
    monkeypatch.setattr("decoding.slot_reading.READ_TOKENS", 24)
    with tokens_read(model) as counts:
        bounded = engine.generate(requests)
    assert max(counts) <= 24 and len(counts) > 3 + 2
    assert [one.token_ids for one in bounded] == [one.token_ids for one in at_once]


def test_prompts_that_begin_alike_share_what_was_read(model: Any, tokenizer: Any, forward_logprobs: Any) -> None:
    engine = TransformersEngine(model, tokenizer)
    with tokens_read(model) as counts, engine.session() as session:
        session.open(Request(prompt_ids=PROMPT, max_new_tokens=2, seed=0))
        session.step()
        counts.clear()
        prompt = [*PROMPT[:5], 20, 21, 22]
        (row,) = session.open(Request(prompt_ids=prompt, max_new_tokens=4, seed=1))
        generation = run_turn(session, most_steps=MOST_STEPS)[row]
    assert counts[0] == len([20, 21])
    expected = forward_logprobs(model.eval(), prompt, generation.token_ids, 1.0)
    assert torch.allclose(torch.tensor(generation.logprobs), expected, atol=1e-4)


def test_rows_that_rest_make_room_where_nothing_else_would_decode(model: Any, tokenizer: Any) -> None:
    with TransformersEngine(model, tokenizer, max_batch_rows=2).session() as session:
        session.open(Request(prompt_ids=PROMPT, max_new_tokens=2, n=5, seed=0))
        done = run_turn(session, most_steps=MOST_STEPS)  # none is closed
        assert sorted(done) == [0, 1, 2, 3, 4]
        for row in done:
            session.extend(row, [20], max_new_tokens=2)
        assert sorted(run_turn(session, most_steps=MOST_STEPS)) == [0, 1, 2, 3, 4]


def steps_until(session: Any, row: int) -> int:
    """Steps until a turn of this row ends."""
    for step in range(1, MOST_STEPS):
        if row in dict(session.step()):
            return step
    raise AssertionError(f"the turn of row {row} goes on after {MOST_STEPS} steps")


@pytest.mark.parametrize("length", [7, 64])
def test_rows_that_rest_keep_their_room_until_it_costs_as_much_as_to_read_them_again(
    model: Any, tokenizer: Any, length: int
) -> None:
    kept = -(-(length + 1) // TOKENS_PER_STEP_OF_REST)
    with TransformersEngine(model, tokenizer, max_batch_rows=2).session() as session:
        (resting,) = session.open(Request(prompt_ids=[3] * length, max_new_tokens=1, seed=0))
        session.open(Request(prompt_ids=[30, 31, 32], max_new_tokens=30, seed=0))
        (waiting,) = session.open(Request(prompt_ids=PROMPT * 3, max_new_tokens=1, seed=0))
        assert [row for row, _ in session.step()] == [resting]
        with tokens_read(model) as counts:
            assert steps_until(session, waiting) == kept + 1
            # Its room was taken: all of it is read again, with a token for each of both others meanwhile.
            assert counts == [1] * kept + [len(PROMPT) * 3 - 1, 2]
            counts.clear()
            session.extend(resting, [20, 21], max_new_tokens=1)
            assert steps_until(session, resting) > 0
            assert sum(counts) - 2 * counts.count(2) - counts.count(1) == length + 3 - 1


def test_rows_that_come_back_in_time_read_no_more_than_their_answer(model: Any, tokenizer: Any) -> None:
    with TransformersEngine(model, tokenizer, max_batch_rows=2).session() as session:
        (short,) = session.open(Request(prompt_ids=PROMPT * 9, max_new_tokens=1, seed=0))
        session.open(Request(prompt_ids=PROMPT[:3], max_new_tokens=30, seed=0))
        session.open(Request(prompt_ids=PROMPT * 3, max_new_tokens=1, seed=0))
        assert [row for row, _ in session.step()] == [short]
        with tokens_read(model) as counts:
            for _ in range(2):  # each rest counts from its own beginning
                for _ in range(len(PROMPT) * 9 // TOKENS_PER_STEP_OF_REST):
                    session.step()
                session.extend(short, [20, 21], max_new_tokens=1)
                session.step()
        assert counts == [*[1] * 3, 2, 2] * 2


def test_rows_that_rest_longest_lose_their_room_first(model: Any, tokenizer: Any) -> None:
    with TransformersEngine(model, tokenizer, max_batch_rows=3).session() as session:
        (late,) = session.open(Request(prompt_ids=[20, *PROMPT], max_new_tokens=2, seed=0))
        (early,) = session.open(Request(prompt_ids=[21, *PROMPT], max_new_tokens=1, seed=0))
        session.open(Request(prompt_ids=PROMPT[:3], max_new_tokens=30, seed=0))
        assert steps_until(session, late) == 2
        session.step()
        (waiting,) = session.open(Request(prompt_ids=PROMPT * 3, max_new_tokens=9, seed=0))
        session.step()
        assert {row.number for row in session._rows.values() if row.slot is None} == {early}
        assert session._rows[late].slot is not None and session._rows[waiting].slot is not None


def test_a_long_text_is_read_in_slices_that_bound_its_mask(
    model: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch, forward_logprobs: Any
) -> None:
    prompts = [[20 + one, *PROMPT * (3 + one % 3), one + 3] for one in range(5)]
    requests = [Request(prompt_ids=prompt, max_new_tokens=3, seed=0) for prompt in prompts]
    monkeypatch.setattr("decoding.slot_reading.READ_PAIRS", 600)
    masks = []
    make = slot_reading.make_attention_mask

    def keep(config: Any, visible: Any, *arguments: Any) -> Any:
        masks.append(visible.shape)
        return make(config, visible, *arguments)

    monkeypatch.setattr(slot_reading, "make_attention_mask", keep)
    generations = TransformersEngine(model, tokenizer).generate(requests)
    assert max(rows * queries * keys for rows, queries, keys in masks) <= 600
    assert max(queries for _, queries, _ in masks) > 2  # and not token by token
    for prompt, generation in zip(prompts, generations, strict=True):
        expected = forward_logprobs(model.eval(), prompt, generation.token_ids, 1.0)
        assert torch.allclose(torch.tensor(generation.logprobs), expected, atol=1e-4)


def test_nothing_is_held_once_all_rows_are_closed(model: Any, tokenizer: Any) -> None:
    with TransformersEngine(model, tokenizer).session() as session:
        for _ in range(2):
            rows = session.open(Request(prompt_ids=PROMPT, max_new_tokens=3, n=2, seed=0))
            run_turn(session, most_steps=MOST_STEPS)
            buffers = [weakref.ref(layer.keys) for layer in session._cache.layers]
            session.close(rows[0])
            assert len(buffers) == 2 and all(buffer() is not None for buffer in buffers)
            session.close(rows[1])
            assert all(buffer() is None for buffer in buffers)
        session.open(Request(prompt_ids=PROMPT, max_new_tokens=3, n=2, seed=0))
        session.step()
        buffers = [weakref.ref(layer.keys) for layer in session._cache.layers]
    assert all(buffer() is None for buffer in buffers)
