"""A Fourier shell correlation as a figure."""

import math
from collections.abc import Mapping, Sequence

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from restore.maps.fsc import FSC
from restore.report.figures import resolution_axis
from restore.report.palette import SERIES

_THRESHOLDS = (0.5, 0.143)
_LOOKS = {  # distinguishable by colour-blind readers (Okabe & Ito), and by their dashes
    "unmasked": (SERIES[6], "-", 1.2),
    "masked": (SERIES[5], "-", 1.6),
    "randomised": (SERIES[1], "--", 1.2),
    "corrected": (SERIES[0], "-", 2.0),
}
_ROOM = 0.7  # share of the axis: the label of a dot farther right is on its left
_NAMES = {"randomised": "masked, phases random"}


def fsc_figure(fsc: FSC, title: str) -> Figure:
    """All curves against spatial frequency, both thresholds, and the resolutions at which the best
    curve crosses them.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    draw_fsc(axes, fsc)
    axes.set_title(title, fontsize=10)
    return figure


def draw_fsc(axes: Axes, fsc: FSC) -> None:
    """Draw the same into existing axes."""
    frequency = fsc.frequency_per_A.numpy()
    for name, curve in fsc.curves.items():
        colour, dashes, width = _LOOKS[name]
        axes.plot(
            frequency,
            curve.numpy(),
            label=_NAMES.get(name, name),
            color=colour,
            linestyle=dashes,
            linewidth=width,
        )
    for threshold in _THRESHOLDS:
        _mark(axes, fsc, threshold)
    _dress(axes, fsc.frequency_per_A, list(fsc.curves.values()))


def map_model_figure(curves: Mapping[str, FSC], title: str) -> Figure:
    """The FSC of one or several maps with a model, under the mask if there is one, and the
    resolutions at which it crosses 0.5.

    The curves without the mask are drawn thinner and dashed beside those under it.
    """
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.axhline(0.5, color="black", linewidth=0.6, linestyle=":")
    end = max(
        (fsc.frequency_per_A for fsc in curves.values()), key=lambda frequency: float(frequency[-1])
    )
    for index, (name, fsc) in enumerate(curves.items()):
        colour, frequency = SERIES[index % len(SERIES)], fsc.frequency_per_A.numpy()
        curve = fsc.unmasked if fsc.masked is None else fsc.masked
        crossing_A = fsc.crossing_A(curve, 0.5)
        label = f"{name}: {_said(crossing_A)}"
        axes.plot(frequency, curve.numpy(), color=colour, linewidth=2, label=label)
        if fsc.masked is not None:
            axes.plot(
                frequency,
                fsc.unmasked.numpy(),
                "--",
                color=colour,
                linewidth=1,
                label="    without the mask",
            )
        if crossing_A is not None and math.isfinite(crossing_A):
            axes.plot([1 / crossing_A], [0.5], "o", color=colour, markersize=5)
    drawn = [curve for fsc in curves.values() for curve in fsc.curves.values()]
    _dress(axes, end, drawn)
    axes.set_title(title, fontsize=10)
    return figure


def _said(crossing_A: float | None) -> str:
    if crossing_A is None:
        return "never below 0.5"
    return (
        ("below 0.5 in the first shell") if math.isinf(crossing_A) else f"{crossing_A:.2f} Å at 0.5"
    )


def _mark(axes: Axes, fsc: FSC, threshold: float) -> None:
    """Draw a threshold's line, and a labelled dot where the best curve falls under it."""
    axes.axhline(threshold, color="black", linewidth=0.6, linestyle=":")
    crossing_A = fsc.crossing_A(fsc.best, threshold)
    if crossing_A is None or math.isinf(crossing_A):
        axes.annotate(
            f"{threshold:g}", (0, threshold), (3, 2), textcoords="offset points", fontsize=8
        )
        return
    axes.plot([1 / crossing_A], [threshold], "o", color="black", markersize=4)
    words = f"{crossing_A:.2f} Å at {threshold:g}"
    side, offset = (
        ("left", (5, 4))
        if 1 / crossing_A < _ROOM * float(fsc.frequency_per_A[-1])
        else ("right", (-5, -12))
    )
    place = (1 / crossing_A, threshold)
    axes.annotate(
        words, place, offset, textcoords="offset points", fontsize=9, horizontalalignment=side
    )


def _dress(
    axes: Axes, frequency_per_A: Float[Tensor, "shells"], curves: Sequence[Float[Tensor, "shells"]]
) -> None:
    end = float(frequency_per_A[-1])
    resolution_axis(axes, end)
    axes.set_ylim(min(-0.05, *(float(curve.min()) - 0.02 for curve in curves)), 1.02)
    axes.axhline(0, color="black", linewidth=0.5)
    axes.set_ylabel("correlation")
    axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
