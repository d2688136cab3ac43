"""The movies of a session: frames, gain reference and true motion, on disk."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from restore.io.images.image import write_image
from restore.io.star import write_star
from restore.simulation.microscope import Exposure
from restore.simulation.motion import draw_motion
from restore.simulation.movie import counting_type, detector_gain, movie_frames
from restore.simulation.movie_files import write_mrc_movie, write_tiff_movie
from restore.simulation.settings import SimulationSettings
from restore.simulation.tables import motion_table

MOVIE_FOLDER = "Movies"
GAIN_NAME = f"{MOVIE_FOLDER}/gain.mrc"
MOVIE_ENDINGS = {"mrc": ".mrcs", "tiff": ".tiff"}
_CHANCE_OF_MOVIES = 1  # apart from that of the images, which are the same with movies and without


def record_movie(
    exposure: Exposure, settings: SimulationSettings, folder: Path, index: int, label: str
) -> tuple[str, str]:
    """Write the movie of micrograph ``index`` (from zero) and, beside it, its true motion as a STAR
    file.

    Returns the names of both, relative to ``folder``.
    """
    rng = np.random.default_rng([settings.seed, index, _CHANCE_OF_MOVIES])
    motion = draw_motion(settings, rng)
    electrons = torch.Generator().manual_seed(int(rng.integers(2**62)))
    gain, stem = _gain(settings), f"{MOVIE_FOLDER}/mic_{index + 1:04d}"
    frames = movie_frames(exposure, settings, motion, gain, electrons)
    movie = f"{stem}{MOVIE_ENDINGS[settings.movies]}"
    if settings.movies == "mrc":
        write_mrc_movie(folder / movie, frames, settings.pixel_size_A, label)
    else:
        bytes_per_px = np.dtype(counting_type(settings, float(gain.min()))).itemsize
        size_bytes = settings.frames * gain.numel() * bytes_per_px
        write_tiff_movie(
            folder / movie, frames, size_bytes, settings.tiff_compression, settings.pixel_size_A
        )
    motion_name = f"{stem}_motion.star"
    gain_name = GAIN_NAME if settings.gain_spread > 0 else ""
    write_star(folder / motion_name, motion_table(settings, motion, movie, gain_name))
    return movie, motion_name


def write_gain(settings: SimulationSettings, folder: Path, label: str) -> None:
    """Write the gain reference, by which recorded counts are multiplied, if the detector
    has one.
    """
    if settings.gain_spread > 0:
        write_image(folder / GAIN_NAME, _gain(settings).numpy(), settings.pixel_size_A, (label,))


def _gain(settings: SimulationSettings) -> Float[Tensor, "y x"]:
    return detector_gain(settings) if settings.gain_spread > 0 else torch.ones(settings.shape)
