"""The charts of an evaluation: their curves and their texts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from restore.evaluation.records import Evaluation, Group, ModelSummary
from restore.quantities import Curve, finite
from restore.report.charts import Chart, Level, Line, is_cut_off
from restore.report.palette import LABELS
from restore.report.pattern_words import spike_words


@dataclass(frozen=True)
class _Plan:
    """The plan of a chart, with those of its curves (key, label, look) that the evaluation has.

    Where the halves have no signal in common, ratios to the signal are meaningless: the curves
    ``of_signal`` are not drawn there. ``plunge`` explains lines that fall below the axis.
    """

    title: str
    words: str
    curves: tuple[tuple[str, str, str], ...]
    of_signal: tuple[str, ...] = ()
    logarithmic: bool = False
    limits: tuple[float, float] | None = None
    levels: tuple[Level, ...] = ()
    least_span: float = 0.0
    plunge: str = ""


_PLANS = (
    _Plan(
        "Gain over the Wiener filter",
        "The ratio of signal to all error (noise and bias together) of the denoised halves, "
        "divided by that of the Wiener-filtered halves. Above 1, the network does better than any "
        "filter that only weights frequencies.",
        (("advantage_over_wiener", LABELS["advantage_over_wiener"], "denoised"),),
        of_signal=("advantage_over_wiener",),
        levels=(Level(1.0, "Wiener filter"),),
        least_span=0.2,
    ),
    _Plan(
        "Signal against all error",
        "The variance of the signal over that of noise and bias together. An empty image has a "
        "ratio of 1, as it has lost all the signal and has no noise. That of the raw halves is "
        "their signal-to-noise ratio, in the next chart.",
        (
            ("signal_to_error_wiener", LABELS["signal_to_error_wiener"], "wiener"),
            ("signal_to_error_denoised", LABELS["signal_to_error_denoised"], "denoised"),
        ),
        of_signal=("signal_to_error_wiener", "signal_to_error_denoised"),
        levels=(Level(1.0, "empty image"),),
        least_span=0.2,
    ),
    _Plan(
        "Signal against noise",
        "The signal-to-noise ratio of one half. Only what differs between the halves counts as "
        "noise, so an image that is smooth but wrong has a high ratio here. Read this chart "
        "together with the next one.",
        (("snr_raw", "raw", "raw"), ("snr_denoised", "denoised", "denoised")),
        of_signal=("snr_raw", "snr_denoised"),
        logarithmic=True,
    ),
    _Plan(
        "Signal kept, bias, and output for noise alone",
        "The share of the signal’s amplitude that is kept (1 is all of it), the bias as a share of "
        "the signal’s variance, and the output for noise alone, in variance, as a share of the "
        "output for a real half. Where a denoiser is not sure of the signal, it weakens it: the "
        "bias is mostly signal that is lost in this way.",
        (
            ("gain", LABELS["gain"], "denoised"),
            ("wiener_filter", LABELS["wiener_filter"], "wiener"),
            ("bias_share", LABELS["bias_share"], "bias"),
            ("invented_share", LABELS["invented_share"], "nothing"),
        ),
        of_signal=("gain", "bias_share"),
        limits=(-0.25, 1.5),
    ),
    _Plan(
        "Agreement of the two halves",
        "Fourier ring correlation. A high correlation after denoising does not mean a higher "
        "resolution: both halves went through the same network, and share what it hallucinates.",
        (("frc_raw", "raw", "raw"), ("frc_denoised", "denoised", "denoised")),
        limits=(-0.3, 1.05),
    ),
    _Plan(
        "Power spectra",
        "The variance in each ring; that of all rings of a raw half is about 1. The denoised line "
        "lies below the raw one because a denoiser removes the noise, which is most of a raw "
        "half, and signal that it cannot tell from noise.",
        (
            ("power_raw", "raw", "raw"),
            ("power_noise_only_raw", "noise alone, raw", "lowpass"),
            ("power_denoised", "denoised", "denoised"),
            ("power_noise_only_denoised", "noise alone, denoised", "nothing"),
        ),
        logarithmic=True,
        plunge=" Where it plunges, the halves have next to no signal in common, and next to "
        "nothing is left of either.",
    ),
    _Plan(
        "Unrelated micrographs",
        "The correlation between halves of different micrographs, which have only the camera and "
        "the network in common. It should be zero within the error. If it is not, there is a fixed "
        "pattern.",
        (("unpaired_raw", "raw", "raw"), ("unpaired_denoised", "denoised", "denoised")),
        least_span=0.02,
    ),
)  # fmt: skip
_BLANK_WORDS = (
    " Shaded: the halves have no measurable signal in common (a zero of the CTF, or finer than the "
    "data reach)."
)


def charts_of(evaluation: Evaluation, group: Group) -> list[Chart]:
    """The charts for which this group has curves, the fair comparison first."""
    charts = [_chart(plan, evaluation.frequency_per_A, group) for plan in _PLANS]
    return [chart for chart in charts if chart.lines]


def _chart(plan: _Plan, frequency_per_A: tuple[float, ...], group: Group) -> Chart:
    curves = {
        key: where_signal(group.curves[key], group.has_signal)
        if key in plan.of_signal
        else group.curves[key]
        for key, _, _ in plan.curves
        if key in group.curves
    }
    lines = tuple(
        Line(label, look, curves[key])
        for key, label, look in plan.curves
        if key in curves and any(value is not None for value in curves[key].value)
    )
    blank = tuple(not there for there in group.has_signal) if plan.of_signal else ()
    words = plan.words + (_BLANK_WORDS if any(blank) else "")
    if any(key.startswith("frc") for key in curves):
        words += spike_words(group.spikes)
    chart = Chart(
        plan.title, words, frequency_per_A, lines, plan.logarithmic, plan.limits,
        levels=plan.levels, least_span=plan.least_span, blank=blank,
    )  # fmt: skip
    return replace(chart, words=words + plan.plunge) if is_cut_off(chart) else chart


def where_signal(curve: Curve, has_signal: Sequence[bool]) -> Curve:
    """The curve in the rings with signal, with gaps elsewhere; the whole curve if these rings are
    not known.
    """
    if not has_signal:
        return curve
    return Curve(
        *(
            tuple(value if there else None for value, there in zip(part, has_signal, strict=True))
            for part in (curve.value, curve.low, curve.high)
        )
    )


_LOSSES = (
    ("train_loss", "raw"),
    ("held_out_loss", "denoised"),
    ("perfect_loss", "nothing"),
    ("wiener_loss", "wiener"),
)


_LEVELS = ("perfect_loss", "wiener_loss")
"""The losses that do not change during the training."""
_BEYOND = 1.2
"""Where the axis of a single evaluation ends, in its steps."""


def loss_chart(model: ModelSummary | None) -> Chart | None:
    """The losses of each epoch of the model's training; None if its record has none."""
    rows = _history(model) if model else []
    alone = len(rows) == 1
    if alone:  # an axis from the beginning, with a mark before its end, and the levels across it
        levels = {key: value for key, value in rows[0].items() if key in _LEVELS}
        rows = [{**levels, "step": 0}, *rows, {**levels, "step": _BEYOND * rows[0]["step"]}]
    drawn = [(key, look, tuple(finite(row.get(key)) for row in rows)) for key, look in _LOSSES]
    lines = tuple(
        Line(LABELS[key], look, Curve(values), dots=alone and key not in _LEVELS)
        for key, look, values in drawn
        if any(value is not None for value in values)
    )
    if not lines:
        return None
    words = (
        "Mean squared difference from the other half. Most of this loss is the noise of the other "
        "half, which cannot be predicted: what counts is the distance to the noise floor. The "
        "axis does not begin at zero."
    )
    return Chart(
        "Training", words, tuple(float(row["step"]) for row in rows), lines, x_label="training step"
    )


def _history(model: ModelSummary) -> list[Mapping[str, Any]]:
    """The rows of the training record that have a step."""
    history = model.training.get("history")
    rows: list[Any] = history if isinstance(history, list) else []
    return [row for row in rows if isinstance(row, Mapping) and finite(row.get("step")) is not None]
