"""The strategies that a configuration can name."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from decoding.search.a_star import AStar
from decoding.search.beam import BeamSearch
from decoding.search.best_of_n import BestOfN
from decoding.search.explore_execute import ExploreExecute
from decoding.search.iterative import Iterative
from decoding.search.particles import ParticleFilter
from decoding.search.reex_tree import ReExTree
from decoding.search.self_consistency import SelfConsistency
from decoding.search.strategy import Strategy
from decoding.search.weighted_vote import WeightedVote
from envs.options import construct

STRATEGIES: dict[str, Callable[..., Strategy]] = {
    "a_star": AStar,
    "beam": BeamSearch,
    "best_of_n": BestOfN,
    "explore_execute": ExploreExecute,
    "iterative": Iterative,
    "particles": ParticleFilter,
    "reex_tree": ReExTree,
    "self_consistency": SelfConsistency,
    "weighted_vote": WeightedVote,
}


@dataclass(frozen=True, kw_only=True)
class SearchConfig:
    """Which strategy."""

    strategy: str
    """a_star, beam, best_of_n, explore_execute, iterative, particles, reex_tree, self_consistency or weighted_vote."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """The strategy's own options. ``scorer`` is the name of one, or a mapping with its name and its options."""


def make_strategy(config: SearchConfig) -> Strategy:
    """The configured strategy.

    Raises:
        ConfigurationError: an unknown strategy, scorer or option, or an option that has no meaning.
    """
    return construct("strategy", config.strategy, STRATEGIES, config.options)
