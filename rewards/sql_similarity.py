"""Text similarity: how much of the gold's wording an SQL answer has."""

import re
from dataclasses import dataclass

from envs.errors import ConfigurationError
from envs.sql.judge import SqlVerdict
from rewards.component import Component, ComponentOptions
from rewards.sql_metrics import needs_fact

COMPARED_CHARACTERS = 10_000
TOKEN = re.compile(r"\w+|'(?:[^']|'')*'|[^\w\s]")


def clause_overlap(verdict: SqlVerdict) -> float | None:
    """The mean of the clauses' F1 (``envs.sql.parsing.clauses``), over the clauses that answer or gold have. The mean
    is ours; None where the gold cannot be parsed."""
    if verdict.answer is None:
        return 0.0
    if verdict.parsed is None:
        return None
    scores = [score for score in verdict.parsed.clause_scores.values() if score is not None]
    return sum(scores) / len(scores) if scores else None


@dataclass(frozen=True, kw_only=True)
class NgramOverlap:
    """|P ∩ G| / |P ∪ G| over the sets of the n-grams of tokens of answer (P) and gold (G).

    The Jaccard form is that of Reasoning-SQL (arXiv 2503.23157), whose n-grams others build again as bigrams; what a
    token is, is ours: a word, a quoted text or a sign, in lower case. A query of fewer than n tokens is one n-gram, and
    only the first 10,000 characters are compared. A query that means the same in other words is not found: for that
    there are ``exact`` and ``clause_overlap``.
    """

    n: int = 2
    """Tokens in a row."""

    def __post_init__(self) -> None:
        if self.n < 1:
            raise ConfigurationError(f"ngram_overlap: n is {self.n}; expected at least 1 token")

    def component(self) -> Component:
        """The component with these options."""
        return Component(verdict=SqlVerdict, measure=self._measure, is_rate=False)

    def _measure(self, verdict: SqlVerdict) -> float | None:
        if verdict.answer is None:
            return 0.0
        if verdict.gold is None:
            return None
        predicted, gold = self._ngrams(verdict.answer), self._ngrams(verdict.gold)
        return len(predicted & gold) / len(predicted | gold)

    def _ngrams(self, query: str) -> set[tuple[str, ...]]:
        tokens = TOKEN.findall(query[:COMPARED_CHARACTERS].lower())
        return {tuple(tokens[start : start + self.n]) for start in range(max(1, len(tokens) - self.n + 1))}


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {
    "clause_overlap": Component(verdict=SqlVerdict, measure=clause_overlap, is_rate=False, lacks=needs_fact("parsed")),
    "ngram_overlap": NgramOverlap,
}
