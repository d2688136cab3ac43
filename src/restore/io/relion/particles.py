"""Particles in RELION's STAR files, flat (2.x, 3.0) or with an optics table (3.1 and later)."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from scipy.spatial.transform import Rotation

from restore.errors import UserError, missing_words
from restore.io.ctf_limits import RELION_LIMITS
from restore.io.micrograph_pixel_size import are_one_size
from restore.io.particle_records import Particles
from restore.io.relion.micrographs import CTF_COLUMNS
from restore.io.relion.optics import undefined_group
from restore.io.relion.particle_columns import (
    COORDINATES,
    EULER,
    FLAT_PIXEL_SIZE,
    HALF,
    IMAGE,
    MICROGRAPH,
    MICROGRAPH_PIXEL,
    MOVIE_PIXEL,
    OPTICS,
    ORIGINS_A,
    ORIGINS_PX,
    PHASE_SHIFT,
    PHASES_FLIPPED,
    PREMULTIPLIED,
    TOMOGRAM_NAME,
)
from restore.io.star import Block, StarFile, read_star
from restore.io.star.numbers import finite_numbers
from restore.micrograph import CTFParameters
from restore.symmetry import from_euler_deg

_REFINED = "give the STAR file of a refinement, such as run_data.star"


@dataclass(frozen=True)
class _Table:
    """The table of particles with their rows of the optics table, and its name in errors."""

    block: Block
    optics: Block
    optics_row: Sequence[int]
    where: str

    def has(self, columns: Sequence[str]) -> bool:
        return all(
            column in self.block.columns or column in self.optics.columns for column in columns
        )

    def texts(self, column: str) -> list[str]:
        """A column, or the one of the optics table expanded to all particles."""
        if column in self.block.columns:
            return self.block.column(column)
        values = self.optics.column(column)
        return [values[row] for row in self.optics_row]

    def numbers(self, columns: Sequence[str]) -> Float[np.ndarray, "n columns"]:
        """Columns of finite numbers. Raises UserError, with row and column, for any other value."""
        numbers = [finite_numbers(self.texts(column), column, self.where) for column in columns]
        return np.stack(numbers, axis=1)


def read_relion_particles(path: Path, needs_poses: bool = True) -> Particles:
    """The particles of a STAR file with their orientations (the identity if they are neither needed
    nor present); any other missing column is None in the record.

    Pixel sizes come from the optics table. In a flat file, the pixel size (detector pixel over
    magnification) is that of the particle images. That of the micrographs, in which coordinates are
    given, is ``rlnMicrographPixelSize``, which RELION's own files often lack:
    ``rlnMicrographOriginalPixelSize`` is that of the movie. If movie and particle images have one
    size, the micrograph between them has it too; otherwise it is not known.

    Raises
    ------
    UserError
        There is no table of particles, no rows or no Euler angles, a number is not one, a CTF is
        impossible, or an optics group is undefined.
    """
    table = _table(read_star(path), path)
    missing = [column for column in EULER if not table.has([column])]
    if missing and needs_poses:
        problem = missing_words(missing)
        raise UserError(
            problem,
            where=table.where,
            wanted="Every particle must have three Euler angles",
            do=_REFINED,
        )
    image_A = _image_pixel_size_A(table)
    half_sets = _numbers_if_there(table, [HALF])
    return Particles(
        str(path),
        Rotation.identity(len(table.block.rows))
        if missing
        else from_euler_deg(table.numbers(EULER)),
        _names(table, IMAGE),
        _names(table, MICROGRAPH),
        _numbers_if_there(table, COORDINATES),
        _micrograph_pixel_size_A(table, image_A),
        image_A,
        _origins_A(table, image_A),
        None if half_sets is None else half_sets[:, 0].astype(np.int64),
        _names(table, OPTICS),
        ctfs=_ctfs(table),
        phases_flipped=_flags_if_there(table, PHASES_FLIPPED),
        ctf_premultiplied=_flags_if_there(table, PREMULTIPLIED),
        tomogram_names=_names(table, TOMOGRAM_NAME),
        movie_pixel_size_A=_column_if_there(table, MOVIE_PIXEL),
        origins_px=_origins_px(table, image_A),
    )


def _table(star: StarFile, path: Path) -> _Table:
    named = [block for block in star.blocks if {IMAGE, EULER[0]} & set(block.columns)]
    block = star.block("particles") or (named[0] if named else None)
    if block is None:
        blocks = ", ".join(f"data_{block.name}" for block in star.blocks)
        problem = f"no table has {IMAGE} or {EULER[0]} (the blocks are {blocks})"
        raise UserError(problem, where=path, wanted="A table of particles is needed", do=_REFINED)
    where = f"{path}, data_{block.name}"
    if not block.rows:
        raise UserError(
            ("the table has no rows"), where=where, wanted="At least one particle is needed"
        )
    optics = star.block("optics")
    if optics is None or OPTICS not in optics.columns or OPTICS not in block.columns:
        return _Table(block, Block("optics", (), ()), (), where)
    rows = {group: row for row, group in enumerate(optics.column(OPTICS))}
    groups = block.column(OPTICS)
    strange = next((index for index, group in enumerate(groups) if group not in rows), None)
    if strange is not None:
        raise undefined_group(groups[strange], rows, f"{where}, row {strange + 1}")
    return _Table(block, optics, [rows[group] for group in groups], where)


def _numbers_if_there(
    table: _Table, columns: Sequence[str]
) -> Float[np.ndarray, "n columns"] | None:
    return table.numbers(columns) if table.has(columns) else None


def _flags_if_there(table: _Table, column: str) -> Bool[np.ndarray, "n"] | None:
    return table.numbers([column])[:, 0] != 0 if table.has([column]) else None


def _ctfs(table: _Table) -> tuple[CTFParameters, ...] | None:
    """The CTF of each particle's image, or None if one of its columns is missing; without a column
    of phase shifts they are zero.
    """
    if not table.has(CTF_COLUMNS):
        return None
    values = table.numbers([*CTF_COLUMNS, PHASE_SHIFT] if table.has([PHASE_SHIFT]) else CTF_COLUMNS)
    for name, limits in RELION_LIMITS.items():
        column = values[:, CTF_COLUMNS.index(name)]
        bad = np.flatnonzero((column < limits.least) | (column > limits.most))
        if len(bad):
            problem, where = f"{name} is {column[bad[0]]:g}", f"{table.where}, row {bad[0] + 1}"
            raise UserError(
                problem, where=where, wanted=f"The CTF needs it {limits.words}", do="correct it"
            )
    return tuple(CTFParameters(*row) for row in values.tolist())


def _names(table: _Table, column: str) -> tuple[str, ...] | None:
    return tuple(table.texts(column)) if table.has([column]) else None


def _column_if_there(table: _Table, column: str) -> Float[np.ndarray, "n"] | None:
    return table.numbers([column])[:, 0] if table.has([column]) else None


def _micrograph_pixel_size_A(
    table: _Table, image_A: Float[np.ndarray, "n"] | None
) -> Float[np.ndarray, "n"] | None:
    if table.has([MICROGRAPH_PIXEL]):
        return _column_if_there(table, MICROGRAPH_PIXEL)
    movie_A = _column_if_there(table, MOVIE_PIXEL)
    if movie_A is None or image_A is None:
        return None
    is_same = [
        are_one_size(*sizes_A) for sizes_A in zip(movie_A.tolist(), image_A.tolist(), strict=True)
    ]
    return movie_A if all(is_same) else None


def _image_pixel_size_A(table: _Table) -> Float[np.ndarray, "n"] | None:
    if table.has(["rlnImagePixelSize"]):
        return table.numbers(["rlnImagePixelSize"])[:, 0]
    if not table.has(FLAT_PIXEL_SIZE):
        return None
    detector_um, magnification = table.numbers(FLAT_PIXEL_SIZE).T
    if not (magnification > 0).all():
        row = int(np.flatnonzero(~(magnification > 0))[0])
        problem, where = (
            f"rlnMagnification is {magnification[row]:g}",
            f"{table.where}, row {row + 1}",
        )
        raise UserError(
            problem, where=where, wanted="A positive magnification is needed", do="correct it"
        )
    return detector_um * 1e4 / magnification


def _origins_A(
    table: _Table, image_A: Float[np.ndarray, "n"] | None
) -> Float[np.ndarray, "n 2"] | None:
    """The shifts in Å; files before RELION 3.1 have them in pixels of the image."""
    if table.has(ORIGINS_A):
        return table.numbers(ORIGINS_A)
    if table.has(ORIGINS_PX) and image_A is not None:
        return table.numbers(ORIGINS_PX) * image_A[:, None]
    return None


def _origins_px(
    table: _Table, image_A: Float[np.ndarray, "n"] | None
) -> Float[np.ndarray, "n 2"] | None:
    """The shifts in pixels of the image, if nothing in the file converts them to Å."""
    if table.has(ORIGINS_A) or image_A is not None:
        return None
    return _numbers_if_there(table, ORIGINS_PX)
