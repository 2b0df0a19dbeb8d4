"""Sequential Monte Carlo over a session: particle systems of all answers to all requests, stepped together."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from decoding.aligned.awrs import AwrsSampler
from decoding.aligned.config import AlignedAnswers, AlignedSampling
from decoding.aligned.particles import ParticleSystem
from decoding.aligned.requests import Seeds, one_row, token_session
from decoding.aligned.weights import log_mean
from decoding.engine import Engine, Generation, Request
from decoding.session import TokenSession
from envs.errors import ConfigurationError


@dataclass
class _Asked:
    """A request and what was found for it."""

    request: Request
    seeds: Seeds
    sampler: AwrsSampler | None
    found: dict[int, Generation] = field(default_factory=dict)
    log_evidence: list[float] = field(default_factory=list)
    sizes: list[float] = field(default_factory=list)
    tries: int = 0
    fallbacks: int = 0
    model_calls: int = 0


@dataclass(frozen=True, kw_only=True)
class _Answer:
    """An answer that is being found."""

    asked: _Asked
    number: int
    system: ParticleSystem
    is_fallback: bool = False


def sample_particles(
    engine: Engine,
    requests: Sequence[Request],
    config: AlignedSampling,
    *,
    samplers: Sequence[AwrsSampler | None],
    max_batch_rows: int,
) -> list[AlignedAnswers]:
    """``request.n`` answers to each request, each the choice of a particle system of its own.

    Args:
        samplers: of each request; None draws from the masks.
        max_batch_rows: rows that are written at once; at most as many as the engine has room for, because weights are
            compared between texts that have grown together.

    Raises:
        ConfigurationError: the engine does not decode token by token, or has no room for one answer's particles.
    """
    if config.particles > max_batch_rows:
        raise ConfigurationError(
            f"alignment.particles is {config.particles}, but only {max_batch_rows} rows are decoded at once; take fewer"
            " particles, or raise max_batch_rows"
        )
    everything = [
        _Asked(request=request, seeds=Seeds.of(request), sampler=sampler)
        for request, sampler in zip(requests, samplers, strict=True)
    ]
    with engine.session() as opened:
        _Loop(token_session(opened, config.method), config, max_batch_rows).run(everything)
    return [_answers(asked) for asked in everything]


class _Loop:
    """Steps the systems of a session until every answer is found."""

    def __init__(self, session: TokenSession, config: AlignedSampling, max_batch_rows: int) -> None:
        self._session = session
        self._config = config
        self._max_batch_rows = max_batch_rows
        self._running: list[_Answer] = []

    def run(self, everything: Sequence[_Asked]) -> None:
        waiting = deque((asked, number) for asked in everything for number in range(asked.request.n))
        while waiting or self._running:
            rows = sum(len(answer.system.rows) for answer in self._running)
            while waiting and rows + self._config.particles <= self._max_batch_rows:
                self._running.append(self._begin(*waiting.popleft()))
                rows += self._config.particles
            self._step()

    def _begin(self, asked: _Asked, number: int) -> _Answer:
        seed = asked.seeds.named(f"answer {number} rows")
        request = replace(asked.request, n=self._config.particles, seed=seed, sampler=asked.sampler)
        asked.tries += self._config.particles
        return self._opened(asked, number, request, asked.sampler)

    def _opened(
        self, asked: _Asked, number: int, request: Request, sampler: AwrsSampler | None, *, is_fallback: bool = False
    ) -> _Answer:
        system = ParticleSystem(
            self._session,
            self._session.open(request),
            answer=number,
            seeds=asked.seeds,
            ess_threshold=self._config.ess_threshold,
            sampler=sampler,
        )
        return _Answer(asked=asked, number=number, system=system, is_fallback=is_fallback)

    def _step(self) -> None:
        """One token of every row, and what follows from it."""
        owners = {row: answer for answer in self._running for row in answer.system.rows}
        for answer in owners.values():
            answer.asked.model_calls += 1
        for row, generation in self._session.step():
            owners[row].system.end(row, generation)
        going: list[_Answer] = []
        for answer in self._running:
            answer.system.resample()
            following = answer if answer.system.rows else self._found(answer)
            if following is not None:
                going.append(following)
        self._running = going

    def _found(self, answer: _Answer) -> _Answer | None:
        """Records an answer all of whose texts have ended; the masked sample that is taken where all were given up."""
        asked, system = answer.asked, answer.system
        if not answer.is_fallback:
            asked.log_evidence.append(system.log_evidence)
            asked.sizes.append(system.effective_sample_size)
            if system.is_rejected:
                asked.fallbacks += 1
                asked.tries += 1
                plain = one_row(asked.request, seed=asked.seeds.named(f"answer {answer.number} fallback"))
                return self._opened(asked, answer.number, plain, None, is_fallback=True)
        asked.found[answer.number] = system.choice()
        return None


def _answers(asked: _Asked) -> AlignedAnswers:
    return AlignedAnswers(
        generations=tuple(asked.found[number] for number in range(asked.request.n)),
        tries=asked.tries,
        fallbacks=asked.fallbacks,
        model_calls=asked.model_calls,
        log_evidence=log_mean(asked.log_evidence),
        effective_sample_size=sum(asked.sizes) / len(asked.sizes),
    )
