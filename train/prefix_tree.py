"""The layout of a micro-batch as prefix trees: what rows have in common is one path, and is computed once.

A tree is a trie of token rows, written out in depth-first order, so that the tokens of a chain lie side by side. A
token sees its ancestors: token j is an ancestor of token i, or i itself, exactly if ``j <= i < end[j]``, where
``end[j]`` is the place after the subtree of j. A token's depth is its position id. Rows of different prompts lie in
different trees, and the trees of a micro-batch are the batch dimension of one forward, padded on the right.

Rows are sorted, and neighbours in that order share the longest prefixes; so a tree can also be cut between two rows,
where what attention costs, which grows with the square of a tree's size, outweighs what sharing saves.

Not covered: the forward itself (train/tree_forward.py); prefixes that different prompts have in common.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One row of a micro-batch, without padding."""

    tokens: IntArray
    """(L,) prompt, then completion."""
    prompt_length: int
    """Of them, those of the prompt. At least 1: the first completion token is predicted from the last one."""

    def __post_init__(self) -> None:
        if not 1 <= self.prompt_length <= len(self.tokens):
            raise ValueError(
                f"a row needs a prompt of 1 to {len(self.tokens)} of its tokens, got one of {self.prompt_length}"
            )


@dataclass(frozen=True, kw_only=True)
class Forest:
    """The T trees of a micro-batch of B rows, each of at most N tokens, of which S are scored.

    A token stands for the pair of its text before it and itself, so each is scored once, whatever rows it is in.
    Places in the flattened (T * N,) trees are called nodes.
    """

    tokens: IntArray
    """(T, N) token ids; 0 in the padding."""
    depths: IntArray
    """(T, N) position ids: the number of ancestors of each token; 0 in the padding."""
    ends: IntArray
    """(T, N) the place in its tree after each token's subtree. A token of the padding has itself only."""
    predecessors: IntArray
    """(S,) the node from which each scored token is predicted: its parent."""
    labels: IntArray
    """(S,) the ids of the scored tokens."""
    slots: IntArray
    """(B, C) which of the scored tokens stands at a row's completion position; S where there is none."""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """Rows of one prompt in sorted order, with what each has in common with the one before it."""

    rows: Sequence[Row]
    places: Sequence[int]
    """Of each row, its number in the micro-batch."""
    shared: Sequence[int]
    """Of each row, the length of the prefix that the row before it has too; 0 for the first."""

    @property
    def size(self) -> int:
        """The number of tokens in the tree."""
        return sum(len(row.tokens) for row in self.rows) - sum(self.shared)


def plant(rows: Sequence[Row]) -> list[Tree]:
    """One tree for each prompt of the rows, in the order in which the prompts first appear."""
    # The bytes of big-endian numbers sort as the numbers do, and Python compares them at the speed of memcmp.
    texts = [row.tokens.astype(">u4").tobytes() for row in rows]
    prompts = [text[: 4 * row.prompt_length] for text, row in zip(texts, rows, strict=True)]
    first: dict[bytes, int] = {}
    for place, prompt in enumerate(prompts):
        first.setdefault(prompt, place)
    order = sorted(range(len(rows)), key=lambda place: (first[prompts[place]], texts[place]))
    trees = []
    for _, group in groupby(order, key=lambda place: first[prompts[place]]):
        places = list(group)
        members = [rows[place] for place in places]
        shared = [0, *(_common(one.tokens, other.tokens) for one, other in zip(members, members[1:], strict=False))]
        trees.append(Tree(rows=members, places=places, shared=shared))
    return trees


def cut(trees: Sequence[Tree], size: int) -> list[Tree]:
    """The trees, cut between rows so that none is larger than ``size`` tokens, unless a single row is."""
    pieces = []
    for tree in trees:
        start, total = 0, 0
        for index, (row, shared) in enumerate(zip(tree.rows, tree.shared, strict=True)):
            if index > start and total + len(row.tokens) - shared > size:
                pieces.append(_piece(tree, start, index))
                start, total = index, len(row.tokens)
            else:
                total += len(row.tokens) - (shared if index > start else 0)
        pieces.append(_piece(tree, start, len(tree.rows)))
    return pieces


