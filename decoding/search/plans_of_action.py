"""Plans that a model makes before it answers: which of several are worth being carried out.

Each way to choose is a function from plans, each with how many it stands for, to those that are chosen, with the votes
that their answers will have.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from random import Random

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform

from decoding.search.state import State

_WORD = re.compile(r"\w+")


@dataclass(frozen=True, kw_only=True)
class PlanOfAction:
    """A plan in words."""

    text: str
    votes: int = 1
    """How many plans it stands for."""
    state: State | None = None
    """The episode in which it was written, up to its end; None: it was written outside of any."""

    @property
    def words(self) -> tuple[str, ...]:
        """In order, without regard to case."""
        return tuple(_WORD.findall(self.text.casefold()))


def merged(plans: Sequence[PlanOfAction]) -> list[PlanOfAction]:
    """Plans of the same words as one, in the order in which they were found."""
    groups: dict[tuple[str, ...], PlanOfAction] = {}
    for plan in plans:
        known = groups.get(plan.words)
        groups[plan.words] = plan if known is None else replace(known, votes=known.votes + plan.votes)
    return list(groups.values())


def at_random(plans: Sequence[PlanOfAction], most: int, random: Random) -> list[PlanOfAction]:
    """``most`` of the plans, in their order."""
    chosen = set(random.sample(range(len(plans)), min(most, len(plans))))
    return [plan for place, plan in enumerate(plans) if place in chosen]


def clustered(plans: Sequence[PlanOfAction], most: int) -> list[PlanOfAction]:
    """The medoids of at most ``most`` clusters of plans, the largest cluster first; each has the votes of its cluster.

    Plans are as far apart as their sets of words, by Jaccard's distance 1 - |A and B| / |A or B|; clusters are those of
    average linkage. No model reads the plans: two of the same meaning in other words are apart. E2C clusters embeddings
    instead.
    """
    distances = _distances(plans)
    clusters = np.ones(len(plans), dtype=int)
    if len(plans) > 1:
        clusters = fcluster(linkage(squareform(distances), method="average"), t=most, criterion="maxclust")
    medoids = []
    for cluster in dict.fromkeys(clusters.tolist()):
        members = np.flatnonzero(clusters == cluster).tolist()
        weights = np.array([plans[member].votes for member in members])
        spread = distances[np.ix_(members, members)] @ weights
        medoid = plans[members[int(spread.argmin())]]
        medoids.append(replace(medoid, votes=int(weights.sum())))
    return sorted(medoids, key=lambda plan: -plan.votes)


def closest(plans: Sequence[PlanOfAction], said: str, most: int) -> list[PlanOfAction]:
    """The ``most`` plans that a text repeats most of, the closest first; equally close ones in their order.

    A plan is as close as the share of its words that are in the text in their order: the length of their longest common
    subsequence over that of the plan.
    """
    words = PlanOfAction(text=said).words

    def share(plan: PlanOfAction) -> float:
        return common_subsequence(plan.words, words) / max(1, len(plan.words))

    return sorted(plans, key=lambda plan: -share(plan))[:most]


def common_subsequence(one: Sequence[str], other: Sequence[str]) -> int:
    """The length of the longest common subsequence of two texts, in words; takes len(one) * len(other) steps."""
    row = [0] * (len(other) + 1)
    for word in one:
        before = 0
        for place, against in enumerate(other, start=1):
            kept = row[place]
            row[place] = before + 1 if word == against else max(row[place], row[place - 1])
            before = kept
    return row[-1]


def _distances(plans: Sequence[PlanOfAction]) -> np.ndarray:
    """(P, P) distances between the sets of words."""
    sets = [set(plan.words) for plan in plans]
    distances = np.zeros((len(plans), len(plans)))
    for one in range(len(plans)):
        for other in range(one):
            every = sets[one] | sets[other]
            apart = 1 - len(sets[one] & sets[other]) / len(every) if every else 0.0
            distances[one, other] = distances[other, one] = apart
    return distances
