"""How many tasks are solved by any of k answers, for decodings that give several samples a task.

    pass@k = mean over tasks of 1 - C(n - c, k) / C(n, k),    c of the task's n samples right

Source: Chen et al. 2021, "Evaluating Large Language Models Trained on Code" (arXiv 2107.03374), equation 1, unbiased
for what k samples would solve. At k = n it is the share of tasks that any sample gets right, at k = 1 the mean over
samples. Not covered: metrics that are no rate, of which no value is "right".
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from math import comb

from eval.intervals import Estimate, estimate
from eval.markdown_text import Table, number
from eval.records import Record

PassAtK = Mapping[str, Mapping[int, Estimate]]
"""Metric -> k -> pass@k over tasks."""


def pass_probability(samples: int, right: int, k: int) -> float:
    """The probability that k of ``samples`` answers, drawn without replacement, hold one of the ``right`` ones.

    Raises:
        ValueError: k is not from 1 to ``samples``, or there are more right ones than samples.
    """
    if not 1 <= k <= samples or not 0 <= right <= samples:
        raise ValueError(f"pass@{k} of {right} right ones among {samples}; expected 1 <= k, right <= samples")
    # Of whole numbers, so that nothing overflows or is rounded before the end.
    return 1 - comb(samples - right, k) / comb(samples, k)


def pass_at_k(records: Sequence[Record]) -> PassAtK:
    """pass@k of one decoding, for k = 1, 2, 4, ... and its number of samples.

    Args:
        records: of one decoding. Unjudged samples are none of a task's n; a task with fewer than k judged ones is left
            out of pass@k.

    Returns:
        Only metrics whose every value is 0 or 1; empty for decodings of one sample a task.
    """
    most = max((record.sample for record in records), default=0) + 1
    if most == 1:
        return {}
    ks = [*(2**power for power in range((most - 1).bit_length())), most]
    found: dict[str, dict[int, Estimate]] = {}
    for metric in records[0].metrics:
        tasks: dict[str, list[float]] = defaultdict(list)
        for record in records:
            value = record.metrics[metric]
            if value is not None:
                tasks[record.task].append(value)
        if not all(value in (0, 1) for values in tasks.values() for value in values):
            continue
        for k in ks:
            shares = [
                pass_probability(len(values), int(sum(values)), k) for values in tasks.values() if len(values) >= k
            ]
            over_tasks = estimate(shares, is_proportion=k == most)
            if over_tasks is not None:
                found.setdefault(metric, {})[k] = over_tasks
    return found


def pass_at_k_table(measured: Mapping[str, PassAtK]) -> Table:
    """One row a decoding and metric, one column a k.

    Args:
        measured: decoding -> its pass@k.
    """
    ks = sorted({k for metrics in measured.values() for estimates in metrics.values() for k in estimates})
    rows = [
        [decoding, metric, *(_interval(estimates.get(k)) for k in ks)]
        for decoding, metrics in measured.items()
        for metric, estimates in metrics.items()
    ]
    return Table(
        title="pass@k",
        header=["decoding", "metric", *(f"k = {k}" for k in ks)],
        rows=rows,
        note="Share of tasks that any of k samples gets right (unbiased estimate; k = 1 is the mean over samples), over"
        " tasks with k judged samples.",
    )


def _interval(share: Estimate | None) -> str:
    return "-" if share is None else f"{number(share.mean)} [{number(share.low)}, {number(share.high)}]"
