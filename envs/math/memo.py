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

    That a deadline passed is kept for deadlines that are no longer, so that an answer made to last costs once; not of
    a gold held against itself, whose deadline was rather the machine's, and would take every answer to it with it. A
    crash is not kept.
    """

    def __init__(self, capacity: int = CAPACITY) -> None:
        """
        Args:
            capacity: how many questions are kept.
        """
        self._capacity = capacity
        self._outcomes: OrderedDict[Question, tuple[Outcome, float]] = OrderedDict()
        self.renew_lock()

    def renew_lock(self) -> None:
        """For a forked child: the thread that held the lock at the fork is not in it."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._outcomes)

    def known(self, questions: Iterable[Question], *, deadline: float) -> dict[Question, Outcome]:
        """Those of the questions whose outcome is known.

        Args:
            questions: what is asked.
            deadline: seconds that each may take.
        """
        found = {}
        with self._lock:
            for question in questions:
                outcome, allowed = self._outcomes.get(question, (None, 0.0))
                if outcome is None or (outcome == "deadline" and allowed < deadline):
                    continue
                self._outcomes.move_to_end(question)
                found[question] = outcome
        return found

    def keep(self, outcomes: Mapping[Question, Outcome], *, deadline: float) -> None:
        """Remembers outcomes.

        Args:
            outcomes: by question.
            deadline: seconds that each was allowed.
        """
        with self._lock:
            for question, outcome in outcomes.items():
                if outcome == "verifier crash" or (outcome == "deadline" and question.gold == question.answer):
                    continue
                self._outcomes[question] = (outcome, deadline)
                self._outcomes.move_to_end(question)
            while len(self._outcomes) > self._capacity:
                self._outcomes.popitem(last=False)
