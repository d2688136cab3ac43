"""Which micrographs are unlike the others."""

from restore.evaluation.outliers import is_outlier, outlier_scores
from restore.quantities import Number

KEYS = ("correlation_denoised", "bias_share", "invented_share")


def numbers(snr_raw=0.1):
    """The numbers that are compared, with another signal-to-noise ratio."""
    known = {key: Number(0.1, 0.09, 0.11) for key in KEYS}
    return known | {"calibration": Number(1.0), "snr_raw": Number(snr_raw)}


def test_the_odd_one_out_is_strange_and_like_ones_are_not():
    usual = [numbers(snr_raw=0.1 + 0.004 * index) for index in range(9)]
    scores = outlier_scores([*usual, numbers(snr_raw=0.01)])
    assert is_outlier(scores[-1]) and not any(is_outlier(score) for score in scores[:-1])
    assert outlier_scores([*usual[:2]]) == [0.0, 0.0]
    assert not any(
        is_outlier(score) for score in outlier_scores([*usual[:2], numbers(snr_raw=0.2)])
    )  # three tell nothing
    assert outlier_scores([numbers(snr_raw=None)] * 5) == [0.0] * 5
