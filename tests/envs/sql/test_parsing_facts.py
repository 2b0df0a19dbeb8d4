"""The facts about a prediction beside its gold."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from envs.sql.parsing.clauses import CLAUSES
from envs.sql.parsing.facts import compare_queries

SCHEMA = {"singer": ("id", "name", "age", "city"), "concert": ("cid", "singer_id", "year", "city")}
GOLD = "SELECT name FROM singer JOIN concert ON id = singer_id WHERE year = 2020"


def test_another_spelling_of_the_gold_is_exact() -> None:
    facts = compare_queries(
        "SELECT T2.name FROM concert T1, singer T2 WHERE T1.year = 2020 AND T2.id = T1.singer_id",
        GOLD,
        SCHEMA,
        "sqlite",
    )
    assert (facts.is_exact, facts.table_jaccard, facts.column_jaccard, facts.error) == (True, 1.0, 1.0, None)
    assert {clause for clause, score in facts.clause_scores.items() if score == 1.0} == {"select", "from", "where"}


def test_a_near_miss_earns_partial_credit() -> None:
    facts = compare_queries("SELECT name, age FROM singer", GOLD, SCHEMA, "sqlite")
    assert (facts.is_exact, facts.table_jaccard, facts.error) == (False, 0.5, None)
    assert facts.column_jaccard == 1 / 5
    assert facts.clause_scores["select"] == pytest.approx(2 / 3)
    assert facts.clause_scores["where"] == 0.0
    assert facts.clause_scores["limit"] is None


@pytest.mark.parametrize(
    ("prediction", "error"),
    [
        ("", "not a query"),
        ("I cannot say.", "not a query"),
        ("SELECT name FROM (", "syntax"),
        ("SELECT 1 FROM a" + " JOIN a" * 100, "too complex"),
        ("SELECT '" + "x" * 20_000 + "'", "too long"),
    ],
)
def test_what_cannot_be_parsed_earns_nothing_and_says_why(prediction: str, error: str) -> None:
    facts = compare_queries(prediction, GOLD, SCHEMA, "sqlite")
    assert (facts.is_exact, facts.table_jaccard, facts.column_jaccard, facts.error) == (False, 0.0, 0.0, error)
    assert set(facts.clause_scores) == set(CLAUSES)
    assert {score for score in facts.clause_scores.values() if score is not None} == {0.0}


def test_a_gold_without_a_canonical_form_is_exact_by_its_tokens_or_undecided() -> None:
    gold = "SELECT name FROM singer ORDER BY random()"
    assert compare_queries("select NAME from singer order by RANDOM();", gold, SCHEMA, "sqlite").is_exact is True
    assert compare_queries("SELECT s.name FROM singer s ORDER BY random()", gold, SCHEMA, "sqlite").is_exact is None


@pytest.mark.parametrize("gold", ["", "SELECT (", "DROP TABLE singer"])
def test_a_gold_that_cannot_be_parsed_is_refused(gold: str) -> None:
    with pytest.raises(ValueError, match="gold query cannot be parsed"):
        compare_queries("SELECT 1", gold, SCHEMA, "sqlite")


WORDS = (
    "SELECT FROM WHERE JOIN LEFT ON USING ( ) , . * = < AND OR NOT IN EXISTS UNION ORDER BY GROUP HAVING LIMIT AS WITH "
    "x s singer concert name age year id city 1 'a' \"b\" count( CASE WHEN THEN END BETWEEN DISTINCT OVER( CAST( INT "
    ":: [ ] NATURAL FULL VALUES LATERAL UNNEST( RECURSIVE"
).split()


@settings(max_examples=400, deadline=None)
@given(
    words=st.lists(st.sampled_from(WORDS), max_size=14),
    start=st.sampled_from(["SELECT ", "SELECT name FROM singer ", "WITH x AS (SELECT id FROM singer) SELECT ", "("]),
    dialect=st.sampled_from(["sqlite", "duckdb", "postgres"]),
)
def test_no_prediction_raises(words: list[str], start: str, dialect: str) -> None:
    facts = compare_queries(start + " ".join(words), GOLD, SCHEMA, dialect)
    numbers = [facts.table_jaccard, facts.column_jaccard, *facts.clause_scores.values()]
    assert all(number is None or 0.0 <= number <= 1.0 for number in numbers)
