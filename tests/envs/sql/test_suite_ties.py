"""Which results hang on an order that nobody asked for."""

import pytest

from envs.sql.databases.execution import QueryResult, Row
from envs.sql.databases.schema import Column, Table
from envs.sql.suite.certainty import Certainty
from envs.sql.suite.nulls import introduces_null, null_columns
from envs.sql.suite.query import ParsedQuery
from envs.sql.suite.ties import TieProbe, tie_probes

TABLES = (Table(name="t", columns=tuple(Column(name=name, type="INT") for name in ("a", "b", "c"))),)


def probes(gold: str) -> list[TieProbe]:
    return tie_probes(ParsedQuery(gold, "sqlite", TABLES))


def probe(gold: str) -> TieProbe:
    (only,) = probes(gold)
    return only


@pytest.mark.parametrize(
    ("gold", "expected"),
    [
        ("SELECT a FROM t ORDER BY b LIMIT 1", "SELECT a, b FROM t ORDER BY b"),
        ("SELECT a FROM t ORDER BY a DESC LIMIT 1", "SELECT a FROM t ORDER BY a DESC"),
        (
            "SELECT a, count(*) AS n FROM t GROUP BY a ORDER BY n",
            "SELECT a, COUNT(*) AS n FROM t GROUP BY a ORDER BY n",
        ),
        ("SELECT a, b FROM t ORDER BY 2 LIMIT 3", "SELECT a, b FROM t ORDER BY 2"),
        (
            "SELECT a AS x FROM t UNION SELECT b FROM t ORDER BY x",
            "SELECT a AS x FROM t UNION SELECT b FROM t ORDER BY x",
        ),
        ("SELECT * FROM t ORDER BY b", "SELECT *, b FROM t ORDER BY b"),
        ("SELECT a FROM t LIMIT 5", "SELECT a FROM t"),
    ],
)
def test_a_probe_shows_the_keys_and_every_row(gold: str, expected: str) -> None:
    assert probe(gold).query == expected


def test_a_subquery_is_probed_only_where_it_has_a_limit() -> None:
    gold = "SELECT a FROM t WHERE b = (SELECT b FROM t ORDER BY c LIMIT 1) AND c IN (SELECT c FROM t ORDER BY a)"
    assert [found.query for found in probes(gold)] == ["SELECT b, c FROM t ORDER BY c"]


def test_what_needs_no_order_is_not_probed() -> None:
    assert probes("SELECT a FROM t WHERE b > 1") == []


def test_distinct_rows_ordered_by_what_is_not_selected_cannot_be_probed() -> None:
    assert probes("SELECT DISTINCT a FROM t ORDER BY b") == []


# Rows of the probe of SELECT a FROM t ORDER BY b LIMIT 2: (a, b)
@pytest.mark.parametrize(
    ("rows", "has_choice", "has_ties"),
    [
        ([(1, 1), (2, 2), (3, 3)], False, False),
        ([(1, 1), (2, 1), (3, 3)], True, True),  # which of the two comes first
        ([(1, 1), (1, 1), (3, 3)], False, False),  # they are alike
        ([(1, 1), (2, 2), (3, 2)], True, True),  # which of the two is cut off
        ([(1, 1), (2, 2), (2, 2)], False, True),  # alike, but only one of them is there
        ([(1, 1), (2, 2), (2, 2), (3, 2)], True, True),  # alike at the cut, others tie with them
        ([(1, 1), (2, 2), (3, 3), (4, 3)], False, False),  # beyond the cut
        ([(1, 0.3), (2, 0.1 + 0.2), (3, 1)], True, True),  # sums that differ by rounding
        ([], False, False),
        ([(1, None), (2, None)], True, True),
    ],
)
def test_ties_are_seen_where_they_matter(rows: list[Row], has_choice: bool, has_ties: bool) -> None:
    found = probe("SELECT a FROM t ORDER BY b LIMIT 2")
    assert (found.has_choice(rows), found.has_ties(rows)) == (has_choice, has_ties)


def test_without_an_order_a_limit_is_a_choice_unless_it_cuts_nothing() -> None:
    found = probe("SELECT a FROM t LIMIT 2")
    assert found.has_choice([(1,), (2,), (3,)])
    assert not found.has_choice([(1,), (2,)])


def test_ranks_count_the_classes_of_tied_rows_and_the_rows_before_a_cut() -> None:
    found = probe("SELECT a FROM t ORDER BY b LIMIT 4")
    assert found.ranks([(1, 1), (2, 1), (3, 2), (4, 3), (5, 3)]) == ([0, 0, 1, 2], 3)
    assert found.ranks([(1, 1), (2, 1), (3, 2)]) == ([0, 0, 1], 3)


def result(*rows: Row) -> QueryResult:
    return QueryResult(columns=("x", "y"), rows=rows, reads=frozenset(), size=0)


GOLD = result((1, 9), (2, 8), (3, 7))


@pytest.mark.parametrize(
    ("certainty", "predicted", "is_right"),
    [
        (Certainty(), result((1, 9), (2, 8), (3, 7)), True),
        (Certainty(), result((9, 1), (8, 2), (7, 3)), True),  # columns in another order
        (Certainty(), result((2, 8), (1, 9), (3, 7)), False),
        (Certainty(ranks=(0, 0, 1)), result((2, 8), (1, 9), (3, 7)), True),
        (Certainty(ranks=(0, 0, 1)), result((9, 1), (8, 2), (7, 3)), True),
        (Certainty(ranks=(0, 0, 1)), result((1, 9), (3, 7), (2, 8)), False),
        (Certainty(ranks=(0, 1, 2), rows=2), result((1, 9), (2, 8), (0, 0)), True),
        (Certainty(ranks=(0, 1, 2), rows=2), result((1, 9), (2, 0), (3, 7)), False),
        (Certainty(ranks=(0, 1, 2), rows=2), result((1, 9), (2, 8)), False),
        (Certainty(is_arbitrary=True), result((5, 5)), True),
        (Certainty(is_arbitrary=True), QueryResult(columns=("x",), rows=(), reads=frozenset(), size=0), False),
    ],
)
def test_only_what_is_certain_of_an_answer_is_asked_for(
    certainty: Certainty, predicted: QueryResult, is_right: bool
) -> None:
    assert certainty.agrees(GOLD, predicted, is_ordered=True) == is_right


def test_a_null_is_new_only_in_a_column_that_really_holds_none() -> None:
    real = null_columns(result((1, None), (2, 3)))
    assert real == (False, True)
    assert introduces_null(result((None, 1)), real)
    assert not introduces_null(result((1, None)), real)
    assert not introduces_null(result(), real)
    assert not introduces_null(result((None, None)), null_columns(result()))
