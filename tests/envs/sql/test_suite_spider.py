"""Test suites of real golds: equal texts pass, mutants do not, empty results become distinguishable."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from random import Random

import pytest

from envs.sql.databases.database import Database
from envs.sql.databases.execution import ExecutionLimits, QueryResult
from envs.sql.databases.kinds import open_connection
from envs.sql.suite.agreement import Agreement, ScratchPool
from envs.sql.suite.build import SuiteBuilder
from envs.sql.suite.mutants import MutantMaker
from envs.sql.suite.query import ParsedQuery
from envs.sql.suite.rewrites import equivalents
from envs.sql.suite.settings import SuiteSettings

LIMITS = ExecutionLimits(seconds=2.0)
DATABASES = ("flight_2", "pets_1", "orchestra")


@pytest.fixture(scope="module", params=DATABASES)
def built(
    request: pytest.FixtureRequest, dataset_directory: Callable[[str, str], Path]
) -> Iterator[tuple[SuiteBuilder, list[str]]]:
    folder = dataset_directory("spider", "dev.json")
    questions = json.loads((folder / "dev.json").read_text())
    golds = dict.fromkeys(question["query"] for question in questions if question["db_id"] == request.param)
    database = Database.at(folder / "database" / request.param / f"{request.param}.sqlite")
    with closing(open_connection(database, LIMITS)) as connection:
        builder = SuiteBuilder(database, SuiteSettings(), connection, LIMITS)
        yield builder, list(golds)[::3]
        builder.close()


def test_golds_pass_with_their_rewrites_and_most_mutants_fail(built: tuple[SuiteBuilder, list[str]]) -> None:
    builder, golds = built
    pool = ScratchPool(LIMITS, capacity=8)
    mutants = rejected = 0
    for gold in golds:
        suite = builder.build(gold)
        assert suite.is_distinguishing, (gold, suite.defect)
        assert suite.instances
        query = ParsedQuery(gold, "sqlite", builder.tables)
        agreement = Agreement(builder, suite, pool)
        for text in [gold, query.sql(), *equivalents(query)]:
            assert agreement.disagreement(text) is None, text
        for mutant in MutantMaker(query, builder.profiles, Random(99)).make(20):
            mutants += 1
            rejected += agreement.disagreement(mutant.query) is not None
    pool.close()
    assert rejected > 0.75 * mutants, (rejected, mutants)


def test_an_empty_gold_is_told_from_nothing(built: tuple[SuiteBuilder, list[str]]) -> None:
    builder, _ = built
    table = builder.tables[0]
    column = table.columns[0].name
    gold = f'SELECT "{column}" FROM "{table.name}" WHERE "{column}" = \'123456\''
    with closing(open_connection(builder.database, LIMITS)) as connection:
        answer = connection.execute(gold, LIMITS)
    assert isinstance(answer, QueryResult)
    assert answer.rows == ()
    suite = builder.build(gold)
    assert suite.is_distinguishing
    pool = ScratchPool(LIMITS, capacity=8)
    assert Agreement(builder, suite, pool).disagreement("SELECT NULL WHERE 1 = 0") is not None
    pool.close()
