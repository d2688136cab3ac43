"""Positions of the labels of a chart's lines: each beside its own line, clear of all others."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import inf

_CHARACTER_PX, _HEIGHT_PX = 9.6, 16.0  # as wide and high as letters are on a phone
_LEVEL_LEFT_PX, _LEVEL_AWAY_PX = 4.0, 4.0
_AWAY_PX = 5.0
_STEP_PX = 8.0
_EDGE_PX = 3.0
_CLEAR_PX = 30.0  # other lines farther away than this do not matter
_BESIDE = (0.6, 0.2)  # shares of a label's width that its line should, and must, run beside

Point = tuple[float, float]


@dataclass(frozen=True)
class DrawnLine:
    """A line as it is drawn: its name, and its runs of points (x, y), in pixels. One without a name
    is only to be kept clear of.
    """

    name: str
    runs: tuple[tuple[Point, ...], ...]


@dataclass(frozen=True)
class LineLabel:
    """A label, and where x is on its baseline: ``middle``, ``start`` or ``end``."""

    text: str
    x: float
    y: float
    anchor: str = "middle"


@dataclass(frozen=True)
class _Box:
    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: "_Box") -> bool:
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )


def level_label(
    text: str, height: float, lines: Sequence[DrawnLine], size: tuple[float, float]
) -> LineLabel:
    """The label of a level at this height of a plot: above it at its left end; at its right end, or
    below it, where lines would run through it.
    """
    above, below = height - _LEVEL_AWAY_PX, height + _HEIGHT_PX - _LEVEL_AWAY_PX
    ends = {"start": _LEVEL_LEFT_PX, "end": size[0] - _LEVEL_LEFT_PX}
    places = [LineLabel(text, x, y, anchor) for y in (above, below) for anchor, x in ends.items()]
    runs = [run for line in lines for run in line.runs]

    def is_free(label: LineLabel) -> bool:
        box = _box(label)
        inside = box.top >= 0 and box.bottom <= size[1]
        return inside and not any(_distance(run, box) <= 0 for run in runs)

    return next((label for label in places if is_free(label)), places[0])


def line_labels(
    lines: Sequence[DrawnLine],
    size: tuple[float, float],
    levels: Sequence[LineLabel] = (),
    across: Sequence[float] = (),
) -> list[LineLabel]:
    """The labels of lines in a plot of this width and height, each where its line is farthest from
    the others, and as far right as that allows. A line without room for a label has none, and is
    named by the legend. Labels keep clear of those of ``levels`` and, where they can, of straight
    lines ``across`` the plot at these heights.
    """
    placed: list[tuple[LineLabel, _Box]] = []
    for line in (line for line in lines if line.name):
        taken = [box for _, box in placed] + [_box(level) for level in levels]
        others = [run for other in lines if other is not line for run in other.runs]
        free = [
            (label, box)
            for label, box in _candidates(line, size)
            if not any(box.overlaps(other) for other in taken)
            and not any(_distance(run, box) <= 0 for run in (*line.runs, *others))
        ]
        if free:
            placed.append(max(free, key=partial(_merit, line, others, across)))
    return [label for label, _ in placed]


def _box(level: LineLabel) -> _Box:
    """The place of a level's label."""
    width = len(level.text) * _CHARACTER_PX
    left = level.x if level.anchor == "start" else level.x - width
    return _Box(left, level.y - _HEIGHT_PX + _LEVEL_AWAY_PX, left + width, level.y + 3)


def _merit(
    line: DrawnLine,
    others: Sequence[Sequence[Point]],
    across: Sequence[float],
    place: tuple[LineLabel, _Box],
) -> tuple[bool, bool, float, float]:
    """The quality of a place: beside its line, not on a straight line, far from the others, and far
    to the right.
    """
    label, box = place
    distance_px = min([_distance(run, box) for run in others], default=_CLEAR_PX)
    beside = _beside(line, box.left, box.right) >= _BESIDE[0] * (box.right - box.left)
    is_free = not any(box.top < height < box.bottom for height in across)
    return beside, is_free, min(distance_px, _CLEAR_PX), label.x


def _candidates(line: DrawnLine, size: tuple[float, float]) -> list[tuple[LineLabel, _Box]]:
    """Places just above and just below a line, inside the plot."""
    width, height = len(line.name) * _CHARACTER_PX, _HEIGHT_PX
    placed: list[tuple[LineLabel, _Box]] = []
    for step in range(int((size[0] - width - 2 * _EDGE_PX) / _STEP_PX) + 1):
        left = size[0] - _EDGE_PX - width - step * _STEP_PX
        heights = [y for run in line.runs for y in _heights(run, left, left + width)]
        if not heights or _beside(line, left, left + width) < _BESIDE[1] * width:
            continue
        for bottom in (min(heights) - _AWAY_PX, max(heights) + _AWAY_PX + height):
            box = _Box(left, bottom - height, left + width, bottom)
            if box.top >= 0 and box.bottom <= size[1]:
                placed.append((LineLabel(line.name, left + width / 2, bottom - 3.5), box))
    return placed


def _beside(line: DrawnLine, left: float, right: float) -> float:
    """The share of the distance between two places over which the line is drawn."""
    return sum(max(0.0, min(run[-1][0], right) - max(run[0][0], left)) for run in line.runs)


def _heights(run: Sequence[Point], left: float, right: float) -> list[float]:
    """The heights of a run between two places, including those at the places."""
    inside = [y for x, y in run if left <= x <= right]
    at_ends = [_at(run, x) for x in (left, right)]
    return inside + [y for y in at_ends if y is not None]


def _at(run: Sequence[Point], x: float) -> float | None:
    """The height of a run at x; None outside it."""
    for (x1, y1), (x2, y2) in pairwise(run):
        if x1 <= x <= x2 and x2 > x1:
            return y1 + (y2 - y1) * (x - x1) / (x2 - x1)
    return None


def _distance(run: Sequence[Point], box: _Box) -> float:
    """The distance at which a run passes above or below a box: 0 if it crosses the box, infinite if
    it is not above or below it.
    """
    heights = _heights(run, box.left, box.right)
    if not heights:
        return inf
    return max(0.0, min(heights) - box.bottom, box.top - max(heights))
