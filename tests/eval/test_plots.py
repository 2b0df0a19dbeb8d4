"""Pictures: drawn for any names and numbers, families of decodings joined, labels readable."""

from pathlib import Path

import pytest
from evaluations import HOSTILE, record, summed_up
from matplotlib import pyplot
from matplotlib.text import Annotation, Text

from decoding.rollout import Ledger
from eval.plot_labels import place_labels, shortened
from eval.plots import families, save_metrics, save_plots


def test_decodings_that_differ_by_their_last_number_are_a_family_in_its_order() -> None:
    names = ["greedy", "best_of_16", "vote", "best_of_4", "best_of_8x", "vote_2", "7"]
    assert families(dict.fromkeys(names)) == [
        ["greedy"],
        ["best_of_4", "best_of_16"],
        ["vote", "vote_2"],
        ["best_of_8x"],
        ["7"],
    ]


def test_a_metric_that_was_never_judged_does_not_spoil_the_picture(tmp_path: Path) -> None:
    evaluation = summed_up(record(decoding="a"), record(decoding="b", metrics={"valid": None, "content": 0.5}))
    save_metrics(tmp_path / "metrics.png", evaluation.measurements)
    assert (tmp_path / "metrics.png").read_bytes().startswith(b"\x89PNG")


def test_only_what_there_is_is_drawn(tmp_path: Path) -> None:
    flawless = summed_up(record(error=None), ledger=Ledger())
    assert list(save_plots(tmp_path, flawless.measurements)) == ["metrics.png"]
    unjudged = summed_up(record(metrics={"valid": None}, unjudged="deadline", error=None))
    assert list(save_plots(tmp_path, unjudged.measurements)) == ["metrics.png", "failures.png"]


@pytest.mark.filterwarnings("error")
def test_names_are_plain_text_whatever_they_hold() -> None:
    figure, axes = pyplot.subplots()
    names = [shortened(text) for text in [*HOSTILE, "$x^{$", "$a$", "_hidden"] if text.strip() and "\u202e" not in text]
    axes.set_xticks(range(len(names)), names)
    figure.canvas.draw()
    pyplot.close(figure)
    assert all(len(name) <= 34 for name in names) and not shortened("_hidden").startswith("_")


def test_labels_of_thirteen_decodings_keep_off_each_other() -> None:
    figure, axes = pyplot.subplots(figsize=(8.4, 5.4))
    axes.set_xscale("log")
    places = {f"self_consistency_{number}": (100.0 * 1.3**number, 0.5 + 0.01 * (number % 3)) for number in range(13)}
    axes.plot(*zip(*places.values(), strict=True))
    axes.set_ylim(0, 1)
    place_labels(axes, places)
    figure.canvas.draw()
    extents = [Text.get_window_extent(child) for child in axes.get_children() if isinstance(child, Annotation)]
    pyplot.close(figure)
    assert len(extents) == 13
    overlapping = [
        (one, other) for place, one in enumerate(extents) for other in extents[:place] if one.overlaps(other)
    ]
    assert not overlapping
