"""Text in pictures: names of any length and content, beside their points and not on each other."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.text import Annotation, Text
from matplotlib.transforms import Bbox

from eval.markdown_text import printable

LONGEST_NAME = 32
# In points from the labelled point, tried in this order.
PLACES = [(8 * side, 12 * row) for row in (0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, -6, 7, -7) for side in (1, -1)]


def shortened(name: str) -> str:
    """A name that fits a picture, and that matplotlib takes as plain text."""
    shown = printable(" ".join(name.split()))
    shown = shown if len(shown) <= LONGEST_NAME else shown[: LONGEST_NAME - 1] + "…"
    # A dollar sign opens mathematics, and a leading underscore hides an entry of a legend.
    return (" " if shown.startswith("_") else "") + shown.replace("$", r"\$")


def place_labels(axes: Axes, places: Mapping[str, tuple[float, float]]) -> None:
    """Writes each name beside its point (x, y, in data coordinates), away from other names and points."""
    axes.figure.canvas.draw()  # fixes where data coordinates lie
    renderer = axes.figure.canvas.get_renderer()  # type: ignore[attr-defined]
    points = {name: _around(axes, place) for name, place in places.items()}
    labels: list[Bbox] = []
    inside = axes.get_window_extent()
    for name, place in sorted(places.items(), key=lambda entry: entry[1]):
        others = [*labels, *(box for other, box in points.items() if other != name)]
        label = axes.annotate(
            shortened(name),
            place,
            xytext=PLACES[0],
            textcoords="offset points",
            va="center",
            fontsize=8,
            bbox={"boxstyle": "square,pad=0.05", "color": "white", "alpha": 0.75},
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": "0.5", "shrinkA": 0, "shrinkB": 3},
        )
        best, least = PLACES[0], float("inf")
        for offset in PLACES:
            _move(label, offset)
            label.update_positions(renderer)
            extent = Text.get_window_extent(label)  # an annotation's own one includes its line
            hidden = sum(_overlap(extent, other) for other in others)
            outside = extent.width * extent.height - _overlap(extent, inside)
            if hidden + outside < least - 0.5:
                best, least = offset, hidden + outside
            if least < 0.5:
                break
        _move(label, best)
        label.update_positions(renderer)
        labels.append(Text.get_window_extent(label))


def _move(label: Annotation, offset: tuple[int, int]) -> None:
    label.set_position(offset)
    label.set_horizontalalignment("left" if offset[0] > 0 else "right")


def _around(axes: Axes, place: tuple[float, float]) -> Bbox:
    """The pixels of a point's marker."""
    x, y = axes.transData.transform(place)
    return Bbox.from_extents(x - 5, y - 5, x + 5, y + 5)


def _overlap(first: Bbox, second: Bbox) -> float:
    """The area that two boxes share, in pixels."""
    shared = Bbox.intersection(first, second)
    return 0.0 if shared is None else shared.width * shared.height
