"""The layout of prefix trees: it spells every row, and holds what rows share once."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from train.prefix_tree import Forest, Row, Tree, cheapest, cut, pack, plant

WIDTH = 6  # completion positions that are reported


@st.composite
def micro_batches(draw: st.DrawFn) -> list[Row]:
    """Rows over three tokens and few prompts, so that prefixes, duplicates and whole rows inside others are common."""
    token = st.integers(0, 2)
    prompts = draw(st.lists(st.lists(token, min_size=1, max_size=3), min_size=1, max_size=3))
    rows = []
    for _ in range(draw(st.integers(1, 8))):
        prompt = draw(st.sampled_from(prompts))
        completion = draw(st.lists(token, max_size=WIDTH))
        rows.append(Row(tokens=np.array([*prompt, *completion]), prompt_length=len(prompt)))
    return rows


def text_of(forest: Forest, node: int) -> list[int]:
    """The tokens that a node sees, in order: by the definition of ``ends``."""
    tree, place = divmod(node, forest.tokens.shape[1])
    return [int(forest.tokens[tree, j]) for j in range(place + 1) if place < forest.ends[tree, j]]


def check(rows: list[Row], trees: list[Tree]) -> Forest:
    """Everything that a layout must hold, whichever way its trees were cut."""
    forest = pack(trees, WIDTH)
    for row, slots in zip(rows, forest.slots, strict=True):
        length = len(row.tokens) - row.prompt_length
        assert (slots[length:] == len(forest.labels)).all()
        for position, slot in enumerate(slots[:length], start=row.prompt_length):
            assert text_of(forest, int(forest.predecessors[slot])) == row.tokens[:position].tolist()
            assert forest.labels[slot] == row.tokens[position]
    for number, tree in enumerate(trees):
        for place in range(forest.tokens.shape[1]):
            seen = len(text_of(forest, number * forest.tokens.shape[1] + place))
            assert seen == (forest.depths[number, place] + 1 if place < tree.size else 1)
    assert sorted(place for tree in trees for place in tree.places) == list(range(len(rows)))
    return forest


@given(micro_batches())
def test_every_token_sees_its_own_text_and_nothing_else(rows: list[Row]) -> None:
    check(rows, plant(rows))


@given(micro_batches())
def test_what_rows_of_a_prompt_share_is_held_and_scored_once(rows: list[Row]) -> None:
    trees = plant(rows)
    forest = pack(trees, WIDTH)
    texts = {
        (tuple(row.tokens[: row.prompt_length]), tuple(row.tokens[:end]))
        for row in rows
        for end in range(1, len(row.tokens) + 1)
    }
    assert sum(tree.size for tree in trees) == len(texts)
    assert len(forest.labels) == sum(len(text) > len(prompt) for prompt, text in texts)
    assert len(trees) == len({prompt for prompt, _ in texts})


@given(micro_batches(), st.integers(1, 20))
def test_a_cut_forest_holds_the_same_rows_in_trees_of_the_size_asked_for(rows: list[Row], size: int) -> None:
    trees = cut(plant(rows), size)
    check(rows, trees)
    assert all(tree.size <= size or tree.size == max(len(row.tokens) for row in tree.rows) for tree in trees)


@given(micro_batches(), st.sampled_from([1, 1000]))
def test_the_cheapest_forest_holds_the_same_rows(rows: list[Row], width: int) -> None:
    trees = cheapest(plant(rows), width)
    assert trees is not None
    check(rows, trees)


def long_rows(group: int, prompt: int, completion: int) -> list[Row]:
    random = np.random.default_rng(0)
    start = random.integers(0, 1000, prompt)
    return [
        Row(tokens=np.concatenate([start, random.integers(0, 1000, completion)]), prompt_length=prompt)
        for _ in range(group)
    ]


def test_a_long_prompt_is_one_tree_and_long_completions_are_cut_apart_unless_attention_skips_what_is_unseen() -> None:
    assert pieces(plant(long_rows(8, prompt=512, completion=64)), 576) == 1
    apart = plant(long_rows(16, prompt=16, completion=1000))
    assert pieces(apart, 64) > 4
    assert pieces(apart, 64, skips=True) == 1


def pieces(trees: list[Tree], width: int, **options: Any) -> int:
    cut_trees = cheapest(trees, width, **options)
    assert cut_trees is not None
    return len(cut_trees)


def test_trees_are_cut_until_their_masks_fit_and_are_none_where_they_cannot() -> None:
    trees = plant(long_rows(8, prompt=16, completion=100))
    most_pairs = None
    for count, size in ((1, 816), (2, 416), (4, 216), (8, 116)):
        assert pieces(trees, 10**6, most_pairs=most_pairs) == count
        most_pairs = count * size**2 - 1
    assert cheapest(trees, 10**6, most_pairs=most_pairs) is None


def test_rows_without_a_completion_have_nothing_scored() -> None:
    forest = pack(plant([Row(tokens=np.array([1, 2]), prompt_length=2)] * 2), WIDTH)
    assert forest.tokens.tolist() == [[1, 2]]
    assert len(forest.labels) == 0
    assert (forest.slots == 0).all()


def test_a_row_without_a_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="a row needs a prompt of 1 to 2 of its tokens, got one of 0"):
        Row(tokens=np.array([1, 2]), prompt_length=0)
