"""The motion of one movie's frames, as recorded by RELION's MotionCorr job."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from restore.errors import UserError, missing_words
from restore.io.listings import StarListing
from restore.io.micrographs import MicrographSet
from restore.io.paths import Places
from restore.io.relion.local_motion import LocalMotion, local_shifts_px
from restore.io.relion.micrographs import StarRow
from restore.io.star import Block, StarFile, read_star

_CURE = "run MotionCorr on this movie again"
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
    and the doses are None if they are not known.
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
    general = _general(star, path)
    shape = general.count("rlnImageSizeY"), general.count("rlnImageSizeX")
    frames, binning = general.count("rlnImageSizeZ"), general.positive("rlnMicrographBinning", 1.0)
    shifts = _shifts(_block(star, "global_shift", path), frames, f"{path}, data_global_shift")
    return Motion(
        general.text("rlnMicrographMovieName"),
        shape,
        frames,
        shifts,
        _local(star, path, general, min(shifts)),
        general.positive("rlnMicrographOriginalPixelSize"),
        binning,
        general.positive_if_any("rlnMicrographDoseRate"),
        general.positive_if_any("rlnVoltage"),
        general.values.row.get("rlnMicrographGainName", ""),
        _hot_pixels(star, shape, path),
        general.count_if_any("rlnEERGrouping"),
        general.count_if_any("rlnEERUpsampling"),
    )


@dataclass(frozen=True)
class _General:
    """The single values at the top of the file."""

    values: StarRow

    def text(self, name: str) -> str:
        if not self.values.row.get(name):
            where, wanted = self.values.row_place, "Frames cannot be summed without it"
            raise UserError(f"{name} is missing", where=where, wanted=wanted, do=_CURE)
        return self.values.row[name]

    def positive(self, name: str, otherwise: float | None = None) -> float:
        if otherwise is not None and not self.values.has(name):
            return otherwise
        self.text(name)
        return self.values.number(name, (1e-6, 1e9), "A positive number is needed", _CURE)

    def positive_if_any(self, name: str) -> float | None:
        known = self.values.has(name) and self.values.row[name].strip("0.")
        return self.positive(name) if known else None

    def count(self, name: str) -> int:
        value = self.positive(name)
        if value != int(value):
            problem, wanted = f'{name} is "{self.text(name)}"', "A whole number is needed"
            raise UserError(problem, where=self.values.row_place, wanted=wanted, do=_CURE)
        return int(value)

    def count_if_any(self, name: str) -> int | None:
        return self.count(name) if self.positive_if_any(name) else None

    def integer(self, name: str, otherwise: int) -> int:
        if not self.values.has(name):
            return otherwise
        return int(self.values.number(name, (-100, 100), "A version number is needed", _CURE))


def _general(star: StarFile, path: Path) -> _General:
    block = _block(star, "general", path)
    if len(block.rows) != 1:
        where, wanted = f"{path}, data_general", "The motion of a movie has exactly one there"
        raise UserError(f"it has {len(block.rows)} rows", where=where, wanted=wanted, do=_CURE)
    return _General(
        StarRow(
            dict(zip(block.columns, block.rows[0], strict=True)), f"{path}, data_general", {}, ""
        )
    )


def _block(star: StarFile, name: str, path: Path) -> Block:
    block = star.block(name)
    if block is None:
        blocks = ", ".join(f"data_{block.name}" for block in star.blocks)
        wanted, do = "The STAR file that MotionCorr writes for each micrograph is needed", _CURE
        raise UserError(
            f"data_{name} is missing (the blocks are {blocks})", where=path, wanted=wanted, do=do
        )
    return block


def _numbers(block: Block, columns: tuple[str, ...], where: str) -> NDArray[np.float64]:
    """The columns of a table as numbers, (rows, columns)."""
    missing = [column for column in columns if column not in block.columns]
    if missing:
        problem = missing_words(missing)
        wanted = "Frames cannot be summed without their motion"
        raise UserError(problem, where=where, wanted=wanted, do=_CURE)
    table = np.empty((len(block.rows), len(columns)))
    for at, column in enumerate(columns):
        for index, text in enumerate(block.column(column)):
            try:
                table[index, at] = float(text)
            except ValueError:
                table[index, at] = math.nan
            if not math.isfinite(table[index, at]):
                place, wanted = f"{where}, row {index + 1}", "A number is needed"
                raise UserError(f'{column} is "{text}"', where=place, wanted=wanted, do=_CURE)
    return table


def _shifts(block: Block, frames: int, where: str) -> dict[int, tuple[float, float]]:
    columns = ("rlnMicrographFrameNumber", "rlnMicrographShiftY", "rlnMicrographShiftX")
    shifts: dict[int, tuple[float, float]] = {}
    for index, (number, y, x) in enumerate(_numbers(block, columns, where), 1):
        if number != int(number) or not 1 <= number <= frames or int(number) in shifts:
            problem, wanted = (
                f"its frame number is {number:g}",
                f"The frames are numbered from 1 to {frames}, and each number occurs once",
            )
            raise UserError(problem, where=f"{where}, row {index}", wanted=wanted, do=_CURE)
        if min(y, x) > _NOT_USED_PX:
            shifts[int(number)] = float(y), float(x)
    if len(shifts) < 2:
        problem, wanted = (
            f"{len(shifts)} frames have a shift",
            "Two halves need two frames and more",
        )
        raise UserError(problem, where=where, wanted=wanted, do=_CURE)
    return dict(sorted(shifts.items()))


def _local(star: StarFile, path: Path, general: _General, first_frame: int) -> LocalMotion | None:
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
    table = _numbers(
        _block(star, "local_motion_model", path),
        ("rlnMotionModelCoeffsIdx", "rlnMotionModelCoeff"),
        where,
    )
    if sorted(table[:, 0]) != list(range(2 * _TERMS)):
        problem, wanted = (
            f"it has {len(table)} coefficients",
            f"Numbers 0 to {2 * _TERMS - 1}, each once, are needed",
        )
        raise UserError(problem, where=where, wanted=wanted, do=_CURE)
    x, y = table[np.argsort(table[:, 0]), 1].reshape(2, 6, 3)
    coefficients = np.stack([y, x])
    return LocalMotion(coefficients * _unit_px(star, path, coefficients, general, first_frame))


def _unit_px(
    star: StarFile,
    path: Path,
    coefficients: NDArray[np.float64],
    general: _General,
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
    table = _numbers(block, columns + shifts, f"{path}, data_local_shift")
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
    for index, (y, x) in enumerate(_numbers(block, ("rlnCoordinateY", "rlnCoordinateX"), where), 1):
        if not (0 <= y < shape[0] and 0 <= x < shape[1]):
            wanted = f"The movie has {shape[1]} x {shape[0]} pixels"
            raise UserError(
                f"a pixel at x {x:g}, y {y:g}",
                where=f"{where}, row {index}",
                wanted=wanted,
                do=_CURE,
            )
        pixels.append((int(y), int(x)))
    return tuple(pixels)
