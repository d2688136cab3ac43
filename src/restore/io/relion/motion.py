"""The motion of one movie's frames, as recorded by RELION's MotionCorr job."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.listings import StarListing
from restore.io.micrographs import MicrographSet
from restore.io.paths import Places
from restore.io.relion.local_motion import LocalMotion, local_shifts_px
from restore.io.relion.motion_tables import CURE, General, block_of, general_of, numbers_of
from restore.io.star import Block, StarFile, read_star

_NOT_USED_PX = -9998.0
"""The shift by which RELION marks frames that it leaves out of the sum."""

_TERMS = 6 * 3
_NO_LOCAL, _CUBIC = 0, 1


@dataclass(frozen=True)
class Motion:
    """The shifts that align the frames of a movie, and what MotionCorr recorded about the movie.

    ``shape`` is (y, x) in pixels of the movie. ``shifts_yx_px`` holds the shift of each frame that
    is used, by frame number, counted from 1. ``hot_pixels_yx`` are counted from zero. ``gain`` and
    ``movie`` are names as RELION wrote them; ``gain`` is "" if there is none, and ``voltage_kV``
    and the doses are None if they are not known. ``defects`` is the name of the file of the
    camera's defects (:func:`restore.io.relion.defects.read_defects`), "" if there is none: RELION
    leaves its pixels out of the hot ones. ``local_is_lost`` says that the local motion was
    measured, but not recorded as a model, as by MotionCor2.
    """

    movie: str
    shape: tuple[int, int]
    frames: int
    shifts_yx_px: Mapping[int, tuple[float, float]]
    local: LocalMotion | None
    pixel_size_A: float
    binning: float = 1.0
    dose_per_frame_e_per_A2: float | None = None
    voltage_kV: float | None = None
    gain: str = ""
    hot_pixels_yx: tuple[tuple[int, int], ...] = ()
    eer_grouping: int | None = None
    eer_upsampling: int | None = None
    defects: str = ""
    local_is_lost: bool = False

    @property
    def first_frame(self) -> int:
        """The number of the first frame that is used."""
        return min(self.shifts_yx_px)


def motion_files(chosen: MicrographSet) -> dict[int, Path]:
    """For each row of a set from RELION, the path of the STAR file with the motion of its movie,
    whether that file exists or not.

    The path is given by rlnMicrographMetadata, which MotionCorr writes; without this column, as
    after CtfFind, it is the STAR file with the micrograph's own name beside it.
    """
    block = (
        chosen.listing.star.block(chosen.listing.block)
        if isinstance(chosen.listing, StarListing)
        else None
    )
    if block is None or "rlnMicrographMetadata" not in block.columns:
        return {
            micrograph.row: micrograph.image.with_suffix(".star")
            for micrograph in chosen.micrographs
        }
    places, names = Places.of_star(Path(chosen.source)), block.column("rlnMicrographMetadata")
    return {
        micrograph.row: places.find_or_first(names[micrograph.row])
        for micrograph in chosen.micrographs
    }


def read_motion(path: Path) -> Motion:
    """The motion in a micrograph's own STAR file, which MotionCorr writes beside the micrograph.

    Raises
    ------
    UserError
        The file is missing or of another kind, or a value in it is missing or impossible.
    """
    if not path.is_file():
        raise UserError(
            "there is no such file",
            where=path,
            wanted="The motion that MotionCorr found is needed",
            do="give a STAR file of MotionCorr or CtfFind, and leave that job's folder whole",
        )
    star = read_star(path)
    general = general_of(star, path)
    shape = general.count("rlnImageSizeY"), general.count("rlnImageSizeX")
    frames, binning = general.count("rlnImageSizeZ"), general.positive("rlnMicrographBinning", 1.0)
    shifts = _shifts(block_of(star, "global_shift", path), frames, f"{path}, data_global_shift")
    local = _local(star, path, general, min(shifts))
    measured = star.block("local_shift")
    return Motion(
        general.text("rlnMicrographMovieName"),
        shape,
        frames,
        shifts,
        local,
        general.positive("rlnMicrographOriginalPixelSize"),
        binning,
        general.positive_if_any("rlnMicrographDoseRate"),
        general.positive_if_any("rlnVoltage"),
        general.values.row.get("rlnMicrographGainName", ""),
        _hot_pixels(star, shape, path),
        general.count_if_any("rlnEERGrouping"),
        general.count_if_any("rlnEERUpsampling"),
        general.values.row.get("rlnMicrographDefectFile", ""),
        local is None and measured is not None and len(measured.rows) > 0,
    )


def _shifts(block: Block, frames: int, where: str) -> dict[int, tuple[float, float]]:
    columns = ("rlnMicrographFrameNumber", "rlnMicrographShiftY", "rlnMicrographShiftX")
    shifts: dict[int, tuple[float, float]] = {}
    for index, (number, y, x) in enumerate(numbers_of(block, columns, where), 1):
        if number != int(number) or not 1 <= number <= frames or int(number) in shifts:
            problem, wanted = (
                f"its frame number is {number:g}",
                f"The frames are numbered from 1 to {frames}, and each number occurs once",
            )
            raise UserError(problem, where=f"{where}, row {index}", wanted=wanted, do=CURE)
        if min(y, x) > _NOT_USED_PX:
            shifts[int(number)] = float(y), float(x)
    if len(shifts) < 2:
        problem, wanted = (
            f"{len(shifts)} frames have a shift",
            "Two halves need two frames and more",
        )
        raise UserError(problem, where=where, wanted=wanted, do=CURE)
    return dict(sorted(shifts.items()))


def _local(star: StarFile, path: Path, general: General, first_frame: int) -> LocalMotion | None:
    version = general.integer("rlnMotionModelVersion", _NO_LOCAL)
    block = star.block("local_motion_model")
    if version == _NO_LOCAL or (block is None and version < _NO_LOCAL):
        return None
    if version != _CUBIC:
        problem, wanted = (
            f"rlnMotionModelVersion is {version}",
            "Models 0 (none) and 1 (third order) are known",
        )
        raise UserError(
            problem,
            where=f"{path}, data_general",
            wanted=wanted,
            do="give the movies already aligned",
        )
    where = f"{path}, data_local_motion_model"
    table = numbers_of(
        block_of(star, "local_motion_model", path),
        ("rlnMotionModelCoeffsIdx", "rlnMotionModelCoeff"),
        where,
    )
    if sorted(table[:, 0]) != list(range(2 * _TERMS)):
        problem, wanted = (
            f"it has {len(table)} coefficients",
            f"Numbers 0 to {2 * _TERMS - 1}, each once, are needed",
        )
        raise UserError(problem, where=where, wanted=wanted, do=CURE)
    x, y = table[np.argsort(table[:, 0]), 1].reshape(2, 6, 3)
    coefficients = np.stack([y, x])
    return LocalMotion(coefficients * _unit_px(star, path, coefficients, general, first_frame))


def _unit_px(
    star: StarFile,
    path: Path,
    coefficients: NDArray[np.float64],
    general: General,
    first_frame: int,
) -> float:
    """The coefficients' unit in pixels of the movie: 1, or the binning factor.

    RELION 3.1 writes the polynomial in binned pixels if binning comes first (its default), and in
    pixels of the movie otherwise, without saying which. The shifts of the patches, to which the
    polynomial was fitted, are always in pixels of the movie, and so reveal the unit.
    """
    block, binning = star.block("local_shift"), general.positive("rlnMicrographBinning", 1.0)
    if binning == 1 or block is None or not block.rows:
        return 1.0
    columns = ("rlnMicrographFrameNumber", "rlnCoordinateX", "rlnCoordinateY")
    shifts = ("rlnMicrographShiftY", "rlnMicrographShiftX")
    table = numbers_of(block, columns + shifts, f"{path}, data_local_shift")
    x = table[:, 1] / general.count("rlnImageSizeX") - 0.5
    y = table[:, 2] / general.count("rlnImageSizeY") - 0.5
    fitted = local_shifts_px(coefficients, table[:, 0] - first_frame, y, x)
    errors = {unit: float(np.sum((unit * fitted - table[:, 3:].T) ** 2)) for unit in (1.0, binning)}
    return min(errors, key=errors.__getitem__)


def _hot_pixels(star: StarFile, shape: tuple[int, int], path: Path) -> tuple[tuple[int, int], ...]:
    block = star.block("hot_pixels")
    if block is None or not block.rows:
        return ()
    where = f"{path}, data_hot_pixels"
    pixels: list[tuple[int, int]] = []
    for index, (y, x) in enumerate(
        numbers_of(block, ("rlnCoordinateY", "rlnCoordinateX"), where), 1
    ):
        if not (0 <= y < shape[0] and 0 <= x < shape[1]):
            wanted = f"The movie has {shape[1]} x {shape[0]} pixels"
            raise UserError(
                f"a pixel at x {x:g}, y {y:g}",
                where=f"{where}, row {index}",
                wanted=wanted,
                do=CURE,
            )
        pixels.append((int(y), int(x)))
    return tuple(pixels)
