"""How near a denoised micrograph comes to the truth, or where there is none, to the half that it
has not seen.

All images of one micrograph are compared on one grid, band-passed alike, in the grey values of the
raw images.
"""

import math
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor

from restore.evaluation.estimators.spectra import RingCovariances, ring_covariances

RING_PER_A = 1 / 600
"""The rings in which a filter may change the signal's strength without being blamed for it."""

Image = Float[Tensor, "y x"]
Bands = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Triple:
    """The full sum of a micrograph and its two halves: raw, or as one method leaves them."""

    full: Image
    even: Image
    odd: Image


@dataclass(frozen=True)
class Score:
    """What one method did to one micrograph.

    ``gain_dB`` maps a band's name to the gain in signal-to-noise ratio over the raw image,
    ``correlation`` to the correlation with the truth (known, or estimated) behind it. ``bias`` is
    var(B) / var(S) and ``unexplained`` the share of what the two denoised halves have in common
    that no filter of the truth explains; NaN where it cannot be known.
    """

    gain_dB: dict[str, float] = field(default_factory=dict)
    correlation: dict[str, float] = field(default_factory=dict)
    bias: float = math.nan
    unexplained: float = math.nan


def band_name(band_A: tuple[float, float]) -> str:
    """A band as it stands at the head of a column."""
    return f"{band_A[0]:g}–{band_A[1]:g} Å"


def with_whole(bands: Bands) -> Bands:
    """The bands, and all of them as one."""
    return (*bands, (bands[0][0], bands[-1][1]))


def signal_band(bands: Bands) -> tuple[float, float]:
    """All bands but the finest, which holds mostly noise: there bias and what is unexplained are
    summed up.
    """
    return bands[0][0], bands[-2][1]


def snr_of(correlation: float) -> float:
    """The signal-to-noise ratio of an image with this correlation to the noise-free one: c² / (1 −
    c²); none below zero.
    """
    if math.isnan(correlation):
        return math.nan
    square = max(correlation, 0.0) ** 2
    return square / (1 - square) if square < 1 else math.inf


def gain_dB(after: float, before: float) -> float:
    """The gain of one correlation over another, 10 log10 of the ratio of their signal-to-noise
    ratios.
    """
    first, second = snr_of(after), snr_of(before)
    if math.isnan(first) or math.isnan(second) or second == 0:
        return math.nan
    return 10 * math.log10(first / second) if first > 0 else -math.inf


def score_by_truth(
    truth: Image, raw: Triple, denoised: Triple, pixel_size_yx_A: tuple[float, float], bands: Bands
) -> Score:
    """The score of a full sum whose noise-free image is known.

    Bias and unexplained share are those of the halves, whose noise is independent: with S half of
    the truth, var(B) = cov(D1, D2) + var(S) − cov(D1, S) − cov(D2, S), and what a filter explains
    is, ring by ring, cov(D1, S) cov(D2, S) / var(S).
    """
    images = torch.stack([truth, raw.full, denoised.full, denoised.even, denoised.odd, truth / 2])
    fine, wide = (ring_covariances(images, pixel_size_yx_A, width) for width in (None, RING_PER_A))
    before, after = (
        {band_name(band): _correlation(fine.band(*band), 0, which) for band in with_whole(bands)}
        for which in (1, 2)
    )
    inside = wide.band(*signal_band(bands)).covariance[..., 0]
    common, signal = float(inside[3, 4]), float(inside[5, 5])
    bias = (common + signal - float(inside[3, 5]) - float(inside[4, 5])) / signal
    return Score(_gains(after, before), after, bias, _unexplained(wide, bands))


def score_by_halves(
    raw: Triple, denoised: Triple, pixel_size_yx_A: tuple[float, float], bands: Bands
) -> Score:
    """The score of halves without any truth: each denoised one against the *other* raw one.

    The correlation with the unknown noise-free image is ½ (cov(M1, D2) + cov(M2, D1)) / √(cov(M1,
    M2) √(var D1 · var D2)); var(S) = cov(M1, M2), and var(B) is SPEC's: cov(D1, D2) + cov(M1, M2) −
    cov(M1, D2) − cov(M2, D1) (Palovcak 2020, S2.2).
    """
    images = torch.stack([raw.even, raw.odd, denoised.even, denoised.odd])
    rings = ring_covariances(images, pixel_size_yx_A)
    tables = {band_name(band): rings.band(*band).covariance[..., 0] for band in with_whole(bands)}
    before = {name: _estimated(c, (c[0, 1] + c[0, 1]) / 2, (0, 1)) for name, c in tables.items()}
    after = {name: _estimated(c, (c[0, 3] + c[1, 2]) / 2, (2, 3)) for name, c in tables.items()}
    inside = rings.band(*signal_band(bands)).covariance[..., 0]
    signal = inside[0, 1]
    bias = (inside[2, 3] + signal - inside[0, 3] - inside[1, 2]) / signal
    return Score(_gains(after, before), after, float(bias) if signal > 0 else math.nan)


def lowpass_cutoff_per_A(
    reference: Image,
    image: Image,
    pixel_size_yx_A: tuple[float, float],
    band_A: tuple[float, float],
) -> float:
    """The sharp low-pass that brings an image nearest to a reference (the truth, or the other
    half), in 1/Å.
    """
    rings = ring_covariances(torch.stack([reference, image]), pixel_size_yx_A)
    inside = (rings.frequency_per_A >= 1 / band_A[0]) & (rings.frequency_per_A < 1 / band_A[1])
    table = rings.covariance[..., inside]
    correlation = table[0, 1].cumsum(-1) / table[1, 1].cumsum(-1).sqrt()
    return float(rings.frequency_per_A[inside][correlation.argmax()])


def _gains(after: dict[str, float], before: dict[str, float]) -> dict[str, float]:
    return {name: gain_dB(after[name], before[name]) for name in after}


def _correlation(rings: RingCovariances, first: int, second: int) -> float:
    """The correlation in a band; NaN where nothing of either image is left in it."""
    c = rings.covariance[..., 0]
    # A method that empties a band leaves rounding errors there, about 1e-7 of its amplitudes.
    empty = c[second, second] < 1e-9 * c[1, 1]
    return (
        math.nan
        if empty
        else float(c[first, second] / (c[first, first] * c[second, second]).sqrt())
    )


def _estimated(c: Float[Tensor, "n n"], across: Tensor, pair: tuple[int, int]) -> float:
    """The correlation of two images with the signal that M1 and M2 (0 and 1) have in common."""
    signal, power = c[0, 1], (c[pair[0], pair[0]] * c[pair[1], pair[1]]).sqrt()
    if signal <= 0 or power < 1e-9 * (c[0, 0] * c[1, 1]).sqrt():
        return math.nan
    return float(across / (signal * power).sqrt())


def _unexplained(rings: RingCovariances, bands: Bands) -> float:
    coarse_A, fine_A = signal_band(bands)
    inside = (rings.frequency_per_A >= 1 / coarse_A) & (rings.frequency_per_A < 1 / fine_A)
    c = rings.covariance[..., inside]
    common = c[3, 4].sum()
    explained = (c[3, 5] * c[4, 5] / c[5, 5]).nan_to_num(0).sum()
    return float(1 - explained / common) if common > 0 else math.nan
