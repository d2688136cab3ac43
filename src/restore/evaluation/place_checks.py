"""A check that another program's denoised halves lie exactly on the raw ones."""

import logging
import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from restore import fourier
from restore.evaluation.views import Views, as_remark, stacked
from restore.micrograph import Micrograph

log = logging.getLogger(__name__)

LEAST_SHIFT_PX = 0.1
"""The smallest shift, in pixels of the evaluated grid, that is remarked. At the Nyquist frequency
it turns phases by 18°, which counts as 10 % bias. On a field of 1200² pixels of a K2 camera, the
general model's output at 4.5 Å is shifted by 0.007, and by 0.26 if 2×2 pixels are averaged.
"""

_MOST_SHIFT_PX = 1.0  # beyond it, phases turn by more than half a turn
_SURE = 8.0  # standard errors
_BANDS_PER_PX = (0.25, 0.25, 0.25, 0.5, 0.5, 0.5)
"""The end of the frequencies that each step uses: in the coarser half at first, where a shift by a
pixel is at most a quarter turn.
"""


def warn_of_shift(views: Views, micrograph: Micrograph) -> list[str]:
    """Log a warning, and return it as a remark, if the denoised halves are shifted against the raw
    ones by a part of a pixel, which is measured as bias.

    Averaging n×n pixels shifts an image by (n − 1)/2 of the raw pixels against one that is cropped
    in Fourier space, as the raw halves are.
    """
    measured = shift_px(views)
    if measured is None:
        return []
    shift, error = measured
    length_px = math.hypot(*shift)
    if not (LEAST_SHIFT_PX < length_px < _MOST_SHIFT_PX and length_px > _SURE * error):
        return []
    y, x = (
        part * size_A / micrograph.pixel_size_A
        for part, size_A in zip(shift, views.grid.pixel_size_yx_A, strict=True)
    )
    words = (
        f"the denoised halves are shifted by {y:.1f} (y) and {x:.1f} (x) pixels of the raw ones, "
        "which counts as bias. Binning by averaging does this; bin them in Fourier space"
    )
    log.warning("%s: %s", micrograph.name, words)
    return [as_remark(words)]


def shift_px(views: Views) -> tuple[tuple[float, float], float] | None:
    """The shift (y, x) of the denoised halves against the raw ones in pixels, and its standard
    error; None if the images do not show it.

    A shift s multiplies the spectrum at frequency k by exp(−2πi k·s). In the cross-spectrum C of a
    raw and its denoised half it maximises the sum of the real parts of C exp(−2πi k·s), in which
    rings count by what both have in common: Newton's method finds it from s = 0, first in the
    coarse rings.
    """
    cross, (ky, kx) = _cross_spectrum(views), _turns_per_px(views)
    shift = torch.zeros(2, dtype=torch.float64)
    inverse = torch.zeros(2, 2, dtype=torch.float64)
    rest = cross  # the cross-spectrum, with the shift that is known so far undone
    for end_per_px in _BANDS_PER_PX:
        inside = torch.hypot(*torch.broadcast_tensors(ky, kx)) < 2 * torch.pi * end_per_px
        rest = (cross * inside) * torch.polar(
            torch.ones_like(ky + kx), -(ky * shift[0] + kx * shift[1])
        )
        curvature = _moments(rest.real, ky, kx)
        if not (curvature.isfinite().all() and float(torch.linalg.eigvalsh(curvature)[0]) > 0):
            return None
        inverse = torch.linalg.inv(curvature)
        slope = torch.stack([(rest.imag * ky).sum(), (rest.imag * kx).sum()]).double().cpu()
        shift = shift + inverse @ slope
        if not float(shift.norm()) < _MOST_SHIFT_PX:
            return None
    covariance = inverse @ _moments(rest.imag.square(), ky, kx) @ inverse
    return (float(shift[0]), float(shift[1])), float(covariance.diagonal().sum().sqrt())


def _cross_spectrum(views: Views) -> Complex[Tensor, "y kx"]:
    """The sum over both halves of the raw spectrum times the conjugate of the denoised one."""
    raw, denoised = (stacked(halves, views.blank) for halves in (views.raw, views.denoised))
    return (fourier.spectrum_of(raw) * fourier.spectrum_of(denoised).conj()).sum(dim=0)


def _turns_per_px(views: Views) -> tuple[Float[Tensor, "y 1"], Float[Tensor, "1 kx"]]:
    """Both components of the frequency in radians per pixel."""
    ky, kx = fourier.frequency_yx_per_A(views.grid.shape, (1.0, 1.0), views.raw[0].device)
    return 2 * torch.pi * ky, 2 * torch.pi * kx


def _moments(
    weight: Float[Tensor, "y kx"], ky: Float[Tensor, "y 1"], kx: Float[Tensor, "1 kx"]
) -> Float[Tensor, "2 2"]:
    """The weighted second moments of the frequency."""
    yy, yx, xx = ((weight * product).sum() for product in (ky * ky, ky * kx, kx * kx))
    return torch.stack([torch.stack([yy, yx]), torch.stack([yx, xx])]).double().cpu()
