"""The digest of a result against the judge's comparison: equal for equal results, and for no others."""

import itertools
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.sql.comparison import are_equal
from envs.sql.databases.execution import QueryResult
from envs.sql.result_digest import result_digest

Row = tuple[object, ...]
VALUES = st.sampled_from([None, 0, 1, 2, 1.0, 0.5, "", "1", "a", b"a", float("inf"), 2**60, 2**60 + 1])


def digest(rows: list[Row], *, is_ordered: bool = False, width: int | None = None) -> str:
    columns = ("c",) * (len(rows[0]) if width is None else width)
    return result_digest(
        QueryResult(columns=columns, rows=tuple(rows), reads=frozenset(), size=0), is_ordered=is_ordered
    )


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    values = draw(st.sampled_from([VALUES, st.integers(0, 1)]))
    row = st.tuples(*[values] * draw(st.integers(1, 4)))
    first = draw(st.lists(row, min_size=1, max_size=5))
    second = draw(st.lists(row, min_size=len(first), max_size=len(first)) | st.permutations(first))
    order = draw(st.permutations(range(len(second[0]))))
    return first, [tuple(row[place] for place in order) for row in second]


@settings(max_examples=100, deadline=None)
@given(pairs(), st.booleans())
def test_digests_are_equal_as_results_are(pair: tuple[list[Row], list[Row]], is_ordered: bool) -> None:
    first, second = pair
    width = len(first[0])
    expected = are_equal(first, second, is_ordered=is_ordered, gold_width=width, predicted_width=width)
    assert (digest(first, is_ordered=is_ordered) == digest(second, is_ordered=is_ordered)) is expected


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 7), st.integers(0, 10_000))
def test_columns_that_look_alike_are_told_apart_by_their_rows(width: int, seed: int) -> None:
    chance = random.Random(seed)
    rows: list[Row] = [tuple(chance.randint(0, 1) for _ in range(width)) for _ in range(12)]
    order = chance.sample(range(width), width)
    turned = [tuple(row[place] for place in order) for row in chance.sample(rows, len(rows))]
    assert digest(rows) == digest(turned)
    changed = [*turned[:-1], tuple(1 - int(str(value)) for value in turned[-1])]
    expected = are_equal(rows, changed, is_ordered=False, gold_width=width, predicted_width=width)
    assert (digest(rows) == digest(changed)) is expected


def test_order_counts_where_a_query_orders_rows_that_differ() -> None:
    rows, turned = [(1, "a"), (2, "b")], [(2, "b"), (1, "a")]
    assert digest(rows, is_ordered=True) != digest(turned, is_ordered=True)
    assert digest(rows, is_ordered=True) != digest(rows)
    assert digest(rows) == digest(turned)
    assert digest([(1, "a")], is_ordered=True) == digest([("a", 1)])
    assert digest([(1,), (1,)], is_ordered=True) == digest([(1,), (1,)])


def test_empty_results_are_equal_where_they_are_as_wide() -> None:
    assert digest([], width=2) == digest([], width=2, is_ordered=True) != digest([], width=1)


def test_the_order_of_a_summation_makes_no_other_result() -> None:
    chance = random.Random(0)
    for _ in range(100):
        terms = [chance.randint(1, 10**6) / 100 for _ in range(30)]
        sums = [sum(chance.sample(terms, 30)) / divisor for _ in range(2) for divisor in (1, 7, 8)]
        assert digest([tuple(sums[:3])]) == digest([tuple(sums[3:])])
    assert digest([(0.1 + 0.2,)]) == digest([(0.3,)]) != digest([(0.300001,)])
    assert digest([(3,)]) == digest([(2.9999999999999996,)]) and digest([(0,)]) == digest([(1e-16,)])


def test_large_integers_and_texts_stay_apart() -> None:
    values = [2**60, 2**60 + 1, "1152921504606846976", None, "", b"", "\ud800", float("inf"), -float("inf"), 1e300]
    assert len({digest([(value,)]) for value in values}) == len(values)


def test_parity_is_told_though_every_seven_columns_agree() -> None:
    rows = list(itertools.product((0, 1), repeat=8))
    even, odd = ([row for row in rows if sum(row) % 2 == parity] for parity in (0, 1))
    assert digest(even) != digest(odd)


def test_columns_that_nothing_tells_apart_are_taken_one_after_the_other() -> None:
    def edges(*cycles: tuple[int, ...]) -> list[Row]:
        pairs = [{one, other} for cycle in cycles for one, other in zip(cycle, (*cycle[1:], cycle[0]), strict=True)]
        return [tuple(int(column in pair) for column in range(6)) for pair in pairs]

    assert digest(edges((0, 1, 2, 3, 4, 5))) == digest(edges((0, 3, 1, 5, 2, 4)))
    assert digest(edges((0, 1, 2), (3, 4, 5))) == digest(edges((0, 3, 5), (1, 2, 4)))
    assert digest(edges((0, 1, 2, 3, 4, 5))) != digest(edges((0, 1, 2), (3, 4, 5)))


def test_wide_results_whose_columns_look_alike_are_digested_at_once() -> None:
    rows: list[Row] = [tuple(int(place == column) for column in range(60)) for place in range(60)]
    started = time.perf_counter()
    assert digest(rows) == digest([row[::-1] for row in rows])
    assert time.perf_counter() - started < 10  # a tenth of a second each on an idle core


def test_columns_beyond_the_bound_stay_as_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[Row] = [(1, 0), (0, 1), (1, 1), (0, 0), (0, 1), (1, 0)]
    before = digest(rows)
    monkeypatch.setattr("envs.sql.result_digest.ARRANGED_CELLS", 1)
    assert digest(rows) == digest(rows[::-1]) == before
