"""The comparison of results against its definition: some permutation of the columns makes the bags of rows equal."""

import itertools
import random
import time
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.sql.comparison import are_equal

Row = tuple[object, ...]
VALUES = st.one_of(st.none(), st.integers(0, 2), st.sampled_from(["", "a", "0"]), st.sampled_from([0.5, 1.0]))


def equal(gold: list[Row], predicted: list[Row], *, is_ordered: bool = False) -> bool:
    def width(rows: list[Row]) -> int:
        return len(rows[0]) if rows else 1

    return are_equal(gold, predicted, is_ordered=is_ordered, gold_width=width(gold), predicted_width=width(predicted))


@st.composite
def tables(draw: st.DrawFn, values: st.SearchStrategy[object] = VALUES) -> list[Row]:
    width = draw(st.integers(1, 4))
    return draw(st.lists(st.tuples(*[values] * width), min_size=1, max_size=6))


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    bits = st.integers(0, 1)
    gold = draw(tables(bits))
    predicted = draw(st.lists(st.tuples(*[bits] * len(gold[0])), min_size=len(gold), max_size=len(gold)))
    return gold, predicted


@given(tables(), st.randoms())
def test_shuffled_rows_and_columns_are_equal(gold: list[Row], chance: random.Random) -> None:
    columns = list(range(len(gold[0])))
    chance.shuffle(columns)
    predicted = [tuple(row[index] for index in columns) for row in gold]
    assert equal(gold, predicted, is_ordered=True)
    chance.shuffle(predicted)
    assert equal(gold, predicted)


@given(pairs(), st.booleans())
def test_the_verdict_is_that_of_trying_every_permutation(pair: tuple[list[Row], list[Row]], is_ordered: bool) -> None:
    gold, predicted = pair

    def arranged(columns: tuple[int, ...]) -> list[Row]:
        return [tuple(row[index] for index in columns) for row in predicted]

    expected = any(
        arranged(columns) == gold if is_ordered else Counter(arranged(columns)) == Counter(gold)
        for columns in itertools.permutations(range(len(gold[0])))
    )
    assert equal(gold, predicted, is_ordered=is_ordered) == expected


@given(tables())
def test_a_missing_or_repeated_row_is_unequal(gold: list[Row]) -> None:
    assert not equal(gold, gold[1:])
    assert not equal(gold, [*gold, gold[0]])


@given(tables(), st.integers(0, 5))
def test_a_changed_cell_is_unequal(gold: list[Row], index: int) -> None:
    row = index % len(gold)
    predicted = [*gold[:row], ("changed", *gold[row][1:]), *gold[row + 1 :]]
    assert not equal(gold, predicted)


def test_an_unordered_gold_accepts_any_row_order() -> None:
    assert equal([(1,), (2,)], [(2,), (1,)])
    assert not equal([(1,), (2,)], [(2,), (1,)], is_ordered=True)


def test_values_stay_with_their_rows() -> None:
    assert not equal([(1, "a"), (2, "b")], [(1, "b"), (2, "a")])


def test_duplicates_count() -> None:
    assert not equal([(1,), (1,), (2,)], [(1,), (2,), (2,)])


def test_empty_results_of_different_widths_are_unequal() -> None:
    assert are_equal([], [], is_ordered=False, gold_width=2, predicted_width=2)
    assert not are_equal([], [], is_ordered=False, gold_width=2, predicted_width=1)


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        (1, 1.0, True),
        (0.3, 0.1 + 0.2, True),
        (0.0, 1e-16, True),
        (3, 2.9999999999999996, True),
        (0.33, 0.333, False),
        (1, "1", False),
        (None, 0, False),
        (None, "", False),
        (None, None, True),
        (b"a", "a", False),
        (2**60, 2**60 + 1, False),
        (123456789012, 123456789013, False),
        (float("inf"), 1e308, False),
    ],
)
def test_single_values(gold: object, predicted: object, expected: bool) -> None:
    for is_ordered in (False, True):
        assert equal([(gold,)], [(predicted,)], is_ordered=is_ordered) is expected


def test_close_floats_do_not_hide_a_permutation() -> None:
    assert equal([(0.1 + 0.2, "a"), (1, "b")], [("b", 1.0), ("a", 0.3)])


def test_two_large_integers_are_not_merged_by_a_float_elsewhere() -> None:
    assert not equal([(2**60, 0.5)], [(2**60 + 1, 0.5)])


BALANCED = [0] * 250 + [1] * 250
CASES = {
    "random": [[random.Random(seed).randint(0, 1) for _ in range(500)] for seed in range(8)],
    "balanced": [random.Random(seed).sample(BALANCED, 500) for seed in range(8)],
    "symmetric": [list(column) for column in zip(*list(itertools.product((0, 1), repeat=8)) * 2, strict=True)],
}


@pytest.mark.parametrize("case", CASES)
def test_eight_binary_columns_of_five_hundred_rows_are_compared_at_once(case: str) -> None:
    chance = random.Random(0)
    gold = list(zip(*CASES[case], strict=True))
    predicted = list(zip(*chance.sample(CASES[case], 8), strict=True))
    chance.shuffle(predicted)
    wrong = [*predicted[:-1], tuple(1 - value for value in predicted[-1])]
    times = []
    for _ in range(5):
        started = time.perf_counter()
        assert equal(gold, predicted)
        assert not equal(gold, wrong)
        times.append(time.perf_counter() - started)
    assert min(times) < 0.1  # 10 to 15 ms for both on an idle core; enumeration takes seconds


def test_even_and_odd_parity_differ_though_every_seven_columns_agree() -> None:
    rows = list(itertools.product((0, 1), repeat=8))
    even = [row for row in rows if sum(row) % 2 == 0]
    odd = [row for row in rows if sum(row) % 2 == 1]
    assert not equal(even, odd)
