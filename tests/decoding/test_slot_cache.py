"""Slots: what a layer returns is what its rows wrote, wherever they were moved, and no more than that is kept."""

import random
import weakref

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from decoding.engine import Request
from decoding.row import Row
from decoding.slot_cache import SlotCache
from decoding.slot_table import SlotTable

HEADS, SIZE = 2, 3
CPU = torch.device("cpu")


def states(tokens: list[list[int]], starts: list[int]) -> torch.Tensor:
    """(B, heads, Q, size) that spell the token and its position, so that one at a wrong place shows."""
    width = max(map(len, tokens))
    padded = torch.tensor([[*row, *[-1] * (width - len(row))] for row in tokens], dtype=torch.float)
    places = torch.tensor(starts)[:, None] + torch.arange(width)
    return torch.stack([padded, places, padded * 1000 + places], dim=-1)[:, None].repeat(1, HEADS, 1, 1)


def read(cache: SlotCache, rows: list[Row], counts: list[int]) -> None:
    """A forward over the next tokens of rows, checked against all that each row has said."""
    starts = [row.cached for row in rows]
    queries, keys = cache.write(slots=[row.slot for row in rows], starts=starts, counts=counts, device=CPU)
    tokens = [row.ids[row.cached : row.cached + count] for row, count in zip(rows, counts, strict=True)]
    written = states(tokens, starts)
    for index, (start, count) in enumerate(zip(starts, counts, strict=True)):
        assert queries[index].tolist() == [start + min(place, count - 1) for place in range(max(counts))]
    for layer in range(2):
        held_keys, held_values = cache.update(written + layer, -written - layer, layer)
        assert held_keys.shape[2] == keys.shape[1] == max(map(sum, zip(starts, counts, strict=True)))
        for index, (row, count) in enumerate(zip(rows, counts, strict=True)):
            length = row.cached + count
            expected = states([row.ids[:length]], [0])[0] + layer
            assert torch.equal(held_keys[index, :, :length], expected)
            assert torch.equal(held_values[index, :, :length], -expected)
            assert held_keys.isfinite().all() and held_values.isfinite().all()
    for row, count in zip(rows, counts, strict=True):
        row.cached += count


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 2**32), most_slots=st.integers(1, 6), common=st.integers(0, 5))
def test_rows_find_what_they_wrote_however_they_come_and_go(seed: int, most_slots: int, common: int) -> None:
    draw = random.Random(seed)
    cache = SlotCache()
    table = SlotTable(cache, most_slots=most_slots)
    prompts = [[7] * common + [draw.randrange(9) for _ in range(draw.randrange(1, 9))] for _ in range(3)]
    rows: list[Row] = []
    for step in range(12):
        for _ in range(draw.randrange(4)):
            request = Request(prompt_ids=draw.choice(prompts), max_new_tokens=20)
            rows.append(Row(request, number=len(rows) + 100 * step, stream="0"))
        room = table.free()
        waiting = [row for row in rows if row.slot is None]
        followers = table.admit(waiting)
        seated = [row for row in rows if row.slot is not None]
        assert len({row.slot for row in seated}) == len(seated) <= most_slots
        assert all(row.slot is not None for row in waiting[:room]) and table.free() == most_slots - len(seated)
        if not seated:
            continue
        cache.reserve(slots=0, tokens=max(len(row.ids) for row in seated), most_tokens=40)
        late = {row for row, _ in followers}
        unread = [row for row in seated if row not in late and len(row.ids) - 1 > row.cached]
        if unread:
            read(cache, unread, [len(row.ids) - 1 - row.cached for row in unread])
        table.follow(followers)
        decoding = draw.sample(seated, draw.randrange(1, len(seated) + 1))
        ordered = table.bring_to_front(decoding)
        assert set(ordered) == set(decoding) and [row.slot for row in ordered] == list(range(len(ordered)))
        ready = [row for row in ordered if len(row.ids) - row.cached == 1]
        assert ready == ordered
        read(cache, ordered, [1] * len(ordered))
        for row in ordered:
            row.ids += [draw.randrange(9) for _ in range(draw.randrange(1, 4))]
        for row in draw.sample(seated, draw.randrange(len(seated) + 1)):
            table.leave(row)
            rows.remove(row)


def test_a_decode_step_over_the_first_slots_copies_nothing() -> None:
    cache = SlotCache()
    cache.reserve(slots=4, tokens=10, most_tokens=10)
    for slots, is_view in (([0, 1, 2], True), ([1, 2], False)):
        cache.write(slots=slots, starts=[3] * len(slots), counts=[1] * len(slots), device=CPU)
        one = torch.ones(len(slots), HEADS, 1, SIZE)
        keys, values = cache.update(one, one, 0)
        layer = cache.layers[0]
        assert (keys.data_ptr() == layer.keys.data_ptr()) is is_view
        assert (values.data_ptr() == layer.values.data_ptr()) is is_view


def test_capacity_grows_in_steps_that_end_at_the_need() -> None:
    cache = SlotCache()
    sizes = []
    for tokens in range(100, 601):
        cache.reserve(slots=2, tokens=tokens, most_tokens=600)
        sizes.append(cache.capacity)
    assert sizes[0] == 132 and sizes[-1] == 600
    assert len(set(sizes)) <= 14
    assert all(tokens <= size <= max(tokens + 33, tokens * 1.13) for tokens, size in enumerate(sizes, start=100))
    cache.reserve(slots=1, tokens=5, most_tokens=5)
    assert (cache.slots, cache.capacity) == (2, 600)


@pytest.mark.parametrize("grown", [False, True])
def test_a_cleared_cache_holds_nothing(grown: bool) -> None:
    cache = SlotCache()
    cache.reserve(slots=2, tokens=10, most_tokens=10)
    cache.write(slots=[0], starts=[0], counts=[1], device=CPU)
    cache.update(torch.ones(1, HEADS, 1, SIZE), torch.ones(1, HEADS, 1, SIZE), 0)
    first = weakref.ref(cache.layers[0].keys)
    if grown:
        cache.reserve(slots=3, tokens=30, most_tokens=30)
        assert first() is None  # the smaller buffer
    last = weakref.ref(cache.layers[0].keys)
    cache.clear()
    assert last() is None and (cache.slots, cache.capacity) == (0, 0)
