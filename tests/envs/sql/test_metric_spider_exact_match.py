"""Exact-set match against outcomes of the official script, on a schema of Spider and on Spider's own dev set."""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from envs.sql.metrics.spider_exact_match import exact_match
from envs.sql.metrics.spider_schema import SpiderSchema, schema_from_tables_entry
from envs.sql.metrics.spider_tokens import SpiderSyntaxError

CONCERTS = SpiderSchema(
    tables={
        "stadium": ["Stadium_ID", "Location", "Name", "Capacity", "Highest", "Lowest", "Average"],
        "singer": ["Singer_ID", "Name", "Country", "Song_Name", "Song_release_year", "Age", "Is_male"],
        "concert": ["concert_ID", "concert_Name", "Theme", "Stadium_ID", "Year"],
        "singer_in_concert": ["concert_ID", "Singer_ID"],
    },
    foreign_keys=[
        ("concert.Stadium_ID", "stadium.Stadium_ID"),
        ("singer_in_concert.Singer_ID", "singer.Singer_ID"),
        ("singer_in_concert.concert_ID", "concert.concert_ID"),
    ],
)
UNPARSED = {"select", "select(no AGG)"}
UNPARSED_WHERE = {*UNPARSED, "where", "where(no OP)", "keywords"}

# (predicted, gold, the components that the official script finds different, its verdict)
OFFICIAL_OUTCOMES: list[tuple[str, str, set[str], bool]] = [
    ("select NAME from SINGER as x", "SELECT name FROM singer", set(), True),
    ("SELECT singer.name FROM singer", "SELECT name FROM singer", set(), True),
    ("SELECT country , name FROM singer", "SELECT name , country FROM singer", set(), True),
    ("SELECT DISTINCT name FROM singer", "SELECT name FROM singer", set(), True),
    ("SELECT max(age) FROM singer", "SELECT min(age) FROM singer", {"select"}, False),
    ("SELECT name FROM singer WHERE age > 99", "SELECT name FROM singer WHERE age > 20", set(), True),
    ("SELECT name FROM singer WHERE age>20", "SELECT name FROM singer WHERE age > 20", set(), True),
    ("SELECT name FROM singer WHERE age >= 20", "SELECT name FROM singer WHERE age > 20", {"where"}, False),
    ("SELECT name FROM singer WHERE age = value", "SELECT name FROM singer WHERE age = 20", set(), True),
    (
        "SELECT name FROM singer WHERE age = 1 AND country = 'x'",
        "SELECT name FROM singer WHERE country = 'France' AND age = 2",
        set(),
        True,
    ),
    (
        "SELECT name FROM singer WHERE age = 1 OR country = 'x'",
        "SELECT name FROM singer WHERE country = 'France' AND age = 2",
        {"and/or", "keywords"},
        False,
    ),
    (
        "SELECT name FROM singer WHERE age BETWEEN 1 AND 2",
        "SELECT name FROM singer WHERE age BETWEEN 3 AND 4",
        set(),
        True,
    ),
    (
        "SELECT name FROM singer ORDER BY age DESC LIMIT 5",
        "SELECT name FROM singer ORDER BY age DESC LIMIT 1",
        set(),
        True,
    ),
    ("SELECT name FROM singer ORDER BY age ASC", "SELECT name FROM singer ORDER BY age", set(), True),
    (
        "SELECT name FROM singer ORDER BY age",
        "SELECT name FROM singer ORDER BY age DESC",
        {"order", "keywords"},
        False,
    ),
    (
        "SELECT name FROM singer ORDER BY age",
        "SELECT name FROM singer ORDER BY age LIMIT 1",
        {"order", "keywords"},
        False,
    ),
    (
        "SELECT country , count(*) FROM singer GROUP BY country",
        "SELECT country , count(*) FROM singer GROUP BY country HAVING count(*) > 2",
        {"group", "keywords"},
        False,
    ),
    (
        "SELECT name FROM singer UNION SELECT name FROM stadium",
        "SELECT name FROM singer INTERSECT SELECT name FROM stadium",
        {"IUEN", "keywords"},
        False,
    ),
    # Columns of one foreign key are one, and join conditions do not count.
    (
        "SELECT T2.stadium_id FROM concert AS T1 JOIN stadium AS T2 ON T1.stadium_id = T2.stadium_id",
        "SELECT T1.stadium_id FROM concert AS T1 JOIN stadium AS T2 ON T1.stadium_id = T2.stadium_id",
        set(),
        True,
    ),
    (
        "SELECT T2.name FROM stadium AS T2 JOIN concert AS T1 ON T2.capacity = T1.year",
        "SELECT T2.name FROM concert AS T1 JOIN stadium AS T2 ON T1.stadium_id = T2.stadium_id",
        set(),
        True,
    ),
    # In subqueries DISTINCT counts, in those of FROM values do too.
    (
        "SELECT name FROM stadium WHERE stadium_id NOT IN (SELECT stadium_id FROM concert)",
        "SELECT name FROM stadium WHERE stadium_id NOT IN (SELECT DISTINCT stadium_id FROM concert)",
        {"where"},
        False,
    ),
    (
        "SELECT name FROM stadium WHERE stadium_id NOT IN (SELECT stadium_id FROM concert WHERE year = 2014)",
        "SELECT name FROM stadium WHERE stadium_id NOT IN (SELECT stadium_id FROM concert WHERE year = 2015)",
        set(),
        True,
    ),
    (
        "SELECT count(*) FROM (SELECT name FROM singer WHERE age = 1)",
        "SELECT count(*) FROM (SELECT name FROM singer WHERE age = 2)",
        set(),
        False,
    ),
    (
        "SELECT name FROM singer WHERE age = 1 country = 'x'",
        "SELECT name FROM singer WHERE age = 2",
        {"and/or"},
        False,
    ),
    ("SELECT name FROM singer GROUP BY country and so on", "SELECT name FROM singer GROUP BY country", set(), True),
    # Outside the official grammar.
    ("", "SELECT name FROM singer", UNPARSED, False),
    ("SELECT name AS n FROM singer", "SELECT name FROM singer", UNPARSED, False),
    ("SELECT T1.name FROM singer T1", "SELECT name FROM singer", UNPARSED, False),
    ("SELECT name FROM singer WHERE country = 'it's'", "SELECT name FROM singer", UNPARSED, False),
    ("SELECT name FROM singer WHERE age IS NOT NULL", "SELECT name FROM singer WHERE age > 2", UNPARSED_WHERE, False),
    ("SELECT name FROM singer WHERE age > 20.", "SELECT name FROM singer WHERE age > 20", UNPARSED_WHERE, False),
    ("SELECT name FROM singer WHERE age in (1,2)", "SELECT name FROM singer WHERE age = 1", UNPARSED_WHERE, False),
]
OFFICIAL_DIFFICULTIES = {
    "SELECT name FROM singer": "easy",
    "SELECT name , age FROM singer": "medium",
    "SELECT name FROM singer ORDER BY age DESC LIMIT 1": "medium",
    "SELECT name FROM singer WHERE name LIKE '%a%' OR age > 1": "hard",
    "SELECT name FROM singer EXCEPT SELECT name FROM stadium": "hard",
    "SELECT country , count(*) FROM singer WHERE age > 1 GROUP BY country ORDER BY count(*) DESC LIMIT 1": "extra",
}


