"""A chart as SVG: lines with the bands of their intervals. Colours, dashes and sizes are in the
style sheet.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby, repeat

from restore.quantities import Curve, Values
from restore.report.axes import (
    TICKS_APART,
    Axis,
    linear_axis,
    logarithmic_axis,
    resolution_ticks,
    widened,
)
from restore.report.line_labels import DrawnLine, LineLabel, level_label, line_labels

WIDTH, HEIGHT = 480, 300
LEFT, RIGHT, TOP, BOTTOM = 54, 10, 12, 42
PLOT_WIDTH, PLOT_HEIGHT = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
_SIZE = (PLOT_WIDTH, PLOT_HEIGHT)
_OUTSIDE_PX = 4000.0  # far beyond the plot, which is clipped
_SPARE = 1.15


@dataclass(frozen=True)
class Line:
    """One curve of a chart; ``look`` is the class in the style sheet for its colour and dashes.

    With ``dots`` its values are separate measurements with intervals, and are not joined.
    """

    label: str
    look: str
    curve: Curve
    dots: bool = False


@dataclass(frozen=True)
class Level:
    """A value of y that is marked across a chart; by default it is labelled with the value."""

    value: float
    words: str = ""


@dataclass(frozen=True)
class Chart:
    """Lines over a common x: spatial frequencies in 1/Å, or something counted, as ``x_label`` says.

    ``limits`` bound a linear y axis; ``logarithmic`` has gaps where a value is not positive.
    ``levels`` are marked across the chart; a linear axis without limits holds them, and spans at
    least ``least_span``. In the readings of a pointer, ``x_reading`` is the text for an x that is
    counted, with # in its place. ``blank`` marks the x values without information, which are
    shaded.
    """

    title: str
    words: str
    x: tuple[float, ...]
    lines: tuple[Line, ...]
    logarithmic: bool = False
    limits: tuple[float, float] | None = None
    x_label: str = "resolution, Å"
    x_logarithmic: bool = False
    x_reading: str = "step #"
    levels: tuple[Level, ...] = ()
    least_span: float = 0.0
    blank: tuple[bool, ...] = ()

    @property
    def over_frequency(self) -> bool:
        """Whether x is a spatial frequency, named by its resolution."""
        return self.x_label.startswith("resolution")


def y_axis(chart: Chart) -> Axis:
    """The y axis for the chart's lines."""
    values = [value for line in chart.lines for value in line.curve.value if value is not None]
    ends = [
        end
        for line in chart.lines
        for end in (*line.curve.low, *line.curve.high)
        if end is not None
    ]
    if chart.logarithmic:
        return logarithmic_axis(values)
    if chart.limits is None:
        values += [level.value for level in chart.levels]
    return widened(linear_axis(values, ends, chart.limits), chart.least_span)


def x_axis(chart: Chart) -> Axis:
    """The x axis: frequencies start at zero, counts at the first value."""
    if chart.x_logarithmic:
        return Axis(min(chart.x) / _SPARE, max(chart.x) * _SPARE, logarithmic=True)
    low = 0.0 if chart.over_frequency else min(chart.x)
    high = max(chart.x)
    return Axis(low, high if high > low else low + 1)


def svg(chart: Chart) -> str:
    """The chart as SVG, with lines drawn over bands, and clipped at the plot's edges."""
    across, up = x_axis(chart), y_axis(chart)
    bands = "".join(_band(line, chart.x, across, up) for line in chart.lines)
    lines = "".join(_line(line, chart.x, across, up) for line in chart.lines)
    zero = _height(up, 0.0) if not up.logarithmic and up.low < 0 < up.high else None
    base = f'<path class="zero" d="M0 {zero:.1f}H{PLOT_WIDTH}"/>' if zero is not None else ""
    shades = "".join(_shade(indices, chart.x, across) for indices in _blanks(chart))
    drawn = [_drawn(line, chart.x, across, up) for line in chart.lines]
    levels = [_level_label(level, up, drawn) for level in chart.levels]
    base += "".join(map(_level, chart.levels, levels, repeat(up)))
    heights = [_height(up, level.value) for level in chart.levels]
    heights += [] if zero is None else [zero]
    labels = line_labels(drawn, _SIZE, levels, heights) if len(chart.lines) > 1 else []
    names = "".join(_name(label) for label in labels)
    return (
        f'<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" tabindex="0"'
        f' aria-label="{escape(_description(chart))}">'
        f"{_grid(chart, across, up)}"
        f'<svg x="{LEFT}" y="{TOP}" width="{PLOT_WIDTH}" '
        f'height="{PLOT_HEIGHT}">{shades}{base}{bands}{lines}{names}</svg></svg>'
    )


