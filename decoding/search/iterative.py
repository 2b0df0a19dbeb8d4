"""Iterative decoding: review, refine, repeat (IAD, arXiv 2504.01931).

Each round shows the model its best answer so far and what a verifier makes of it, and samples anew. The paper's prompts
are not public; their wording here is ours, and so is when to stop. Not covered: refinement within an episode, since
every round begins one of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from decoding.search.options import require_count
from decoding.search.plan import Plan, begin, examine, expand
from decoding.search.quotation import quoted, shortened
from decoding.search.scorers.registry import make_scorer
from decoding.search.selection import best, comparable, completeness
from decoding.search.state import State
from decoding.search.strategy import Candidate, Problem, Selection
from decoding.steps import WHOLE_ANSWERS, Steps
from envs.environment import Environment
from envs.errors import ConfigurationError
from envs.examination import Examination
from envs.transcript import Message


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """An answer, and what is known of it."""

    candidate: Candidate
    found: Examination | None

    @property
    def worth(self) -> tuple[tuple[bool, bool], float]:
        """By which attempts are compared: a complete one is worth more than one that was cut short."""
        return completeness(self.candidate.state), comparable(self.candidate.score)


@dataclass(frozen=True, kw_only=True)
class Iterative:
    """Rounds t = 1 .. T of answers y_t ~ pi(. | x, feedback of y+ and y-), where y+ and y- are the best and the worst
    answer of the rounds before; an answer takes the place of y+ only where its score is higher. y+ is chosen.

    Rounds follow each other, so that T rounds take T times as long as best-of-n with as many samples a round.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    rounds: int = 3
    """T, the first one included."""
    samples: int = 1
    """Answers a round."""
    scorer: Any = "validity"
    """A ``Scorer``, or what a configuration names one by (``make_scorer``)."""
    shows_worst: bool = True
    """The worst answer is shown as well, once it differs from the best."""
    stop_at: float | None = 1.0
    """The score with which no further round is needed; None: no score is enough."""
    stops_when_valid: bool = False
    """Nor is one once an examination of the best answer finds nothing wrong."""
    longest_text: int = 4000
    """Characters of an answer, and of what is said of it, that are shown; of longer ones the middle is left out."""

    def __post_init__(self) -> None:
        for option in ("rounds", "samples", "longest_text"):
            require_count("iterative", option, getattr(self, option))
        if self.stop_at is not None and not 0 <= self.stop_at <= 1:
            raise ConfigurationError(
                f"option 'stop_at' of strategy 'iterative' is {self.stop_at}; expected a score from 0 to 1, or null"
            )
        object.__setattr__(self, "scorer", make_scorer(self.scorer))

    def steps(self, environment: Environment[Any]) -> Steps:
        """Answers are sampled whole."""
        return WHOLE_ANSWERS

    def search(self, problem: Problem) -> Plan[Selection | None]:
        """Samples and shows, until an answer is good enough or the rounds, the budget or the window are at an end."""
        attempts: list[Attempt] = []
        root: State | None = problem.root
        for _ in range(self.rounds):
            if attempts:
                root = yield from begin(self._feedback(problem, attempts))
            if root is None:
                break
            answers = yield from expand([root], width=self.samples, until="end")
            if not answers:
                break
            found = yield from examine(answers)
            scores: list[float | None] = yield from self.scorer.score(problem, answers)
            attempts += [
                Attempt(candidate=Candidate(state=answer, score=score), found=finding)
                for answer, score, finding in zip(answers, scores, found, strict=True)
            ]
            if self._is_good(_best(attempts)):
                break
        if not attempts:
            return None
        candidates = tuple(attempt.candidate for attempt in attempts)
        return Selection(chosen=best(candidates).state, candidates=candidates)

    def _is_good(self, attempt: Attempt) -> bool:
        if not attempt.candidate.state.is_complete:
            return False
        has_score = self.stop_at is not None and comparable(attempt.candidate.score) >= self.stop_at
        return has_score or (self.stops_when_valid and attempt.found is not None and attempt.found.is_valid)

    def _feedback(self, problem: Problem, attempts: Sequence[Attempt]) -> list[Message]:
        """The messages of the next round: the task, the best answer as the model's own, and what is said of it."""
        finest = _best(attempts)
        worst = min(attempts, key=lambda attempt: attempt.worth)
        text = finest.candidate.state.transcript.text
        parts = ["This answer was checked.", self._review(finest)]
        if self.shows_worst and worst.candidate.state.transcript.text != text:
            shown = quoted(worst.candidate.state.transcript.text, longest=self.longest_text)
            parts += [f"A worse answer was:\n{shown}", self._review(worst)]
        parts.append("Answer the task again, in the form that it asks for, and mend what is wrong.")
        return [
            *problem.environment.prompt(problem.task),
            Message(role="assistant", content=shortened(text, self.longest_text)),
            Message(role="user", content="\n\n".join(parts)),
        ]

    def _review(self, attempt: Attempt) -> str:
        """What the verifier says of an answer, in words."""
        said = []
        if attempt.candidate.score is not None:
            said.append(f"Its score is {attempt.candidate.score:.2f} of 1.")
        if not attempt.candidate.state.is_complete:
            said.append("It was cut off before its end.")
        if (found := attempt.found) is not None and found.unjudged is None:
            said.append("Something is wrong with it." if found.error is not None else "No fault was found in its form.")
            if message := found.message or found.error:
                said.append(f"What came of it:\n{quoted(message, longest=self.longest_text)}")
        return " ".join(said) or "Nothing could be said of it."


def _best(attempts: Sequence[Attempt]) -> Attempt:
    """The one that is worth most; of equal ones the first."""
    return max(attempts, key=lambda attempt: attempt.worth)
