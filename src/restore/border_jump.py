"""The jump of an image's grey values from one border to the opposite one.

A discrete Fourier transform joins opposite borders. Where one of them lies on a film edge, carbon,
or thicker ice, a filter sees an edge between the two and draws it along both. A smooth image with
the same jump, subtracted before, prevents this (the idea of a periodic and a smooth component:
Moisan, J. Math. Imaging Vis. 39, 161, 2011).
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from restore.fourier import smoothstep

_STRIPS_PER_SIDE = 8  # at least, of an image's side
_SAMPLED_LINES = 24
_INSIGNIFICANT, _SIGNIFICANT = 5.0, 10.0
"""The largest jump between two borders, in units of the typical one across a line inside the image,
up to which nothing is subtracted, and from which on everything is.
"""


@dataclass(frozen=True)
class BorderJump:
    """A smooth image (y, x) with given jumps between its opposite borders, and with mean 0.

    With r(t) falling linearly from ½ to −½ over an axis, the image is
    ``between_columns``(y)·r(x) + ``between_rows``(x)·r(y) − c·r(x)·r(y), with c the fall of
    either jump along its border, so that neither term adds to the jump of the other.

    Attributes
    ----------
    between_columns
        The first column minus the last one, at each y.
    between_rows
        The first row minus the last one, at each x.
    """

    between_columns: Float[Tensor, "y"]
    between_rows: Float[Tensor, "x"]

    def added_to(
        self,
        image: Float[Tensor, "y x"],
        factor: float = 1,
        out: Float[Tensor, "y x"] | None = None,
    ) -> Float[Tensor, "y x"]:
        """An image plus ``factor`` times this one; written to ``out`` (which may be ``image``) if
        it is given.
        """
        by_y, by_x = _falling_ramp(self.between_columns), _falling_ramp(self.between_rows)
        # For the jumps of an image u, both falls are u(0, 0) - u(0, X) - u(Y, 0) + u(Y, X), with Y
        # and X the last pixels; smoothing makes them differ a little.
        falls = [jump[0] - jump[-1] for jump in (self.between_columns, self.between_rows)]
        fall = (falls[0] + falls[1]) / 2
        factors_y = torch.stack([self.between_columns - fall * by_y, by_y], dim=1)
        factors_x = torch.stack([by_x, self.between_rows])
        return torch.addmm(image, factors_y, factors_x, alpha=factor, out=out)


def fit_border_jump(
    image: Float[Tensor, "y x"], finest_px: float, blank: Bool[Tensor, "y x"] | None = None
) -> BorderJump:
    """The jump between opposite borders of an image without its smooth background.

    Each border's values are extrapolated from the means of two strips, an eighth of ``finest_px``
    wide, and smoothed along the border by a Gaussian whose standard deviation is half of
    ``finest_px``: 1 % is left of waves of that length. A jump that is no larger than those found
    in the same way across lines inside the image, because of noise and of what is imaged, is zero.
    Pixels that ``blank`` marks are taken to be background.
    """
    turned = None if blank is None else blank.T
    return BorderJump(
        _jump_between_rows(image.T, finest_px, turned), _jump_between_rows(image, finest_px, blank)
    )


def _jump_between_rows(
    image: Float[Tensor, "y x"], finest_px: float, blank: Bool[Tensor, "y x"] | None
) -> Float[Tensor, "x"]:
    """The first row minus the last one, smoothed, and zero if it is not significant."""
    height = image.shape[0]
    depth = max(1, min(round(finest_px / 8), height // _STRIPS_PER_SIDE))

    def strip(first: int) -> Float[Tensor, "x"]:
        rows = slice(first, first + depth)
        values = image[rows] if blank is None else image[rows].masked_fill(blank[rows], 0)
        return values.mean(dim=0)

    def jump(end: int, start: int) -> Float[Tensor, "x"]:
        """From the row before ``end`` to ``start``, extrapolated so that a slope is no jump."""
        near = strip(start) - strip(end - depth)
        far = strip(start + depth) - strip(end - 2 * depth)
        return 1.5 * near - 0.5 * far

    lines = torch.linspace(2 * depth, height - 2 * depth, _SAMPLED_LINES).long().tolist()
    jumps = torch.stack([*(jump(y, y) for y in lines), jump(height, 0)])
    *inside, between_borders = _smoothed(jumps, finest_px / 2)
    # The median is not moved by a few edges inside the image; for a Gaussian, the deviation is
    # 1.48 times the median modulus.
    typical = 1.48 * torch.stack(inside).abs().median()
    surplus = between_borders.abs().max() - _INSIGNIFICANT * typical
    whole = ((_SIGNIFICANT - _INSIGNIFICANT) * typical).clamp(min=1e-30)
    return between_borders * smoothstep(surplus / whole)


def _smoothed(
    profiles: Float[Tensor, "n length"], deviation_px: float
) -> Float[Tensor, "n length"]:
    """The profiles under a Gaussian filter, as if mirrored at both ends."""
    length = profiles.shape[1]
    mirrored = torch.cat([profiles, profiles.flip(1)], dim=1)
    frequency = torch.fft.rfftfreq(2 * length, device=profiles.device)
    gaussian = torch.exp(-2 * (torch.pi * deviation_px * frequency).square())
    return torch.fft.irfft(torch.fft.rfft(mirrored) * gaussian, n=2 * length)[:, :length]


def _falling_ramp(jump: Float[Tensor, "length"]) -> Float[Tensor, "length"]:
    """From almost ½ to almost −½, linear, with mean 0, at as many pixels as ``jump`` has."""
    pixels = torch.arange(len(jump), device=jump.device, dtype=jump.dtype)
    return 0.5 - (pixels + 0.5) / len(jump)
