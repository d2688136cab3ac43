"""From a raw micrograph to a denoised one of the same shape, pixel size and grey values (Palovcak
2020, S2.3, S2.4).
"""

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from restore import fourier
from restore.ctf import ctf_sign
from restore.errors import UserError
from restore.micrograph import Micrograph
from restore.model.checkpoint import Model
from restore.model.inference.engine import Engine
from restore.model.inference.selection import engine_for
from restore.model.inference.tiling import apply_network
from restore.preprocessing import (
    Grid,
    Prepared,
    prepare,
    prepare_alike,
    replace_hot_pixels,
    restored_spectrum,
)
from restore.settings import setting

OutputType = Literal["float32", "float16"]


@dataclass(frozen=True)
class DenoisingSettings:
    """What is done with the network's output."""

    merge_noisy: bool = setting(
        False, "put the raw image above the merge band", off="--dont_merge_noisy"
    )
    merge_resolution: float | None = setting(
        None,
        "centre of the merge band, Å (3, or 1.25 × the model's resolution where that is coarser)",
        "-x",
    )
    merge_width: float | None = setting(
        None, "width of the merge band, Å (2, or 0.4 × the centre if narrower)", "-w"
    )
    flip_phases_back: bool = setting(
        False,
        "undo the phase flip, for programs that expect uncorrected images",
        off="--dont_flip_phases_back",
    )
    average_halves: bool = setting(
        False, "denoise the two halves and average them, instead of the full sum"
    )
    output_dtype: OutputType = setting(
        "float32", "of the written images", choices=("float32", "float16")
    )
    precision: str = setting(
        "auto", "of the network; auto is bf16 where it is fast", choices=("auto", "float32", "bf16")
    )
    tile_px: int = setting(
        0, "side of the tiles that the network takes, pixels of the cropped image (0: by itself)"
    )


@dataclass(frozen=True)
class MergeBand:
    """The band in which the denoised image gives way to the raw one: its two ends, in 1/Å."""

    start_per_A: float
    stop_per_A: float


@dataclass(frozen=True)
class Exposure:
    """The images of one micrograph as they were read: the full sum, and the two halves where they
    are wanted.
    """

    full: Float[Tensor, "y x"]
    halves: tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]] | None = None


def merge_band(settings: DenoisingSettings, max_resolution_A: float) -> MergeBand | None:
    """The band that the settings ask for, None without a merge.

    It must end at or before the model's resolution, beyond which there is nothing denoised to
    merge; UserError if not.
    """
    if not settings.merge_noisy:
        return None
    centre_A = settings.merge_resolution or max(3.0, 1.25 * max_resolution_A)
    width_A = settings.merge_width or min(2.0, 0.4 * centre_A, 2 * (centre_A - max_resolution_A))
    if width_A <= 0 or centre_A - width_A / 2 < max_resolution_A * (1 - 1e-6):
        raise UserError(
            f"the merge band is {centre_A + width_A / 2:g} to {centre_A - width_A / 2:g} Å",
            wanted=(
                f"The model's images end at {max_resolution_A:g} Å, and the band must not reach "
                "beyond them"
            ),
            do="give a coarser --merge_resolution or a narrower --merge_width",
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
    deviation in the band is that of the raw amplitudes there; the mean of the image is left alone.
    """
    keep = fourier.soft_lowpass(frequency_per_A, band.start_per_A, band.stop_per_A)
    inside = (frequency_per_A >= band.start_per_A) & (frequency_per_A <= band.stop_per_A)
    scale = raw[inside].abs().std() / denoised[inside].abs().std()
    if not torch.isfinite(scale):
        raise UserError(
            "the denoised image is empty in the merge band", do="give a coarser --merge_resolution"
        )
    merged = keep * scale * denoised + (1 - keep) * raw
    merged[0, 0] = denoised[0, 0]
    return merged


@dataclass(frozen=True)
class Denoiser:
    """A model, what is done with its output, and the engine that runs its network: made once, for
    many micrographs.
    """

    model: Model
    settings: DenoisingSettings
    engine: Engine


def denoiser_for(model: Model, settings: DenoisingSettings, device: torch.device) -> Denoiser:
    """A model made ready on a device, with the fastest engine that is there."""
    return Denoiser(model, settings, engine_for(model.network, device, settings.precision))


def denoise(
    exposure: Exposure, micrograph: Micrograph, model: Model, settings: DenoisingSettings
) -> Float[Tensor, "y x"]:
    """The denoised micrograph: the raw one's shape and grey values, nothing finer than the recipe's
    resolution.

    It is computed on the images' device. For many micrographs, `denoise_with` one `Denoiser` is
    faster.
    """
    return denoise_with(denoiser_for(model, settings, exposure.full.device), exposure, micrograph)


def denoise_with(
    denoiser: Denoiser, exposure: Exposure, micrograph: Micrograph
) -> Float[Tensor, "y x"]:
    """As `denoise`, with a model that has been made ready. The images must be on its engine's
    device.
    """
    model, settings = denoiser.model, denoiser.settings
    band = merge_band(settings, model.recipe.max_resolution_A)
    full = prepare(exposure.full, micrograph.pixel_size_A, micrograph.ctf, model.recipe)
    denoised = _network_output(denoiser, exposure, full, micrograph)
    spectrum, grid = restored_spectrum(denoised, full), full.grid
    flips_back = settings.flip_phases_back and model.recipe.phase_flip
    if band is None and not flips_back:
        return fourier.padded_image_of(spectrum, grid.shape, grid.full_shape)
    spectrum = fourier.pad(spectrum, grid.shape, grid.full_shape)
    if band is not None:
        clean, _ = replace_hot_pixels(exposure.full, model.recipe.hot_pixel_sigma)
        raw = fourier.spectrum_of(clean)
        if model.recipe.phase_flip:
            raw = raw * _full_sign(micrograph, grid, raw.device)
        pixel_sizes_A = (grid.full_pixel_size_A, grid.full_pixel_size_A)
        spectrum = merge(
            spectrum, raw, fourier.frequency_per_A(grid.full_shape, pixel_sizes_A, raw.device), band
        )
    if flips_back:
        spectrum = spectrum * _full_sign(micrograph, grid, spectrum.device)
    return fourier.image_of(spectrum, grid.full_shape)


def _network_output(
    denoiser: Denoiser, exposure: Exposure, full: Prepared, micrograph: Micrograph
) -> Float[Tensor, "y x"]:
    """The denoised image on the cropped grid, in the scale of the prepared full sum."""
    network = partial(apply_network, denoiser.engine, tile_px=denoiser.settings.tile_px)
    if exposure.halves is None:
        return network(full.image)
    raw = torch.zeros_like(full.image)
    denoised = torch.zeros_like(full.image)
    for prepared in prepare_alike(
        exposure.halves, micrograph.pixel_size_A, micrograph.ctf, denoiser.model.recipe
    ):
        raw += prepared.image * prepared.scale / 2
        denoised += network(prepared.image) * prepared.scale / 2
    # Halves may be sums or averages of frames: what takes their mean to the full sum takes the
    # denoised mean there.
    return denoised * (full.image * raw).mean() / raw.square().mean()


def _full_sign(micrograph: Micrograph, grid: Grid, device: torch.device) -> Float[Tensor, "y kx"]:
    if micrograph.ctf is None:
        raise UserError("no CTF is known", where=micrograph.name, wanted="phase flipping needs one")
    return ctf_sign(
        micrograph.ctf, grid.full_shape, (grid.full_pixel_size_A, grid.full_pixel_size_A), device
    )
