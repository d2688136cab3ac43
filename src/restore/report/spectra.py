"""Figures of an evaluation's curves: signal against error, and the shares of signal and noise in
each ring.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from restore.evaluation.records import Evaluation
from restore.report.curves import where_signal
from restore.report.figures import resolution_axis
from restore.report.palette import BIAS, DENOISED, LABELS, NOTHING, RAW, WIENER, Colour

_STYLES: dict[str, tuple[Colour, str]] = {
    "signal_to_error_raw": (RAW, ":"),
    "signal_to_error_wiener": (WIENER, "--"),
    "signal_to_error_denoised": (DENOISED, "-"),
    "advantage_over_wiener": (DENOISED, "-"),
    "gain": (DENOISED, "-"),
    "bias_share": (BIAS, "--"),
    "invented_share": (NOTHING, "-."),
    "unpaired_denoised": (RAW, ":"),
}
_OF_SIGNAL = frozenset(_STYLES) - {"invented_share", "unpaired_denoised"}
_SHADE = "#f1efe9"  # as on the page
_LABELS = LABELS | {"unpaired_denoised": "FRC of unrelated micrographs"}


def error_curves(evaluation: Evaluation) -> Figure:
    """Signal over error, var(S)/(var(N) + var(B)), in each ring: raw, Wiener filter and denoised,
    with intervals; below, the ratio of denoised to Wiener filter, which shows their difference.
    """
    figure = Figure(figsize=(6, 6), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(3, 2))
    _set_up(above, evaluation)
    _draw(
        above,
        evaluation,
        ("signal_to_error_raw", "signal_to_error_wiener", "signal_to_error_denoised"),
    )
    above.set_yscale("log")
    above.set_ylabel("signal / error")
    resolution_axis(below, evaluation.frequency_per_A[-1])
    _draw(below, evaluation, ("advantage_over_wiener",))
    below.axhline(1, color=WIENER.light, linestyle="--", linewidth=1)
    low, high = below.get_ylim()
    below.set_ylim(min(low, 0.9), max(high, 1.1))
    below.set_ylabel("denoised / Wiener filter")
    return figure


def shares(evaluation: Evaluation) -> Figure:
    """The signal kept, the bias, and the output for noise alone, in each ring."""
    figure = Figure(figsize=(6, 3.8), layout="constrained")
    axes = figure.subplots()
    _set_up(axes, evaluation)
    _draw(axes, evaluation, ("gain", "bias_share", "invented_share", "unpaired_denoised"))
    axes.set_ylim(-0.1, 1.5)
    axes.axhline(0, color="black", linewidth=0.5)
    axes.set_ylabel("share")
    return figure


def _set_up(axes: Axes, evaluation: Evaluation) -> None:
    group = evaluation.groups[0]
    count = group.micrographs
    axes.set_title(f"{group.name}: {count} micrograph{'s' if count > 1 else ''}", fontsize=10)
    resolution_axis(axes, evaluation.frequency_per_A[-1])


def _draw(axes: Axes, evaluation: Evaluation, keys: Sequence[str]) -> None:
    group = evaluation.groups[0]
    frequency = np.array(evaluation.frequency_per_A)
    seen = frequency >= 1 / evaluation.recipe["highpass_A"]
    for key in keys:
        curve = group.curves[key]
        if key in _OF_SIGNAL:
            curve = where_signal(curve, group.has_signal)
        value, low, high = (_numbers(end)[seen] for end in (curve.value, curve.low, curve.high))
        if np.isnan(value).all():
            continue
        (colour, line), label = _STYLES[key], _LABELS[key]
        axes.plot(frequency[seen], value, label=label, color=colour.light, linestyle=line)
        axes.fill_between(frequency[seen], low, high, color=colour.light, alpha=0.2, linewidth=0)
    _shade(axes, evaluation)
    if axes.lines:
        axes.legend(frameon=False)


def _shade(axes: Axes, evaluation: Evaluation) -> None:
    """Shade the rings without measurable signal, with one entry in the legend."""
    frequency, label = evaluation.frequency_per_A, "no measurable signal"
    half_ring = frequency[0] / 2 if frequency else 0.0
    for centre, there in zip(frequency, evaluation.groups[0].has_signal, strict=False):
        if not there:
            axes.axvspan(
                centre - half_ring, centre + half_ring, color=_SHADE, linewidth=0, zorder=0,
                label=label,
            )  # fmt: skip
            label = ""


def _numbers(values: Sequence[float | None]) -> Float[np.ndarray, "rings"]:
    return np.array([np.nan if value is None else value for value in values])
