"""The properties of each movie before it is summed: its file, motion, gain, dose, and the grid of
its sums.
"""

import logging
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from restore.errors import UserError
from restore.io.images.image import read_image_header
from restore.io.images.movies import EERSettings, MovieHeader, read_gain, read_movie_header
from restore.io.paths import Places
from restore.io.relion.defects import read_defects
from restore.io.relion.motion import Motion, read_motion
from restore.movies.summing import Dosing, Summing
from restore.settings import setting

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MovieSettings:
    """How movies are summed. Settings that are None are taken from the STAR file, if
    there is one.
    """

    dose_weighting: bool = setting(
        True,
        "weight each frame by how much of the signal survives radiation damage",
        off="--dont_dose_weighting",
    )
    dose_per_frame: float | None = setting(None, "dose per frame, e/Å² (default: the STAR file's)")
    voltage: float | None = setting(
        None,
        (
            "acceleration voltage, kV: 300, 200 or 100, for dose weighting (default: the STAR "
            "file's)"
        ),
    )
    bin: float | None = setting(
        None,
        "binning factor of the sums, which are cropped in Fourier space (default: the "
        "micrograph's)",
    )
    output_pixel_size: float | None = setting(
        None, "pixel size of the sums in Å, instead of a binning factor"
    )
    gain: Path | None = setting(
        None, "gain reference, MRC, TIFF or .gain (default: the STAR file's)"
    )
    gain_rotation: int = setting(
        0, "number of 90° rotations of the gain reference, as RELION's gain_rot"
    )
    gain_flip: int = setting(
        0,
        (
            "flip of the gain reference after its rotation, as RELION's gain_flip: 0 none, 1 "
            "upside down, 2 left to right"
        ),
    )
    full_sum: bool = setting(
        False,
        (
            "write a full sum too, and name it in the STAR file (always done where the binning "
            "differs from the micrograph's)"
        ),
    )

    def __post_init__(self) -> None:
        for name in ("dose_per_frame", "voltage", "bin", "output_pixel_size"):
            value = getattr(self, name)
            if value is not None and not 0 < value < float("inf"):
                raise UserError(
                    f"{name} is {value:g}", field=name, wanted="A positive number is needed"
                )
        if self.bin is not None and self.output_pixel_size is not None:
            raise UserError(
                "`bin` and `output_pixel_size` are both given",
                wanted="Each determines the other",
            )
        if self.bin is not None and self.bin < 1:
            raise UserError(
                f"bin is {self.bin:g}",
                field="bin",
                wanted="Sums cannot be finer than the movie: it must be 1 or more",
            )

    @property
    def changes_grid(self) -> bool:
        """Whether a grid other than the micrograph's is requested for the sums."""
        return self.bin is not None or self.output_pixel_size is not None


@dataclass(frozen=True)
class Exposure:
    """One movie ready to be summed: its file, and how its frames are read and processed.

    ``pixel_size_A`` is that of the sums. ``like`` is the micrograph on the same grid that the sum
    should resemble; None if there is none, or if the sum replaces it.
    """

    movie: MovieHeader
    eer: EERSettings
    summing: Summing
    pixel_size_A: float
    like: Path | None


def corrected(image: Path, metadata: Path, settings: MovieSettings, eer: EERSettings) -> Exposure:
    """The movie behind a micrograph that RELION corrected; ``metadata`` is the STAR file of its
    motion.

    The sums are on the micrograph's own grid, so that coordinates and CTF remain valid, unless the
    settings request another one.

    Raises
    ------
    UserError
        The STAR file, the movie, the gain reference or the file of defects is missing or wrong,
        they do not fit each other, or dose weighting lacks a number.
    """
    motion, places = read_motion(metadata), Places.of_star(metadata)
    eer = _eer(motion, eer, metadata)
    movie = read_movie_header(_found(motion.movie, "movie", metadata, places), eer)
    if (movie.frames, movie.shape) != (motion.frames, motion.shape):
        problem = f"it has {movie.frames} frames of {_size(movie.shape)} pixels"
        wanted = f"{metadata} says {motion.frames} of {_size(motion.shape)}"
        raise UserError(
            problem, where=movie.path, wanted=wanted, do="run MotionCorr on this movie again"
        )
    own_grid = not settings.changes_grid and (image.is_file() or not settings.full_sum)
    own_shape = read_image_header(image).shape if own_grid else None
    shape = _new_shape(movie, motion.pixel_size_A, settings, motion.binning, own_shape)
    gain = _gain_of(motion, settings, metadata, places)
    dosing = _dosing(
        settings, motion.pixel_size_A, motion.dose_per_frame_e_per_A2, motion.voltage_kV, metadata
    )
    summing = _summing(movie, shape, motion, dosing, gain)
    if motion.defects:
        defects = _found(motion.defects, "file of defects", metadata, places)
        summing = _without_defects(summing, defects)
    like = image if shape == own_shape and not settings.full_sum else None
    return Exposure(movie, eer, summing, motion.pixel_size_A * summing.binning_yx[1], like)


