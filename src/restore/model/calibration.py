"""What a network's output is multiplied by, ring by ring, so that it is nearest to the truth.

Output = slope(k) · denoised + share(k) · raw. Both curves follow from covariances between halves
(`restore.evaluation.estimators.calibration`): those of micrographs that training did not see, which
travel in the model's card, and those of the micrograph itself, where its halves are there.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from restore import fourier
from restore.ctf import ctf
from restore.evaluation.estimators.calibration import (
    OWN_RINGS,
    SMOOTHED_RINGS,
    HalfCovariances,
    Weights,
    following_ctf,
    least_squares_weights,
    weights_for_full_sum,
    with_prior,
)
from restore.evaluation.estimators.spectra import ring_covariances, ring_means
from restore.micrograph import CTFParameters

CalibrationKind = Literal["rings", "model", "none"]
"""By the micrograph's own halves where they are there, by the model's card, or not at all."""

CALIBRATION_KINDS: tuple[str, ...] = get_args(CalibrationKind)

RING_PER_A = 1 / 600
"""The width of the rings, except for small images."""

Curve = tuple[float, ...]


@dataclass(frozen=True)
class RingCalibration:
    """The covariances of raw and denoised halves that training did not see, at ring centres
    ``i * width_per_A`` (1/Å); `HalfCovariances` says what each curve is. ValueError where the
    curves differ in length, or there are none.
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
        """With numbers of six digits."""
        curves = (
            tuple(float(f"{value:.6g}") for value in curve.tolist())
            for curve in covariances.curves()
        )
        return cls(width_per_A, *curves)

    @property
    def covariances(self) -> HalfCovariances:
        """The curves as tensors."""
        curves = (self.raw, self.signal, self.denoised, self.across, self.mixed)
        return HalfCovariances(*(torch.tensor(curve, dtype=torch.float64) for curve in curves))

    def card(self) -> dict[str, Any]:
        """The calibration as plain values, for a file."""
        return asdict(self)


@dataclass(frozen=True)
class RingWeights:
    """The weights of a half and of the full sum, in rings ``width_per_A`` (1/Å) wide."""

    width_per_A: float
    half: Weights
    full: Weights


def model_weights(calibration: RingCalibration) -> RingWeights:
    """The weights that a model's card gives to any micrograph."""
    width_per_A = calibration.width_per_A
    return _weights(calibration.covariances, width_per_A, _window(SMOOTHED_RINGS, width_per_A))


def own_weights(
    images: Float[Tensor, "n y x"],
    calibration: RingCalibration | None,
    pixel_size_yx_A: tuple[float, float],
    *,
    blank: Bool[Tensor, "y x"] | None = None,
    parameters: CTFParameters | None = None,
) -> RingWeights | None:
    """The weights that a micrograph's own halves give, with the model's calibration as a prior.

    ``images`` are M1, M2, D1 and, where the second half was denoised too, D2; ``blank`` pixels
    count for nothing, and with the CTF's ``parameters`` the weights follow the CTF from ring to
    ring. None where the halves cannot be what they are said to be: they are alike in their noise,
    too, or the denoised half has nothing in common with the other one.
    """
    halves = _Halves.of(images, calibration, pixel_size_yx_A, blank, parameters)
    own = halves.covariances()
    return halves.weights(own) if _plausible(own) else None


@dataclass(frozen=True)
class _Halves:
    """The images of a micrograph that its weights are measured on, and what is known of it."""

    images: Float[Tensor, "n y x"]
    calibration: RingCalibration | None
    pixel_size_yx_A: tuple[float, float]
    width_per_A: float
    ctf_square: Float[Tensor, "y kx"] | None

    @classmethod
    def of(
        cls,
        images: Float[Tensor, "n y x"],
        calibration: RingCalibration | None,
        pixel_size_yx_A: tuple[float, float],
        blank: Bool[Tensor, "y x"] | None,
        parameters: CTFParameters | None,
    ) -> "_Halves":
        if blank is not None:
            images = images.masked_fill(blank, 0)
        square = None
        if parameters is not None:
            square = ctf(parameters, _shape(images), pixel_size_yx_A, images.device).square()
            square = square if square.isfinite().all() else None
        width_per_A = _ring_width_per_A(images, calibration, pixel_size_yx_A)
        return cls(images, calibration, pixel_size_yx_A, width_per_A, square)

    def covariances(self, components: Bool[Tensor, "y kx"] | None = None) -> HalfCovariances:
        """As measured, over all components of the half spectrum or over some."""
        measured = ring_covariances(self.images, self.pixel_size_yx_A, self.width_per_A, components)
        return HalfCovariances.of(measured.covariance)

    def weights(
        self, own: HalfCovariances, components: Bool[Tensor, "y kx"] | None = None
    ) -> RingWeights:
        """The weights that these covariances give, which were measured over ``components``."""
        window = _window(OWN_RINGS, self.width_per_A)
        if self.ctf_square is None:
            smooth = own.smoothed(window)
        else:
            means = ring_means(
                self.ctf_square,
                _shape(self.images),
                self.pixel_size_yx_A,
                self.width_per_A,
                components,
            )
            smooth = following_ctf(own, *means, self.width_per_A)
        pixels = self.images[0].numel() / (1 if components is None else 2)
        prior = self.calibration.covariances.smoothed(window) if self.calibration else None
        return _weights(with_prior(smooth, prior, pixels), self.width_per_A, 1)


