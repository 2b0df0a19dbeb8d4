"""Tells what a decode that hands its results over one by one has cost since it last told."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from decoding.episode_loop import EpisodeLoop
from decoding.rollout import Ledger


class CostMeter:
    """Of one episode loop. What its user does with the results between two of them is none of its cost."""

    def __init__(self, loop: EpisodeLoop) -> None:
        """
        Args:
            loop: counts its own tokens.
        """
        self._loop = loop
        self._generating = 0.0
        self._besides = Ledger()
        self._told = Ledger()

    @contextmanager
    def generating(self) -> Iterator[None]:
        """The time inside is time spent on generation."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._generating += time.perf_counter() - started

    def add(self, cost: Ledger) -> None:
        """Adds what the loop does not know of: prompts, judging, other requests."""
        self._besides += cost

    def since(self) -> Ledger:
        """What was spent since this was last asked for."""
        of_loop = self._loop.ledger(prefilled=0, started=0.0)
        total = replace(of_loop, generate_seconds=self._generating) + self._besides
        cost, self._told = total - self._told, total
        return cost
