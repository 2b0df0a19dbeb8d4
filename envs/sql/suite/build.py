"""Builds the test suite of a gold query: draws small databases and keeps those that reveal its mutants.

The idea is that of Zhong, Yu, Klein, "Semantic Evaluation for Text-to-SQL with Distilled Test Suites" (2020), who draw
large random databases and keep few; the drawing from the gold's own constants, the check of order and the choice that
rejects every mutant several times are ours. A right prediction is never rejected for an order that the gold does not
ask for; it is rejected where it differs from the gold on rows that the schema allows and the domain may not.
"""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, replace
from functools import cached_property
from random import Random

from envs.sql.databases.connection import Connection
from envs.sql.databases.database import Database
from envs.sql.databases.execution import DatabaseFault, DatabaseFaultError, ExecutionLimits, QueryError, QueryResult
from envs.sql.databases.kinds import ScratchOpener, open_scratch
from envs.sql.suite.certainty import examine
from envs.sql.suite.constants import returning_nothing, returning_the_answer
from envs.sql.suite.domains import make_domains
from envs.sql.suite.literals import gather_demands
from envs.sql.suite.modes import MODES
from envs.sql.suite.mutants import Mutant, MutantMaker
from envs.sql.suite.nulls import introduces_null, null_columns
from envs.sql.suite.profile import read_profiles
from envs.sql.suite.query import ParsedQuery
from envs.sql.suite.rows import Instance, RowDrawer
from envs.sql.suite.settings import SuiteSettings
from envs.sql.suite.stability import StabilityCheck, agrees
from envs.sql.suite.suite import NullColumns, TestSuite

REJECTIONS = 3
"""How many candidates a mutant is tried on with success before it counts as revealed: one instance that does it may do
so by luck, and other mistakes near it slip through."""
PATIENCE = 3 * len(MODES)
"""Candidates in a row that reveal no further mutant before the search ends: most that is left equals the gold."""
MUTANT_SECONDS = 0.25
"""Wall time of one mutant on one candidate: some join everything with everything."""


@dataclass(kw_only=True)
class _Candidate:
    """A database on which the gold runs and is stable."""

    instance: Instance
    rows: int
    """Of the gold's result."""
    rejected: set[int] = field(default_factory=set)
    """Which mutants, by number. Those that were revealed often enough before are not tried."""


