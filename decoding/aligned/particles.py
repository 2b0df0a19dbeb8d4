"""One answer of sequential Monte Carlo: K texts that are written together, weighted, and resampled on the way.

The proposal is the masked distribution, so a text's weight is prod_t Z_t over its tokens, whatever their number: texts
that have ended keep theirs. The mean weight is an unbiased estimate of p(L) at any time (Del Moral 2004).
"""

from dataclasses import dataclass
from random import Random

from decoding.aligned.awrs import AwrsSampler
from decoding.aligned.requests import Seeds, log_weight_of
from decoding.aligned.weights import choose, effective_sample_size, log_mean, systematic_counts
from decoding.engine import Generation
from decoding.session import TokenSession


@dataclass(frozen=True, kw_only=True)
class Particle:
    """A text and its weight."""

    row: int | None
    """In the session; None: it has ended."""
    generation: Generation | None = None
    log_offset: float = 0.0
    """log of its weight, without what its row has gathered."""


class ParticleSystem:
    """The particles of one answer. It opens no rows, but forks and closes those that it was given."""

    def __init__(
        self,
        session: TokenSession,
        rows: tuple[int, ...],
        *,
        answer: int,
        seeds: Seeds,
        ess_threshold: float,
        sampler: AwrsSampler | None = None,
    ) -> None:
        """
        Args:
            session: in which the rows are.
            rows: at the start of their turn; one for each particle.
            answer: the number of this answer to its request.
            seeds: of the request.
            ess_threshold: resampling takes place below this share of the particles.
            sampler: has drawn the rows' tokens, and weighs them too.
        """
        self._session = session
        self._particles = [Particle(row=row) for row in rows]
        self._answer = answer
        self._seeds = seeds
        self._random: Random = seeds.random(f"answer {answer}")
        self._ess_threshold = ess_threshold
        self._sampler = sampler
        self._forks = 0

    @property
    def rows(self) -> list[int]:
        """The rows that are still written."""
        return [particle.row for particle in self._particles if particle.row is not None]

    @property
    def log_weights(self) -> list[float]:
        """Of each particle, as far as it is known."""
        return [self._log_weight(particle) for particle in self._particles]

    @property
    def log_evidence(self) -> float:
        """log of the estimate of p(L)."""
        return log_mean(self.log_weights)

    @property
    def effective_sample_size(self) -> float:
        """From 1 to K; 0 where no particle has any weight."""
        return effective_sample_size(self.log_weights)

    @property
    def is_rejected(self) -> bool:
        """Every text was given up."""
        return all(one.generation is not None and one.generation.finish == "rejected" for one in self._particles)

    def end(self, row: int, generation: Generation) -> None:
        """A row's text is over; the row is closed."""
        place = next(place for place, particle in enumerate(self._particles) if particle.row == row)
        checked = 0.0 if self._sampler is None else self._sampler.log_weight(row)
        log_weight = self._particles[place].log_offset + log_weight_of(generation) + checked
        self._particles[place] = Particle(row=None, generation=generation, log_offset=log_weight)
        self._close(row)

    def resample(self) -> None:
        """Replaces light particles by copies of heavy ones, where few carry the weight."""
        if not self.rows:
            return
        log_weights = self.log_weights
        size = effective_sample_size(log_weights)
        # With no weight anywhere there is nothing to choose by.
        if size == 0 or size >= self._ess_threshold * len(log_weights):
            return
        counts = systematic_counts(log_weights, self._random)
        pairs = list(zip(self._particles, counts, strict=True))
        # First of all, so that copies find room.
        for particle, count in pairs:
            if particle.row is not None and count == 0:
                self._close(particle.row)
        log_weight = log_mean(log_weights)
        self._particles = [
            self._copy(particle, number, log_weight) for particle, count in pairs for number in range(count)
        ]

    def choice(self) -> Generation:
        """One of the texts, all of which have ended, by weight."""
        chosen = self._particles[choose(self.log_weights, self._random)].generation
        assert chosen is not None
        return chosen

    def _copy(self, particle: Particle, number: int, log_weight: float) -> Particle:
        """The ``number``-th of a particle's copies, the first being itself, with a new weight."""
        if particle.row is None:
            return Particle(row=None, generation=particle.generation, log_offset=log_weight)
        log_offset = log_weight - self._row_log_weight(particle.row)
        return Particle(row=self._fork(particle.row) if number else particle.row, log_offset=log_offset)

    def _fork(self, row: int) -> int:
        new = self._session.fork(row, seed=self._seeds.named(f"answer {self._answer} fork {self._forks}"))
        self._forks += 1
        if self._sampler is not None:
            self._sampler.fork(row, new)
        return new

    def _close(self, row: int) -> None:
        self._session.close(row)
        if self._sampler is not None:
            self._sampler.end(row)

    def _log_weight(self, particle: Particle) -> float:
        return particle.log_offset + (0.0 if particle.row is None else self._row_log_weight(particle.row))

    def _row_log_weight(self, row: int) -> float:
        checked = 0.0 if self._sampler is None else self._sampler.log_weight(row)
        return self._session.log_weight(row) + checked
