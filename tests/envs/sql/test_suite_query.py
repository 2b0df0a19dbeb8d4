"""Which column a name in a query means."""

import pytest
from sqlglot import exp

from envs.sql.databases.schema import Column, Table
from envs.sql.suite.literals import gather_demands
from envs.sql.suite.query import ParsedQuery


def table(name: str, *columns: str) -> Table:
    return Table(name=name, columns=tuple(Column(name=column, type="TEXT") for column in columns))


TABLES = (table("Singer", "Id", "Name", "Age"), table("Song", "Id", "Singer_Id", "Title"))


def meanings(text: str) -> list[tuple[str, str]]:
    query = ParsedQuery(text, "sqlite", TABLES)
    return [meaning for _, meaning in query.columns()]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("SELECT t.name FROM singer AS t", ("Singer", "Name")),
        ("SELECT title FROM singer JOIN song ON 1", ("Song", "Title")),
        ("SELECT x.n FROM (SELECT name AS n FROM singer) AS x", ("Singer", "Name")),
        ("SELECT x.name FROM (SELECT * FROM singer) AS x", ("Singer", "Name")),
        ("WITH x AS (SELECT name FROM singer) SELECT name FROM x", ("Singer", "Name")),
        ("SELECT 1 FROM singer WHERE EXISTS (SELECT 1 FROM song WHERE singer_id = age)", ("Singer", "Age")),
        ("SELECT name AS n FROM singer UNION SELECT title FROM song ORDER BY n", ("Song", "Title")),
        ("SELECT name AS n FROM singer ORDER BY n", ("Singer", "Name")),
    ],
)
def test_a_name_is_resolved_to_a_table_s_column(text: str, expected: tuple[str, str]) -> None:
    assert expected in meanings(text)


def test_an_alias_hides_the_same_alias_further_out() -> None:
    text = "SELECT 1 FROM singer AS t WHERE t.id IN (SELECT t.id FROM song AS t)"
    assert sorted(meanings(text)) == [("Singer", "Id"), ("Song", "Id")]


def test_a_double_quoted_name_that_no_column_has_is_a_string() -> None:
    query = ParsedQuery('SELECT "Name" FROM singer WHERE name = "Ada"', "sqlite", TABLES)
    assert [literal.this for literal in query.tree.find_all(exp.Literal)] == ["Ada"]
    assert [column.name for column in query.tree.find_all(exp.Column)] == ["Name", "name"]


def test_a_double_quoted_alias_stays_a_name() -> None:
    query = ParsedQuery('SELECT count(*) AS "n" FROM singer GROUP BY age ORDER BY "n"', "sqlite", TABLES)
    assert not list(query.tree.find_all(exp.Literal))


def test_an_expression_that_names_itself_comes_to_an_end() -> None:
    text = "WITH RECURSIVE r AS (SELECT n FROM r) SELECT n FROM r"
    assert meanings(text) == []


@pytest.mark.parametrize("text", ["SELEC 1 FROM", "DROP TABLE singer", "SELECT " + "(" * 3000 + "1" + ")" * 3000, ""])
def test_what_is_no_query_is_refused_with_a_reason(text: str) -> None:
    with pytest.raises(ValueError, match="."):
        ParsedQuery(text, "sqlite", TABLES)


def test_demands_are_read_through_aliases() -> None:
    text = """SELECT t1.name FROM singer AS t1 JOIN song AS t2 ON t1.id = t2.singer_id WHERE t1.age > 30 AND
        t2.title LIKE '%love%' GROUP BY t1.name HAVING count(*) >= 2 ORDER BY t1.age LIMIT 3"""
    demands = gather_demands(ParsedQuery(text, "sqlite", TABLES))
    assert {29, 30, 31} <= set(demands.near["Singer", "Age"])
    assert set(demands.meeting["Singer", "Age"]) == {31, 32}
    assert "love" in demands.meeting["Song", "Title"]
    assert demands.related == [(("Singer", "Id"), ("Song", "Singer_Id"))]
    assert demands.group_sizes == [2]
    assert demands.limit == 3
    assert demands.ordering == {("Singer", "Age")}
    assert demands.grouping == {("Singer", "Name")}
    assert demands.tables == {"Singer", "Song"}


def test_a_condition_written_the_other_way_round_is_the_same() -> None:
    one, other = (
        gather_demands(ParsedQuery(f"SELECT 1 FROM singer WHERE {condition}", "sqlite", TABLES)).meeting
        for condition in ("age < -5", "-5 > age")
    )
    assert one == other == {("Singer", "Age"): [-6, -7]}
