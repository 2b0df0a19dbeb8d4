"""Predictions that bring constants of their own, tried on databases that are drawn around these.

``WHERE country <> 'Peru'`` beside a gold that does not speak of Peru is right on every database without it. A suite is
made before any prediction is known, so a prediction that agrees with it and holds a constant that the gold does not is
tried on a few databases more. Drawn by gold and prediction alone: the same prediction always meets the same ones.
"""

import re
from functools import cached_property
from random import Random

from envs.sql.databases.execution import DatabaseFault, DatabaseFaultError, QueryResult
from envs.sql.suite.build import SuiteBuilder
from envs.sql.suite.domains import make_domains
from envs.sql.suite.literals import Demands, gather_demands
from envs.sql.suite.modes import FEW, MODES
from envs.sql.suite.query import ParsedQuery
from envs.sql.suite.rows import RowDrawer
from envs.sql.suite.stability import StabilityCheck, agrees
from envs.sql.suite.suite import TestSuite

DRAWN = (*MODES, *MODES, *[FEW] * 14)
"""The modes of the databases that are drawn."""
MOST_ROWS = 30
"""However large a LIMIT or a count the prediction names."""
LONGEST_PREDICTION = 5_000
"""Characters; what is longer is not looked into."""

_CONSTANT = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|(?<![\w.])\d+(?:\.\d+)?""")
_EXISTS = re.compile(r"""(\bexists\s*\(\s*select\s+)(?:\d+|'[^']*')""", re.IGNORECASE)


def constants(query: str) -> frozenset[str]:
    """The strings and numbers in a query, and its quoted names, without their quotes and in lower case. What EXISTS
    selects means nothing and does not count."""
    return frozenset(text.strip("'\"").lower() for text in _CONSTANT.findall(_EXISTS.sub(r"\1", query)))


class OwnConstants:
    """Tries predictions of one gold."""

    def __init__(self, builder: SuiteBuilder, suite: TestSuite) -> None:
        self._builder = builder
        self._suite = suite
        self._known = constants(suite.gold)

    @cached_property
    def _gold(self) -> ParsedQuery:
        return ParsedQuery(self._suite.gold, self._builder.database.dialect, self._builder.tables)

    @cached_property
    def _check(self) -> StabilityCheck:
        return StabilityCheck(self._gold)

    def reveals(self, prediction: str) -> bool:
        """True when ``prediction`` differs from the gold on a database drawn around its own constants.

        Raises:
            DatabaseFaultError: the scratch database cannot be filled or asked.
        """
        if len(prediction) > LONGEST_PREDICTION or constants(prediction) <= self._known:
            return False
        builder = self._builder
        try:
            demands = self._demands(prediction)
        except (ValueError, RecursionError):
            return False  # the database understood it, sqlglot does not: what the suite said stands
        random = Random(f"{builder.settings.seed}:{self._suite.gold}:{prediction}")
        drawer = None
        for number, mode in enumerate(DRAWN):
            if drawer is None or number % len(MODES) == 0:
                domains = make_domains(
                    builder.tables,
                    builder.profiles,
                    demands,
                    random,
                    nulls_of_schema=builder.settings.nulls == "schema",
                )
                drawer = RowDrawer(builder.tables, domains, demands)
            instance = drawer.draw(mode, random)
            gold = builder.stable_result(instance, self._gold, self._suite.null_columns, self._check, random)
            if gold is None:
                continue
            if self._differs(prediction, gold):
                return True
            builder.scratch.reverse()
            if self._differs(prediction, gold):
                return True
        return False

    def _differs(self, prediction: str, gold: QueryResult) -> bool:
        outcome = self._builder.scratch.execute(prediction, self._builder.small_limits)
        if isinstance(outcome, DatabaseFault):
            raise DatabaseFaultError(outcome.message)
        return not agrees(gold, outcome, is_ordered=self._suite.is_ordered)

    def _demands(self, prediction: str) -> Demands:
        """The gold's, and the constants of the prediction: rows that fail its conditions are what tells it apart."""
        query = ParsedQuery(prediction, self._gold.dialect, self._builder.tables)
        demands, of_gold = gather_demands(self._gold, query), gather_demands(self._gold)
        demands.meeting = of_gold.meeting
        demands.limit = max(of_gold.limit, min(demands.limit, MOST_ROWS))
        demands.group_sizes = [*of_gold.group_sizes, *(size for size in demands.group_sizes if size <= MOST_ROWS)]
        return demands
