"""Numbers as a person reads them: few digits, a true minus sign, a dash where there is none."""

import math

from restore.quantities import Number

MISSING = "–"


def figure(value: float | None, digits: int = 3) -> str:
    """The number with so many significant digits, without an exponent between 0.0001 and a million.

    >>> [figure(each) for each in (0.012345, 1234.5, 12.0, -0.5, 1e-7, 0.0, None)]
    ['0.0123', '1234', '12.0', '−0.500', '1.00e−07', '0', '–']
    """
    if value is None or not math.isfinite(value):
        return MISSING
    if value == 0:
        return "0"
    if 100 <= abs(value) < 1e6:
        return f"{value:.0f}".replace("-", "−")
    return f"{value:#.{digits}g}".replace("-", "−")


def tick(value: float) -> str:
    """The number beside a tick of an axis, without zeros at its end.

    >>> tick(-0.25), tick(10000.0)
    ('−0.25', '10000')
    """
    return f"{value:.6g}".replace("-", "−")


def share(value: float | None) -> str:
    """The number as a percentage, with a decimal where it is small.

    >>> [share(each) for each in (0.4321, 0.0123, 0.00041, 0.9996, -0.01, None)]
    ['43 %', '1.2 %', '0.041 %', '99.96 %', '−1.0 %', '–']
    """
    if value is None or not math.isfinite(value):
        return MISSING
    percent = 100 * value
    if 0 < abs(percent) < 0.1:
        return f"{percent:.2g} %".replace("-", "−")
    decimals = 0 if 10 <= abs(percent) <= 99 or abs(percent) > 101 else 1
    if 99.9 < percent < 100:
        decimals = 2
    return f"{percent:.{decimals}f} %".replace("-", "−")


def interval(number: Number, as_share: bool = False) -> str:
    """The two ends of a number's interval; empty where there is none.

    >>> number = Number(0.5, 0.4, 0.62)
    >>> interval(number), interval(number, as_share=True), interval(Number(0.5))
    ('0.400 to 0.620', '40 to 62 %', '')
    """
    if number.low is None or number.high is None:
        return ""
    low, high = ((share if as_share else figure)(end) for end in (number.low, number.high))
    return f"{low.removesuffix(' %')} to {high}"


def round_length(length_A: float) -> float:
    """The largest 1, 2 or 5 times a power of ten that is not longer.

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
