"""Which tokens of a rollout an advantage belongs to: branches of a tree, and what came before the plan was done."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A stretch of a completion between two points at which its group's tree can fork."""

    node: int
    """Its number in the group: rollouts that share it share all tokens up to its end."""
    start: int
    """Where it begins in the completion, in tokens; it ends where the next one of the path begins."""
    samples: int = 1
    """How many samples merged into it, because the environment answered them alike; itself included."""
