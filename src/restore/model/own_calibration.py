"""The calibration of a micrograph by its own halves, for an image to be written or for one that the
same halves will evaluate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from restore import fourier
from restore.ctf import ctf
from restore.evaluation.estimators.calibration import (
    OWN_RINGS,
    HalfCovariances,
    following_ctf,
    with_prior,
)
from restore.evaluation.estimators.spectra import ring_covariances, ring_means
from restore.micrograph import CTFParameters
from restore.model.calibration import (
    RING_PER_A,
    RingCalibration,
    RingWeights,
    on_grid,
    rings_together,
    weighted_sum,
    weights_from,
)


def own_weights(
    images: Float[Tensor, "n y x"],
    calibration: RingCalibration | None,
    pixel_size_yx_A: tuple[float, float],
    *,
    blank: Bool[Tensor, "y x"] | None = None,
    parameters: CTFParameters | None = None,
) -> RingWeights | None:
    """The weights from a micrograph's own halves, with the model's calibration as a prior.

    ``images`` are M1, M2, D1 and, if the second half was denoised too, D2; M1 and M2 must hold the
    signal in the same strength. ``blank`` pixels are ignored, and with the CTF's ``parameters`` the
    weights follow the CTF from ring to ring. None if the images cannot be independent halves,
    because they share their noise as well.

    That both belong to one exposure must be known: if the denoised half has little in common with
    the other raw half, most of it counts as hallucinated, and its weights are small.
    """
    halves = _Halves.of(images, calibration, pixel_size_yx_A, blank, parameters)
    own = HalfCovariances.of(halves.table())
    return None if _identical(own) else halves.weights(own)


@dataclass(frozen=True)
class _Halves:
    """The images of a micrograph from which its weights are measured, and its properties."""

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

    def table(self, components: Bool[Tensor, "y kx"] | None = None) -> Float[Tensor, "n n rings"]:
        """The measured covariances, over all components of the half spectrum or over some."""
        return ring_covariances(
            self.images, self.pixel_size_yx_A, self.width_per_A, components
        ).covariance

    def components(self) -> Float[Tensor, "rings"]:
        """The number of components of the whole spectrum in each ring."""
        ones = torch.ones((1, 1), device=self.images.device)
        shape = _shape(self.images)
        every = ones.expand(shape[0], shape[1] // 2 + 1)
        return ring_means(every, shape, self.pixel_size_yx_A, self.width_per_A)[1]

    def weights(
        self, own: HalfCovariances, components: Bool[Tensor, "y kx"] | None = None
    ) -> RingWeights:
        """The weights from these covariances, which were measured over ``components``."""
        window = rings_together(OWN_RINGS, self.width_per_A)
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
        return weights_from(with_prior(smooth, prior, pixels), self.width_per_A, 1)


def _shape(images: Tensor) -> fourier.Shape:
    return (images.shape[-2], images.shape[-1])


def _ring_width_per_A(
    images: Tensor, calibration: RingCalibration | None, pixel_size_yx_A: tuple[float, float]
) -> float:
    if calibration is not None:
        return calibration.width_per_A
    sides_A = (side * size for side, size in zip(images.shape[1:], pixel_size_yx_A, strict=True))
    return max(RING_PER_A, 2 / min(sides_A))


_ALIKE = 0.95  # identical halves with wide borders correlate by 0.96
_RELATED, _SURE = 0.2, 5.0


def _identical(own: HalfCovariances) -> bool:
    """Whether the raw halves share nearly all their power."""
    return not float(own.signal[1:].sum()) < _ALIKE * float(own.raw[1:].sum())


def _related(own: HalfCovariances, components: Float[Tensor, "rings"]) -> bool:
    """Whether the halves have anything in common: a denoised half with the other raw half, or both
    raw halves, more than five times the standard error. The former alone would not do: most of the
    network's output may be hallucinated although the halves belong together.
    """
    raw, signal, denoised, across, _ = (curve[1:] for curve in own.curves())
    if float(across.sum()) > _RELATED * float(denoised.sum()) > 0:
        return True
    # Without a common signal, the cross spectrum of n components has the variance of their power
    # squared over n, a pair of conjugates counting as two.
    variance = (raw.square() / components[1 : len(raw) + 1].clamp(min=1)).sum()
    return float(signal.sum()) > _SURE * float(variance.sqrt()) > 0


def cross_calibrated(
    denoised: Sequence[Float[Tensor, "y x"]],
    raw: Sequence[Float[Tensor, "y x"]],
    calibration: RingCalibration | None,
    pixel_size_yx_A: tuple[float, float],
    *,
    blank: Bool[Tensor, "y x"] | None = None,
    parameters: CTFParameters | None = None,
) -> list[Float[Tensor, "y x"]] | None:
    """Images calibrated with weights from the first two, which are the micrograph's halves; None if
    those are identical, or have nothing in common.

    Fourier components are divided like the squares of a checkerboard, and each is weighted by the
    statistics of the components of the other colour. The noise in the weights is thus independent
    of the noise that they multiply, so that measurements of the calibrated images are unbiased.
    """
    images = torch.stack([*raw[:2], *denoised[:2]])
    halves = _Halves.of(images, calibration, pixel_size_yx_A, blank, parameters)
    shape, width_per_A = _shape(images), halves.width_per_A
    white = checkerboard(shape, images.device)
    of_white, of_black = halves.table(white), halves.table(~white)
    own = HalfCovariances.of(of_white + of_black)
    if _identical(own) or not _related(own, halves.components()):
        return None
    for_white, for_black = (
        on_grid(
            halves.weights(HalfCovariances.of(table), others).half,
            width_per_A,
            shape,
            pixel_size_yx_A,
            images.device,
        )
        for table, others in ((of_black, ~white), (of_white, white))
    )
    weights = torch.where(white, for_white, for_black)
    return [weighted_sum(weights, image, half) for image, half in zip(denoised, raw, strict=True)]


def checkerboard(shape: tuple[int, int], device: torch.device) -> Bool[Tensor, "y kx"]:
    """A mask of every other component of a half spectrum, like the squares of one colour."""
    rows = torch.arange(shape[0], device=device)[:, None]
    columns = torch.arange(shape[1] // 2 + 1, device=device)[None]
    return (rows + columns) % 2 == 0
