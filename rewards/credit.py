"""Which tokens of a rollout an advantage belongs to: branches of a tree, and what came before the plan was done.

Not covered: the advantage of whole rollouts against their group, which the trainer computes; tokens of observations,
which it masks.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise

EPSILON = 1e-4
"""Added to a standard deviation before it divides, as TRL does."""


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A stretch of a completion between two points at which its group's tree can fork."""

    node: int
    """Its number in the group: rollouts that share it share all tokens up to its end."""
    start: int
    """Where it begins in the completion, in tokens; it ends where the next one of the path begins."""
    samples: int = 1
    """How many samples merged into it, because the environment answered them alike; itself included."""


@dataclass(eq=False)
class _Node:
    """A branch with what hangs on it, or the root."""

    branch: Branch
    parent: "_Node | None"
    children: "list[_Node]" = field(default_factory=list)
    is_leaf: bool = False
    rewards: list[float] = field(default_factory=list)
    """Of the judged rollouts that end here."""
    value: float | None = None
    """V, once it is known; None where nothing below was judged."""
    advantage: float = 0.0
    """a: against its siblings."""


def sibling_advantages(
    paths: Sequence[Sequence[Branch]], rewards: Sequence[float | None], *, scales: bool
) -> list[tuple[float, ...]]:
    """The advantages of branches against their siblings, summed along each path.

    A child is a sample of the policy where its parent ends. With c(b) the samples that merged into branch b,
    siblings S(b) the children of its parent p(b), itself included, and sums over those that have a value:

        V(b) = mean of the rewards of the rollouts that end in b                 b is a leaf
             = sum_k c(k) V(k) / sum_k c(k)  over its children k                 otherwise
        a(b) = V(b) - V(p(b))                                                    without scaling
             = (V(b) - V(p(b))) / (sigma(S(b)) + 1e-4)                           with scaling
        sigma(S)^2 = sum_{k in S} c(k) (V(k) - V(p))^2 / (sum_{k in S} c(k) - 1)
        A(b) = a(b) + A(p(b)),  A(root) = 0

    A(b) belongs to every token of b. Merged samples count as if each were there by itself, in the mean and in the
    unbiased deviation. a is 0 for a branch without siblings.

    The definition is ours. Where every rollout is a branch by itself, it is GRPO's advantage, as TRL computes it for
    scale_rewards "group" and "none". Without scaling the sum telescopes to A(b) = V(b) - V(root), the global advantage
    of TreeRL (Hou et al. 2025, arXiv 2506.11902), whose reward of a step is

        (V(b) - V(root) + V(b) - V(p(b))) / sqrt(leaves below b)

    TreeRL's V is the mean over all leaves below b. Ours weights a fork by what was sampled there: how many leaves hang
    below a branch is the decoder's choice, and says nothing of the policy.

    Rollouts that could not be judged are as if they were not there: their rows are 0, also for the branches that they
    share, and no other row depends on them. A branch below which nothing was judged has no value.

    Args:
        paths: of each rollout of a group, its branches from the root to its leaf.
        rewards: of each rollout; None for one that could not be judged.
        scales: divide by the deviation of the siblings.

    Returns:
        For each rollout, A of each branch of its path.

    Raises:
        ValueError: the paths are not those of a tree, or not as many as the rewards.
    """
    if len(paths) != len(rewards):
        raise ValueError(f"got {len(paths)} paths and {len(rewards)} rewards; expected one reward for each path")
    root, nodes = _tree(paths, rewards)
    # Parents stand before their children: backwards, all children of a node have their value when it is its turn.
    for node in reversed([root, *nodes.values()]):
        _evaluate(node, scales=scales)
    return [
        (0.0,) * len(path) if reward is None else tuple(accumulate(nodes[branch.node].advantage for branch in path))
        for path, reward in zip(paths, rewards, strict=True)
    ]