def cheapest(
    trees: Sequence[Tree], width: int, *, skips: bool = False, most_pairs: int | None = None
) -> list[Tree] | None:
    """The trees, cut into sizes that make the forward cheapest, by ``forward_cost``.

    Args:
        trees: those of a micro-batch.
        width: the model's hidden size.
        skips: whether attention leaves out pairs that are not seen; then only the tokens are counted.
        most_pairs: the most elements of a mask over all trees, padded; None: any number.

    Returns:
        None where the mask is too large even with every row a tree of its own.
    """
    longest = max(len(row.tokens) for tree in trees for row in tree.rows)
    beyond = max(tree.size for tree in trees) - longest
    # Trees smaller than the longest row would be padded to it, so sizes close in on that, by halves.
    sizes = [longest + (beyond >> step) for step in range(1, beyond.bit_length() + 1)]
    candidates = [list(trees), *(cut(trees, size) for size in sizes)]
    shapes = [(len(pieces), max(piece.size for piece in pieces)) for pieces in candidates]
    costs = [
        (forward_cost(count, length, width, seen=0 if skips else 1), index)  # of equals the first: fewer pieces
        for index, (count, length) in enumerate(shapes)
        if most_pairs is None or count * length**2 <= most_pairs
    ]
    return candidates[min(costs)[1]] if costs else None


def forward_cost(count: int, length: int, width: int, *, seen: float = 1) -> float:
    """What a transformer computes in a forward, in units of ``4 * width`` operations a layer.

    ``count * length * (6 * width + seen * length)``: its layers hold about ``12 * width ** 2`` weights, each used twice
    a token, and its attention costs ``4 * width`` a pair of tokens (Kaplan et al. 2020, "Scaling Laws for Neural
    Language Models", appendix on compute).

    Args:
        count: the texts or trees of a batch,
        length: padded to so many tokens.
        width: the model's hidden size.
        seen: the share of pairs that attention computes: 1 under a mask, 1/2 where it knows that it is causal.
    """
    return count * length * (6 * width + seen * length)


def pack(trees: Sequence[Tree], completion_width: int) -> Forest:
    """Writes trees out as arrays.

    Args:
        trees: those of a micro-batch; their rows together are all of its rows.
        completion_width: C, the completion positions of a row that are reported.
    """
    widest = max(tree.size for tree in trees)
    tokens = np.zeros((len(trees), widest), dtype=np.int64)
    depths = np.zeros_like(tokens)
    ends = np.tile(np.arange(1, widest + 1), (len(trees), 1))
    parents = np.zeros(tokens.size, dtype=np.int64)
    nodes = np.full((sum(len(tree.rows) for tree in trees), completion_width), -1)
    for number, tree in enumerate(trees):
        starts = _starts(tree)
        longest = max(len(row.tokens) for row in tree.rows)
        path = np.zeros(longest, dtype=np.int64)  # the nodes of the current row, by depth; the row before's, until set
        for row, place, shared, start in zip(tree.rows, tree.places, tree.shared, starts, strict=False):
            length = len(row.tokens)
            new = slice(start, start + length - shared)
            tokens[number, new] = row.tokens[shared:]
            depths[number, new] = np.arange(shared, length)
            path[shared:length] = np.arange(new.start, new.stop) + number * widest
            own = path[max(shared, 1) : length]
            parents[own] = path[max(shared, 1) - 1 : length - 1]
            completion = path[row.prompt_length : length]
            nodes[place, : len(completion)] = completion
        _close(tree, starts, ends[number], longest)
    scored = np.zeros(tokens.size + 1, dtype=bool)
    scored[nodes] = True
    scored[-1] = False  # where the -1 of "no token" has written
    which = np.flatnonzero(scored)
    numbers = np.full(scored.size, len(which))
    numbers[which] = np.arange(len(which))
    return Forest(
        tokens=tokens,
        depths=depths,
        ends=ends,
        predecessors=parents[which],
        labels=tokens.reshape(-1)[which],
        slots=numbers[nodes],
    )


def _piece(tree: Tree, start: int, stop: int) -> Tree:
    return Tree(rows=tree.rows[start:stop], places=tree.places[start:stop], shared=[0, *tree.shared[start + 1 : stop]])


def _common(one: IntArray, other: IntArray) -> int:
    """The length of the longest common prefix."""
    shortest = min(len(one), len(other))
    differs = one[:shortest] != other[:shortest]
    return int(differs.argmax()) if differs.any() else shortest


def _starts(tree: Tree) -> list[int]:
    """Of each row, the place in its tree of the first token that is its own; and the tree's size."""
    own = [len(row.tokens) - shared for row, shared in zip(tree.rows, tree.shared, strict=True)]
    return [0, *np.cumsum(own).tolist()]


def _close(tree: Tree, starts: Sequence[int], ends: IntArray, longest: int) -> None:
    """Fills in where the subtree of each token ends: at the next row that leaves the path at its depth or before."""
    leaves = np.full(longest, starts[-1])
    for row, shared, start in reversed(list(zip(tree.rows, tree.shared, starts, strict=False))):
        length = len(row.tokens)
        ends[start : start + length - shared] = leaves[shared:length]
        leaves[shared:] = start
