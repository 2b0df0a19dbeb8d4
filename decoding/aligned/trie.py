"""What is known of one prompt's continuations: an upper bound of c(s) = P(y in L | prefix s) for each prefix visited.

A node is a prefix at which a token has been drawn. Its bound is theta(s) = sum over allowed tokens v of
p(v|s) theta(s.v), where theta of a prefix that no draw has reached is 1 (ASAp, Park et al. 2024, arXiv 2405.21047).
So all that a node keeps of its V probabilities are those of its visited children, and the sum of the other allowed
ones. Nodes never change: a new text makes a new root that shares what is not on its path, and whoever holds the old
root goes on with what was known then.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """A prefix at which a token has been drawn."""

    children: Mapping[int, "Edge"]
    """By token: allowed continuations at which a token has been drawn too."""
    log_rest: float
    """log of the summed probability of the other allowed tokens."""
    log_theta: float = field(init=False)
    """log of the bound of c(s)."""

    def __post_init__(self) -> None:
        terms = [self.log_rest, *(edge.log_p + edge.node.log_theta for edge in self.children.values())]
        object.__setattr__(self, "log_theta", _log_sum(terms))


@dataclass(frozen=True, kw_only=True, slots=True)
class Edge:
    """The way to a child."""

    log_p: float
    """log p(token | prefix)."""
    node: Node


@dataclass(frozen=True, kw_only=True, slots=True)
class Visit:
    """A draw at a prefix: what has to be known of its distribution."""

    token: int
    """The token that was drawn."""
    log_p: float
    """log p of it."""
    is_allowed: bool
    """The mask allows it."""
    known: frozenset[int]
    """The children that the prefix had then."""
    log_others: float
    """log of the summed probability of the allowed tokens that are neither ``known`` nor ``token``."""
    others: int
    """How many these are."""


def with_text(root: Node | None, visits: Sequence[Visit], *, most_new: int) -> tuple[Node | None, int]:
    """A trie that has also seen one text, and how many nodes it has more.

    Args:
        root: the trie so far; None: nothing has been seen.
        visits: of the text, from its first token on; all but the last drew an allowed one.
        most_new: prefixes beyond so many new ones are not kept. The bound of those before them stays an upper one.
    """
    on_path: list[Node | None] = []
    node = root
    for visit in visits:
        on_path.append(node)
        edge = None if node is None else node.children.get(visit.token)
        node = None if edge is None else edge.node
    # Nothing is known beyond a prefix that is not.
    new = min(most_new, sum(node is None for node in on_path))
    kept = sum(node is not None for node in on_path) + new
    made: Node | None = None
    for place in reversed(range(kept)):
        made = _updated(on_path[place], visits[place], made)
    return (made if kept else root), new


def _updated(node: Node | None, visit: Visit, child: Node | None) -> Node:
    """``node`` after a draw at it."""
    before = {} if node is None else dict(node.children)
    children = dict(before)
    if child is not None:
        children[visit.token] = Edge(log_p=visit.log_p, node=child)
    summed_out = visit.known | {visit.token}
    log_rest, count = visit.log_others, visit.others
    if visit.token not in children and visit.token not in visit.known and visit.is_allowed:
        log_rest, count = _log_sum([log_rest, visit.log_p]), count + 1
    # Children that other texts have brought since the draw are still in the sum.
    for token in children.keys() - summed_out:
        log_rest, count = _log_difference(log_rest, children[token].log_p), count - 1
    return Node(children=children, log_rest=log_rest if count > 0 else -math.inf)


def _log_sum(terms: Sequence[float]) -> float:
    largest = max(terms)
    if largest == -math.inf:
        return -math.inf
    return largest + math.log(math.fsum(math.exp(term - largest) for term in terms))


def _log_difference(larger: float, smaller: float) -> float:
    """log(exp(larger) - exp(smaller)); -inf where rounding leaves nothing."""
    return larger + math.log1p(-math.exp(smaller - larger)) if smaller < larger else -math.inf
