"""Which curves of an evaluation stand together in a chart, and the words that go with them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from restore.evaluation.records import Evaluation, Group, ModelSummary
from restore.quantities import Curve, finite
from restore.report.charts import Chart, Line
from restore.report.palette import LABELS


@dataclass(frozen=True)
class _Plan:
    """A chart to be made of those of its curves that the evaluation has: (key, label, look)."""

    title: str
    words: str
    curves: tuple[tuple[str, str, str], ...]
    logarithmic: bool = False
    limits: tuple[float, float] | None = None
    levels: tuple[float, ...] = ()


_PLANS = (
    _Plan(
        "Against the Wiener filter",
        "The denoised image’s ratio of signal to all error, relative to that of the Wiener "
        "filter: the fair comparison. Above 1, the network does better than any frequency filter "
        "can.",
        (("advantage_over_wiener", LABELS["advantage_over_wiener"], "denoised"),),
        limits=(0.0, 5.0),
        levels=(1.0,),
    ),
    _Plan(
        "Signal against all error",
        (
            "Variance of the signal over the variance of noise and bias together. An empty image "
            "has a ratio of 1."
        ),
        (
            ("signal_to_error_raw", LABELS["signal_to_error_raw"], "raw"),
            ("signal_to_error_wiener", LABELS["signal_to_error_wiener"], "wiener"),
            ("signal_to_error_denoised", LABELS["signal_to_error_denoised"], "denoised"),
        ),
        logarithmic=True,
    ),
    _Plan(
        "Signal against noise",
        "The signal-to-noise ratio of one half. Only differences between the halves count as "
        "noise, so that an image that is smooth but wrong scores well here: read this chart "
        "together with that of the bias.",
        (("snr_raw", "raw", "raw"), ("snr_denoised", "denoised", "denoised")),
        logarithmic=True,
    ),
    _Plan(
        "Signal kept, bias, and output for noise alone",
        "How much of the signal’s amplitude is kept (1 is all of it); the bias as a share of the "
        "signal’s variance; and the variance of the output for noise alone, as a share of that of "
        "the output for a real half.",
        (
            ("gain", LABELS["gain"], "denoised"),
            ("wiener_filter", LABELS["wiener_filter"], "wiener"),
            ("bias_share", LABELS["bias_share"], "bias"),
            ("invented_share", LABELS["invented_share"], "nothing"),
        ),
        limits=(-0.25, 1.5),
    ),
    _Plan(
        "Agreement of the two halves",
        "Fourier ring correlation. High agreement after denoising does not mean higher "
        "resolution: both halves passed through the same network, and share what it hallucinates.",
        (("frc_raw", "raw", "raw"), ("frc_denoised", "denoised", "denoised")),
        limits=(-0.3, 1.05),
    ),
    _Plan(
        "Power spectra",
        "The variance in each ring; the total of a raw half is about 1. The dotted line is the "
        "network’s output for noise without any signal.",
        (
            ("power_raw", "raw", "raw"),
            ("power_noise_only_raw", "noise alone, raw", "lowpass"),
            ("power_denoised", "denoised", "denoised"),
            ("power_noise_only_denoised", "noise alone, denoised", "nothing"),
        ),
        logarithmic=True,
    ),
    _Plan(
        "Unrelated micrographs",
        "Correlation between halves of different micrographs, which share nothing but the camera "
        "and the network. The correlation should be zero; where it is not, there is a fixed "
        "pattern.",
        (("unpaired_raw", "raw", "raw"), ("unpaired_denoised", "denoised", "denoised")),
    ),
)  # fmt: skip


def charts_of(evaluation: Evaluation, group: Group) -> list[Chart]:
    """The charts that this group's curves allow, the fair comparison first."""
    charts = [_chart(plan, evaluation.frequency_per_A, group.curves) for plan in _PLANS]
    return [chart for chart in charts if chart.lines]


def _chart(plan: _Plan, frequency_per_A: tuple[float, ...], curves: Mapping[str, Curve]) -> Chart:
    lines = tuple(
        Line(label, look, curves[key])
        for key, label, look in plan.curves
        if key in curves and any(value is not None for value in curves[key].value)
    )
    return Chart(
        plan.title, plan.words, frequency_per_A, lines, plan.logarithmic, plan.limits,
        levels=plan.levels,
    )  # fmt: skip


_LOSSES = (
    ("train_loss", "raw"),
    ("held_out_loss", "denoised"),
    ("perfect_loss", "nothing"),
    ("wiener_loss", "wiener"),
)


def loss_chart(model: ModelSummary | None) -> Chart | None:
    """The losses of each epoch of the model's training; None where its record has none."""
    rows = _history(model) if model else []
    drawn = [
        (LABELS[key], look, tuple(finite(row.get(key)) for row in rows)) for key, look in _LOSSES
    ]
    lines = tuple(
        Line(label, look, Curve(values))
        for label, look, values in drawn
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
    """The rows of the training's record that have a step."""
    history = model.training.get("history")
    rows: list[Any] = history if isinstance(history, list) else []
    return [row for row in rows if isinstance(row, Mapping) and finite(row.get("step")) is not None]