def _shape(images: Tensor) -> fourier.Shape:
    return (images.shape[-2], images.shape[-1])


def _ring_width_per_A(
    images: Tensor, calibration: RingCalibration | None, pixel_size_yx_A: tuple[float, float]
) -> float:
    if calibration is not None:
        return calibration.width_per_A
    sides_A = (side * size for side, size in zip(images.shape[1:], pixel_size_yx_A, strict=True))
    return max(RING_PER_A, 2 / min(sides_A))


_ALIKE, _UNRELATED = 0.98, 0.2


def _plausible(own: HalfCovariances) -> bool:
    raw, signal, denoised, across, _ = (float(curve[1:].sum()) for curve in own.curves())
    return signal < _ALIKE * raw and across > _UNRELATED * denoised > 0


def _weights(covariances: HalfCovariances, width_per_A: float, window: int) -> RingWeights:
    half = least_squares_weights(covariances, window)
    return RingWeights(width_per_A, half, weights_for_full_sum(half, covariances, window))


def _window(rings: int, width_per_A: float) -> int:
    """The odd number of rings that is nearest to so many of 1/600 Å."""
    return max(2 * round((rings * RING_PER_A / width_per_A - 1) / 2) + 1, 1)


_FEWEST_PERIODS = 16
"""An image with fewer of a network's periods along an axis would lose signal with the lattice."""


def without_lattice(image: Float[Tensor, "y x"], period_px: int) -> Float[Tensor, "y x"]:
    """A network's output without what repeats in it every ``period_px`` pixels.

    Strides and pixel-shuffles treat the pixels of one period unlike, and what that leaves is a
    faint lattice with this period. The mean of each place in the period, less the mean of all, is
    taken off: ``period_px``² of the image's components. A small image stays as it is.
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
    """An image: slope · denoised + share · raw in each ring.

    Both images must have one scale. A ring whose slope is nothing holds the raw image times its
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
    """Slope and share of each component of a half spectrum."""
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
    *,
    blank: Bool[Tensor, "y x"] | None = None,
    parameters: CTFParameters | None = None,
) -> list[Float[Tensor, "y x"]] | None:
    """Images calibrated as halves, by the first two, which are the micrograph's; None where those
    give no weights (`own_weights`).

    A Fourier component is weighted by what the components of the other colour of a checkerboard
    say. The noise that is in the weights is so independent of the noise that they are multiplied
    with, and what is then measured of the images holds for others.
    """
    images = torch.stack([*raw[:2], *denoised[:2]])
    halves = _Halves.of(images, calibration, pixel_size_yx_A, blank, parameters)
    shape, width_per_A = _shape(images), halves.width_per_A
    white = _checkerboard(shape, images.device)
    if not _plausible(halves.covariances()):
        return None
    for_white, for_black = (
        _on_grid(
            halves.weights(halves.covariances(others), others).half,
            width_per_A,
            shape,
            pixel_size_yx_A,
            images.device,
        )
        for others in (~white, white)
    )
    on_grid = torch.where(white, for_white, for_black)
    return [_weighted(on_grid, image, half) for image, half in zip(denoised, raw, strict=True)]


def _checkerboard(shape: tuple[int, int], device: torch.device) -> Bool[Tensor, "y kx"]:
    """Every other component of a half spectrum."""
    rows = torch.arange(shape[0], device=device)[:, None]
    columns = torch.arange(shape[1] // 2 + 1, device=device)[None]
    return (rows + columns) % 2 == 0