def swatch(look: str, dots: bool = False) -> str:
    """A short piece of the line, or a dot, for a legend."""
    drawn = (
        f'<path class="line dots {look}" d="M14 5h0"/>'
        if dots
        else f'<path class="line {look}" d="M0 5H28"/>'
    )
    return f'<svg class="swatch" viewBox="0 0 28 10" aria-hidden="true">{drawn}</svg>'


def is_cut_off(chart: Chart) -> bool:
    """Whether values lie beyond the chart's y axis, including those that are not positive on a
    logarithmic one.
    """
    up = y_axis(chart)
    values = [value for line in chart.lines for value in line.curve.value if value is not None]
    return any(value < up.low or value > up.high for value in values)


def _description(chart: Chart) -> str:
    drawn = ", ".join(line.label for line in chart.lines)
    return f"{chart.title}, against {chart.x_label}: {drawn}. Arrow keys read the values."


def _height(up: Axis, value: float) -> float:
    """Pixels below the plot's upper edge."""
    if up.logarithmic and value <= 0:
        return _OUTSIDE_PX
    return min(max((1 - up.place(value)) * PLOT_HEIGHT, -_OUTSIDE_PX), _OUTSIDE_PX)


def _blanks(chart: Chart) -> list[list[int]]:
    """The ranges of x values without information."""
    return _runs(tuple(0.0 if blank else None for blank in chart.blank))


def _shade(indices: Sequence[int], x: Sequence[float], across: Axis) -> str:
    """A range of x values as a shaded area that reaches halfway to its neighbours."""
    first, last = indices[0], indices[-1]
    left = (x[first] + x[max(first - 1, 0)]) / 2
    right = (x[last] + x[min(last + 1, len(x) - 1)]) / 2
    begin, end = (PLOT_WIDTH * across.place(value) for value in (left, right))
    return (
        f'<rect class="blank" x="{begin:.1f}" y="0" width="{end - begin:.1f}" '
        f'height="{PLOT_HEIGHT}"/>'
    )


def _name(label: LineLabel) -> str:
    return f'<text class="label" x="{label.x:.1f}" y="{label.y:.1f}">{escape(label.text)}</text>'


def _level_label(level: Level, up: Axis, lines: Sequence[DrawnLine]) -> LineLabel:
    words = level.words or f"{level.value:g}"
    return level_label(words, _height(up, level.value), lines, _SIZE)


def _level(level: Level, label: LineLabel, up: Axis) -> str:
    """A value of y marked across the chart, with its label."""
    return (
        f'<path class="level" d="M0 {_height(up, level.value):.1f}H{PLOT_WIDTH}"/>'
        f'<text class="level {label.anchor}" x="{label.x:g}" y="{label.y:.1f}">'
        f"{escape(label.text)}</text>"
    )


def _line(line: Line, x: Sequence[float], across: Axis, up: Axis) -> str:
    drawn = _known(line.curve, up)
    if line.dots:
        points = [
            f"M{across.place(x[i]) * PLOT_WIDTH:.1f} {_height(up, drawn[i] or 0.0):.1f}h0"
            for i in _there(drawn)
        ]
        return f'<path class="line dots {line.look}" d="{"".join(points)}"/>' if points else ""
    pieces: list[str] = []
    for run in _drawn(line, x, across, up).runs:
        points = [f"{place:.1f} {height:.1f}" for place, height in run]
        pieces.append(
            "M" + "L".join(points if len(points) > 1 else points * 2)
        )  # round caps make a dot of one point
    return f'<path class="line {line.look}" d="{"".join(pieces)}"/>' if pieces else ""


