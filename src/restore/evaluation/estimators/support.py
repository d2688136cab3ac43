"""Local agreement: where in a micrograph the denoised image is confirmed by data that it was not
made from.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate, pad

_CELLS_PER_WINDOW = 8
_NULL_SHIFTS = 8
_Z = 1.645  # both ends of 90 %
_MOST_BLANK = 0.5


@dataclass(frozen=True)
class Support:
    """Local regression of the other raw half on the denoised one, on a coarse grid over the
    micrograph.

    ``slope`` is 1 where, on average, all of the denoised signal is in the other half as well, and 0
    where none of it is; ``error`` is its standard deviation, found by shifting the halves against
    each other. Both are NaN in ``blank`` cells, which hold no data.
    """

    slope: Float[Tensor, "rows columns"]
    error: Float[Tensor, "rows columns"]
    blank: Bool[Tensor, "rows columns"] | None = None

    @property
    def confirmed(self) -> Float[Tensor, "rows columns"]:
        """From 0 to 1: by how much the slope is significantly (90 %) above one half."""
        return ((self.slope - _Z * self.error - 0.5) / 0.5).clamp(0, 1)

    @property
    def refuted(self) -> Float[Tensor, "rows columns"]:
        """From 0 to 1: by how much the slope is significantly (90 %) below one half."""
        return ((0.5 - self.slope - _Z * self.error) / 0.5).clamp(0, 1)

    def share(self, strength: Float[Tensor, "rows columns"]) -> float:
        """The share of the area with data where `confirmed` or `refuted` is above zero."""
        known = strength if self.blank is None else strength[~self.blank]
        return float((known > 0).float().mean()) if known.numel() else 0.0


def local_support(
    raw: tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]],
    denoised: tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]],
    window_px: float,
    blank: Bool[Tensor, "y x"] | None = None,
) -> Support:
    """The local covariance of each denoised half with the *other* raw half, relative to the local
    variance of the denoised half.

    Windows are Gaussians with ``window_px`` pixels of full width at half maximum. The slope of the
    regression of M2 on D1 is 1 for a perfect denoiser, whose output is the expectation of the data.
    ``blank`` pixels are ignored; a cell of which more than half is blank is blank.
    """
    m1, m2, d1, d2 = (
        image if blank is None else image.masked_fill(blank, 0) for image in (*raw, *denoised)
    )
    cell_px = max(1, round(window_px / _CELLS_PER_WINDOW))
    drawn = _local(d1.square() + d2.square(), cell_px)
    shared = _local(d1 * m2 + d2 * m1, cell_px)
    null = torch.zeros_like(shared)
    for shift in _null_shifts((d1.shape[0], d1.shape[1]), window_px):
        null += _local(d1 * m2.roll(shift, (0, 1)) + d2 * m1.roll(shift, (0, 1)), cell_px).square()
    spread = _blurred(null / _NULL_SHIFTS, 2 * _CELLS_PER_WINDOW).sqrt()
    if blank is None:
        return Support(shared / drawn, spread / drawn)
    blank_cells = _cells(blank.to(drawn), cell_px) > _MOST_BLANK
    drawn = drawn.masked_fill(blank_cells, torch.nan)
    return Support(shared / drawn, spread / drawn, blank_cells)


def _null_shifts(shape: tuple[int, int], window_px: float) -> list[tuple[int, int]]:
    """Shifts (y, x) far beyond the window, for which what the halves have in common no longer
    overlaps.
    """
    far = min(2 * window_px, min(shape) / 4)
    rays = torch.arange(_NULL_SHIFTS) * 2 * torch.pi / _NULL_SHIFTS
    lengths = far * (1 + 0.5 * (torch.arange(_NULL_SHIFTS) % 3) / 2)
    return [(round(float(length * ray.sin())), round(float(length * ray.cos())))
            for length, ray in zip(lengths, rays, strict=True)]  # fmt: skip


def _local(image: Float[Tensor, "y x"], cell_px: int) -> Float[Tensor, "rows columns"]:
    """The image's mean in a Gaussian window around each cell of ``cell_px`` pixels."""
    return _blurred(_cells(image, cell_px), _CELLS_PER_WINDOW)


def _cells(image: Float[Tensor, "y x"], cell_px: int) -> Float[Tensor, "rows columns"]:
    """The image's mean in each cell of ``cell_px`` pixels."""
    size = [max(1, side // cell_px) for side in image.shape]
    return interpolate(image[None, None], size=size, mode="area")[0, 0]


def _blurred(image: Float[Tensor, "y x"], width_px: float) -> Float[Tensor, "y x"]:
    """The image blurred by a Gaussian of this full width at half maximum; it is mirrored at its
    borders.
    """
    sigma = width_px / 2.355
    reach = min(round(3 * sigma), min(image.shape) - 1)
    along = torch.exp(
        -0.5 * (torch.arange(-reach, reach + 1, device=image.device) / sigma).square()
    )
    along = (along / along.sum()).to(image.dtype)
    padded = pad(image[None, None], (reach,) * 4, mode="reflect")
    rows = torch.nn.functional.conv2d(padded, along[None, None, :, None])
    return torch.nn.functional.conv2d(rows, along[None, None, None, :])[0, 0]
