"""Structural integrity of JSON answers: are the keys there that should be, and no others?"""

from envs.json.verdict import JsonVerdict
from rewards.component import Component, ComponentOptions


def structure(verdict: JsonVerdict) -> float:
    """The share of the structure at the top level that is met (``envs.json.structure``): the keys that are required and
    those that are there, of which a key is met when it is there, allowed and of an allowed type."""
    return verdict.structure


def structural_accuracy(verdict: JsonVerdict) -> float:
    """1 when all of ``structure`` is met: the structural accuracy of RL-Struct (arXiv 2512.00319), the share of answers
    that have the required keys and no invented ones. Its exact definition is not public; this one is ours."""
    return float(verdict.structure == 1)


def coverage(verdict: JsonVerdict) -> float:
    """The share of the keys that the schema names at the top level which are there with something in them
    (``envs.json.structure``), so that ``{}`` is not the best instance of a permissive schema; 1 where it names none."""
    return verdict.coverage


def complete_keys(verdict: JsonVerdict) -> float:
    """1 when the answer is a value that lacks no key of the gold; without a gold, none that the schema requires."""
    return float(verdict.is_parsed and not verdict.missing_count)


def known_keys(verdict: JsonVerdict) -> float:
    """1 when the answer is a value without a key that the gold lacks; without a gold, that the schema forbids."""
    return float(verdict.is_parsed and not verdict.invented_count)


COMPONENTS: dict[str, Component | type[ComponentOptions]] = {
    "structure": Component(verdict=JsonVerdict, measure=structure, is_rate=False),
    "structural_accuracy": Component(verdict=JsonVerdict, measure=structural_accuracy),
    "coverage": Component(verdict=JsonVerdict, measure=coverage, is_rate=False),
    "complete_keys": Component(verdict=JsonVerdict, measure=complete_keys),
    "known_keys": Component(verdict=JsonVerdict, measure=known_keys),
}
