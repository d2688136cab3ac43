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
        "The denoised image’s ratio of signal to all error, over that of the Wiener filter: the "
        "fair comparison. Above 1 the network does more than any filter of frequencies can.",
        (("advantage_over_wiener", LABELS["advantage_over_wiener"], "denoised"),),
        limits=(0.0, 5.0),
        levels=(1.0,),
    ),
    _Plan(
        "Signal against all error",
        "Variance of the signal over that of noise and bias together. An empty image has 1.",
        (
            ("signal_to_error_raw", LABELS["signal_to_error_raw"], "raw"),
            ("signal_to_error_wiener", LABELS["signal_to_error_wiener"], "wiener"),
            ("signal_to_error_denoised", LABELS["signal_to_error_denoised"], "denoised"),
        ),
        logarithmic=True,
    ),
    _Plan(
        "Signal against noise",
        "The signal-to-noise ratio of one half. It counts only what differs between the halves; "
        "a picture that is smooth and wrong scores well here, so read it beside the chart of bias.",
        (("snr_raw", "raw", "raw"), ("snr_denoised", "denoised", "denoised")),
        logarithmic=True,
    ),
    _Plan(
        "Kept, biased and hallucinated",
        "How much of the signal’s amplitude is kept (1 is all of it); the bias as a share of the "
        "signal; and the output for pure noise, as a share of the output for a real half.",
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
        "Fourier ring correlation. High agreement after denoising is not resolution gained: "
        "both halves went through one network, and share what it hallucinates.",
        (("frc_raw", "raw", "raw"), ("frc_denoised", "denoised", "denoised")),
        limits=(-0.3, 1.05),
    ),
    _Plan(
        "Power spectra",
        "The variance that each ring adds; a raw half has about 1 in all. The dotted line is the "
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
        "Correlation between halves of different micrographs, which have nothing in common but "
        "the camera and the "
        "network. It should lie on zero; elsewhere there is a fixed pattern.",
        (("unpaired_raw", "raw", "raw"), ("unpaired_denoised", "denoised", "denoised")),
    ),
)  # fmt: skip


def charts_of(evaluation: Evaluation, group: Group) -> list[Chart]:
    """The charts that this group's curves allow, the fair comparison first."""
    found = [_chart(plan, evaluation.frequency_per_A, group.curves) for plan in _PLANS]
    return [chart for chart in found if chart.lines]


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
        "Mean squared difference from the other half. Most of it is that half’s own noise, which "
        "nobody can predict: "
        "what counts is the distance to the noise floor. The axis does not begin at "
        "zero."
    )
    return Chart(
        "Training", words, tuple(float(row["step"]) for row in rows), lines, x_label="training step"
    )


def _history(model: ModelSummary) -> list[Mapping[str, Any]]:
    """The rows of the training's record that have a step."""
    history = model.training.get("history")
    rows: list[Any] = history if isinstance(history, list) else []
    return [row for row in rows if isinstance(row, Mapping) and finite(row.get("step")) is not None]
