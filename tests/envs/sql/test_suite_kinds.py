"""The same suites on every kind of database."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from envs.sql.databases.database import Database
from envs.sql.databases.execution import ExecutionLimits
from envs.sql.databases.kinds import open_connection
from envs.sql.suite.agreement import Agreement, ScratchPool
from envs.sql.suite.build import SuiteBuilder
from envs.sql.suite.settings import SuiteSettings

LIMITS = ExecutionLimits(seconds=5.0)
SETTINGS = SuiteSettings(instances=4, candidates=28)


@pytest.fixture(params=["sqlite", "duckdb", pytest.param("postgres", marks=pytest.mark.postgres)])
def judged(request: pytest.FixtureRequest) -> Iterator[Database]:
    fixture = {"sqlite": "database", "duckdb": "duckdb_file", "postgres": "postgres_database"}[request.param]
    if request.param == "duckdb":
        pytest.importorskip("duckdb", reason="needs duckdb: pip install 'structrl[databases]'")
    found = request.getfixturevalue(fixture)
    yield Database.at(found) if isinstance(found, Path) else found


def test_a_suite_tells_right_from_wrong_on_every_kind_of_database(judged: Database) -> None:
    with closing(open_connection(judged, LIMITS)) as connection:
        builder = SuiteBuilder(judged, SETTINGS, connection, LIMITS)
        pool = ScratchPool(LIMITS, capacity=4)
        gold = (
            "SELECT s.name, count(*) FROM singer AS s JOIN concert AS c ON s.singer_id = c.singer_id "
            "WHERE s.age > 20 GROUP BY s.singer_id, s.name"
        )
        suite = builder.build(gold)
        assert suite.is_distinguishing, suite.defect
        assert len(suite.instances) == 4
        agreement = Agreement(builder, suite, pool)
        right = (
            "SELECT count(c.year), x.name FROM concert AS c JOIN singer AS x ON c.singer_id = x.singer_id "
            "WHERE NOT x.age <= 20 GROUP BY x.name, x.singer_id"
        )
        assert agreement.disagreement(gold) is None
        assert agreement.disagreement(right) is None
        for wrong in (
            gold.replace("> 20", ">= 20"),
            gold.replace("JOIN", "LEFT JOIN"),
            gold.replace("> 20", "> 20 AND c.venue <> 'arena'"),
            "SELECT 'Ada', 2",
            "SELECT nothing FROM nowhere",
        ):
            assert agreement.disagreement(wrong) is not None, wrong
        pool.close()
        builder.close()
