"""Images put together: the denoised one with what it takes from the raw one, which is what is finer
than the merge band (Palovcak 2020, S2.4) and what the high-pass removes; and two denoised halves.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from restore import fourier
from restore.errors import UserError
from restore.preprocessing import Grid, Prepared, Recipe


@dataclass(frozen=True)
class MergeBand:
    """The band in which the denoised image gives way to the raw one: its two ends, in 1/Å."""

    start_per_A: float
    stop_per_A: float


def band_between(
    resolution_A: float | None, width_A: float | None, max_resolution_A: float
) -> MergeBand:
    """The band with this centre and width. The default centre is 3 Å, or 1.25 times the model's
    resolution if that is coarser; the default width is 2 Å, or 0.4 times the centre if that is
    narrower.

    It must end at or before the model's resolution, beyond which nothing is denoised; otherwise
    UserError is raised.
    """
    centre_A = resolution_A or max(3.0, 1.25 * max_resolution_A)
    width_A = width_A or min(2.0, 0.4 * centre_A, 2 * (centre_A - max_resolution_A))
    if width_A <= 0 or centre_A - width_A / 2 < max_resolution_A * (1 - 1e-6):
        raise UserError(
            f"the merge band is {centre_A + width_A / 2:g} to {centre_A - width_A / 2:g} Å",
            wanted=(
                f"The model's images end at {max_resolution_A:g} Å, and the merge band must not "
                "reach beyond that resolution"
            ),
            do="give a coarser `merge_resolution` or a narrower `merge_width`",
        )
    return MergeBand(1 / (centre_A + width_A / 2), 1 / (centre_A - width_A / 2))


def merge(
    denoised: Complex[Tensor, "y kx"],
    raw: Complex[Tensor, "y kx"],
    frequency_per_A: Float[Tensor, "y kx"],
    band: MergeBand,
) -> Complex[Tensor, "y kx"]:
    """The denoised spectrum below the band, the raw one above it, their complex sum within
    (Palovcak 2020, S2.4).

    The filters are complementary. The denoised amplitudes are scaled so that their standard
    deviation in the band equals that of the raw amplitudes; the mean of the image is not changed.
    """
    keep = fourier.soft_lowpass(frequency_per_A, band.start_per_A, band.stop_per_A)
    inside = (frequency_per_A >= band.start_per_A) & (frequency_per_A <= band.stop_per_A)
    scale = raw[inside].abs().std() / denoised[inside].abs().std()
    if not torch.isfinite(scale):
        raise UserError(
            "the denoised image is empty in the merge band", do="give a coarser `merge_resolution`"
        )
    merged = keep * scale * denoised + (1 - keep) * raw
    merged[0, 0] = denoised[0, 0]
    return merged


def low_frequencies_of(
    flat: Float[Tensor, "full_y full_x"], grid: Grid, recipe: Recipe
) -> Complex[Tensor, "y kx"]:
    """What the recipe's high-pass H removes from a raw image: its spectrum on the cropped grid,
    times 1 − H, and nothing at DC. Phases are not flipped.

    ``flat`` is the raw image without hot pixels and background, and with its pixels without data
    filled.
    """
    frequency = fourier.frequency_per_A(grid.shape, grid.pixel_size_yx_A, flat.device)
    removed = 1 - fourier.highpass(frequency, recipe.highpass_A)
    removed[0, 0] = 0
    return fourier.cropped_spectrum_of(flat, grid.shape) * removed


def mean_of_halves(
    outputs: Sequence[Float[Tensor, "y x"]], prepared: Sequence[Prepared]
) -> Float[Tensor, "y x"]:
    """The mean of the denoised halves in the scale of the prepared full sum, the first of
    ``prepared``.
    """
    full, *halves = prepared
    raw = sum((half.image * half.scale / 2 for half in halves), torch.zeros_like(full.image))
    denoised = torch.zeros_like(full.image)
    for output, half in zip(outputs, halves, strict=True):
        denoised += output * half.scale / 2
    # Halves may be sums or averages of frames: the factor from their mean to the full sum is also
    # that of the denoised mean.
    reference = full.image
    if full.blank is not None:
        reference, raw = reference[~full.blank], raw[~full.blank]
    return denoised * (reference * raw).mean() / raw.square().mean()