@pytest.mark.parametrize(("predicted", "gold", "different", "verdict"), OFFICIAL_OUTCOMES)
def test_the_verdict_is_the_official_one(predicted: str, gold: str, different: set[str], verdict: bool) -> None:
    match = exact_match(predicted, gold, CONCERTS)
    assert {name for name, component in match.components.items() if not component.is_match} == different
    assert match.is_match is verdict
    assert match.is_predicted_parsed is not (different in (UNPARSED, UNPARSED_WHERE))


@pytest.mark.parametrize("gold", OFFICIAL_DIFFICULTIES)
def test_the_difficulty_is_the_official_one(gold: str) -> None:
    assert exact_match(gold, gold, CONCERTS).difficulty == OFFICIAL_DIFFICULTIES[gold]


def test_a_name_with_value_in_it_is_only_matched_when_slots_are_not_filled() -> None:
    schema = SpiderSchema(tables={"company": ["name", "market_value"]})
    gold = "SELECT market_value FROM company"
    assert not exact_match(gold, gold, schema).is_match
    assert exact_match(gold, gold, schema, should_fill_value_slots=False).is_match


@pytest.mark.parametrize("gold", ["", "SELECT name AS n FROM singer", "SELECT nothing FROM singer", "SELECT name"])
def test_a_gold_outside_the_grammar_is_refused(gold: str) -> None:
    with pytest.raises(SpiderSyntaxError):
        exact_match("SELECT name FROM singer", gold, CONCERTS)


