"""Where the query is in what a model wrote, and whether a gold orders its result."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.sql.answer import extract_query, orders_its_result


@pytest.mark.parametrize(
    ("text", "query"),
    [
        (" SELECT 1 ;\n", "SELECT 1"),
        ("First\n```sql\nSELECT 1;\n```\nthen\n```SQL\nSELECT 2\n```\nDone.", "SELECT 2"),
        ("```\nSELECT 1\n```", "SELECT 1"),
        ("```sqlite\nSELECT 1", "SELECT 1"),
        ("```python\nprint(1)\n```\nSELECT 1", "```python\nprint(1)\n```\nSELECT 1"),
        ("```sql\nSELECT 1\n```\n```python\nprint(1)\n```", "SELECT 1"),
        ("", None),
        (" ;\n; ", None),
        ("```sql\n```", None),
    ],
)
def test_the_query_is_the_last_block_or_all_of_the_text(text: str, query: str | None) -> None:
    assert extract_query(text) == query


@given(st.text())
def test_any_text_is_searched_without_an_exception(text: str) -> None:
    extract_query(text)
    extract_query("```sql" + text)


def test_a_megabyte_of_fences_is_searched_at_once() -> None:
    started = time.monotonic()
    extract_query("```sql " * 150_000)
    extract_query("`" * 1_000_000)
    assert time.monotonic() - started < 2.0


@pytest.mark.parametrize(
    ("gold", "is_ordered"),
    [
        ("SELECT a FROM t ORDER BY a", True),
        ("SELECT a FROM t UNION SELECT b FROM t ORDER BY 1", True),
        ("WITH x AS (SELECT 1) SELECT * FROM x ORDER BY 1 LIMIT 3", True),
        ("SELECT a FROM (SELECT a FROM t ORDER BY a LIMIT 3)", False),
        ("SELECT a FROM t WHERE b = (SELECT b FROM t ORDER BY b LIMIT 1)", False),
        ("SELECT row_number() OVER (ORDER BY a) FROM t", False),
        ("SELECT 'order by' FROM t", False),
        ("SELECT a FROM t", False),
    ],
)
def test_only_the_order_of_the_whole_query_counts(gold: str, is_ordered: bool) -> None:
    assert orders_its_result(gold) is is_ordered


def test_a_megabyte_of_semicolons_is_dropped_at_once() -> None:
    assert extract_query("SELECT 1" + "; " * 500_000) == "SELECT 1"
    assert extract_query("; " * 500_000) is None