def _drawn(line: Line, x: Sequence[float], across: Axis, up: Axis) -> DrawnLine:
    """The line's points in pixels, in the runs in which they are joined; dots have no name."""
    known = _known(line.curve, up)
    runs = (
        tuple((across.place(x[i]) * PLOT_WIDTH, _height(up, known[i] or 0.0)) for i in run)
        for run in _runs(known)
    )
    return DrawnLine("" if line.dots else line.label, tuple(runs))


def _known(curve: Curve, up: Axis) -> Values:
    """The values to draw, without those that the axis cannot show and those too uncertain to have
    an interval when others have one.
    """
    without = all(end is None for end in curve.low)
    return tuple(
        None
        if value is None or (up.logarithmic and value <= 0) or (low is None and not without)
        else value
        for value, low in zip(curve.value, curve.low, strict=True)
    )


def _band(line: Line, x: Sequence[float], across: Axis, up: Axis) -> str:
    """The area between the ends; on a logarithmic axis it reaches the floor where the low end is
    not positive.
    """
    curve = line.curve
    shown = tuple(
        None if low is None or high is None or (up.logarithmic and high <= 0) else low
        for low, high in zip(curve.low, curve.high, strict=True)
    )
    if line.dots:
        heights = (
            (i, *(_height(up, ends[i] or 0.0) for ends in (curve.low, curve.high)))
            for i in _there(shown)
        )
        ends = [
            f"M{across.place(x[i]) * PLOT_WIDTH:.1f} {low:.1f}V{high:.1f}"
            for i, low, high in heights
        ]
        return f'<path class="ends {line.look}" d="{"".join(ends)}"/>' if ends else ""
    pieces: list[str] = []
    for run in _runs(shown):
        places = [across.place(x[i]) * PLOT_WIDTH for i in run]
        above = [
            f"{place:.1f} {_height(up, curve.high[i] or 0.0):.1f}"
            for place, i in zip(places, run, strict=True)
        ]
        below = [
            f"{place:.1f} {_height(up, curve.low[i] or 0.0):.1f}"
            for place, i in zip(places, run, strict=True)
        ]
        pieces.append(f"M{'L'.join(above + below[::-1])}Z")
    return f'<path class="band {line.look}" d="{"".join(pieces)}"/>' if pieces else ""


def _there(values: Values) -> list[int]:
    """The indices of the values that exist."""
    return [index for index, value in enumerate(values) if value is not None]


def _runs(values: Values) -> list[list[int]]:
    """The runs of consecutive indices with values."""
    grouped = groupby(range(len(values)), key=lambda i: values[i] is not None)
    return [list(indices) for there, indices in grouped if there]


def _grid(chart: Chart, across: Axis, up: Axis) -> str:
    drawn: list[str] = []
    for value, name in up.ticks():
        y = TOP + _height(up, value)
        drawn.append(f'<path class="grid" d="M{LEFT} {y:.1f}h{PLOT_WIDTH}"/>')
        drawn.append(f'<text class="y" x="{LEFT - 8}" y="{y + 4:.1f}">{name}</text>')
    for value, name in (
        resolution_ticks(across, TICKS_APART) if chart.over_frequency else across.ticks()
    ):
        x = LEFT + across.place(value) * PLOT_WIDTH
        drawn.append(f'<path class="tick" d="M{x:.1f} {TOP + PLOT_HEIGHT}v4"/>')
        drawn.append(f'<text class="x" x="{x:.1f}" y="{TOP + PLOT_HEIGHT + 18}">{name}</text>')
    drawn.append(f'<path class="axis" d="M{LEFT} {TOP + PLOT_HEIGHT}h{PLOT_WIDTH}"/>')
    drawn.append(
        f'<text class="name" x="{WIDTH - RIGHT}" y="{HEIGHT - 4}">{escape(chart.x_label)}</text>'
    )
    return "".join(drawn)
