"""Alignment of frames: a global shift, which is exact, and a local one, by interpolation."""

import math

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from restore.fourier import Shape
from restore.io.relion.local_motion import LocalMotion

_STRIP_ROWS = 128


def shifted(
    spectrum: Complex[Tensor, "y kx"], shape: Shape, shift_yx_px: tuple[float, float]
) -> Complex[Tensor, "y kx"]:
    """The half spectrum of the image (of ``shape`` y, x) after a shift by ``shift_yx_px`` pixels
    towards larger y and x.

    The shift is periodic. At the Nyquist frequency of an even side, where a wave and its mirror
    image are one component, the real part of the phase factor is used, so that the image remains
    real.
    """
    ramps = [
        _ramp(frequencies, side, shift)
        for frequencies, side, shift in (
            (torch.fft.fftfreq(shape[0], dtype=torch.float64), shape[0], shift_yx_px[0]),
            (torch.fft.rfftfreq(shape[1], dtype=torch.float64), shape[1], shift_yx_px[1]),
        )
    ]
    y, x = (ramp.to(spectrum.device, spectrum.dtype) for ramp in ramps)
    return (spectrum * y[:, None]).mul_(x[None, :])


def _ramp(frequency_per_px: Float[Tensor, "k"], side: int, shift_px: float) -> Complex[Tensor, "k"]:
    """exp(−2πi k s)."""
    angle = frequency_per_px * (-2 * math.pi * shift_px)
    ramp = torch.polar(torch.ones_like(angle), angle)
    if side % 2 == 0:
        ramp[side // 2] = math.cos(math.pi * shift_px)
    return ramp


def locally_aligned(
    image: Float[Tensor, "y x"], local: LocalMotion, z: int, binning_yx: tuple[float, float]
) -> Float[Tensor, "y x"]:
    """A frame, the ``z``-th after the first, with each pixel moved by its local shift; strip by
    strip, to save memory.
    """
    moved = torch.empty_like(image)
    for first in range(0, image.shape[0], _STRIP_ROWS):
        rows = range(first, min(first + _STRIP_ROWS, image.shape[0]))
        shape = (image.shape[0], image.shape[1])
        shifts = local_shift_px(local, z, shape, binning_yx, rows=rows, device=image.device)
        moved[rows.start : rows.stop] = warped(image, *shifts, rows.start)
    return moved


def local_shift_px(
    local: LocalMotion,
    z: int,
    shape: Shape,
    binning_yx: tuple[float, float],
    *,
    rows: range,
    device: torch.device | str = "cpu",
) -> tuple[Float[Tensor, "rows x"], Float[Tensor, "rows x"]]:
    """The shift of each pixel of some rows of a frame, the ``z``-th after the first, along y and
    along x.

    It is the contribution of the local motion, to be added to the global shift. ``shape`` (y, x) is
    that of the whole image, and the shifts are in its own pixels: those of the movie over
    ``binning_yx``.
    """
    times = torch.tensor([z, z**2, z**3], dtype=torch.float64)
    along_both = (torch.from_numpy(local.coefficients_px) @ times).tolist()
    y = torch.arange(rows.start, rows.stop, dtype=torch.float32, device=device) / shape[0] - 0.5
    x = torch.arange(shape[1], dtype=torch.float32, device=device) / shape[1] - 0.5

    def field(factors: list[float]) -> Float[Tensor, "rows x"]:
        constant, x1, x2, y1, y2, xy = factors
        of_x, of_y = constant + x * (x1 + x * x2), y * (y1 + y * y2)
        return torch.addcmul(of_y[:, None] + of_x, (xy * y)[:, None], x[None, :])

    along_y, along_x = (field(factors) for factors in along_both)
    return along_y / binning_yx[0], along_x / binning_yx[1]


def warped(
    image: Float[Tensor, "y x"],
    shift_y_px: Float[Tensor, "rows x"],
    shift_x_px: Float[Tensor, "rows x"],
    first_row: int = 0,
) -> Float[Tensor, "rows x"]:
    """Rows of the image, from ``first_row``, with each pixel moved: the value at (y, x) is the old
    (y − shift, x − shift).

    The interpolation is bicubic, and exact for zero shift; the image is reflected at its borders.
    Halfway between pixels it preserves 97 % of the amplitude at half the Nyquist frequency
    (RELION's bilinear interpolation preserves 71 %).
    """
    height, width = image.shape
    rows = torch.arange(
        first_row, first_row + len(shift_y_px), dtype=image.dtype, device=image.device
    )
    columns = torch.arange(width, dtype=image.dtype, device=image.device)
    x, y = columns[None, :] - shift_x_px, rows[:, None] - shift_y_px
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    moved = torch.nn.functional.grid_sample(
        image[None, None],
        grid[None],
        mode="bicubic",
        padding_mode="reflection",
        align_corners=False,
    )
    return moved[0, 0]
