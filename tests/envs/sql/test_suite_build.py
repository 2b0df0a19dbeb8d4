"""Test suites end to end on a small database: what they reject, what they accept, what they say of themselves."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from envs.errors import ConfigurationError
from envs.sql.databases.database import Database
from envs.sql.databases.execution import ExecutionLimits, QueryError, QueryResult
from envs.sql.databases.kinds import open_connection
from envs.sql.suite.agreement import Agreement, ScratchPool
from envs.sql.suite.build import SuiteBuilder, build_suite
from envs.sql.suite.own_constants import constants
from envs.sql.suite.settings import SuiteSettings

LIMITS = ExecutionLimits(seconds=2.0)
SCHEMA = """
CREATE TABLE team (id INTEGER PRIMARY KEY, city TEXT, founded INT);
CREATE TABLE player (id INTEGER PRIMARY KEY, name TEXT, age INT, team INT REFERENCES team(id), salary REAL);
INSERT INTO team VALUES (1, 'Ulm', 1900), (2, 'Bonn', 1950), (3, 'Kiel', 1999);
INSERT INTO player VALUES (1, 'Ada', 30, 1, 10.5), (2, 'Ben', 22, 1, 9.0);
INSERT INTO player VALUES (3, 'Cid', 25, 2, 7.0), (4, 'Dan', 19, 1, 3.0);
"""

Judge = Callable[[str, str], bool]


@pytest.fixture(scope="module")
def builder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SuiteBuilder]:
    path = tmp_path_factory.mktemp("league") / "league.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(SCHEMA)
    database = Database.at(path)
    with closing(open_connection(database, LIMITS)) as sealed:
        made = SuiteBuilder(database, SuiteSettings(), sealed, LIMITS)
        yield made
        made.close()


@pytest.fixture(scope="module")
def is_accepted(builder: SuiteBuilder) -> Iterator[Judge]:
    pool = ScratchPool(LIMITS, capacity=16)
    agreements: dict[str, Agreement] = {}

    def judge(gold: str, prediction: str) -> bool:
        if gold not in agreements:
            agreements[gold] = Agreement(builder, builder.build(gold), pool)
        return agreements[gold].disagreement(prediction) is None

    yield judge
    pool.close()


RIGHT = [
    ("SELECT name FROM player WHERE age > 20", "SELECT p.name FROM player p WHERE NOT p.age <= 20"),
    ("SELECT name, age FROM player", "SELECT age, name FROM player"),
    ("SELECT max(age) FROM player", "SELECT age FROM player ORDER BY age DESC LIMIT 1"),
    (
        "SELECT name FROM player ORDER BY age DESC LIMIT 1",
        "SELECT name FROM player WHERE age = (SELECT max(age) FROM player)",
    ),
    (
        "SELECT city FROM team WHERE id NOT IN (SELECT team FROM player)",
        "SELECT city FROM team AS t WHERE NOT EXISTS (SELECT 1 FROM player AS p WHERE p.team = t.id)",
    ),
    (
        "SELECT count(*) FROM player JOIN team ON player.team = team.id",
        "SELECT count(team) FROM player",
    ),
    (
        "SELECT t.city FROM team AS t JOIN player AS p ON p.team = t.id GROUP BY t.id ORDER BY count(*) DESC LIMIT 1",
        "SELECT city FROM player JOIN team ON team = team.id GROUP BY team.id ORDER BY count(player.id) DESC LIMIT 1",
    ),
    ("SELECT name FROM player WHERE age BETWEEN 20 AND 25", "SELECT name FROM player WHERE age >= 20 AND age <= 25"),
]
# Every one returns the gold's very rows on the real database.
WRONG = [
    ("SELECT name FROM player WHERE age > 20", "SELECT name FROM player WHERE age > 21"),
    ("SELECT name FROM player WHERE age > 20", "SELECT name FROM player WHERE age >= 20"),
    ("SELECT name FROM player WHERE age > 20", "SELECT name FROM player WHERE age > 20 AND name <> 'Zoe'"),
    ("SELECT name FROM player WHERE age > 20", "SELECT name FROM player WHERE age > 20 AND salary < 1000"),
    ("SELECT name FROM player WHERE age > 20", "SELECT name FROM player WHERE id < 4"),
    ("SELECT name FROM player WHERE age > 20", "SELECT DISTINCT name FROM player WHERE age > 20"),
    ("SELECT name FROM player WHERE age > 20", "SELECT 'Ada' UNION ALL SELECT 'Ben' UNION ALL SELECT 'Cid'"),
    ("SELECT count(*) FROM team", "SELECT 3"),
    ("SELECT count(*) FROM team", "SELECT count(DISTINCT city) FROM team"),
    ("SELECT name FROM player ORDER BY age DESC LIMIT 1", "SELECT name FROM player ORDER BY salary DESC LIMIT 1"),
    ("SELECT city FROM team WHERE city = 'Ulm'", "SELECT city FROM team WHERE city LIKE 'ulm'"),
    ("SELECT city FROM team WHERE city LIKE 'U%'", "SELECT city FROM team WHERE city LIKE '%U%'"),
    (
        "SELECT team FROM player GROUP BY team HAVING count(*) > 2",
        "SELECT team FROM player GROUP BY team HAVING count(*) = 3",
    ),
    ("SELECT name FROM player WHERE age > 90", "SELECT name FROM player WHERE 1 = 0"),
    ("SELECT name FROM player WHERE age > 90", "SELECT city FROM team WHERE founded > 2500"),
    ("SELECT count(*) FROM player WHERE name = 'Zoe'", "SELECT 0"),
    ("SELECT name FROM player", "SELECT name FROM nowhere"),
    ("SELECT name FROM player", "SELEC"),
    ("SELECT name FROM player", ""),
    ("SELECT name FROM player", "SELECT name FROM player; SELECT 1"),
    ("SELECT name FROM player", "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r) SELECT n FROM r"),
]


@pytest.mark.parametrize(("gold", "prediction"), RIGHT)
def test_the_same_question_in_other_words_is_accepted(gold: str, prediction: str, is_accepted: Judge) -> None:
    assert is_accepted(gold, gold)
    assert is_accepted(gold, prediction)


@pytest.mark.parametrize(("gold", "prediction"), WRONG)
def test_what_is_right_by_chance_is_rejected(gold: str, prediction: str, is_accepted: Judge) -> None:
    assert not is_accepted(gold, prediction)


def test_the_same_gold_and_seed_make_the_same_suite_and_another_seed_another(builder: SuiteBuilder) -> None:
    gold = "SELECT name FROM player WHERE age > 20"
    assert builder.build(gold) == builder.build(gold)
    with closing(open_connection(builder.database, LIMITS)) as connection:
        other = build_suite(builder.database, gold, SuiteSettings(seed=1), connection, LIMITS)
    assert other.instances != builder.build(gold).instances


def test_a_suite_keeps_as_many_databases_as_it_was_asked_for(builder: SuiteBuilder) -> None:
    with closing(open_connection(builder.database, LIMITS)) as connection:
        few = build_suite(builder.database, "SELECT name FROM player", SuiteSettings(instances=3), connection, LIMITS)
    assert len(few.instances) == 3
    assert few.is_distinguishing
    assert 0 <= few.survivors < few.mutants


def test_a_gold_that_nothing_can_tell_from_nothing_has_a_defect(builder: SuiteBuilder) -> None:
    suite = builder.build("SELECT name FROM player WHERE age > 30 AND age < 10")
    assert not suite.is_distinguishing
    assert "nothing" in str(suite.defect)


def test_a_gold_that_is_a_constant_has_a_defect(builder: SuiteBuilder) -> None:
    assert "constant" in str(builder.build("SELECT 'x'").defect)


@pytest.mark.parametrize("gold", ["SELECT missing FROM player", "SELECT (", "DROP TABLE player", ""])
def test_a_gold_that_does_not_run_has_a_defect_and_no_databases(gold: str, builder: SuiteBuilder) -> None:
    suite = builder.build(gold)
    assert suite.defect
    assert suite.instances == ()


def test_a_prediction_that_fails_says_why(builder: SuiteBuilder) -> None:
    pool = ScratchPool(LIMITS, capacity=8)
    agreement = Agreement(builder, builder.build("SELECT name FROM player"), pool)
    found = agreement.disagreement("SELECT nickname FROM player")
    pool.close()
    assert found is not None
    assert found.instance == 0
    assert isinstance(found.error, QueryError)
    assert found.error.category == "unknown column"


def test_a_constant_of_the_prediction_s_own_is_tried_on_databases_around_it(builder: SuiteBuilder) -> None:
    pool = ScratchPool(LIMITS, capacity=8)
    agreement = Agreement(builder, builder.build("SELECT count(*) FROM player WHERE age > 20"), pool)
    found = agreement.disagreement("SELECT count(*) FROM player WHERE age > 20 AND name <> 'Xaver'")
    assert found is not None
    assert found.instance is None
    assert agreement.disagreement("SELECT count(*) FROM player WHERE age > 20 AND 'Xaver' = 'Xaver'") is None
    pool.close()


def test_constants_are_strings_and_numbers_without_their_quotes() -> None:
    assert constants("""SELECT t1.a2 FROM x WHERE b = 'It''s' AND c > 4.5 OR "d" = 7""") == {"it''s", "4.5", "d", "7"}


@pytest.mark.parametrize("capacity", [1, 3, 8])
def test_a_pool_keeps_no_more_databases_than_allowed_and_answers_the_same(capacity: int, builder: SuiteBuilder) -> None:
    pool = ScratchPool(LIMITS, capacity=capacity)
    golds = ["SELECT name FROM player WHERE age > 20", "SELECT city FROM team ORDER BY founded"]
    agreements = [Agreement(builder, builder.build(gold), pool) for gold in golds]
    for _ in range(2):
        for gold, agreement in zip(golds, agreements, strict=True):
            assert agreement.disagreement(gold) is None
            assert agreement.disagreement("SELECT id FROM team") is not None
            assert len(pool) <= capacity
    pool.close()
    assert len(pool) == 0


def test_ties_on_the_real_database_are_no_reason_to_reject(tmp_path: Path) -> None:
    path = tmp_path / "ties.sqlite"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(
            "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, age INT);"
            "INSERT INTO t VALUES (1, 'a', 5), (2, 'b', 5), (3, 'c', 7), (4, 'd', 8), (5, 'e', 8);"
        )
    database = Database.at(path)
    with closing(open_connection(database, LIMITS)) as connection:

        def agrees(gold: str, prediction: str) -> bool:
            suite = build_suite(database, gold, SuiteSettings(instances=2, candidates=14), connection, LIMITS)
            results = [connection.execute(query, LIMITS) for query in (gold, prediction)]
            assert isinstance(results[0], QueryResult)
            return suite.certainty.agrees(results[0], results[1], is_ordered=suite.is_ordered)

        whole = "SELECT name FROM t ORDER BY age"
        assert agrees(whole, "SELECT name FROM t ORDER BY age, name DESC")
        assert not agrees(whole, "SELECT name FROM t ORDER BY age DESC")
        assert not agrees(whole, "SELECT name FROM t ORDER BY name DESC")
        cut = "SELECT name FROM t ORDER BY age LIMIT 4"
        assert agrees(cut, "SELECT name FROM t ORDER BY age, name DESC LIMIT 4")
        assert not agrees(cut, "SELECT name FROM t ORDER BY age, name DESC LIMIT 3")
        assert not agrees(cut, "SELECT name FROM t ORDER BY age DESC LIMIT 4")
        inner = "SELECT age FROM t WHERE id = (SELECT id FROM t ORDER BY age DESC LIMIT 1)"
        assert agrees(inner, "SELECT age FROM t WHERE id = (SELECT id FROM t ORDER BY age DESC, id DESC LIMIT 1)")
        certain = "SELECT name FROM t ORDER BY age LIMIT 3"
        assert not agrees(certain, "SELECT name FROM t ORDER BY id DESC LIMIT 3")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"instances": 0}, "instances"),
        ({"candidates": 4}, "fewer than the 8"),
        ({"nulls": "date"}, "did you mean 'data'"),
        ({"seconds": 0}, "seconds"),
        ({"seed": -1}, "seed"),
        ({"mutants": True}, "mutants"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused(values: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        SuiteSettings(**values)  # type: ignore[arg-type]
