"""Sessions: what the model reads again, and whose keys and values are held."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from decoding.engine import Generation, Request
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


def run_turn(session: Any) -> dict[int, Generation]:
    """All pending turns, to their end."""
    done: dict[int, Generation] = {}
    for _ in range(MOST_STEPS):
        done.update(session.step())
        if session.is_idle:
            return done
    raise AssertionError(f"turns go on after {MOST_STEPS} steps")


def test_a_turn_reads_its_observation_alone(model: Any, tokenizer: Any) -> None:
    engine = TransformersEngine(model, tokenizer)
    request = Request(prompt_ids=PROMPT * 6, max_new_tokens=3, n=4, seed=0)
    with tokens_read(model) as counts, engine.session() as session:
        session.open(request)
        (first,) = {len(one.token_ids) for one in run_turn(session).values()}
        # The prompt but its last token once, then a token a row and step.
        assert (first, counts) == (3, [len(request.prompt_ids) - 1, 4, 4, 4])
        counts.clear()
        for row in range(4):
            session.extend(row, [30, 31, 32, 33], max_new_tokens=2)
        run_turn(session)
        # The token that was drawn last has not been read yet, and the observation's last is read with the step.
        assert counts == [4 * 4, 4, 4]
        counts.clear()
        forks = [session.fork(row, seed=row) for row in range(4)]
        for row in forks:
            session.extend(row, [40], max_new_tokens=1)
        run_turn(session)
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
    requests = [Request(prompt_ids=[20 + one] * (3 + one), max_new_tokens=3, seed=one) for one in range(12)]
    at_once = engine.generate(requests)
    monkeypatch.setattr("decoding.cached_session.READ_TOKENS", 24)
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
        generation = run_turn(session)[row]
    assert counts[0] == len([20, 21])
    expected = forward_logprobs(model.eval(), prompt, generation.token_ids, 1.0)
    assert torch.allclose(torch.tensor(generation.logprobs), expected, atol=1e-4)


def test_rows_that_rest_make_room_where_nothing_else_would_decode(model: Any, tokenizer: Any) -> None:
    with TransformersEngine(model, tokenizer, max_batch_rows=2).session() as session:
        session.open(Request(prompt_ids=PROMPT, max_new_tokens=2, n=5, seed=0))
        done = run_turn(session)  # none is closed
        assert sorted(done) == [0, 1, 2, 3, 4]
        for row in done:
            session.extend(row, [20], max_new_tokens=2)
        assert sorted(run_turn(session)) == [0, 1, 2, 3, 4]


def test_rows_that_rest_keep_their_room_while_others_decode(model: Any, tokenizer: Any) -> None:
    with TransformersEngine(model, tokenizer, max_batch_rows=2).session() as session:
        (short,) = session.open(Request(prompt_ids=PROMPT, max_new_tokens=1, seed=0))
        session.open(Request(prompt_ids=PROMPT[:3], max_new_tokens=6, seed=0))
        session.open(Request(prompt_ids=PROMPT * 3, max_new_tokens=1, seed=0))
        assert [row for row, _ in session.step()] == [short]
        with tokens_read(model) as counts:
            session.step()
            session.extend(short, [20, 21], max_new_tokens=4)
            session.step()
        assert counts == [1, 2, 2]


def test_nothing_is_held_once_all_rows_are_closed(model: Any, tokenizer: Any) -> None:
    with TransformersEngine(model, tokenizer).session() as session:
        for _ in range(2):
            rows = session.open(Request(prompt_ids=PROMPT, max_new_tokens=3, n=2, seed=0))
            run_turn(session)
            buffers = [weakref.ref(layer.keys) for layer in session._cache.layers]
            session.close(rows[0])
            assert len(buffers) == 2 and all(buffer() is not None for buffer in buffers)
            session.close(rows[1])
            assert all(buffer() is None for buffer in buffers)
        session.open(Request(prompt_ids=PROMPT, max_new_tokens=3, n=2, seed=0))
        session.step()
        buffers = [weakref.ref(layer.keys) for layer in session._cache.layers]
    assert all(buffer() is None for buffer in buffers)
