"""Axes of a chart: where a value lies between the two ends, and which ticks to name."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from restore.report.numerals import tick

_RESOLUTIONS_A = (
    1000, 500, 200, 100, 50, 30, 20, 15, 12, 10, 9, 8, 7, 6, 5.5, 5, 4.5, 4, 3.5, 3, 2.5, 2, 1.8,
    1.5, 1.2, 1,
)  # fmt: skip
TICKS_APART = 0.07
"""The share of an axis that two named resolutions are apart at least."""
_FIRST_TICK = 0.03  # coarser ones would crowd the corner
_DEEPEST = 1e-6  # of the largest value: what lies below would only flatten a logarithmic chart


@dataclass(frozen=True)
class Axis:
    """From ``low`` to ``high``, evenly or by powers of ten."""

    low: float
    high: float
    logarithmic: bool = False

    def place(self, value: float) -> float:
        """Where the value lies: 0 at the low end, 1 at the high end, outside beyond. Needs value >
        0 where logarithmic.
        """
        low, high, value = (
            (math.log10(number) if self.logarithmic else number)
            for number in (self.low, self.high, value)
        )
        return (value - low) / (high - low)

    def ticks(self) -> list[tuple[float, str]]:
        """The values to mark, with their names."""
        values = _powers(self.low, self.high) if self.logarithmic else _even(self.low, self.high)
        return [
            (value, _power_name(value) if self.logarithmic else tick(value)) for value in values
        ]


def linear_axis(
    values: Sequence[float], ends: Sequence[float], limits: tuple[float, float] | None = None
) -> Axis:
    """An axis for all the values, and for the ends of their intervals as far as they do not dwarf
    them.

    ``limits`` are the ends that it may not pass; zero is on it where there are limits.
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
    """The axis, about its middle, with at least this span."""
    spare = max(0.0, span - (axis.high - axis.low)) / 2
    return Axis(axis.low - spare, axis.high + spare, axis.logarithmic)


def logarithmic_axis(values: Sequence[float]) -> Axis:
    """An axis for those of the values that are positive, over six powers of ten at most.

    The lowest few do not stretch it: none below a tenth of what one value in twenty lies under.
    """
    positive = sorted(value for value in values if value > 0) or [0.1, 1.0]
    high = positive[-1]
    low = max(positive[0], positive[len(positive) // 20] / 10, high * _DEEPEST)
    spare = max((high / low) ** 0.05, 1.1)
    return Axis(low / spare, high * spare, logarithmic=True)


def resolution_ticks(frequency_per_A: Axis, apart: float) -> list[tuple[float, str]]:
    """Resolutions to name along an axis of frequencies, from the finest on, no nearer than this
    share of the axis.
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
    """Powers of ten between the ends; with twice and five times them where there are few, fewer
    where there are many.
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
