"""Numbers and curves with confidence intervals, for results and charts."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

Values = tuple[float | None, ...]
"""A value for each ring, shell or step; None for missing ones."""

_DIGITS = 6


@dataclass(frozen=True)
class Number:
    """A number with the two ends of its confidence interval; None for missing ones."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Curve:
    """A number in each ring (or step), with the two ends of its confidence interval; None for
    missing ones. Ends that are left out are None everywhere.

    Raises
    ------
    ValueError
        The three do not have the same length.
    """

    value: Values
    low: Values = ()
    high: Values = ()

    def __post_init__(self) -> None:
        for name in ("low", "high"):
            end: Values = getattr(self, name)
            if not end:
                object.__setattr__(self, name, (None,) * len(self.value))
            elif len(end) != len(self.value):
                raise ValueError(f"{name} has {len(end)} values, value has {len(self.value)}")


def rounded(value: float) -> float | None:
    """The number to six significant digits; None if it is not finite."""
    return float(f"{value:.{_DIGITS}g}") if math.isfinite(value) else None


def rounded_values(values: Sequence[float]) -> Values:
    """Each number to six significant digits; None if it is not finite."""
    return tuple(rounded(value) for value in values)


def finite(value: object) -> float | None:
    """The number, or None if the plain value is not a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None
