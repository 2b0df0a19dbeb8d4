"""Curves of rollouts that were held to a grammar: how much it holds them, and where it could not."""

from collections.abc import Callable, Sequence

from torch import Tensor

from decoding.rollout import Rollout
from train.grammar_objective import Importance

LogMetric = Callable[[str, float], None]


def log_grammars(first: Sequence[Rollout], trained: Sequence[Rollout], log_metric: LogMetric) -> None:
    """One call a rollout: TRL averages over calls, so that processes may have different numbers.

    ``grammar/masked``: the share of rollouts that a grammar held, at least in part; ``grammar/error``: where it could
    not, or only up to some token; ``grammar/lenient``: where a wider one did; ``grammar/closed``: of the masked ones,
    those whose structure was ended for them because the budget was spent.

    Args:
        first: as first sampled, which those are the shares of.
        trained: what is trained on, which the structure gaps are of (``log_gaps``), where the engine tells log Z.
        log_metric: keeps a value of a curve.
    """
    log_gaps(structure_gaps(trained), log_metric)
    for one in first:
        log_metric("grammar/masked", float(bool(one.grammars)))
        log_metric("grammar/error", float(one.grammar_error is not None))
        log_metric("grammar/lenient", float(one.grammar_lenient is not None))
        if one.grammars:
            # An observation is never the last thing said, so that the model's turn ended here and not by its own token.
            log_metric("grammar/closed", float(one.env_mask[-1] == 0))


def structure_gaps(rollouts: Sequence[Rollout], scored: Tensor | None = None) -> list[tuple[float, int]]:
    """Of masked rollouts -sum_t log Z_t, and over how many tokens. Its mean estimates KL(q||p), by how much the free
    policy lacks the structure: 0 where it would not leave the grammar by itself.

    Args:
        rollouts: B of them.
        scored: (B, C) log Z for those whose engine does not tell; without it, of those that tell.
    """
    told = [None if one.log_z is None else sum(one.log_z) for one in rollouts]
    sums = told if scored is None else [
        value if one is None else None for one, value in zip(told, scored.sum(dim=1).tolist(), strict=True)
    ]  # fmt: skip
    return [
        (-value, max(1, sum(span.end - span.start for span in one.grammars)))
        for value, one in zip(sums, rollouts, strict=True)
        if one.grammars and value is not None
    ]


def log_gaps(gaps: Sequence[tuple[float, int]], log_metric: LogMetric) -> None:
    """``grammar/structure_gap`` of a rollout, in nats; ``grammar/structure_gap_per_token``, that by its tokens.

    Args:
        gaps: of the rollouts that are trained on. Those that refilling replaced are not among them, for where the
            engine does not tell log Z they are not scored.
        log_metric: keeps a value of a curve.
    """
    for value, tokens in gaps:
        log_metric("grammar/structure_gap", value)
        log_metric("grammar/structure_gap_per_token", value / tokens)


def log_importance(rollouts: Sequence[Rollout], found: Importance, cap: float, log_metric: LogMetric) -> None:
    """How far the engine's policy is from the trainer's. Of each rollout, ``importance/difference``: the mean
    |log pi - log pi'| of its tokens; ``importance/truncated``: the share of them whose weight met the cap."""
    absolute = found.difference.abs().sum(dim=1).tolist()
    truncated = (found.difference.exp() > cap).sum(dim=1).tolist()
    for one, difference, count in zip(rollouts, absolute, truncated, strict=True):
        written = max(1, sum(one.env_mask))
        log_metric("importance/difference", difference / written)
        log_metric("importance/truncated", count / written)