def test_totals_count_what_each_side_has() -> None:
    match = exact_match("SELECT name FROM singer", "SELECT name , age FROM singer WHERE age > 1", CONCERTS)
    select, where = match.components["select"], match.components["where"]
    assert (select.is_match, select.gold_total, select.predicted_total) == (False, 2, 1)
    assert (where.is_match, where.gold_total, where.predicted_total) == (False, 1, 0)


COLUMNS = st.lists(st.sampled_from(["name", "age", "country", "count(*)", "max(age)"]), min_size=1, max_size=4)


@given(COLUMNS.flatmap(lambda columns: st.tuples(st.just(columns), st.permutations(columns))))
def test_the_order_of_columns_and_conditions_does_not_count(orders: tuple[list[str], list[str]]) -> None:
    predicted, gold = (
        f"SELECT {' , '.join(names)} FROM singer WHERE {' AND '.join(f'{name} = 1' for name in names)}"
        for names in orders
    )
    assert exact_match(predicted, gold, CONCERTS).is_match


@given(COLUMNS, COLUMNS)
def test_other_columns_do_not_match(columns: list[str], others: list[str]) -> None:
    queries = [f"SELECT {' , '.join(names)} FROM singer" for names in (columns, others)]
    assert exact_match(*queries, CONCERTS).is_match == (sorted(columns) == sorted(others))


WORDS = "select from where group order by having limit union ( ) , ; and or not in between = > * as on join".split()
HOSTILE = st.lists(st.sampled_from([*WORDS, "name", "singer", "t1.name", "t1", "count(", "'x'", "1", "."]), max_size=30)


@given(st.one_of(st.text(), HOSTILE.map(" ".join), HOSTILE.map(lambda words: "select " + " ".join(words))))
def test_no_prediction_raises(predicted: str) -> None:
    gold = "SELECT name FROM singer WHERE age > 20"
    match = exact_match(predicted, gold, CONCERTS)
    assert match.is_predicted_parsed or not match.is_match


@pytest.mark.parametrize(
    "piece",
    [
        "select name from singer where age in ( ",
        "select name from ( ",
        "select name from singer union ",
        "( ",
        "not ",
        "and age = 1 ",
        ". ",
        "> = ",
    ],
)
def test_endless_nesting_and_repetition_do_not_match(piece: str) -> None:
    gold = "SELECT name FROM singer"
    for predicted in (piece * 2000, gold + " where age = 1 " + piece * 2000):
        assert not exact_match(predicted, gold, CONCERTS).is_match


def test_the_first_linked_column_represents_the_others() -> None:
    schema = SpiderSchema(
        tables={"A": ["x"], "B": ["x"], "C": ["x"], "D": ["x"]},
        foreign_keys=[("D.x", "C.x"), ("B.x", "A.x"), ("C.x", "A.x")],
    )
    # The last key would connect both groups; as in the official script it joins the first of them only.
    assert schema.representatives == {"a.x": "a.x", "b.x": "a.x", "c.x": "a.x", "d.x": "a.x"}
    with pytest.raises(ValueError, match="e.x"):
        SpiderSchema(tables={"A": ["x"]}, foreign_keys=[("A.x", "E.x")])


DEV_DIFFICULTIES = {972: [232, 416, 160, 164], 1034: [248, 446, 174, 166]}
"""Official counts of easy, medium, hard and extra, by the number of questions that a copy of Spider dev holds."""


def test_every_gold_of_spider_dev_matches_itself_and_has_its_official_difficulty(
    dataset_directory: Callable[[str, str], Path],
) -> None:
    home = dataset_directory("spider", "dev.json")
    entries = json.loads((home / "tables.json").read_text("utf-8"))
    schemas = {entry["db_id"]: schema_from_tables_entry(entry) for entry in entries}
    rows = json.loads((home / "dev.json").read_text("utf-8"))
    matches = [exact_match(row["query"], row["query"], schemas[row["db_id"]]) for row in rows]
    assert all(match.is_match for match in matches)
    assert all(component.is_match for match in matches for component in match.components.values())
    counts = Counter(match.difficulty for match in matches)
    assert [counts[level] for level in ("easy", "medium", "hard", "extra")] == DEV_DIFFICULTIES[len(rows)]