class SuiteBuilder:
    """Builds suites for golds of one database; what it learns of the database serves all of them."""

    def __init__(
        self,
        database: Database,
        settings: SuiteSettings,
        connection: Connection,
        limits: ExecutionLimits,
        open_scratch: ScratchOpener = open_scratch,
    ) -> None:
        """
        Args:
            connection: to ``database``; asked for the schema, some rows and each gold's answer.
            limits: of the gold on the real database; on the small ones queries get less time.
            open_scratch: opens the small ones.

        Raises:
            DatabaseFaultError: the database cannot be read.
        """
        self.database = database
        self.settings = settings
        self.tables = connection.tables()
        self.profiles = read_profiles(connection, self.tables, limits)
        self._connection = connection
        self._limits = limits
        self.small_limits = replace(limits, seconds=min(limits.seconds, MUTANT_SECONDS))
        self.scratch = open_scratch(database, limits)

    @cached_property
    def fingerprint(self) -> str:
        """Changes with the schema, the sampled rows and the number of rows and of NULLs."""
        profiles = [(key, astuple(profile)) for key, profile in self.profiles.items()]
        text = repr((self.database.kind, self.tables, profiles))
        return hashlib.sha256(text.encode(errors="replace")).hexdigest()

    def close(self) -> None:
        """Gives up the scratch database."""
        self.scratch.close()

    def build(self, gold: str) -> TestSuite:
        """The suite of ``gold``.

        Raises:
            DatabaseFaultError: the database cannot be read.
        """
        try:
            query = ParsedQuery(gold, self.database.dialect, self.tables)
        except ValueError as error:
            return TestSuite(gold=gold, instances=(), is_ordered=False, defect=f"the gold is not understood: {error}")
        answer = self._connection.execute(gold, self._limits)
        if isinstance(answer, DatabaseFault):
            raise DatabaseFaultError(answer.message)
        if isinstance(answer, QueryError):
            defect = f"the gold fails: {answer.category}: {answer.message}"
            return TestSuite(gold=gold, instances=(), is_ordered=query.is_ordered, defect=defect, is_lasting=False)
        return self._build(gold, query, answer)

    def _build(self, gold: str, query: ParsedQuery, answer: QueryResult) -> TestSuite:
        random = self._random(gold, "mutants")
        constants = [returning_nothing(answer), returning_the_answer(answer, query.dialect)]
        mutants = [Mutant(operator="constant", query=text) for text in constants if text is not None]
        mutants += MutantMaker(query, self.profiles, random).make(self.settings.mutants)
        check = StabilityCheck(query)
        nulls = null_columns(answer)
        candidates, alive, failing = self._try(gold, query, nulls, check, mutants)
        chosen = _choose(candidates, self.settings.instances)
        rejected = set().union(*(candidate.rejected for candidate in chosen))
        defect = None
        if not chosen:
            defect = "the gold runs on no small database, or its result hangs on the order of their rows on all"
        elif 0 not in rejected and not answer.rows:
            defect = "a query that returns nothing cannot be told from the gold"
        elif constants[1] is not None and 1 not in rejected:
            defect = "the gold's answer on the real database, as a constant, cannot be told from the gold"
        return TestSuite(
            gold=gold,
            instances=tuple(candidate.instance for candidate in chosen),
            is_ordered=query.is_ordered,
            null_columns=nulls,
            certainty=examine(query, check.rewrites, answer, self._connection, self._limits),
            defect=defect,
            mutants=len(mutants) - failing,
            survivors=alive,
        )

    def _try(
        self, gold: str, query: ParsedQuery, nulls: NullColumns, check: StabilityCheck, mutants: Sequence[Mutant]
    ) -> tuple[list[_Candidate], int, int]:
        """The candidates, how many mutants none of them rejects, and how many mutants fail to run."""
        demands = gather_demands(query)
        live = dict.fromkeys(range(len(mutants)), 0)
        failing: set[int] = set()
        last_success = 0
        candidates: list[_Candidate] = []
        deadline = time.monotonic() + self.settings.seconds
        for number in range(self.settings.candidates):
            if time.monotonic() > deadline:
                break
            random = self._random(gold, str(number))
            if number % len(MODES) == 0:  # other values for every round of the modes
                domains = make_domains(
                    self.tables, self.profiles, demands, random, nulls_of_schema=self.settings.nulls == "schema"
                )
                drawer = RowDrawer(self.tables, domains, demands)
            instance = drawer.draw(MODES[number % len(MODES)], random)
            result = self.stable_result(instance, query, nulls, check, random)
            if result is None:
                continue
            self.scratch.fill(instance)  # as it will be when predictions are judged: some mutants hang on the order
            kept = _Candidate(instance=instance, rows=len(result.rows))
            for index in list(live):
                outcome = self.scratch.execute(mutants[index].query, self.small_limits)
                if isinstance(outcome, QueryError) and outcome.category != "timeout" and not candidates:
                    failing.add(index)
                if not agrees(result, outcome, is_ordered=query.is_ordered):
                    kept.rejected.add(index)
                    if live[index] == 0:
                        last_success = number
                    live[index] += 1
                    if live[index] >= REJECTIONS:
                        del live[index]
            candidates.append(kept)
            if not live or number - last_success >= PATIENCE:
                if len(candidates) >= self.settings.instances:
                    break
        return candidates, sum(times == 0 for times in live.values()), len(failing)

    def stable_result(
        self, instance: Instance, query: ParsedQuery, nulls: NullColumns, check: StabilityCheck, random: Random
    ) -> QueryResult | None:
        """The gold's result on ``instance``; None where it does not run, hangs on an order or holds a new NULL.

        ``scratch`` holds the rows of ``instance`` afterwards, in another order.

        Raises:
            DatabaseFaultError: the scratch database cannot be filled.
        """
        self.scratch.fill(instance)
        result = self.scratch.execute(query.sql(), self.small_limits)
        if not isinstance(result, QueryResult):
            return None
        if self.settings.nulls == "data" and introduces_null(result, nulls):
            return None
        return result if check.is_stable(self.scratch, instance, result, self.small_limits, random) else None

    def _random(self, gold: str, purpose: str) -> Random:
        return Random(f"{self.settings.seed}:{purpose}:{gold}")


def _choose(candidates: Sequence[_Candidate], most: int) -> list[_Candidate]:
    """Greedily, the candidates that together reject most mutants; a mutant that is already rejected counts a quarter, a
    sixteenth and so on. Results with rows, and with more of them, win: they change more easily."""
    left = list(candidates)
    chosen: list[_Candidate] = []
    times: dict[int, int] = {}
    while left and len(chosen) < most:
        best = max(
            left,
            key=lambda candidate: (
                sum(0.25 ** times.get(index, 0) for index in candidate.rejected)
                + 0.5 * (candidate.rows > 0)
                + 0.05 * min(candidate.rows, 10)
            ),
        )
        left.remove(best)
        chosen.append(best)
        for index in best.rejected:
            times[index] = times.get(index, 0) + 1
    return chosen


def build_suite(
    database: Database, gold: str, settings: SuiteSettings, connection: Connection, limits: ExecutionLimits
) -> TestSuite:
    """The suite of one gold; who builds several for one database keeps a ``SuiteBuilder``.

    Raises:
        DatabaseFaultError: the database cannot be read.
    """
    builder = SuiteBuilder(database, settings, connection, limits)
    try:
        return builder.build(gold)
    finally:
        builder.close()
