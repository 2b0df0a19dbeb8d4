"""Outcomes that are known, by question; bounded, and shared by all threads."""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping

from envs.math.pool import Outcome
from envs.math.rules import Question

CAPACITY = 50_000
"""Questions: of at most some hundred characters each, so tens of megabytes."""


class OutcomeMemo:
    """The answers to questions; the one that was used least recently goes first.

    Outcomes that depend on how busy the machine was are not kept.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        """
        Args:
            capacity: how many questions are kept.
        """
        self._capacity = capacity
        self._outcomes: OrderedDict[Question, Outcome] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._outcomes)

    def known(self, questions: Iterable[Question]) -> dict[Question, Outcome]:
        """Those of the questions whose outcome is known."""
        found = {}
        with self._lock:
            for question in questions:
                if (outcome := self._outcomes.get(question)) is not None:
                    self._outcomes.move_to_end(question)
                    found[question] = outcome
        return found

    def keep(self, outcomes: Mapping[Question, Outcome]) -> None:
        """Remembers outcomes."""
        with self._lock:
            for question, outcome in outcomes.items():
                if outcome not in ("deadline", "verifier crash"):
                    self._outcomes[question] = outcome
                    self._outcomes.move_to_end(question)
            while len(self._outcomes) > self._capacity:
                self._outcomes.popitem(last=False)
