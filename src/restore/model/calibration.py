"""What a network's output is multiplied by, ring by ring, so that it is nearest to the truth.

Output = slope(k) · denoised + share(k) · raw. The curves are measured on micrographs that were held
out of training (`restore.evaluation.estimators.calibration`), and travel in the model's card. There
are two pairs of curves: for one half, and for the full sum, whose noise has half the power.
"""

from dataclasses import asdict, dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from restore import fourier

Curve = tuple[float, ...]


@dataclass(frozen=True)
class RingCurves:
    """The factors of the denoised and the raw image at ring centres, ``i * width_per_A``."""

    slope: Curve
    share: Curve


@dataclass(frozen=True)
class RingCalibration:
    """The factors for a half and for the full sum, in rings ``width_per_A`` wide (1/Å)."""

    width_per_A: float
    half: RingCurves
    full: RingCurves

    def card(self) -> dict[str, Any]:
        """The calibration as plain values, for a file."""
        return asdict(self)

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> "RingCalibration":
        """The calibration that `card` wrote; ValueError or KeyError where it is none."""
        half, full = (
            RingCurves(tuple(card[name]["slope"]), tuple(card[name]["share"]))
            for name in ("half", "full")
        )
        lengths = {len(curve) for curves in (half, full) for curve in (curves.slope, curves.share)}
        if len(lengths) != 1 or lengths == {0} or not card["width_per_A"] > 0:
            raise ValueError("the calibration's curves do not fit together")
        return cls(float(card["width_per_A"]), half, full)


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
    calibration: RingCalibration,
    curves: RingCurves,
    denoised: Float[Tensor, "y x"],
    raw: Float[Tensor, "y x"],
    pixel_size_yx_A: tuple[float, float],
) -> Float[Tensor, "y x"]:
    """An image: slope · denoised + share · raw in each ring; ``curves`` are one of the two pairs.

    Both images must have one scale. A ring whose slope is nothing holds the raw image times its
    share: the Wiener filter.
    """
    shape = (denoised.shape[0], denoised.shape[1])
    frequency = fourier.frequency_per_A(shape, pixel_size_yx_A, denoised.device)
    slope, share = (
        fourier.along_rings(torch.tensor(curve), calibration.width_per_A, frequency)
        for curve in (curves.slope, curves.share)
    )
    spectrum = slope * fourier.spectrum_of(denoised) + share * fourier.spectrum_of(raw)
    return fourier.image_of(spectrum, shape)
