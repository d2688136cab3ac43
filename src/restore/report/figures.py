"""A result becomes a figure; nothing is computed here but grey levels."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn.functional import interpolate

from restore.io.atomic import replacing

_PANEL_INCHES = 4.0
_BLUE, _ORANGE, _GREY = "#0072b2", "#d55e00", "#777777"  # told apart by colour-blind readers (Okabe & Ito)


@dataclass(frozen=True)
class Panel:
    """An image to show, with its title and its pixel size in Å."""

    title: str
    image: Float[Tensor, "y x"]
    pixel_size_A: float


def side_by_side(panels: Sequence[Panel]) -> Figure:
    """The images beside each other, each in its own grey range (2 % clipped at either end), with a scale bar."""
    height, width = panels[0].image.shape
    figure = Figure(figsize=(_PANEL_INCHES * len(panels), _PANEL_INCHES * height / width + 0.35), layout="constrained")
    for axes, panel in zip(np.atleast_1d(figure.subplots(1, len(panels))), panels, strict=True):
        _show(axes, panel)
    return figure


def _show(axes: Axes, panel: Panel) -> None:
    shown = _shrunk(panel.image, 1200)
    low, high = (float(edge) for edge in np.percentile(shown.numpy(), [2, 98]))
    axes.imshow(shown.numpy(), cmap="gray", vmin=low, vmax=high, interpolation="antialiased")
    axes.set_title(panel.title, fontsize=10)
    axes.set_axis_off()
    extent_A = panel.image.shape[1] * panel.pixel_size_A
    bar_A = _round_length(extent_A / 5)
    start, y, length = shown.shape[1] * 0.04, shown.shape[0] * 0.95, shown.shape[1] * bar_A / extent_A
    axes.plot([start, start + length], [y, y], color="white", linewidth=4, solid_capstyle="butt")
    axes.plot([start, start + length], [y, y], color="black", linewidth=2, solid_capstyle="butt")
    words = f"{bar_A / 10:g} nm"
    axes.text(
        start + length / 2,
        y - shown.shape[0] * 0.015,
        words,
        ha="center",
        va="bottom",
        fontsize=8,
        color="white",
        bbox={"facecolor": "black", "alpha": 0.5, "pad": 1, "linewidth": 0},
    )


def _shrunk(image: Float[Tensor, "y x"], longest_px: int) -> Float[Tensor, "y x"]:
    """The image averaged down until its longer side is at most ``longest_px`` pixels."""
    factor = max(image.shape) / longest_px
    if factor <= 1:
        return image
    size = [round(side / factor) for side in image.shape]
    return interpolate(image[None, None], size=size, mode="area")[0, 0]


def _round_length(length_A: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not longer."""
    power = 10.0 ** np.floor(np.log10(length_A))
    return float(max(step * power for step in (1, 2, 5) if step * power <= length_A))


def losses(history: Sequence[Mapping[str, float]]) -> Figure:
    """The training and held-out losses of each epoch, and what a perfect denoiser would have."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    steps = [row["step"] for row in history]
    axes.plot(steps, [row["train_loss"] for row in history], color=_GREY, label="training")
    if all("held_out_loss" in row for row in history):
        axes.plot(steps, [row["held_out_loss"] for row in history], color=_BLUE, marker=".", label="held out")
        axes.plot(
            steps, [row["perfect_loss"] for row in history], color=_ORANGE, linestyle="--", label="a perfect denoiser"
        )
    axes.set_xlabel("step")
    axes.set_ylabel("loss against the other half")
    axes.legend(frameon=False)
    return figure


def ring_curves(frequency_per_A: Float[Tensor, "rings"], curves: Mapping[str, Float[Tensor, "rings"]]) -> Figure:
    """Correlations from 0 to 1 against spatial frequency, with resolutions named along the axis."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for (name, values), colour in zip(curves.items(), (_GREY, _BLUE, _ORANGE, "#009e73"), strict=False):
        axes.plot(frequency_per_A.numpy(), values.numpy(), label=name, color=colour)
    resolution_axis(axes, float(frequency_per_A[-1]))
    axes.set_ylabel("ring correlation")
    axes.set_ylim(min(-0.02, axes.get_ylim()[0]), 1)
    axes.axhline(0, color="black", linewidth=0.5)
    axes.legend(frameon=False)
    return figure


def resolution_axis(axes: Axes, end_per_A: float) -> None:
    """An axis of spatial frequency from zero to ``end_per_A`` (1/Å) whose ticks are named in Å."""
    ticks = [length_A for length_A in (100, 50, 30, 20, 15, 12, 9, 7, 6, 5, 4, 3, 2.5, 2) if 1 / length_A <= end_per_A]
    axes.set_xticks([1 / length_A for length_A in ticks], [f"{length_A:g}" for length_A in ticks])
    axes.set_xlabel("resolution, Å")


def save_png(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Write the figure as a PNG, beside and renamed."""
    FigureCanvasAgg(figure)
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=dpi)
