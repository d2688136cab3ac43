"""Checks that an image is raw, that its halves belong to the full sum, and whether they have equal
numbers of frames.
"""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from restore import fourier
from restore.evaluation.estimators.half_pairs import are_identical
from restore.preprocessing import Prepared

LEAST_CORRELATION = 0.1
"""The least correlation of a full sum with the sum of its halves. They have most of their noise in
common, and correlate far more than this; images of two exposures do not. On 40 simulated fields
(``benchmarks/false_alarms.py``): at least 0.87 for full sums that are weighted by dose, 0.69 for
those of half of the frames, and at most 0.02 for halves of another exposure.

It is also the least correlation with a single half, which is about 1/√2 of that with the sum. A
full sum without noise may correlate less with both; then a half is of another exposure if its
correlation is less than `LEAST_OF_OTHER` of the other half's. On 20 of these fields, at least 0.66
with own halves, and less than 0.01 with one half of another exposure.
"""

LEAST_OF_OTHER = 0.5
"""The least correlation of the full sum with one half, as a share of that with the other half. With
n₁ and n₂ frames in the halves the share is √(n₁/n₂).
"""

_SAME_IMAGE, _UNLIKE = 0.995, 0.01
_SAME_BUT_FOR_FILLING, _FAR_UNLIKE = 0.95, 0.05
"""The limits where pixels hold no data: what fills them differs between images, and phase flipping
carries it into other pixels.
"""


def objection_to_halves(prepared: Sequence[Prepared]) -> str:
    """The reason why two halves cannot belong to the full sum, the first of three prepared images:
    one or both are of another exposure, rotated or inverted, one of them is the full sum itself, or
    they are identical. Empty if there is no objection.
    """
    correlation = correlation_with_halves(prepared)
    if correlation < LEAST_CORRELATION:
        return f"its halves do not show what the full sum shows (correlation {correlation:.2f})"
    of_halves = correlations_with_each_half(prepared)
    least, most = sorted(of_halves)
    same, unlike = (
        (_SAME_IMAGE, _UNLIKE)
        if prepared[0].blank is None
        else (_SAME_BUT_FOR_FILLING, _FAR_UNLIKE)
    )
    if most > same and most - least > unlike:
        return "one of its halves is the full sum"
    if least < LEAST_CORRELATION and least < LEAST_OF_OTHER * most:
        part = "even" if of_halves[0] == least else "odd"
        return f"its {part} half does not show what the full sum shows (correlation {least:.2f})"
    halves = torch.stack([half.image for half in prepared[1:]])
    return "its halves are identical" if are_identical(halves, prepared[0].blank) else ""


MOST_LOST = 0.02
"""The largest share of an image that may lack data in a half although the full sum has them."""


def objection_to_areas(
    full: Bool[Tensor, "y x"] | None, halves: Sequence[Bool[Tensor, "y x"] | None]
) -> str:
    """The reason why a half lacks too much of what the full sum has, from the pixels without data
    of the full sum and of both halves (or none); empty if there is none.
    """
    for part, blank in zip(("even", "odd"), halves, strict=False):
        if blank is None:
            continue
        lost = blank if full is None else blank & ~full
        share = int(lost.count_nonzero()) / lost.numel()
        if share > MOST_LOST:
            percent = f"{100 * share:.2g} %"
            return f"its {part} half lacks data in {percent} of the image, unlike the full sum"
    return ""


def correlation_with_halves(prepared: Sequence[Prepared]) -> float:
    """The correlation of the full sum, the first of three prepared images, with the sum of its
    halves, over the pixels that hold data.
    """
    full, first, second = (_flat(image) for image in prepared)
    return _correlation(full, first * prepared[1].scale + second * prepared[2].scale)


def correlations_with_each_half(prepared: Sequence[Prepared]) -> tuple[float, float]:
    """The correlations of the full sum, the first of three prepared images, with the even and with
    the odd half, over the pixels that hold data.
    """
    full, even, odd = (_flat(image) for image in prepared)
    return _correlation(full, even), _correlation(full, odd)


EQUAL_WITHIN, ERROR_OF_RATIO = 0.02, 10.0
"""Halves count as equal if `signal_ratio` differs from 1 by less than this, or by less than this
over the square root of the number of pixels. Of 14 simulated fields of 256² pixels and one real
micrograph, all with equal halves, the ratio differed by at most 5 over that square root.
"""


def signal_ratio(prepared: Sequence[Prepared]) -> float:
    """The strength of the signal in the even half relative to that in the odd half, both prepared
    to unit deviation, from their correlations with the full sum, the first of three prepared
    images. Exactly 1 if they differ by no more than halves with equal numbers of frames do.

    A half of n₁ frames, each with signal power S and noise power 1, has the variance n₁ + n₁²S and
    the covariance n₁(1 + NS) with the sum of all N. In unit deviation, its signal, √(n₁/(1 + n₁S))
    times that of a frame, is thus proportional to its correlation with the full sum, whether the
    images are sums or means of their frames.
    """
    even, odd = correlations_with_each_half(prepared)
    pixels = len(_flat(prepared[0]))
    if min(even, odd) <= 0:
        return 1.0
    ratio = even / odd
    error = max(EQUAL_WITHIN, ERROR_OF_RATIO / math.sqrt(pixels))
    return 1.0 if abs(math.log(ratio)) < error else ratio


def _flat(prepared: Prepared) -> Float[Tensor, "n"]:
    """The pixels that hold data."""
    image, blank = prepared.image, prepared.blank
    return image.flatten() if blank is None else image[~blank]


def _correlation(first: Float[Tensor, "n"], second: Float[Tensor, "n"]) -> float:
    scale = torch.linalg.vector_norm(first) * torch.linalg.vector_norm(second)
    return float((first @ second) / scale) if scale > 0 else 0.0


LEAST_FINE_POWER = 0.02
"""The least power of components near the end of a raw image's band, relative to the mean of those
in the coarser half. On 40 simulated fields of all detectors, doses and contents
(``benchmarks/false_alarms.py``): at least 0.11 for full sums and halves, 0.03 for sums that are
weighted by dose without restoring the noise, and at most 0.02 for images low-passed at half of the
band or below. Of twelve denoised images eleven are below it.
"""

_COARSE, _END = (0.0, 0.5), (0.75, 0.9)  # of the Nyquist frequency of the recipe


def has_fine_noise(prepared: Prepared) -> bool:
    """Whether a prepared image has noise up to the recipe's resolution, as every raw image does,
    but not one that was low-pass filtered, binned and enlarged, or denoised.
    """
    return fine_power(prepared) > LEAST_FINE_POWER


def fine_power(prepared: Prepared) -> float:
    """The mean power of a component near the end of the band over that of one in its coarser half
    (below half the Nyquist frequency).
    """
    grid = prepared.grid
    power = fourier.spectrum_of(prepared.image).abs().square()
    frequency = fourier.frequency_per_A(grid.shape, grid.pixel_size_yx_A, power.device)
    share = frequency * 2 * max(grid.pixel_size_yx_A)
    coarse, end = (
        power[(share > first) & (share < last)].mean() for first, last in (_COARSE, _END)
    )
    return float(end / coarse) if coarse > 0 else 0.0
