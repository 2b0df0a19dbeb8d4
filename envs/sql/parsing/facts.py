"""What a prediction and the gold have in common by the text of both: for partial credit beside the verdict."""

from collections.abc import Mapping
from dataclasses import dataclass

from envs.sql.parsing.canonical import canonical_form, query_digest
from envs.sql.parsing.clauses import CLAUSES, clause_scores, clause_units
from envs.sql.parsing.names import jaccard, used_names
from envs.sql.parsing.resolution import Schema
from envs.sql.parsing.statement import parse_statement


@dataclass(frozen=True, kw_only=True)
class ParsedFacts:
    """The agreement of a prediction with the gold. Where the prediction cannot be parsed, everything is 0 or False."""

    is_exact: bool | None
    """Both have the same canonical form, or the same tokens. None when the gold has no form and the tokens differ."""
    table_jaccard: float
    """Tables used by both over tables used by either, from 0 to 1."""
    column_jaccard: float
    """The same for ``table.column``; 1 when neither uses a column."""
    clause_scores: Mapping[str, float | None]
    """F1 of each of ``clauses.CLAUSES``, from 0 to 1; None for a clause that neither has."""
    error: str | None
    """Why the prediction could not be parsed, as of ``Statement.error``."""


def compare_queries(prediction: str, gold: str, schema: Schema, dialect: str) -> ParsedFacts:
    """Compares the texts of two queries over the same schema. Never raises because of the prediction.

    Raises:
        ValueError: the gold cannot be parsed, or the dialect is unknown.
    """
    gold_names = used_names(gold, schema, dialect)
    gold_units = clause_units(gold, schema, dialect)
    if gold_names is None or gold_units is None:
        raise ValueError(f"the gold query cannot be parsed: {parse_statement(gold, dialect).error or 'too complex'}")
    names = used_names(prediction, schema, dialect)
    units = clause_units(prediction, schema, dialect)
    if names is None or units is None:
        return ParsedFacts(
            is_exact=False,
            table_jaccard=0.0,
            column_jaccard=0.0,
            clause_scores={clause: 0.0 if gold_units[clause] else None for clause in CLAUSES},
            error=parse_statement(prediction, dialect).error or "too complex",
        )
    return ParsedFacts(
        is_exact=_is_exact(prediction, gold, schema, dialect),
        table_jaccard=jaccard(*({name for name in used if "." not in name} for used in (names, gold_names))),
        column_jaccard=jaccard(*({name for name in used if "." in name} for used in (names, gold_names))),
        clause_scores=clause_scores(units, gold_units),
        error=None,
    )


def _is_exact(prediction: str, gold: str, schema: Schema, dialect: str) -> bool | None:
    if query_digest(prediction, schema, dialect) == query_digest(gold, schema, dialect):
        return True
    return False if canonical_form(gold, schema, dialect) is not None else None
