"""Spider's exact-set match (Yu et al. 2018): is the prediction the same set of clauses as the gold, values left out?

Both queries are parsed with Spider's official grammar; a prediction outside it counts as an empty query. Then each
component is compared as a bag, and the match is exact when all of them and the tables of FROM agree.

Covered as in the official script with its default switches: values disabled, DISTINCT of the outermost SELECT and of
its set operands disabled, columns of a foreign key taken for one, ``value`` in a prediction read as 1. Not covered:
evaluation with values. Where the official script stops with an error of Python there is no official outcome; here two
different subqueries in one FROM are compared as a bag, and a prediction with AND or OR in a condition's place is
outside the grammar, as is one with more than 50 queries inside each other.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from envs.sql.metrics.spider_difficulty import difficulty
from envs.sql.metrics.spider_parser import parse_query
from envs.sql.metrics.spider_preparation import fill_value_slots
from envs.sql.metrics.spider_schema import SpiderSchema
from envs.sql.metrics.spider_structure import (
    EMPTY_QUERY,
    Condition,
    Query,
    all_conditions,
    all_connectors,
    with_representatives,
    without_values,
)
from envs.sql.metrics.spider_tokens import SpiderSyntaxError


@dataclass(frozen=True, kw_only=True)
class ComponentMatch:
    """One component of both queries. Official precision, recall and F1 are all 1 on a match and 0 otherwise."""

    is_match: bool
    """All of the component is the same on both sides; also when neither has it."""
    gold_total: int
    """Parts in the gold. Published recall averages over the queries where this is above 0."""
    predicted_total: int
    """Parts in the prediction. Published precision averages over the queries where this is above 0."""


@dataclass(frozen=True, kw_only=True)
class ExactMatch:
    """The verdict on one prediction."""

    is_match: bool
    """Exact-set match."""
    components: Mapping[str, ComponentMatch]
    """By the official name: ``select``, ``select(no AGG)``, ``where``, ``where(no OP)``, ``group(no Having)``,
    ``group``, ``order``, ``and/or``, ``IUEN`` (set operations) and ``keywords``."""
    difficulty: str
    """Of the gold: ``easy``, ``medium``, ``hard`` or ``extra``."""
    is_predicted_parsed: bool
    """False when the prediction is outside the official grammar."""


def exact_match(predicted: str, gold: str, schema: SpiderSchema, *, should_fill_value_slots: bool = True) -> ExactMatch:
    """The official verdict on ``predicted``, whatever it holds.

    Args:
        should_fill_value_slots: read ``value`` in the prediction as 1 wherever it stands, as the official script does
            for models that leave values open. It breaks right predictions with ``value`` in a name (20 golds of
            Spider train, none of dev); switch it off for training.

    Raises:
        SpiderSyntaxError: the *gold* is outside the official grammar, where the official script stops too.
    """
    gold_query = parse_query(gold, schema)
    try:
        predicted_query = parse_query(fill_value_slots(predicted) if should_fill_value_slots else predicted, schema)
        is_predicted_parsed = True
    except SpiderSyntaxError:
        predicted_query, is_predicted_parsed = EMPTY_QUERY, False
    comparable_gold = _comparable(gold_query, schema)
    comparable_prediction = _comparable(predicted_query, schema)
    components = match_components(comparable_prediction, comparable_gold)
    return ExactMatch(
        is_match=_is_match(components, comparable_prediction, comparable_gold),
        components=components,
        difficulty=difficulty(gold_query),
        is_predicted_parsed=is_predicted_parsed,
    )


def _comparable(query: Query, schema: SpiderSchema) -> Query:
    return with_representatives(without_values(query), schema.representatives)


def match_components(predicted: Query, gold: Query) -> dict[str, ComponentMatch]:
    """Each official component of two queries, compared."""
    return {
        "select": _as_bags(predicted.select, gold.select),
        "select(no AGG)": _as_bags([item.unit for item in predicted.select], [item.unit for item in gold.select]),
        "where": _as_bags(predicted.where[::2], gold.where[::2]),
        "where(no OP)": _as_bags(_compared_units(predicted), _compared_units(gold)),
        "group(no Having)": _as_bags(_grouped_names(predicted), _grouped_names(gold)),
        "group": _match_group(predicted, gold),
        "order": _match_order(predicted, gold),
        "and/or": _match_connectors(predicted, gold),
        "IUEN": _match_set_operations(predicted, gold),
        "keywords": _as_bags(sorted(_keywords(predicted)), sorted(_keywords(gold))),
    }


def _is_match(components: Mapping[str, ComponentMatch], predicted: Query, gold: Query) -> bool:
    if not all(component.is_match for component in components.values()):
        return False
    return not gold.sources or Counter(predicted.sources) == Counter(gold.sources)


def _as_bags(predicted: Sequence[Hashable], gold: Sequence[Hashable]) -> ComponentMatch:
    is_match = Counter(predicted) == Counter(gold)
    return ComponentMatch(is_match=is_match, gold_total=len(gold), predicted_total=len(predicted))


def _compared_units(query: Query) -> list[Hashable]:
    return [place.unit for place in query.where[::2] if isinstance(place, Condition)]


def _grouped_names(query: Query) -> list[str]:
    """The columns of GROUP BY without their tables."""
    columns = (unit.column for unit in query.group_by)
    return [column.split(".")[1] if "." in column else column for column in columns]


def _match_group(predicted: Query, gold: Query) -> ComponentMatch:
    """GROUP BY, its columns in order, together with HAVING."""
    are_equal = [unit.column for unit in predicted.group_by] == [unit.column for unit in gold.group_by]
    return _as_one(bool(predicted.group_by), bool(gold.group_by), are_equal and predicted.having == gold.having)


def _match_order(predicted: Query, gold: Query) -> ComponentMatch:
    """ORDER BY, its columns in order, together with the presence of a LIMIT."""
    are_equal = predicted.order_by == gold.order_by and predicted.has_limit == gold.has_limit
    return _as_one(predicted.order_by is not None, gold.order_by is not None, are_equal)


def _as_one(is_predicted: bool, is_gold: bool, are_equal: bool) -> ComponentMatch:
    """A component that a query has once or not at all; absent on both sides is a match."""
    is_match = are_equal if is_predicted and is_gold else is_predicted == is_gold
    return ComponentMatch(is_match=is_match, gold_total=int(is_gold), predicted_total=int(is_predicted))


def _match_connectors(predicted: Query, gold: Query) -> ComponentMatch:
    """Whether WHERE uses AND, and whether OR. Official: the totals of a mismatch are exchanged, of a match 1."""
    predicted_connectors, gold_connectors = set(predicted.where[1::2]), set(gold.where[1::2])
    if predicted_connectors == gold_connectors:
        return ComponentMatch(is_match=True, gold_total=1, predicted_total=1)
    return ComponentMatch(is_match=False, gold_total=len(predicted_connectors), predicted_total=len(gold_connectors))


def _match_set_operations(predicted: Query, gold: Query) -> ComponentMatch:
    """The set operator, and what stands after it by exact match."""
    are_equal = predicted.set_operator == gold.set_operator
    if are_equal and predicted.set_operand is not None and gold.set_operand is not None:
        components = match_components(predicted.set_operand, gold.set_operand)
        are_equal = _is_match(components, predicted.set_operand, gold.set_operand)
    return _as_one(predicted.set_operand is not None, gold.set_operand is not None, are_equal)


def _keywords(query: Query) -> set[str]:
    presence = {
        "where": bool(query.where),
        "group": bool(query.group_by),
        "having": bool(query.having),
        "order": query.order_by is not None,
        "limit": query.has_limit,
        "or": "or" in all_connectors(query),
    }
    found = {keyword for keyword, is_present in presence.items() if is_present}
    found |= {query.order_by.direction} if query.order_by is not None else set()
    found |= {query.set_operator} if query.set_operator is not None else set()
    conditions = all_conditions(query)
    found |= {condition.operator for condition in conditions} & {"in", "like"}
    return found | ({"not"} if any(condition.is_negated for condition in conditions) else set())