def files_behind(metadata: Path) -> tuple[Path, ...]:
    """The movie, the gain reference and the file of defects named by a micrograph's STAR file, as
    far as they exist; empty if that file cannot be read.
    """
    try:
        motion = read_motion(metadata)
    except UserError:
        return ()
    places = Places.of_star(metadata)
    paths = (places.find(name) for name in (motion.movie, motion.gain, motion.defects) if name)
    return tuple(path for path in paths if path is not None)


def aligned(path: Path, pixel_size_A: float, settings: MovieSettings, eer: EERSettings) -> Exposure:
    """A movie whose frames are already aligned, with its pixel size. Raises UserError as
    :func:`corrected`.
    """
    movie = read_movie_header(path, eer)
    gain = (
        None
        if settings.gain is None
        else (settings.gain, settings.gain_rotation, settings.gain_flip)
    )
    shape = _new_shape(movie, pixel_size_A, settings, 1.0, None)
    summing = _summing(movie, shape, None, _dosing(settings, pixel_size_A, None, None, path), gain)
    return Exposure(movie, eer, summing, pixel_size_A * summing.binning_yx[1], None)


def _eer(motion: Motion, typed: EERSettings, metadata: Path) -> EERSettings:
    """How RELION read the EER movie, which determines the frames that the shifts refer to."""
    if motion.eer_grouping is None:
        return typed
    try:
        return EERSettings(motion.eer_grouping, motion.eer_upsampling or 1)
    except UserError as error:
        raise UserError(error.problem, where=metadata, wanted=error.wanted) from None


def _found(name: str, what: str, metadata: Path, places: Places) -> Path:
    path = places.find(name)
    if path is None:
        do = "run restore in the project's folder, and move the file back if it was moved"
        raise UserError(
            f"there is no {what} {name}", where=metadata, wanted=f"The {what} is needed", do=do
        )
    return path


def _gain_of(
    motion: Motion, settings: MovieSettings, metadata: Path, places: Places
) -> tuple[Path, int, int] | None:
    """File, rotation and flip of the gain; RELION's STAR file names one that is already rotated and
    flipped.
    """
    if settings.gain is not None:
        return settings.gain, settings.gain_rotation, settings.gain_flip
    return (_found(motion.gain, "gain reference", metadata, places), 0, 0) if motion.gain else None


def _new_shape(
    movie: MovieHeader,
    pixel_size_A: float,
    settings: MovieSettings,
    binning: float,
    own: tuple[int, int] | None,
) -> tuple[int, int]:
    """The micrograph's own shape, or the largest even sides that the binning allows."""
    if own is not None:
        ratio_y, ratio_x = movie.shape[0] / own[0], movie.shape[1] / own[1]
        if abs(ratio_y / ratio_x - 1) > 0.01:
            wanted = f"{movie.path} has {_size(movie.shape)}"
            raise UserError(
                f"the micrograph has {_size(own)} pixels",
                wanted=wanted,
                do="give the movie of this micrograph",
            )
        return own
    if settings.bin is not None:
        binning = settings.bin
    if settings.output_pixel_size is not None:
        binning = settings.output_pixel_size / pixel_size_A
    if binning == 1:
        return movie.shape
    height, width = (2 * int(side / binning / 2 + 1e-6) for side in movie.shape)
    return height, width


def _dosing(
    settings: MovieSettings,
    pixel_size_A: float,
    dose: float | None,
    voltage_kV: float | None,
    where: Path,
) -> Dosing | None:
    if not settings.dose_weighting:
        return None
    dose, voltage_kV = settings.dose_per_frame or dose, settings.voltage or voltage_kV
    if dose is None or voltage_kV is None:
        missing, field = (
            ("dose of a frame", "dose_per_frame") if dose is None else ("voltage", "voltage")
        )
        do = f"give `{field}`, or `dose_weighting=False`"
        raise UserError(
            f"the {missing} is not known",
            where=where,
            wanted=("Dose weighting needs this value"),
            do=do,
        )
    return Dosing(dose, voltage_kV, pixel_size_A)


def _summing(
    movie: MovieHeader,
    new_shape: tuple[int, int],
    motion: Motion | None,
    dosing: Dosing | None,
    gain: tuple[Path, int, int] | None,
) -> Summing:
    bad = np.zeros(movie.shape, bool)
    factors = None if gain is None else read_gain(gain[0], gain[1], gain[2], movie)
    if factors is not None:
        bad |= factors == 0
    for y, x in motion.hot_pixels_yx if motion else ():
        bad[y, x] = True
    return Summing(
        movie.shape,
        new_shape,
        motion,
        dosing,
        None if factors is None else torch.from_numpy(factors),
        torch.from_numpy(bad) if bad.any() else None,
    )


def _without_defects(summing: Summing, path: Path) -> Summing:
    """The same, with the pixels of a file of defects among the bad ones."""
    bad = torch.from_numpy(read_defects(path, summing.shape))
    if summing.bad is not None:
        bad = bad | summing.bad
    return replace(summing, bad=bad if bad.any() else None)


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[1]} x {shape[0]}"
