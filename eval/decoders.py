"""Decodings that ``eval/run.py --decoder`` knows by name, beside those of a configuration.

Those that draw several answers draw four; a configuration says how many it wants.
"""

from collections.abc import Mapping
from typing import Any

from decoding.search.diverse_beam import BeamGroups
from decoding.search.registry import SearchConfig
from eval.config import DecodingConfig

VALID_AND_PROBABLE = {"name": "combined", "how": "product", "scorers": ["validity", "probability"]}


def _search(strategy: str, *, temperature: float = 0.8, **options: Any) -> DecodingConfig:
    return DecodingConfig(temperature=temperature, search=SearchConfig(strategy=strategy, options=options))


DECODERS: Mapping[str, DecodingConfig] = {
    "greedy": DecodingConfig(temperature=0.0),
    "sample": DecodingConfig(temperature=1.0),
    "constrained": DecodingConfig(temperature=0.0, grammar=True),
    "best_of_n": _search("best_of_n", samples=4, scorer=VALID_AND_PROBABLE),
    "weighted_vote": _search("weighted_vote", samples=4, scorer="probability"),
    "self_consistency": _search("self_consistency", samples=4),
    "reex_tree": _search("reex_tree", leaves=4),
    "iterative": _search("iterative", samples=1, rounds=4, scorer=VALID_AND_PROBABLE),
    "a_star": _search("a_star", width=2, scorer="probability", max_expansions=16),
    "particles": _search("particles", particles=4, scorer="probability"),
    "beam": _search("beam", beams=2, width=2, scorer="probability"),
    "diverse_beam": DecodingConfig(temperature=0.0, beams=BeamGroups(beams=4, groups=2)),
    "explore_execute": _search("explore_execute", plans=4, choose="cluster"),
}
