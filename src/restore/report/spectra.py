"""An evaluation's curves as figures: signal against error, and what became of signal and noise in
each ring.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from restore.evaluation.records import Evaluation
from restore.report.figures import resolution_axis
from restore.report.palette import BIAS, DENOISED, LABELS, NOTHING, RAW, WIENER, Colour

_STYLES: dict[str, tuple[Colour, str]] = {
    "signal_to_error_raw": (RAW, ":"),
    "signal_to_error_wiener": (WIENER, "--"),
    "signal_to_error_denoised": (DENOISED, "-"),
    "gain": (DENOISED, "-"),
    "bias_share": (BIAS, "--"),
    "invented_share": (NOTHING, "-."),
    "unpaired_denoised": (RAW, ":"),
}
_LABELS = LABELS | {"unpaired_denoised": "FRC of unrelated micrographs"}


def error_curves(evaluation: Evaluation) -> Figure:
    """Signal over error, var(S)/(var(N) + var(B)), in each ring: raw, Wiener filter, denoised, with
    intervals.
    """
    figure, axes = _axes(evaluation)
    _draw(
        axes,
        evaluation,
        ("signal_to_error_raw", "signal_to_error_wiener", "signal_to_error_denoised"),
    )
    axes.set_yscale("log")
    axes.set_ylabel("signal / error")
    return figure


def shares(evaluation: Evaluation) -> Figure:
    """What stayed of the signal, what came beside it, and what is drawn where there is none, in
    each ring.
    """
    figure, axes = _axes(evaluation)
    _draw(axes, evaluation, ("gain", "bias_share", "invented_share", "unpaired_denoised"))
    axes.set_ylim(-0.1, 1.5)
    axes.axhline(0, color="black", linewidth=0.5)
    axes.set_ylabel("share")
    return figure


def _axes(evaluation: Evaluation) -> tuple[Figure, Axes]:
    group = evaluation.groups[0]
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    count = group.micrographs
    axes.set_title(f"{group.name}: {count} micrograph{'s' if count > 1 else ''}", fontsize=10)
    resolution_axis(axes, evaluation.frequency_per_A[-1])
    return figure, axes


def _draw(axes: Axes, evaluation: Evaluation, keys: Sequence[str]) -> None:
    frequency = np.array(evaluation.frequency_per_A)
    seen = frequency >= 1 / evaluation.recipe["highpass_A"]
    for key in keys:
        curve = evaluation.groups[0].curves[key]
        value, low, high = (_numbers(end)[seen] for end in (curve.value, curve.low, curve.high))
        if np.isnan(value).all():
            continue
        (colour, line), label = _STYLES[key], _LABELS[key]
        axes.plot(frequency[seen], value, label=label, color=colour.light, linestyle=line)
        axes.fill_between(frequency[seen], low, high, color=colour.light, alpha=0.2, linewidth=0)
    if axes.lines:
        axes.legend(frameon=False)


def _numbers(values: Sequence[float | None]) -> Float[np.ndarray, "rings"]:
    return np.array([np.nan if value is None else value for value in values])
