"""Weights of a network's output, ring by ring, that bring it closest to the truth.

Output = slope(k) · denoised + share(k) · raw. Both curves follow from covariances between halves
(`restore.evaluation.estimators.calibration`): those of micrographs held out from training, which
are stored in the model's card, and those of the micrograph itself if its halves are available.
"""

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from restore import fourier
from restore.evaluation.estimators.calibration import (
    SMOOTHED_RINGS,
    HalfCovariances,
    Weights,
    least_squares_weights,
    weights_for_full_sum,
)

CalibrationKind = Literal["rings", "model", "none"]
"""Calibrate by the micrograph's own halves if they are available, by the model's card, or not at
all.
"""

CALIBRATION_KINDS: tuple[str, ...] = get_args(CalibrationKind)

CALIBRATION_VERSION = 2
"""Increased when the same halves, or the same covariances in a model's card, calibrate the same
network's output differently; in 2, halves may have unequal numbers of frames, and a network of
which the halves confirm little is scaled down, not left as it is.
"""

RING_PER_A = 1 / 600
"""The width of the rings, except for small images."""

Curve = tuple[float, ...]


@dataclass(frozen=True)
class RingCalibration:
    """The covariances of raw and denoised halves that were held out from training, at ring centres
    ``i * width_per_A`` (1/Å); `HalfCovariances` describes each curve. Raises ValueError if the
    curves differ in length or are empty.
    """

    width_per_A: float
    raw: Curve
    signal: Curve
    denoised: Curve
    across: Curve
    mixed: Curve

    def __post_init__(self) -> None:
        curves = (self.raw, self.signal, self.denoised, self.across, self.mixed)
        if len({len(curve) for curve in curves}) != 1 or not self.raw:
            raise ValueError("the calibration's curves do not fit together")
        if not self.width_per_A > 0:
            raise ValueError(f"the calibration's rings are {self.width_per_A:g} 1/Å wide")

    @classmethod
    def of(cls, width_per_A: float, covariances: HalfCovariances) -> "RingCalibration":
        """A calibration from covariances, rounded to six digits."""
        curves = (
            tuple(float(f"{value:.6g}") for value in curve.tolist())
            for curve in covariances.curves()
        )
        return cls(width_per_A, *curves)

    @property
    def covariances(self) -> HalfCovariances:
        """The covariance curves as tensors."""
        curves = (self.raw, self.signal, self.denoised, self.across, self.mixed)
        return HalfCovariances(*(torch.tensor(curve, dtype=torch.float64) for curve in curves))

    def card(self) -> dict[str, Any]:
        """The calibration as plain values, for a file."""
        return asdict(self)


@dataclass(frozen=True)
class RingWeights:
    """The weights for a half and for the full sum, in rings ``width_per_A`` (1/Å) wide."""

    width_per_A: float
    half: Weights
    full: Weights


def model_weights(calibration: RingCalibration) -> RingWeights:
    """The weights for any micrograph, from a model's card."""
    width_per_A = calibration.width_per_A
    return weights_from(
        calibration.covariances, width_per_A, rings_together(SMOOTHED_RINGS, width_per_A)
    )


def weights_from(covariances: HalfCovariances, width_per_A: float, window: int) -> RingWeights:
    """The least-squares weights; ``window`` rings are combined."""
    half = least_squares_weights(covariances, window)
    return RingWeights(width_per_A, half, weights_for_full_sum(half, covariances, window))


def rings_together(rings: int, width_per_A: float) -> int:
    """The odd number of rings of ``width_per_A`` closest to this many rings of 1/600 Å."""
    return max(2 * round((rings * RING_PER_A / width_per_A - 1) / 2) + 1, 1)


_FEWEST_PERIODS = 16
"""In an image with fewer periods along an axis, signal would be removed with the lattice."""


def without_lattice(image: Float[Tensor, "y x"], period_px: int) -> Float[Tensor, "y x"]:
    """A network's output without the pattern that repeats every ``period_px`` pixels.

    Strides and pixel-shuffles treat the pixels within a period differently, which leaves a faint
    lattice of this period. For each position in the period, its mean minus the overall mean is
    subtracted, which changes ``period_px``² Fourier components. A small image is returned
    unchanged.
    """
    rows, columns = (side // period_px for side in image.shape)
    if min(rows, columns) < _FEWEST_PERIODS:
        return image
    whole = image[: rows * period_px, : columns * period_px]
    pattern = whole.reshape(rows, period_px, columns, period_px).mean(dim=(0, 2))
    pattern = (pattern - pattern.mean()).repeat(rows + 1, columns + 1)
    return image - pattern[: image.shape[0], : image.shape[1]]


def calibrated(
    weights: Weights,
    width_per_A: float,
    denoised: Float[Tensor, "y x"],
    raw: Float[Tensor, "y x"],
    pixel_size_yx_A: tuple[float, float],
) -> Float[Tensor, "y x"]:
    """The calibrated image: slope · denoised + share · raw in each ring.

    Both images must have the same scale. A ring whose slope is zero is the raw image times its
    share: the Wiener filter.
    """
    shape = (denoised.shape[0], denoised.shape[1])
    return weighted_sum(
        on_grid(weights, width_per_A, shape, pixel_size_yx_A, raw.device), denoised, raw
    )


def on_grid(
    weights: Weights,
    width_per_A: float,
    shape: fourier.Shape,
    pixel_size_yx_A: tuple[float, float],
    device: torch.device,
) -> Float[Tensor, "2 y kx"]:
    """Slope and share for each component of a half spectrum."""
    frequency = fourier.frequency_per_A(shape, pixel_size_yx_A, device)
    curves = (weights.slope.float(), weights.share.float())
    return torch.stack([fourier.along_rings(curve, width_per_A, frequency) for curve in curves])


def weighted_sum(
    weights: Float[Tensor, "2 y kx"], denoised: Float[Tensor, "y x"], raw: Float[Tensor, "y x"]
) -> Float[Tensor, "y x"]:
    """The sum of the denoised and the raw image with the weights of `on_grid`."""
    spectrum = weights[0] * fourier.spectrum_of(denoised) + weights[1] * fourier.spectrum_of(raw)
    return fourier.image_of(spectrum, (raw.shape[0], raw.shape[1]))
