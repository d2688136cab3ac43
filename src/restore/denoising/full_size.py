"""From a denoised spectrum to an image of the raw one's size, with what is taken from the raw one
(Palovcak 2020, S2.4).
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Complex, Float
from torch import Tensor

from restore import fourier
from restore.ctf import ctf_sign
from restore.denoising.merge import low_frequencies_of, merge
from restore.denoising.settings import DenoisingSettings, merge_band
from restore.errors import UserError
from restore.micrograph import Micrograph
from restore.preprocessing import Grid, Recipe, completed
from restore.preprocessing.flat import Flat, flattened


@dataclass(frozen=True)
class Raw:
    """A raw full sum, what is known of it, and its pixels without data."""

    image: Float[Tensor, "y x"]
    micrograph: Micrograph
    recipe: Recipe
    blank: Bool[Tensor, "y x"] | None

    @cached_property
    def flat(self) -> Flat:
        """The image with hot pixels replaced, those without data filled, and its background and
        the jump between its borders subtracted.
        """
        clean, _ = completed(self.image, self.blank, self.recipe)
        return flattened(clean, self.micrograph.pixel_size_A, self.recipe, self.blank)


def at_full_size(
    spectrum: Complex[Tensor, "y kx"], raw: Raw, grid: Grid, settings: DenoisingSettings
) -> Float[Tensor, "full_y full_x"]:
    """The image of a denoised spectrum, with what the settings take from the raw one.

    Raises
    ------
    UserError
        The CTF is needed, for phases that are flipped, and is not known.
    """
    image = _joined(spectrum, raw, grid, settings)
    return _with_jump(image, raw, settings) if settings.keep_low_frequencies else image


def _joined(
    spectrum: Complex[Tensor, "y kx"], raw: Raw, grid: Grid, settings: DenoisingSettings
) -> Float[Tensor, "full_y full_x"]:
    """The image of a denoised spectrum, merged with the raw one's, and with its phases flipped back
    if the settings say so.
    """
    recipe = raw.recipe
    band = merge_band(settings, recipe.max_resolution_A)
    flips_back = settings.flip_phases_back and recipe.phase_flip
    coarse = None
    if settings.keep_low_frequencies:
        coarse = low_frequencies_of(raw.flat.image, grid, recipe)
        if recipe.phase_flip:
            coarse = coarse * _sign(raw.micrograph, grid.shape, grid.pixel_size_yx_A, coarse.device)
    if band is None and not flips_back:
        spectrum = spectrum if coarse is None else spectrum + coarse
        return fourier.padded_image_of(spectrum, grid.shape, grid.full_shape)
    spectrum = fourier.pad(spectrum, grid.shape, grid.full_shape)
    full_sampling = grid.full_shape, (grid.full_pixel_size_A, grid.full_pixel_size_A)
    if band is not None:
        # The background does not fit together at opposite borders. With it, a slope would add
        # lines there at all frequencies, by which the denoised amplitudes would be scaled too.
        fine = fourier.spectrum_of(raw.flat.image)
        if recipe.phase_flip:
            fine = fine * _sign(raw.micrograph, *full_sampling, fine.device)
        spectrum = merge(spectrum, fine, fourier.frequency_per_A(*full_sampling, fine.device), band)
    # After the merge, which scales the denoised amplitudes: these are the raw image's, as its fine
    # ones are.
    if coarse is not None:
        spectrum = spectrum + fourier.pad(coarse, grid.shape, grid.full_shape)
    if flips_back:
        spectrum = spectrum * _sign(raw.micrograph, *full_sampling, spectrum.device)
    return fourier.image_of(spectrum, grid.full_shape)


def _with_jump(
    image: Float[Tensor, "y x"], raw: Raw, settings: DenoisingSettings
) -> Float[Tensor, "y x"]:
    """The image plus the raw one's jump between borders, which would otherwise be missing from its
    low frequencies: where one border is darker than the other, all between them would slope.
    """
    ctf = raw.micrograph.ctf
    flipped = raw.recipe.phase_flip and not settings.flip_phases_back
    # At frequencies this low the CTF has the sign that it has at 0.
    sign = float(ctf_sign(ctf, (2, 2), (1.0, 1.0))[0, 0]) if flipped and ctf is not None else 1.0
    return raw.flat.jump.added_to(image, factor=sign)


def _sign(
    micrograph: Micrograph,
    shape: fourier.Shape,
    pixel_size_yx_A: tuple[float, float],
    device: torch.device,
) -> Float[Tensor, "y kx"]:
    """The sign of the micrograph's CTF, and +1 for the mean."""
    if micrograph.ctf is None:
        raise UserError(
            "the CTF is not known", where=micrograph.name, wanted="phase flipping needs a CTF"
        )
    sign = ctf_sign(micrograph.ctf, shape, pixel_size_yx_A, device)
    # The mean is no contrast: it stays what it is where a phase plate makes the CTF negative at 0.
    sign[0, 0] = 1
    return sign
