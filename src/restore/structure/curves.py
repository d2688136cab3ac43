"""Records of curves: where they fall below a threshold, and what was measured of each map."""

import math

from jaxtyping import Float
from torch import Tensor

from restore.maps.fsc import FSC
from restore.maps.fsc_inflation import Inflation
from restore.quantities import Number, Values, rounded, rounded_values
from restore.structure.records import THRESHOLDS, Band, Bias, Correlation, Crossing


def values(curve: Float[Tensor, "shells"]) -> Values:
    """A curve as numbers of six digits; None for values that are not finite."""
    return rounded_values(curve.tolist())


def number(value: float, error: float = math.nan) -> Number:
    """A number, with an interval of one error to either side."""
    return Number(rounded(value), rounded(value - error), rounded(value + error))


def crossing(
    frequency_per_A: Float[Tensor, "shells"], curve: Float[Tensor, "shells"], threshold: float
) -> Crossing:
    """The resolution at which a curve first falls below a threshold, as a number and in words.

    A curve that ends (NaN) before it falls is reported as better than the resolution at its end.
    """
    finite = curve.isfinite()
    end = int((~finite).nonzero()[0]) if not bool(finite.all()) else len(curve)
    if end < 2:
        return Crossing(None, "unknown")
    value_A = FSC(frequency_per_A[:end], curve[:end]).crossing_A(curve[:end], threshold)
    if value_A is None:
        last_A = 1 / float(frequency_per_A[end - 1])
        nyquist = " (Nyquist)" if end == len(curve) else ""
        return Crossing(None, f"better than {last_A:.2f} Å{nyquist}")
    if math.isinf(value_A):
        return Crossing(None, "no resolution")
    return Crossing(round(value_A, 4), f"{value_A:.2f} Å")


def correlation(fsc: FSC, best: str, is_doubtful: bool = False) -> Correlation:
    """All curves of a correlation, the name of the decisive one, and where that falls below each
    threshold.
    """
    judged = fsc.curves[best]
    return Correlation(
        {name: values(curve) for name, curve in fsc.curves.items()},
        best,
        {name: crossing(fsc.frequency_per_A, judged, float(name)) for name in THRESHOLDS},
        is_doubtful,
    )


def half_map_correlation(fsc: FSC) -> Correlation:
    """The FSC of two half maps: the corrected curve is decisive, if there is one."""
    return correlation(fsc, "unmasked" if fsc.corrected is None else "corrected")


def truth_correlation(fsc: FSC, is_doubtful: bool) -> Correlation:
    """The FSC of a map and something without noise: the curve under the mask is decisive, if there
    is one.
    """
    return correlation(fsc, "unmasked" if fsc.masked is None else "masked", is_doubtful)


def _band(inflation: Inflation) -> Band | None:
    """The band in which too much is claimed, and the mean excess over its shells."""
    if inflation.inflated_band is None:
        return None
    first, last = inflation.inflated_band
    coarse_A, fine_A = (1 / float(inflation.frequency_per_A[shell]) for shell in (first, last))
    return Band(coarse_A, fine_A, float(inflation.excess[first : last + 1].mean()))


def bias(inflation: Inflation) -> Bias:
    """The FSC that denoised half maps claim, and the part that raw ones support."""
    frequency = inflation.frequency_per_A
    last_per_A = float(frequency[inflation.last_shell])
    is_whole = inflation.last_shell == len(frequency) - 1
    threshold = float(THRESHOLDS[0])
    return Bias(
        claimed=values(inflation.claimed),
        supported=values(inflation.supported),
        supported_error=values(inflation.supported_error),
        excess=values(inflation.excess),
        excess_error=values(inflation.excess_error),
        correlation=values(inflation.correlation),
        claimed_correlation=values(inflation.claimed_correlation),
        mean_excess=number(*inflation.mean_excess),
        is_found=inflation.is_found,
        band=_band(inflation),
        known_to_A=None if is_whole or not last_per_A else round(1 / last_per_A, 4),
        claimed_crossing=crossing(frequency, inflation.claimed, threshold),
        supported_crossing=crossing(frequency, inflation.supported, threshold),
    )
