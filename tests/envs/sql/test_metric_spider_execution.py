"""Test-suite accuracy on results, against outcomes of the official comparison and against its definition."""

import itertools
import json
import random
import sqlite3
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.sql.metrics.spider_execution import is_execution_match, is_suite_match
from envs.sql.metrics.spider_preparation import is_order_compared, prepare_query

Row = tuple[object, ...]

# (gold, predicted, is_ordered, the official outcome)
OFFICIAL_OUTCOMES: list[tuple[list[Row], list[Row], bool, bool]] = [
    ([], [], False, True),
    ([], [], True, True),
    ([], [(1,)], False, False),
    ([(1,)], [], False, False),
    ([(1, 2)], [(2, 1)], False, True),
    ([(1, 2)], [(1,)], False, False),
    ([(1,), (2,)], [(2,), (1,)], False, True),
    ([(1,), (2,)], [(2,), (1,)], True, False),
    ([(1, "a"), (2, "b")], [("a", 1), ("b", 2)], True, True),
    ([(1, "a"), (2, "b")], [(1, "b"), (2, "a")], False, False),
    ([(1,), (1,), (2,)], [(1,), (2,), (2,)], False, False),
    ([(None,)], [(None,)], False, True),
    ([(None,)], [(0,)], False, False),
    ([(1,)], [(1.0,)], False, True),
    ([(1,)], [("1",)], False, False),
    ([(0.0,)], [(-0.0,)], False, True),
    ([(0.3,)], [(0.1 + 0.2,)], False, False),
    ([(1, "x")], [(1.0, "x")], False, True),
    ([(1, 1.5)], [(1.0, 1.5)], False, False),
]


@pytest.mark.parametrize(("gold", "predicted", "is_ordered", "outcome"), OFFICIAL_OUTCOMES)
def test_the_verdict_is_the_official_one(
    gold: list[Row], predicted: list[Row], is_ordered: bool, outcome: bool
) -> None:
    assert is_execution_match(gold, predicted, is_ordered=is_ordered) is outcome


@st.composite
def pairs(draw: st.DrawFn) -> tuple[list[Row], list[Row]]:
    values = draw(st.sampled_from([st.integers(0, 1), st.sampled_from([1, 1.0, 1.5, "1", None, "1a", 10])]))
    row = st.tuples(*[values] * draw(st.integers(1, 4)))
    gold = draw(st.lists(row, max_size=4))
    return gold, draw(st.one_of(st.lists(row, max_size=4), st.permutations(gold)))


@given(pairs(), st.booleans())
def test_the_verdict_is_that_of_trying_every_permutation(pair: tuple[list[Row], list[Row]], is_ordered: bool) -> None:
    gold, predicted = pair

    def sorted_rows(rows: list[Row]) -> list[Row]:
        return [tuple(sorted(row, key=lambda value: str(value) + str(type(value)))) for row in rows]

    def arranged(columns: tuple[int, ...]) -> list[Row]:
        return [tuple(row[index] for index in columns) for row in predicted]

    sides = sorted_rows(gold), sorted_rows(predicted)
    is_kept = sides[0] == sides[1] if is_ordered else set(sides[0]) == set(sides[1])
    expected = is_kept and any(
        arranged(columns) == gold if is_ordered else Counter(arranged(columns)) == Counter(gold)
        for columns in itertools.permutations(range(len(gold[0]) if gold else 1) if predicted else [])
    )
    assert is_execution_match(gold, predicted, is_ordered=is_ordered) == expected


@given(pairs(), st.randoms())
def test_every_result_matches_itself_in_any_order_of_rows_and_columns_of_one_type(
    pair: tuple[list[Row], list[Row]], chance: random.Random
) -> None:
    gold = [tuple(map(str, row)) for row in pair[0]]
    columns = list(range(len(gold[0]))) if gold else []
    chance.shuffle(columns)
    predicted = [tuple(row[index] for index in columns) for row in gold]
    assert is_execution_match(gold, predicted, is_ordered=True)
    chance.shuffle(predicted)
    assert is_execution_match(gold, predicted, is_ordered=False)


def test_many_look_alike_columns_are_compared() -> None:
    # The official enumeration tries up to 8 ** 8 assignments of columns here.
    chance = random.Random(0)
    columns = [chance.sample([0] * 250 + [1] * 250, 500) for _ in range(8)]
    gold = list(zip(*columns, strict=True))
    predicted = list(zip(*chance.sample(columns, 8), strict=True))
    chance.shuffle(predicted)
    assert is_execution_match(gold, predicted, is_ordered=False)
    assert not is_execution_match(gold, [*predicted[1:], (1, 1, 1, 1, 1, 1, 1, 2)], is_ordered=False)


def test_a_suite_matches_when_every_database_does() -> None:
    same: tuple[list[Row], list[Row]] = ([(1,)], [(1,)])
    different: tuple[list[Row], list[Row]] = ([(1,)], [(2,)])
    assert is_suite_match([same, same], is_ordered=False)
    assert not is_suite_match([same, different], is_ordered=False)


def test_every_gold_of_spider_dev_matches_itself_with_and_without_distinct(
    dataset_directory: Callable[[str, str], Path],
) -> None:
    home = dataset_directory("spider", "dev.json")
    tasks = {(row["db_id"], row["query"]) for row in json.loads((home / "dev.json").read_text("utf-8"))}
    assert tasks
    for database, group in itertools.groupby(sorted(tasks), key=lambda task: task[0]):
        file = home / "database" / database / f"{database}.sqlite"
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as connection:
            connection.text_factory = lambda text: text.decode(errors="ignore")
            for _, gold in group:
                for keep_distinct in (False, True):
                    sql = prepare_query(gold, keep_distinct=keep_distinct)
                    first, second = connection.execute(sql).fetchall(), connection.execute(sql).fetchall()
                    is_ordered = is_order_compared(gold, keep_distinct=keep_distinct)
                    assert is_execution_match(first, second, is_ordered=is_ordered), gold
