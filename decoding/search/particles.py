"""Particle filtering: partial answers that are resampled after each step by how promising they are.

After arXiv 2502.01618 and its authors' code (its_hub, ``particle_gibbs``): every round, each particle that goes on
takes one step and gets the weight w_i = logit(r_i) of its score r_i, clipped to [1e-7, 1 - 1e-7]; finished particles
keep theirs; then n particles are drawn from softmax(w) with replacement. It ends when all are finished.

Ours: systematic resampling as the default (the same expectation, less variance); no resampling once all are finished,
so that the particle with the highest weight cannot be lost; a state without a score keeps its parent's weight; what the
budget has no step for leaves the population, and so does what the token budget of its episode cut off.
Not covered: the particle Gibbs sampler, which repeats the filter with retained particles.
"""

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any, Literal

from decoding.search.options import require_choice, require_count, require_pauses
from decoding.search.plan import Plan, drop, expand
from decoding.search.scorers.registry import make_scorer
from decoding.search.selection import best, is_cut_off
from decoding.search.state import State
from decoding.search.strategy import Candidate, Problem, Selection
from decoding.seeds import derived_seed
from decoding.steps import Steps
from envs.environment import Environment

CLIP = 1e-7
UNSCORED = 0.0
"""The weight before anything was scored: that of r = 0.5."""
RESAMPLINGS = ("systematic", "multinomial")
SELECTIONS = ("argmax", "sample")


@dataclass(frozen=True, kw_only=True)
class ParticleFilter:
    """A population of partial answers.

    Raises:
        ConfigurationError: an option has no meaning.
    """

    particles: int
    """Size of the population, n."""
    scorer: Any
    """A ``Scorer``, or what a configuration names one by (``make_scorer``)."""
    step: Steps = Steps()
    """What a particle writes in a round."""
    resampling: Literal["systematic", "multinomial"] = "systematic"
    """How n are drawn: by n evenly spaced points with one random offset, or independently, as in the paper."""
    select: Literal["argmax", "sample"] = "argmax"
    """Which finished particle is the answer: the one with the highest score, or one drawn from softmax(w)."""

    def __post_init__(self) -> None:
        require_count("particles", "particles", self.particles)
        require_choice("particles", "resampling", self.resampling, RESAMPLINGS)
        require_choice("particles", "select", self.select, SELECTIONS)
        object.__setattr__(self, "scorer", make_scorer(self.scorer))

    def steps(self, environment: Environment[Any]) -> Steps:
        """As configured.

        Raises:
            ConfigurationError: a step would be a whole answer.
        """
        return require_pauses("particles", self.step, environment)

    def search(self, problem: Problem) -> Plan[Selection | None]:
        """Steps, weighs and resamples until all particles are finished or the budget is at its end."""
        random = Random(derived_seed(problem.seed, "particles"))
        population = [_Particle(state=replace(problem.root, quota=self.particles), weight=UNSCORED, score=None)]
        ended: list[_Particle] = []
        stuck: list[_Particle] = []
        while going := [particle for particle in population if not particle.state.is_final]:
            widths = [particle.state.quota for particle in going]
            children = yield from expand([particle.state for particle in going], width=widths, until="step")
            scores: list[float | None] = (yield from self.scorer.score(problem, children)) if children else []
            # What the budget has no step for has come as far as it can.
            continued = {id(child.parent) for child in children}
            left = [one for one in going if id(one.state) not in continued and one.state.parent is not None]
            stuck += left
            stepped = _stepped(going, children, scores)
            ended += [one for one in stepped if one.state.is_final]
            population = [one for one in population if one.state.is_final]
            population += [one for one in stepped if not is_cut_off(one.state)]
            if not all(particle.state.is_final for particle in population):
                population = self._resampled(population, random)
            drawn = {id(one.state.episode) for one in population}
            undrawn = [one for one in stepped if not one.state.is_final and id(one.state.episode) not in drawn]
            yield from drop([one.state for one in (*left, *undrawn)])
        complete = [one for one in ended if not is_cut_off(one.state)]
        return self._selection(population or complete or ended or stuck, random)

    def _resampled(self, population: Sequence["_Particle"], random: Random) -> list["_Particle"]:
        """n particles drawn with replacement: a state that is drawn c times has the quota c."""
        odds = [particle.state.quota * math.exp(particle.weight) for particle in population]
        draw = systematic if self.resampling == "systematic" else multinomial
        counts = draw(odds, self.particles, random)
        return [
            replace(particle, state=replace(particle.state, quota=count))
            for particle, count in zip(population, counts, strict=True)
            if count
        ]

    def _selection(self, population: Sequence["_Particle"], random: Random) -> Selection | None:
        """Of the last population, or where the budget has ended all that went on of what was there before."""
        if not population:
            return None
        candidates = tuple(Candidate(state=particle.state, score=particle.score) for particle in population)
        if self.select == "argmax":
            return Selection(chosen=best(candidates).state, candidates=candidates)
        odds = [particle.state.quota * math.exp(particle.weight) for particle in population]
        (chosen,) = random.choices(population, weights=odds)
        return Selection(chosen=chosen.state, candidates=candidates)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Particle:
    """As many equal particles as the state's quota says."""

    state: State
    weight: float
    """w, of its last step that was scored."""
    score: float | None
    """r of its last step."""


def logit(score: float) -> float:
    """log(r / (1 - r)) of a score, clipped so that it is finite."""
    clipped = min(max(score, CLIP), 1 - CLIP)
    return math.log(clipped / (1 - clipped))


def systematic(weights: Sequence[float], n: int, random: Random) -> list[int]:
    """How often each of several is drawn by the points (u + i) / n, u uniform, of the cumulative distribution."""
    offset = random.random()
    return _counts(weights, [(offset + place) / n for place in range(n)])


def multinomial(weights: Sequence[float], n: int, random: Random) -> list[int]:
    """How often each of several is drawn by n independent draws."""
    return _counts(weights, [random.random() for _ in range(n)])


def _counts(weights: Sequence[float], points: Sequence[float]) -> list[int]:
    cumulative = list(itertools.accumulate(weights))
    counts = [0] * len(weights)
    for point in points:
        # Rounding may bring a point to the very end, which belongs to the last weight.
        counts[min(bisect.bisect_right(cumulative, point * cumulative[-1]), len(weights) - 1)] += 1
    return counts


def _stepped(
    parents: Sequence[_Particle], children: Sequence[State], scores: Sequence[float | None]
) -> list[_Particle]:
    """The children of particles, each a particle."""
    weights = {id(parent.state): parent.weight for parent in parents}
    return [
        _Particle(
            state=replace(child, quota=1),
            weight=weights[id(child.parent)] if score is None or math.isnan(score) else logit(score),
            score=score,
        )
        for child, score in zip(children, scores, strict=True)
    ]
