"""Numbers formatted for readers: few digits, a proper minus sign, a dash for a missing value."""

import math

from restore.quantities import Number

MISSING = "–"
_LEAST_PERCENT = 1e-3  # smaller shares are written as zero


def figure(value: float | None, digits: int = 3) -> str:
    """The number with ``digits`` significant digits, without an exponent between 0.0001 and a
    million.

    >>> [figure(number) for number in (0.012345, 1234.5, 12.0, -0.5, 1e-7, 0.0, None)]
    ['0.0123', '1234', '12.0', '−0.500', '1.00e−07', '0', '–']
    >>> figure(12.3, 2), figure(4.5, 2), figure(99.6, 2)
    ('12', '4.5', '100')
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    rounded = float(f"{value:.{digits}g}")
    if abs(rounded) >= 100 and abs(value) < 1e6:
        return f"{value:.0f}".replace("-", "−")
    return f"{value:#.{digits}g}".removesuffix(".").replace("-", "−")


def _decimals(value: float) -> int | None:
    """The number of decimals that `figure` writes; None if it writes an exponent, or a
    bare zero.
    """
    written = figure(value)
    if "e" in written or written in ("0", MISSING):
        return None
    return len(written.partition(".")[2])


def tick(value: float) -> str:
    """The label of a tick, without trailing zeros.

    >>> tick(-0.25), tick(10000.0)
    ('−0.25', '10000')
    """
    return f"{value:.6g}".replace("-", "−")


def share(value: float | None) -> str:
    """The number as a percentage with two digits; near 100 %, with as many as its distance from 100
    % needs.

    >>> [share(number) for number in (0.4321, 0.0123, 0.0041, 0.00041, 0.9996, -0.01, 1e-9, None)]
    ['43 %', '1.2 %', '0.41 %', '0.041 %', '99.96 %', '−1.0 %', '0.0 %', '–']
    >>> [share(number) for number in (0.92, 0.981, 0.9966)]
    ['92 %', '98.1 %', '99.7 %']
    """
    if value is None or not math.isfinite(value):
        return MISSING
    return _percentage(value, _percent_decimals(value))


def _percent_decimals(value: float) -> int:
    percent = abs(100 * value)
    if 10 <= percent <= 95 or percent > 101:
        return 0
    if 99.9 < percent < 100:
        return 2
    if _LEAST_PERCENT <= percent < 1:
        return 1 - math.floor(math.log10(percent))
    return 1


def _percentage(value: float, decimals: int) -> str:
    written = f"{100 * value:.{decimals}f} %".replace("-", "−")
    return written.removeprefix("−") if float(f"{100 * value:.{decimals}f}") == 0 else written


def interval(number: Number, as_share: bool = False) -> str:
    """The two ends of a number's interval, with as many decimals as the number; empty if there is
    no interval.

    >>> number = Number(0.5, 0.4, 0.62)
    >>> interval(number), interval(number, as_share=True), interval(Number(0.5))
    ('0.400 to 0.620', '40 to 62 %', '')
    >>> interval(Number(0.115, 0.0994, 0.128)), interval(Number(0.12, 0.094, 0.15), as_share=True)
    ('0.099 to 0.128', '9 to 15 %')
    """
    if number.low is None or number.high is None:
        return ""
    low, high = (_like(number.value, end, as_share) for end in (number.low, number.high))
    return f"{low.removesuffix(' %')} to {high}"


def _like(value: float | None, end: float, as_share: bool) -> str:
    """An end of an interval, formatted like the value."""
    if value is None or not math.isfinite(end):
        return share(end) if as_share else figure(end)
    if as_share:
        return _percentage(end, _percent_decimals(value))
    decimals = _decimals(value)
    return figure(end) if decimals is None else f"{end:.{decimals}f}".replace("-", "−")


def round_length(length_A: float) -> float:
    """The largest length of 1, 2 or 5 times a power of ten that is not longer.

    >>> [round_length(each) for each in (1234.0, 99.0, 0.7)]
    [1000.0, 50.0, 0.5]
    """
    power = 10.0 ** math.floor(math.log10(length_A))
    return max(step * power for step in (1, 2, 5) if step * power <= length_A)


def length(length_A: float) -> str:
    """A length in a micrograph, in nm from 10 Å on.

    >>> length(500), length(5)
    ('50 nm', '5 Å')
    """
    return f"{length_A / 10:g} nm" if length_A >= 10 else f"{length_A:g} Å"
