"""Results as JSON can say them: curves, where they fall under a threshold, and what was measured of
each map.
"""

import math
from collections.abc import Mapping
from typing import Any

from jaxtyping import Float
from torch import Tensor

from restore.maps.fsc import FSC
from restore.maps.fsc_inflation import Inflation

THRESHOLDS = (0.143, 0.5)


def values(curve: Float[Tensor, "shells"]) -> list[float | None]:
    """A curve as numbers of six digits; None where it is not finite."""
    return [float(f"{each:.6g}") if math.isfinite(each) else None for each in curve.tolist()]


def number(value: float, error: float = math.nan) -> dict[str, float | None]:
    """A number and the ends of its interval, one error to either side."""
    ends = {"value": value, "low": value - error, "high": value + error}
    return {
        name: float(f"{each:.6g}") if math.isfinite(each) else None for name, each in ends.items()
    }


def crossing(
    frequency_per_A: Float[Tensor, "shells"], curve: Float[Tensor, "shells"], threshold: float
) -> dict[str, Any]:
    """Where a curve first falls under a threshold, and how that is said.

    A curve that ends (NaN) before it falls is said to be better than where it ends.
    """
    known = curve.isfinite()
    end = int((~known).nonzero()[0]) if not bool(known.all()) else len(curve)
    if end < 2:
        return {"value_A": None, "words": "unknown"}
    value_A = FSC(frequency_per_A[:end], curve[:end]).crossing_A(curve[:end], threshold)
    if value_A is None:
        last_A = 1 / float(frequency_per_A[end - 1])
        nyquist = " (Nyquist)" if end == len(curve) else ""
        return {"value_A": None, "words": f"better than {last_A:.2f} Å{nyquist}"}
    if math.isinf(value_A):
        return {"value_A": None, "words": "no resolution"}
    return {"value_A": round(value_A, 4), "words": f"{value_A:.2f} Å"}


def correlation(fsc: FSC, best: str) -> dict[str, Any]:
    """All curves of a correlation, the name of the one to judge by, and where that falls under each
    threshold.
    """
    judged = fsc.curves[best]
    return {
        "curves": {name: values(curve) for name, curve in fsc.curves.items()},
        "best": best,
        "crossings": {
            f"{each:g}": crossing(fsc.frequency_per_A, judged, each) for each in THRESHOLDS
        },
    }


def half_map_correlation(fsc: FSC) -> dict[str, Any]:
    """The FSC of two half maps: judged by the corrected curve, where there is one."""
    return correlation(fsc, "unmasked" if fsc.corrected is None else "corrected")


def truth_correlation(fsc: FSC) -> dict[str, Any]:
    """The FSC of a map and something without noise: judged by the curve under the mask, where there
    is one.
    """
    return correlation(fsc, "unmasked" if fsc.masked is None else "masked")


def _band(found: Inflation) -> dict[str, float] | None:
    """The band in which too much is claimed, and how much on average over its shells."""
    if found.inflated_band is None:
        return None
    first, last = found.inflated_band
    coarse_A, fine_A = (1 / float(found.frequency_per_A[shell]) for shell in (first, last))
    return {
        "from_A": coarse_A,
        "to_A": fine_A,
        "mean_excess": float(found.excess[first : last + 1].mean()),
    }


def bias(found: Inflation) -> dict[str, Any]:
    """What denoised half maps claim and raw ones support."""
    names = ("claimed", "supported", "supported_error", "excess", "excess_error")
    curves: Mapping[str, Any] = {name: values(getattr(found, name)) for name in names}
    frequency = found.frequency_per_A
    known = float(frequency[found.last_shell])
    whole = found.last_shell == len(frequency) - 1
    return {
        **curves,
        "correlation": values(found.correlation),
        "claimed_correlation": values(found.claimed_correlation),
        "mean_excess": number(*found.mean_excess),
        "is_found": found.is_found,
        "band": _band(found),
        "known_to_A": None if whole or not known else round(1 / known, 4),
        "claimed_crossing": crossing(frequency, found.claimed, THRESHOLDS[0]),
        "supported_crossing": crossing(frequency, found.supported, THRESHOLDS[0]),
    }
