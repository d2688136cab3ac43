"""Outliers: how far each micrograph of a set is from the others."""

import math
from collections.abc import Mapping, Sequence
from statistics import median

from scipy.stats import norm, t

from restore.quantities import Number

_OUTLYING = 4.0
_LARGEST_SCORE = 37.0  # beyond it a tail of the normal distribution underflows to zero
# With this, 1 in 100 sets of 8 similar micrographs, and 1 in 8 sets of 300, has one beyond 4.
_FREEDOM_OF_SPREAD = 0.7
_OUTLIER_KEYS = ("snr_raw", "correlation_denoised", "bias_share", "invented_share", "calibration")
_LOG_KEYS = ("snr_raw", "bias_share", "invented_share")


def outlier_scores(micrographs: Sequence[Mapping[str, Number]]) -> list[float]:
    """How far each micrograph is from the others: the largest robust z-score of the quantities
    compared.

    The spread of a few micrographs is poorly known: a distance is treated as Student's t with the
    degrees of freedom of the median absolute deviation, and the returned z-score is that of a
    normal distribution with the same tail probability.
    """
    scores = [0.0] * len(micrographs)
    for key in _OUTLIER_KEYS:
        values = [_scaled(numbers, key) for numbers in micrographs]
        present = [value for value in values if value is not None]
        if len(present) < 3:
            continue
        middle = median(present)
        spread = 1.4826 * median(abs(value - middle) for value in present)
        for index, value in enumerate(values):
            if value is not None and spread > 0:
                score = _z_score(abs(value - middle) / spread, len(present))
                scores[index] = max(scores[index], score)
    return scores


def is_outlier(score: float) -> bool:
    """Whether a micrograph is far from the others."""
    return score > _OUTLYING


def _z_score(distance: float, count: int) -> float:
    freedom = _FREEDOM_OF_SPREAD * (count - 1)
    return min(float(norm.isf(t.sf(distance, freedom))), _LARGEST_SCORE)


def _scaled(numbers: Mapping[str, Number], key: str) -> float | None:
    """The number that is compared: the logarithm of a ratio of variances, other quantities as they
    are.
    """
    value = numbers[key].value
    if value is None or key not in _LOG_KEYS:
        return value
    return math.log(max(value, 1e-6))
