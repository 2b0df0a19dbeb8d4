"""The databases by which ``sql_truth.py`` proves a query different from a gold; no judge has seen them."""

from collections.abc import Iterator
from random import Random

from envs.sql.databases.connection import Connection
from envs.sql.databases.execution import ExecutionLimits, QueryResult, Row
from envs.sql.databases.kinds import open_scratch
from envs.sql.suite.build import SuiteBuilder
from envs.sql.suite.domains import make_domains, resolve_foreign_key
from envs.sql.suite.literals import gather_demands
from envs.sql.suite.modes import Mode
from envs.sql.suite.nulls import introduces_null
from envs.sql.suite.query import ParsedQuery
from envs.sql.suite.rows import Instance, RowDrawer
from envs.sql.suite.stability import StabilityCheck, agrees
from envs.sql.suite.suite import NullColumns

LIMITS = ExecutionLimits(seconds=2.0)
DATABASES = 24
"""Drawn for each gold."""
OF_THE_MUTANT = 8
"""Drawn for each mutant, from its own constants."""
REAL_SAMPLES = 8
"""Made of real rows."""


class IndependentSet:
    """Databases that no judge has seen, for one gold."""

    def __init__(
        self,
        builder: SuiteBuilder,
        real: dict[str, tuple[Row, ...]],
        query: ParsedQuery,
        gold: str,
        null_columns: NullColumns,
        seed: int,
        nulls: str,
    ) -> None:
        self._builder = builder
        self._query = query
        self._gold = gold
        self._null_columns = null_columns
        self._seed = seed
        self._nulls_of_schema = nulls == "schema"
        self._check = StabilityCheck(query)
        self._scratch = open_scratch(builder.database, LIMITS)
        samples = (sample_real_rows(builder, real, Random(f"{seed}:real:{i}:{gold}")) for i in range(3 * REAL_SAMPLES))
        self._instances = [*self._stable(self._drawn(query, "gold"), DATABASES), *self._stable(samples, REAL_SAMPLES)]

    def close(self) -> None:
        """Gives up the scratch database."""
        self._scratch.close()

    def proves_different(self, mutant: str) -> bool:
        """True when ``mutant`` returns something else than the gold on a database, visited in either direction."""
        if any(self._differs(mutant, instance, gold) for instance, gold in self._instances):
            return True
        try:
            query = ParsedQuery(mutant, self._query.dialect, self._builder.tables)
        except ValueError:
            return False
        own = self._stable(self._drawn(query, f"mutant:{mutant}"), OF_THE_MUTANT)
        return any(self._differs(mutant, instance, gold) for instance, gold in own)

    def _drawn(self, query: ParsedQuery, purpose: str) -> Iterator[Instance]:
        demands = gather_demands(query)
        for number in range(3 * DATABASES):
            random = Random(f"{self._seed}:{purpose}:{number}:{self._gold}")
            builder = self._builder
            domains = make_domains(
                builder.tables, builder.profiles, demands, random, nulls_of_schema=self._nulls_of_schema
            )
            yield RowDrawer(builder.tables, domains, demands).draw(_any_mode(random), random)

    def _stable(self, instances: Iterator[Instance], most: int) -> list[tuple[Instance, QueryResult]]:
        kept: list[tuple[Instance, QueryResult]] = []
        for instance in instances:
            if len(kept) == most:
                break
            self._scratch.fill(instance)
            gold = self._scratch.execute(self._gold, LIMITS)
            random = Random(len(kept))
            if not isinstance(gold, QueryResult):
                continue
            if not self._nulls_of_schema and introduces_null(gold, self._null_columns):
                continue
            if self._check.is_stable(self._scratch, instance, gold, LIMITS, random):
                kept.append((instance, gold))
        return kept

    def _differs(self, mutant: str, instance: Instance, gold: QueryResult) -> bool:
        self._scratch.fill(instance)
        for _ in range(2):
            outcome = self._scratch.execute(mutant, LIMITS)
            if agrees(gold, outcome, is_ordered=self._query.is_ordered):
                return False
            self._scratch.reverse()
        return True


def _any_mode(random: Random) -> Mode:
    """A way of drawing that is none of the judge's."""
    few = random.randint(1, 8)
    share = random.random()
    return Mode(
        parents=(few, few + random.randint(0, 8)),
        children=(few, 2 * few + random.randint(0, 12)),
        distinct=share,
        narrow=(1 - share) * random.random(),
        meeting=random.random(),
        spreads=("even", "skewed", "ranked", "demanded"),
        copies=random.choice((0.0, random.random())),
        null=random.random() / 2,
        empty=random.choice((0.0, 0.0, 0.2)),
    )


def sample_real_rows(builder: SuiteBuilder, real: dict[str, tuple[Row, ...]], random: Random) -> Instance:
    """Some rows of every real table, those left out that then refer to none."""
    by_name = {table.name.lower(): table for table in builder.tables}
    drawn = {name: random.sample(rows, min(len(rows), random.choice((6, 15, 40)))) for name, rows in real.items()}
    for _ in range(len(drawn)):
        for table in builder.tables:
            for key in table.foreign_keys:
                target = resolve_foreign_key(table, key, by_name)
                if target is None or table.is_view or target[0].is_view:
                    continue
                own = [[column.name for column in table.columns].index(name) for name in key.columns]
                other = [[column.name for column in target[0].columns].index(name) for name in target[1]]
                known = {tuple(row[place] for place in other) for row in drawn[target[0].name]}
                drawn[table.name] = [
                    row
                    for row in drawn[table.name]
                    if (value := tuple(row[place] for place in own)) in known or None in value
                ]
    return drawn


def read_real_rows(builder: SuiteBuilder, connection: Connection) -> dict[str, tuple[Row, ...]]:
    real = {}
    for table in builder.tables:
        if not table.is_view:
            name = table.name.replace('"', '""')
            outcome = connection.execute(f'SELECT * FROM "{name}" LIMIT 5000', LIMITS)
            real[table.name] = outcome.rows if isinstance(outcome, QueryResult) else ()
    return real
