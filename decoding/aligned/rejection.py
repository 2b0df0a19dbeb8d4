"""Texts that are tried until one is in the language: the loop around ASAp and CARS.

Each answer has tries of its own, one after another, so that which text an answer ends with does not depend on how long
texts are: the first accepted one of many that run beside each other would be a short one too often.
"""

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from decoding.aligned.config import AlignedAnswers, AlignedSampling
from decoding.aligned.requests import Seeds, one_row, token_session
from decoding.aligned.trie_sampler import TrieSampler
from decoding.aligned.weights import log_mean
from decoding.engine import Engine, Generation, Request


@dataclass
class _Asked:
    """A request, and what has been learned of its prompt."""

    request: Request
    seeds: Seeds
    sampler: TrieSampler
    found: dict[int, Generation] = field(default_factory=dict)
    log_masses: list[float] = field(default_factory=list)
    """Of what each try was drawn from."""
    accepted: int = 0
    tries: int = 0
    fallbacks: int = 0
    tokens: int = 0


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """A text for one answer."""

    asked: _Asked
    answer: int
    number: int
    is_masked: bool = False
    """The tries are spent: masks alone, no sampler."""

    def request(self) -> Request:
        plain = one_row(self.asked.request, seed=self.asked.seeds.named(f"answer {self.answer} try {self.number}"))
        return plain if self.is_masked else replace(plain, sampler=self.asked.sampler)


def sample_by_rejection(
    engine: Engine, requests: Sequence[Request], config: AlignedSampling, *, max_batch_rows: int
) -> list[AlignedAnswers]:
    """ASAp, or CARS with a budget of tries. What is learned of a prompt is its request's own, and lives in this call.

    Args:
        max_batch_rows: texts that are written at once. One learns most: the next text then knows all before it.

    Raises:
        ConfigurationError: the engine does not decode token by token.
    """
    rejects = config.method == "cars"
    everything = [
        _Asked(
            request=request,
            seeds=Seeds.of(request),
            sampler=TrieSampler(rejects=rejects, max_nodes=config.max_nodes),
        )
        for request in requests
    ]
    waiting = deque(
        _Attempt(asked=asked, answer=answer, number=0) for asked in everything for answer in range(asked.request.n)
    )
    running: dict[int, _Attempt] = {}
    with engine.session() as opened:
        session = token_session(opened, config.method)
        while waiting or running:
            while waiting and len(running) < max_batch_rows:
                attempt = waiting.popleft()
                running[session.open(attempt.request())[0]] = attempt
            for row, generation in session.step():
                session.close(row)
                again = _ended(running.pop(row), row, generation, config)
                if again is not None:
                    waiting.appendleft(again)
    return [_answers(asked, exact=rejects) for asked in everything]


def _ended(attempt: _Attempt, row: int, generation: Generation, config: AlignedSampling) -> _Attempt | None:
    """Records a text; what is tried next for its answer, if it is none."""
    asked = attempt.asked
    asked.tries += 1
    asked.tokens += len(generation.token_ids) - generation.closed
    is_accepted = generation.finish != "rejected"
    if not attempt.is_masked:
        asked.log_masses.append(asked.sampler.end(row))
        asked.accepted += is_accepted
    if is_accepted:
        asked.found[attempt.answer] = generation
        return None
    number = attempt.number + 1
    is_spent = number >= (config.tries if config.method == "cars" else 1)
    asked.fallbacks += is_spent
    return replace(attempt, number=number, is_masked=is_spent)


def _answers(asked: _Asked, *, exact: bool) -> AlignedAnswers:
    return AlignedAnswers(
        generations=tuple(asked.found[answer] for answer in range(asked.request.n)),
        tries=asked.tries,
        fallbacks=asked.fallbacks,
        model_calls=asked.tokens,
        log_evidence=_log_evidence(asked) if exact else asked.sampler.log_theta,
        effective_sample_size=None,
    )


def _log_evidence(asked: _Asked) -> float:
    """log of p(L), from how many tries were accepted: each is with probability p(L) / theta, theta being the mass that
    it was drawn from. So accepted / sum 1 / theta (ours): later tries, which know more, count for more."""
    if asked.accepted == 0:
        return -math.inf
    inverse = [-log_mass for log_mass in asked.log_masses]
    return math.log(asked.accepted / len(inverse)) - log_mean(inverse)
