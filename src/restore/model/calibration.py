"""Weights of a network's output, ring by ring, that bring it closest to the truth.

Output = slope(k) · denoised + share(k) · raw. Both curves follow from covariances between halves
(`restore.evaluation.estimators.calibration`): those of micrographs held out from training, which
are stored in the model's card, and those of the micrograph itself if its halves are available.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from restore import fourier
from restore.evaluation.estimators.calibration import (
    OWN_RINGS,
    SMOOTHED_RINGS,
    HalfCovariances,
    Weights,
    least_squares_weights,
    weights_for_full_sum,
    with_prior,
)
from restore.evaluation.estimators.spectra import ring_covariances

CalibrationKind = Literal["rings", "model", "none"]
"""Calibrate by the micrograph's own halves if they are available, by the model's card, or not at
all.
"""

CALIBRATION_KINDS: tuple[str, ...] = get_args(CalibrationKind)

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
    return _weights(calibration.covariances, calibration.width_per_A, SMOOTHED_RINGS)


def own_weights(
    images: Float[Tensor, "n y x"],
    calibration: RingCalibration | None,
    pixel_size_yx_A: tuple[float, float],
    blank: Bool[Tensor, "y x"] | None = None,
) -> RingWeights | None:
    """The weights from a micrograph's own halves, with the model's calibration as a prior.

    ``images`` are M1, M2, D1 and, if the second half was denoised too, D2; ``blank`` pixels are
    ignored. None if the images cannot be independent halves: they share their noise as well, or the
    denoised half has nothing in common with the other raw half.
    """
    width_per_A = _ring_width_per_A(images, calibration, pixel_size_yx_A)
    if blank is not None:
        images = images.masked_fill(blank, 0)
    own = HalfCovariances.of(ring_covariances(images, pixel_size_yx_A, width_per_A).covariance)
    if not _plausible(own):
        return None
    return _own(own, images[0].numel(), calibration, width_per_A)


def _ring_width_per_A(
    images: Tensor, calibration: RingCalibration | None, pixel_size_yx_A: tuple[float, float]
) -> float:
    if calibration is not None:
        return calibration.width_per_A
    sides_A = (side * size for side, size in zip(images.shape[1:], pixel_size_yx_A, strict=True))
    return max(RING_PER_A, 2 / min(sides_A))


def _own(
    own: HalfCovariances, pixels: float, calibration: RingCalibration | None, width_per_A: float
) -> RingWeights:
    prior = calibration.covariances if calibration else None
    return _weights(with_prior(own, prior, pixels), width_per_A, OWN_RINGS)


_ALIKE, _UNRELATED = 0.98, 0.2


def _plausible(own: HalfCovariances) -> bool:
    raw, signal, denoised, across, _ = (float(curve[1:].sum()) for curve in own.curves())
    return signal < _ALIKE * raw and across > _UNRELATED * denoised > 0


def _weights(covariances: HalfCovariances, width_per_A: float, rings: int) -> RingWeights:
    window = max(2 * round((rings * RING_PER_A / width_per_A - 1) / 2) + 1, 1)
    half = least_squares_weights(covariances, window)
    return RingWeights(width_per_A, half, weights_for_full_sum(half, covariances, window))


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
    return _weighted(
        _on_grid(weights, width_per_A, shape, pixel_size_yx_A, raw.device), denoised, raw
    )


def _on_grid(
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


def _weighted(
    on_grid: Float[Tensor, "2 y kx"], denoised: Float[Tensor, "y x"], raw: Float[Tensor, "y x"]
) -> Float[Tensor, "y x"]:
    """The sum of the denoised and the raw image with the weights of `_on_grid`."""
    spectrum = on_grid[0] * fourier.spectrum_of(denoised) + on_grid[1] * fourier.spectrum_of(raw)
    return fourier.image_of(spectrum, (raw.shape[0], raw.shape[1]))


def cross_calibrated(
    denoised: Sequence[Float[Tensor, "y x"]],
    raw: Sequence[Float[Tensor, "y x"]],
    calibration: RingCalibration | None,
    pixel_size_yx_A: tuple[float, float],
    blank: Bool[Tensor, "y x"] | None = None,
) -> list[Float[Tensor, "y x"]] | None:
    """Images calibrated with weights from the first two, which are the micrograph's halves; None if
    those give no weights (`own_weights`).

    Fourier components are divided like the squares of a checkerboard, and each is weighted by the
    statistics of the components of the other colour. The noise in the weights is thus independent
    of the noise that they multiply, so that measurements of the calibrated images are unbiased.
    """
    images = torch.stack([*raw[:2], *denoised[:2]])
    if blank is not None:
        images = images.masked_fill(blank, 0)
    shape = (images.shape[1], images.shape[2])
    white = _checkerboard(shape, images.device)
    width_per_A = _ring_width_per_A(images, calibration, pixel_size_yx_A)
    of_white, of_black = (
        ring_covariances(images, pixel_size_yx_A, width_per_A, components).covariance
        for components in (white, ~white)
    )
    if not _plausible(HalfCovariances.of(of_white + of_black)):
        return None
    for_white, for_black = (
        _on_grid(
            _own(HalfCovariances.of(table), images[0].numel() / 2, calibration, width_per_A).half,
            width_per_A,
            shape,
            pixel_size_yx_A,
            images.device,
        )
        for table in (of_black, of_white)
    )
    on_grid = torch.where(white, for_white, for_black)
    return [_weighted(on_grid, image, half) for image, half in zip(denoised, raw, strict=True)]


def _checkerboard(shape: tuple[int, int], device: torch.device) -> Bool[Tensor, "y kx"]:
    """A mask of every other component of a half spectrum, like the squares of one colour."""
    rows = torch.arange(shape[0], device=device)[:, None]
    columns = torch.arange(shape[1] // 2 + 1, device=device)[None]
    return (rows + columns) % 2 == 0