def expand(path: Sequence[Branch], advantages: Sequence[float], length: int) -> list[float]:
    """The advantage of each token of a completion, from those of its branches.

    Args:
        path: the branches of the completion.
        advantages: one for each branch.
        length: of the completion, in tokens.

    Raises:
        ValueError: they do not fit together.
    """
    if len(path) != len(advantages):
        raise ValueError(f"got {len(path)} branches and {len(advantages)} advantages; expected one for each branch")
    _require_path(path)
    if length < path[-1].start:
        raise ValueError(f"a completion of {length} tokens has no branch that begins at token {path[-1].start}")
    ends = [*(branch.start for branch in path[1:]), length]
    return [value for branch, end, value in zip(path, ends, advantages, strict=True) for _ in range(end - branch.start)]


def segment_weights(length: int, plan_end: int | None, plan_weight: float) -> list[float]:
    """The factor on the advantage of each token: ``plan_weight`` for those of the plan, 1 for those after it.

    E2C (arXiv 2509.23946) weights what comes before the closing tag of its exploration, by lambda = 2 in its second
    stage. Its code also weights a whole completion without that tag; here one without a plan has no weights.

    Args:
        length: of the completion, in tokens.
        plan_end: the number of tokens up to the end of the plan; None for a completion without one.
        plan_weight: lambda.

    Raises:
        ValueError: ``plan_end`` lies outside of the completion.
    """
    end = 0 if plan_end is None else plan_end
    if not 0 <= end <= length:
        raise ValueError(f"plan_end is {plan_end} in a completion of {length} tokens; expected 0 to {length}")
    return [plan_weight] * end + [1.0] * (length - end)


def _require_path(path: Sequence[Branch]) -> None:
    starts = [branch.start for branch in path]
    if any(branch.samples < 1 for branch in path):
        raise ValueError(f"a branch has {min(branch.samples for branch in path)} samples; expected at least 1")
    if not path or starts[0] != 0 or any(later <= earlier for earlier, later in pairwise(starts)):
        raise ValueError(f"a path has branches that begin at the tokens {starts}; expected 0, then rising numbers")


def _tree(paths: Sequence[Sequence[Branch]], rewards: Sequence[float | None]) -> tuple[_Node, dict[int, _Node]]:
    """The root, and every other node by its number, parents before their children."""
    root = _Node(branch=Branch(node=-1, start=0), parent=None)
    nodes: dict[int, _Node] = {}
    for path, reward in zip(paths, rewards, strict=True):
        _require_path(path)
        parent = root
        for branch in path:
            node = nodes.setdefault(branch.node, _Node(branch=branch, parent=parent))
            if node.branch != branch or node.parent is not parent:
                raise ValueError(
                    f"two paths contradict each other about branch {branch.node}: {node.branch} after branch "
                    f"{node.parent.branch.node if node.parent else -1}, and {branch} after {parent.branch.node}"
                )
            if node not in parent.children:
                parent.children.append(node)
            parent = node
        parent.is_leaf = True
        if reward is not None:
            parent.rewards.append(reward)
    for number, node in nodes.items():
        if node.is_leaf and node.children:
            raise ValueError(f"branch {number} is a leaf of one path and has branches after it in another")
    return root, nodes


def _evaluate(node: _Node, *, scales: bool) -> None:
    """Sets the value of a node, and the advantages of its children, from the values of these."""
    if node.is_leaf:
        node.value = math.fsum(node.rewards) / len(node.rewards) if node.rewards else None
        return
    siblings = [(child, child.value, child.branch.samples) for child in node.children if child.value is not None]
    if not siblings:
        return
    samples = sum(count for _, _, count in siblings)
    node.value = mean = math.fsum(count * value for _, value, count in siblings) / samples
    if len(siblings) == 1:
        return
    squares = math.fsum(count * (value - mean) ** 2 for _, value, count in siblings)
    divisor = math.sqrt(squares / (samples - 1)) + EPSILON if scales else 1.0
    for child, value, _ in siblings:
        child.advantage = (value - mean) / divisor
