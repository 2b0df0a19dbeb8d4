"""What is done to a query before it runs, against what the official script with sqlparse 0.6.1 returned."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.sql.metrics.spider_preparation import fill_value_slots, is_order_compared, prepare_query

OFFICIAL_TEXTS = {
    "SELECT a FROM b": "SELECT a FROM b",
    "SELECT DISTINCT a FROM b": "SELECT  a FROM b",
    "SELECT DISTINCT DISTINCT a": "SELECT   a",
    "SELECT count(distinct(a)) FROM b": "SELECT count((a)) FROM b",
    "SELECT distinctly, t.distinct FROM t": "SELECT distinctly, t. FROM t",
    "SELECT 'distinct', \"distinct\", `distinct`, [distinct], DISTINCT a": (
        "SELECT 'distinct', \"distinct\", `distinct`, [distinct],  a"
    ),
    "SELECT a -- distinct\nFROM b": "SELECT a -- distinct\nFROM b",
    "SELECT /* distinct */ a": "SELECT /* distinct */ a",
    "SELECT a; SELECT distinct b": "SELECT a; ",
    "SELECT ';' ; SELECT b": "SELECT ';' ; ",
    "SELECT a ;  -- why\nSELECT b": "SELECT a ;  -- why\n",
    "SELECT (a;b); c": "SELECT (a;b); ",
    "SELECT CASE WHEN a THEN b END; SELECT c": "SELECT CASE WHEN a THEN b END; ",
    "SELECT a '; distinct": "SELECT a '; ",
    "; SELECT a": "; ",
    "SELECT a FROM GO WHERE b": "SELECT a FROM GO ",
    "SELECT a WHERE b > = 1 AND c < = 2 AND d ! = 3": "SELECT a WHERE b >= 1 AND c <= 2 AND d != 3",
    "SELECT a WHERE b = year( curdate() ) AND c": "SELECT a WHERE b = 2020AND c",
}


@pytest.mark.parametrize("sql", OFFICIAL_TEXTS)
def test_the_text_is_the_official_one(sql: str) -> None:
    assert prepare_query(sql) == OFFICIAL_TEXTS[sql]


def test_distinct_and_further_statements_stay_where_distinct_is_kept() -> None:
    assert prepare_query("SELECT DISTINCT a > = 1; b", keep_distinct=True) == "SELECT DISTINCT a >= 1; b"


def test_value_slots_are_filled_inside_of_names_too() -> None:
    assert fill_value_slots("SELECT value, max_value FROM t") == "SELECT 1, max_1 FROM t"


def test_the_order_counts_wherever_the_text_says_order_by() -> None:
    assert is_order_compared("SELECT a FROM b ORDER BY c")
    assert is_order_compared("SELECT 'order by' FROM b")
    assert not is_order_compared("SELECT a FROM b ORDER  BY c")
    assert not is_order_compared("SELECT a FROM b; ORDER BY c")
    assert is_order_compared("SELECT a FROM b; ORDER BY c", keep_distinct=True)


LEXEMES = ["SELECT", "distinct", "a", "3", "(", ")", "'x'", '"y"', "--", "/*", "*/", "'", "[", "]", "`", "\n", "END"]


@given(st.lists(st.sampled_from(LEXEMES)))
def test_without_semicolons_nothing_but_distinct_is_lost(lexemes: list[str]) -> None:
    sql = " ".join(lexemes)
    prepared = prepare_query(sql)
    assert prepared.replace("distinct", "") == sql.replace("distinct", "")
    assert prepare_query(sql, keep_distinct=True) == sql


@given(st.text())
def test_what_is_left_of_any_text_is_its_beginning(sql: str) -> None:
    if "distinct" not in sql.lower() and "curdate" not in sql.lower() and " =" not in sql:
        assert sql.startswith(prepare_query(sql))


@pytest.mark.parametrize("piece", ["/*", "'", "\\'", "[", "distinct ", "--\n", "(", ";", "1.", "''", '"', "END "])
def test_a_long_hostile_text_is_prepared_in_linear_time(piece: str) -> None:
    # Quadratic scans would take minutes here.
    sql = piece * (400_000 // len(piece))
    assert len(prepare_query(f"{sql} distinct")) <= len(sql) + 9
