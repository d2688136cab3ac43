"""A Fourier shell correlation as a figure."""

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from restore.evaluation.fsc import FSC
from restore.report.axes import Axis, resolution_ticks

_THRESHOLDS = (0.5, 0.143)
_LOOKS = {  # told apart by colour-blind readers (Okabe & Ito), and by their dashes
    "unmasked": ("#777777", "-", 1.2),
    "masked": ("#56b4e9", "-", 1.6),
    "randomised": ("#d55e00", "--", 1.2),
    "corrected": ("#0072b2", "-", 2.0),
}
_NAMES = {"randomised": "masked, phases random"}


def fsc_figure(fsc: FSC, title: str) -> Figure:
    """All curves against spatial frequency, both thresholds, and where the best curve crosses them, in Å."""
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    frequency = fsc.frequency_per_A.numpy()
    for name, curve in fsc.curves.items():
        colour, dashes, width = _LOOKS[name]
        axes.plot(
            frequency, curve.numpy(), label=_NAMES.get(name, name), color=colour, linestyle=dashes, linewidth=width
        )
    for threshold in _THRESHOLDS:
        _mark(axes, fsc, threshold)
    _dress(axes, fsc, title)
    return figure


def _mark(axes: Axes, fsc: FSC, threshold: float) -> None:
    """A threshold's line, and a named dot where the best curve falls under it."""
    axes.axhline(threshold, color="black", linewidth=0.6, linestyle=":")
    crossing_A = fsc.crossing_A(fsc.best, threshold)
    if crossing_A is None or math.isinf(crossing_A):
        axes.annotate(f"{threshold:g}", (0, threshold), (3, 2), textcoords="offset points", fontsize=8)
        return
    axes.plot([1 / crossing_A], [threshold], "o", color="black", markersize=4)
    words = f"{crossing_A:.2f} Å at {threshold:g}"
    axes.annotate(words, (1 / crossing_A, threshold), (5, 4), textcoords="offset points", fontsize=9)


def _dress(axes: Axes, fsc: FSC, title: str) -> None:
    end = float(fsc.frequency_per_A[-1])
    ticks = resolution_ticks(Axis(0, end), 0.06)
    axes.set_xticks([place for place, _ in ticks], [name for _, name in ticks])
    axes.set_xlim(0, end)
    axes.set_ylim(min(-0.05, *(float(curve.min()) - 0.02 for curve in fsc.curves.values())), 1.02)
    axes.axhline(0, color="black", linewidth=0.5)
    axes.set_xlabel("resolution, Å")
    axes.set_ylabel("correlation")
    axes.set_title(title, fontsize=10)
    axes.legend(frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
