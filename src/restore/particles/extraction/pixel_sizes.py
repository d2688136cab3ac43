"""The pixel size of the micrographs that particles are extracted from."""

import logging
from collections.abc import Callable, Mapping

import numpy as np

from restore.errors import UserError
from restore.io.micrograph_pixel_size import are_one_size, is_binned, micrograph_pixel_size_A
from restore.io.relion.optics import undefined_group
from restore.io.relion.particle_columns import (
    FLAT_PIXEL_SIZE,
    MICROGRAPH_PIXEL,
    MOVIE_PIXEL,
    OPTICS,
)
from restore.io.star.numbers import number_of
from restore.particles.extraction.tables import ParticleTable

log = logging.getLogger(__name__)

_IMAGE_PIXEL = "rlnImagePixelSize"


def pixel_sizes_A(table: ParticleTable, header_A: Mapping[str, float | None]) -> dict[str, float]:
    """The pixel size of each micrograph, the unit of the coordinates.

    It is ``rlnMicrographPixelSize``, else that of the image header (``header_A``) if it fits
    ``rlnMicrographOriginalPixelSize``, which in RELION remains that of the movie if motion
    correction has binned it, and that of the particle images that the table listed before
    (:func:`restore.io.micrograph_pixel_size.micrograph_pixel_size_A`). In a flat table, detector
    pixel over magnification is that of those images. A header that does not fit is logged as a
    warning.

    Raises
    ------
    UserError
        There is no pixel size, it is not a positive number, or the optics group is not defined.
    """
    values_of = _rows(table)
    sizes_A: dict[str, float] = {}
    unlike: list[str] = []
    for name, rows in table.rows_of.items():
        values, in_header_A = values_of(rows[0]), header_A.get(name)
        movie_A, image_A = _size_A(values, MOVIE_PIXEL), _image_size_A(values)
        if MICROGRAPH_PIXEL in values:
            size_A = _positive(values[MICROGRAPH_PIXEL], table, rows[0])
            is_fit = in_header_A is None or are_one_size(in_header_A, size_A)
        else:
            size_A = micrograph_pixel_size_A(in_header_A, movie_A, image_A)
            size_A = image_A if size_A is None and table.optics is None else size_A
            is_fit = _is_fit(size_A, in_header_A, None if movie_A else image_A)
        if size_A is None and MOVIE_PIXEL in values:
            size_A = _positive(values[MOVIE_PIXEL], table, rows[0])
        if size_A is None:
            raise _unknown(table, name)
        sizes_A[name] = _positive(size_A, table, rows[0])
        if not is_fit:
            unlike.append(name)
    if unlike:
        _warn(table, unlike, header_A, sizes_A)
    return sizes_A


def _is_fit(size_A: float | None, header_A: float | None, image_A: float | None) -> bool:
    """Whether the header's pixel size is the one taken and, where the images' is all that it can be
    checked by, one from which they can have been scaled.
    """
    if size_A is None or header_A is None:
        return True
    if not are_one_size(header_A, size_A):
        return False
    return image_A is None or is_binned(image_A, header_A) or is_binned(header_A, image_A)


def _warn(
    table: ParticleTable,
    unlike: list[str],
    header_A: Mapping[str, float | None],
    sizes_A: Mapping[str, float],
) -> None:
    name = unlike[0]
    more = f" ({len(unlike)} micrographs are like this)" if len(unlike) > 1 else ""
    log.warning(
        "the header of %s has pixels of %.5g Å, which does not fit the pixel sizes in %s; the "
        "micrograph is taken to have pixels of %.5g Å%s. If that is wrong, add %s to the table",
        name, header_A[name], table.path, sizes_A[name], more, MICROGRAPH_PIXEL,
    )  # fmt: skip


def _rows(table: ParticleTable) -> Callable[[int], Mapping[str, str]]:
    """A function from a particle's row to the values of its optics group or, in a flat table, to
    its own.
    """
    optics = table.optics
    if optics is None:
        columns, own = table.block.columns, table.block.rows
        return lambda row: dict(zip(columns, own[row], strict=True))
    groups = {
        row[optics.columns.index(OPTICS)]: dict(zip(optics.columns, row, strict=True))
        for row in optics.rows
    }
    named = table.block.column(OPTICS)
    strange = next((row for row, group in enumerate(named) if group not in groups), None)
    if strange is not None:
        where = f"{table.path}, data_{table.block.name}, row {strange + 1}"
        raise undefined_group(named[strange], groups, where)
    return lambda row: groups[named[row]]


def _size_A(values: Mapping[str, str], column: str) -> float | None:
    """The pixel size in a column; None if it is not there, or not a positive number."""
    return _possible(number_of(values[column])) if column in values else None


def _image_size_A(values: Mapping[str, str]) -> float | None:
    """The pixel size of the particle images that the table listed before; None if not known."""
    if _IMAGE_PIXEL in values:
        return _size_A(values, _IMAGE_PIXEL)
    if not set(FLAT_PIXEL_SIZE) <= set(values):
        return None
    detector_um, magnification = (number_of(values[column]) for column in FLAT_PIXEL_SIZE)
    return _possible(detector_um * 1e4 / magnification) if magnification > 0 else None


def _possible(size_A: float) -> float | None:
    return size_A if 0 < size_A < np.inf else None


def _unknown(table: ParticleTable, name: str) -> UserError:
    problem = f"the pixel size of {name} is not known"
    wanted = f"Neither {MICROGRAPH_PIXEL} nor its header gives it"
    return UserError(problem, where=table.path, wanted=wanted, do="add the column to data_optics")


def _positive(value: str | float, table: ParticleTable, row: int) -> float:
    number = number_of(value) if isinstance(value, str) else value
    if not 0 < number < np.inf:
        group = "" if table.optics is None else "optics group of "
        where = f"{table.path}, {group}row {row + 1}"
        raise UserError(
            f'the pixel size is "{value}"', where=where, wanted="A positive number of Å is needed"
        )
    return number
