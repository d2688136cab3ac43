"""Figures of results; nothing is computed here."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from restore.io.atomic import replacing
from restore.report.axes import TICKS_APART, Axis, resolution_ticks
from restore.report.palette import DENOISED, LABELS, NOTHING, RAW, SERIES, WIENER

_LOSSES = (
    ("train_loss", RAW, "-"),
    ("held_out_loss", DENOISED, "-"),
    ("perfect_loss", NOTHING, "--"),
    ("wiener_loss", WIENER, "--"),
)


def losses(history: Sequence[Mapping[str, float]]) -> Figure:
    """The losses of each epoch: training, validation, the noise floor, and the Wiener filter's.

    The last two are drawn as levels across the figure; a single epoch is drawn as a mark.
    """
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for key, colour, dashes in _LOSSES:
        rows = [row for row in history if key in row]
        if not rows:
            continue
        steps, values = [row["step"] for row in rows], [row[key] for row in rows]
        if dashes == "--" and len(rows) == 1:
            line = axes.axhline(values[0])
        else:
            (line,) = axes.plot(steps, values)
            line.set_marker("o" if len(rows) == 1 else "." if key == "held_out_loss" else "")
        line.set(color=colour.light, linestyle=dashes, label=LABELS[key])
    axes.set_xlabel("training step")
    axes.set_ylabel("mean squared difference\nfrom the other half")
    if len(history) == 1:
        axes.set_xticks([history[0]["step"]])
    axes.legend(frameon=False)
    return figure


def ring_curves(
    frequency_per_A: Float[Tensor, "rings"],
    curves: Mapping[str, Float[Tensor, "rings"]],
    title: str = "",
) -> Figure:
    """Correlations from 0 to 1 against spatial frequency, with resolutions as labels of the axis.

    The first curve is of raw images, the second of denoised ones; others have colours of their own.
    """
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    colours = (RAW.light, DENOISED.light, *SERIES[1:])
    for (name, values), colour in zip(curves.items(), colours, strict=False):
        axes.plot(frequency_per_A.numpy(), values.numpy(), label=name, color=colour)
    resolution_axis(axes, float(frequency_per_A[-1]))
    axes.set_ylabel("ring correlation")
    axes.set_title(title, fontsize=9, loc="left")
    axes.set_ylim(min(-0.02, axes.get_ylim()[0]), 1)
    axes.axhline(0, color="black", linewidth=0.5)
    axes.legend(frameon=False)
    return figure


def resolution_axis(axes: Axes, end_per_A: float) -> None:
    """Make an axis of spatial frequency from zero to ``end_per_A`` (1/Å) with ticks
    labelled in Å.
    """
    ticks = resolution_ticks(Axis(0, end_per_A), TICKS_APART)
    axes.set_xticks([place for place, _ in ticks], [name for _, name in ticks])
    axes.set_xlim(0, end_per_A)
    axes.set_xlabel("resolution, Å")


def save_png(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Write the figure as a PNG, under a temporary name that is then renamed."""
    FigureCanvasAgg(figure)
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=dpi)
