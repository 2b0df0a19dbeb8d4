"""Units of clauses and their F1."""

import pytest

from envs.sql.parsing.clauses import CLAUSES, clause_scores, clause_units

SCHEMA = {"singer": ("id", "name", "age", "city"), "concert": ("cid", "singer_id", "year", "city")}


def scores(predicted: str, gold: str, dialect: str = "sqlite") -> dict[str, float]:
    units = [clause_units(query, SCHEMA, dialect) for query in (predicted, gold)]
    assert units[0] is not None and units[1] is not None
    return {clause: score for clause, score in clause_scores(*units).items() if score is not None}


def test_equal_queries_score_one_in_the_clauses_that_they_have() -> None:
    query = (
        "SELECT DISTINCT name, count(*) FROM singer JOIN concert ON id = singer_id WHERE age > 1 GROUP BY name "
        "HAVING count(*) > 1 ORDER BY name DESC LIMIT 3"
    )
    expected = {clause: 1.0 for clause in CLAUSES if clause != "set operation"}
    assert scores(query, query) == expected
    renamed = (
        "SELECT DISTINCT s.name, count(*) AS n FROM concert AS c, singer AS s WHERE 1 < s.age AND c.singer_id = s.id "
        "GROUP BY 1 HAVING n > 1 ORDER BY 1 DESC LIMIT 3"
    )
    assert scores(renamed, query) == expected


@pytest.mark.parametrize(
    ("predicted", "gold", "clause", "score"),
    [
        ("SELECT name, age FROM singer", "SELECT name, city FROM singer", "select", 0.5),
        ("SELECT name FROM singer", "SELECT name, age FROM singer", "select", 2 / 3),
        ("SELECT name, name FROM singer", "SELECT name FROM singer", "select", 2 / 3),
        ("SELECT DISTINCT name FROM singer", "SELECT name FROM singer", "select", 2 / 3),
        ("SELECT * FROM singer", "SELECT id, name FROM singer", "select", 2 / 3),
        ("SELECT 1 FROM singer", "SELECT 1 FROM singer JOIN concert ON id = singer_id", "from", 0.5),
        ("SELECT 1 FROM singer, concert", "SELECT 1 FROM singer JOIN concert ON id = singer_id", "from", 0.8),
        ("SELECT 1 FROM singer JOIN concert USING (city)",
         "SELECT 1 FROM singer s JOIN concert c ON s.city = c.city", "from", 1.0),
        ("SELECT 1 FROM singer LEFT JOIN concert ON id = singer_id",
         "SELECT 1 FROM singer JOIN concert ON id = singer_id", "from", 6 / 7),
        ("SELECT 1 FROM singer WHERE age > 1 AND city = 'x'", "SELECT 1 FROM singer WHERE age > 1", "where", 2 / 3),
        ("SELECT 1 FROM singer WHERE age BETWEEN 1 AND 2", "SELECT 1 FROM singer WHERE age >= 1", "where", 2 / 3),
        ("SELECT 1 FROM singer WHERE age = 1 OR age = 2",
         "SELECT 1 FROM singer WHERE age = 1 OR age = 3", "where", 0.5),
        ("SELECT 1 FROM singer WHERE age = 1 OR age = 2",
         "SELECT 1 FROM singer WHERE age = 1 AND age = 2", "where", 0.0),
        ("SELECT 1 FROM singer WHERE age > 1", "SELECT 1 FROM singer", "where", 0.0),
        ("SELECT 1 FROM singer WHERE id IN (SELECT singer_id FROM concert c)",
         "SELECT 1 FROM singer AS s WHERE s.id IN (SELECT x.singer_id FROM concert x)", "where", 1.0),
        ("SELECT 1 FROM singer WHERE id IN (SELECT singer_id FROM concert)",
         "SELECT 1 FROM singer WHERE id IN (SELECT cid FROM concert)", "where", 0.0),
        ("SELECT 1 FROM singer GROUP BY age, city", "SELECT 1 FROM singer GROUP BY city", "group by", 2 / 3),
        ("SELECT 1 FROM singer GROUP BY age HAVING count(*) > 1 AND max(id) > 2",
         "SELECT 1 FROM singer GROUP BY age HAVING 1 < count(*)", "having", 2 / 3),
        ("SELECT name FROM singer ORDER BY age DESC, id", "SELECT name FROM singer ORDER BY age, id", "order by", 0.5),
        ("SELECT name FROM singer LIMIT 3 OFFSET 1", "SELECT name FROM singer LIMIT 3", "limit", 2 / 3),
        ("SELECT name FROM singer UNION SELECT city FROM concert",
         "SELECT name FROM singer UNION SELECT city FROM singer", "set operation", 0.5),
        ("SELECT name FROM singer EXCEPT SELECT city FROM concert",
         "SELECT name FROM singer UNION SELECT city FROM concert", "set operation", 0.5),
        ("SELECT name FROM singer", "SELECT name FROM singer UNION SELECT city FROM concert", "set operation", 0.0),
        ("SELECT name FROM singer UNION SELECT city FROM concert ORDER BY name LIMIT 1",
         "SELECT name FROM singer UNION SELECT city FROM concert ORDER BY 1 LIMIT 2", "order by", 1.0),
        ("WITH x AS (SELECT name AS n FROM singer) SELECT n FROM x", "SELECT name FROM singer", "select", 1.0),
    ],
)  # fmt: skip
def test_a_clause_scores_the_f1_of_its_units(predicted: str, gold: str, clause: str, score: float) -> None:
    assert scores(predicted, gold)[clause] == pytest.approx(score)
    assert scores(gold, predicted)[clause] == pytest.approx(score)


@pytest.mark.parametrize("dialect", ["sqlite", "duckdb", "postgres"])
def test_one_unknown_column_spoils_only_its_own_unit(dialect: str) -> None:
    found = scores(
        "SELECT name, shoe_size FROM singer WHERE age > 1", "SELECT name, age FROM singer WHERE age > 1", dialect
    )
    assert found == {"select": 0.5, "from": 1.0, "where": 1.0}


def test_an_unknown_table_leaves_the_other_clauses() -> None:
    found = scores("SELECT name FROM nobody LIMIT 3", "SELECT name FROM singer LIMIT 3")
    assert found == {"select": 0.0, "from": 0.0, "limit": 1.0}


@pytest.mark.parametrize("text", ["", "SELECT (", "SELECT 1; SELECT 2", "SELECT 1 FROM a" + " JOIN a" * 100])
def test_what_cannot_be_parsed_has_no_units(text: str) -> None:
    assert clause_units(text, SCHEMA, "sqlite") is None
