"""A result becomes a figure; nothing is computed here."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from torch import Tensor

from restore.io.atomic import replacing

_BLUE, _ORANGE, _GREY = (
    "#0072b2",
    "#d55e00",
    "#777777",
)  # told apart by colour-blind readers (Okabe & Ito)


def losses(history: Sequence[Mapping[str, float]]) -> Figure:
    """The training and held-out losses of each epoch, and what a perfect denoiser would have."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    steps = [row["step"] for row in history]
    axes.plot(steps, [row["train_loss"] for row in history], color=_GREY, label="training")
    if all("held_out_loss" in row for row in history):
        axes.plot(
            steps,
            [row["held_out_loss"] for row in history],
            color=_BLUE,
            marker=".",
            label="held out",
        )
        axes.plot(
            steps,
            [row["perfect_loss"] for row in history],
            color=_ORANGE,
            linestyle="--",
            label="a perfect denoiser",
        )
    axes.set_xlabel("step")
    axes.set_ylabel("loss against the other half")
    axes.legend(frameon=False)
    return figure


def ring_curves(
    frequency_per_A: Float[Tensor, "rings"], curves: Mapping[str, Float[Tensor, "rings"]]
) -> Figure:
    """Correlations from 0 to 1 against spatial frequency, with resolutions named along the axis."""
    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for (name, values), colour in zip(
        curves.items(), (_GREY, _BLUE, _ORANGE, "#009e73"), strict=False
    ):
        axes.plot(frequency_per_A.numpy(), values.numpy(), label=name, color=colour)
    resolution_axis(axes, float(frequency_per_A[-1]))
    axes.set_ylabel("ring correlation")
    axes.set_ylim(min(-0.02, axes.get_ylim()[0]), 1)
    axes.axhline(0, color="black", linewidth=0.5)
    axes.legend(frameon=False)
    return figure


def resolution_axis(axes: Axes, end_per_A: float) -> None:
    """An axis of spatial frequency from zero to ``end_per_A`` (1/Å) whose ticks are named in Å."""
    ticks = [
        length_A
        for length_A in (100, 50, 30, 20, 15, 12, 9, 7, 6, 5, 4, 3, 2.5, 2)
        if 1 / length_A <= end_per_A
    ]
    axes.set_xticks([1 / length_A for length_A in ticks], [f"{length_A:g}" for length_A in ticks])
    axes.set_xlabel("resolution, Å")


def save_png(figure: Figure, path: Path, dpi: int = 150) -> None:
    """Write the figure as a PNG, beside and renamed."""
    FigureCanvasAgg(figure)
    with replacing(path) as partial:
        figure.savefig(partial, format="png", dpi=dpi)
