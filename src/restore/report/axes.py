"""Axes of a chart: the position of a value between the two ends, and the ticks to label."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from restore.report.numerals import tick

_RESOLUTIONS_A = (
    1000, 500, 200, 100, 50, 30, 20, 15, 12, 10, 9, 8, 7, 6, 5.5, 5, 4.5, 4, 3.5, 3, 2.5, 2, 1.8,
    1.5, 1.2, 1,
)  # fmt: skip
TICKS_APART = 0.07
"""The least distance between two labelled resolutions, as a share of the axis."""
_FIRST_TICK = 0.03  # coarser ones would crowd the corner
_DEEPEST = 1e-6  # share of the largest value: smaller values would only flatten a logarithmic chart


@dataclass(frozen=True)
class Axis:
    """An axis from ``low`` to ``high``, linear or logarithmic."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """The position of a value: 0 at the low end, 1 at the high end. A logarithmic axis needs
        value > 0.
        """
        low, high, value = (
            (math.log10(number) if self.logarithmic else number)
            for number in (self.low, self.high, value)
        )
        return (value - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        """The values of the ticks, with their labels."""
        values = _powers(self.low, self.high) if self.logarithmic else _even(self.low, self.high)
        return [
            (value, _power_name(value) if self.logarithmic else tick(value)) for value in values
        ]


def linear_axis(
    values: Sequence[float], ends: Sequence[float], limits: tuple[float, float] | None = None
) -> Axis:
    """An axis for all the values, and for the ends of their intervals unless these dwarf the
    values.

    ``limits`` are the farthest possible ends; with limits, zero is on the axis.
    """
    values = values or [0.0, 1.0]
    low, high = min(values), max(values)
    reach = (high - low) / 2 or abs(high) / 10 or 1.0
    low, high = max(low - reach, min([low, *ends])), min(high + reach, max([high, *ends]))
    if limits:
        low, high = max(limits[0], min(low, 0.0)), min(limits[1], max(high, 0.0))
    margin = ((high - low) or 1.0) * 0.04
    return Axis(low - margin, high + margin)


def widened(axis: Axis, span: float) -> Axis:
    """The axis with at least this span, about the same middle."""
    spare = max(0.0, span - (axis.high - axis.low)) / 2
    return Axis(axis.low - spare, axis.high + spare, axis.logarithmic)


def logarithmic_axis(values: Sequence[float]) -> Axis:
    """An axis for those of the values that are positive, over six powers of ten at most.

    The lowest few values do not stretch it: it ends at a tenth of the 5 % quantile.
    """
    positive = sorted(value for value in values if value > 0) or [0.1, 1.0]
    high = positive[-1]
    low = max(positive[0], positive[len(positive) // 20] / 10, high * _DEEPEST)
    spare = max((high / low) ** 0.05, 1.1)
    return Axis(low / spare, high * spare, logarithmic=True)


def resolution_ticks(frequency_per_A: Axis, apart: float) -> list[tuple[float, str]]:
    """Resolutions to label along an axis of frequencies, from the finest on, at least this share of
    the axis apart.
    """
    kept: list[tuple[float, str]] = []
    for length_A in reversed(_RESOLUTIONS_A):
        place = frequency_per_A.place(1 / length_A)
        if _FIRST_TICK <= place <= 1.001 and (
            not kept or frequency_per_A.place(kept[-1][0]) - place >= apart
        ):
            kept.append((1 / length_A, f"{length_A:g}"))
    return kept


def _powers(low: float, high: float) -> list[float]:
    """Powers of ten between the ends; also twice and five times them if there are few, or fewer if
    there are many.
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = math.log10(high / low)
    steps = (1, 2, 5) if decades < 2.2 else (1,)
    every = 2 if decades > 5 else 1
    ticks = [
        step * 10.0**power
        for power in range(first, last + 1)
        for step in steps
        if power % every == 0
    ]
    return [value for value in ticks if low <= value <= high]


def _power_name(value: float) -> str:
    if 1e-3 <= value < 1e5:
        return f"{value:g}"
    digits = str(round(math.log10(value))).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{digits}"


def _even(low: float, high: float) -> Sequence[float]:
    """About five round values between the ends."""
    rough = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= rough * 0.999)
    return [
        round(index * step, 12)
        for index in range(math.ceil(low / step), math.floor(high / step) + 1)
    ]
