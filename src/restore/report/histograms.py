"""Histograms of a quantity over particles; nothing is computed here but bins."""

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure

from restore.report.palette import SERIES

_BAND = "#dddddd"
_BINS = 60
_HEADROOM = 1.4  # of the highest bin: the legend stands above the bars
_FINEST = 0.01  # equal files differ only by rounding, which is not worth drawing
_SHOWN_PERCENT = 98.0  # otherwise a few outliers would press all others into one bin


def histogram(
    values: Float[np.ndarray, "n"],
    median: float,
    quartiles: tuple[float, float],
    words: tuple[str, str],
    unit: str,
) -> Figure:
    """The histogram of non-negative values, with median and quartiles marked; ``words`` are the
    title and the name of the quantity.

    The axis ends where 2 % of the values lie beyond it, and the figure states their number; it ends
    at 1 if all are below 0.01.
    """
    title, quantity = words
    ends = (float(np.percentile(values, _SHOWN_PERCENT)), float(values.max()))
    end = next((end for end in ends if end >= _FINEST), 1.0)
    beyond = int((values > end).sum())
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    counts, _, _ = axes.hist(values[values <= end], bins=_BINS, range=(0, end), color=SERIES[0])
    axes.axvspan(
        *quartiles,
        ymax=1 / _HEADROOM,
        zorder=0,
        color=_BAND,
        linewidth=0,
        label=f"interquartile range: {quartiles[0]:.2f} to {quartiles[1]:.2f}{unit}",
    )
    axes.axvline(
        median, 0, 1 / _HEADROOM, color=SERIES[1], linewidth=2, label=f"median: {median:.2f}{unit}"
    )
    axes.plot([], [], " ", label=f"{beyond} of {len(values)} beyond {end:.2f}{unit}")
    axes.set_xlim(0, end)
    axes.set_ylim(0, _HEADROOM * np.max(counts))
    axes.set_xlabel(quantity)
    axes.set_ylabel("particles")
    axes.set_title(title, fontsize=9, loc="left")
    axes.legend(frameon=False, loc="upper right")
    axes.spines[["top", "right"]].set_visible(False)
    return figure
