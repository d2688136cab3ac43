"""Exposures in cryoSPARC's files: paths of the micrographs, their pixel sizes, and the CTF in the
units of our records.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from restore.errors import UserError, missing_words
from restore.io.cryosparc.ctf import (
    CTF_COLUMNS,
    PHASE_SHIFT,
    ctf_values,
    decimals,
    needed_ctf,
    parameters_of,
)
from restore.io.cryosparc.datasets import Dataset, read_dataset
from restore.io.cryosparc.paths import finder, without_mark
from restore.io.cryosparc.tables import texts
from restore.io.half_names import Suffixes
from restore.io.paths import Places, resolved
from restore.io.relion.micrographs import halves_by_suffix
from restore.micrograph import CTFParameters, Micrograph

BLOB = "micrograph_blob"
PATH, PIXEL_SIZE, INDEX = f"{BLOB}/path", f"{BLOB}/psize_A", f"{BLOB}/idx"

_FOR_CTF = "Phase flipping needs it"
_CTF_CURE = "estimate the CTF again, or give `phase_flip=False`"
_NEEDS_FILE = "Every micrograph must name its image file"
_CORRECTED = "give the exposures of a motion correction job, or of one after it"


@dataclass(frozen=True)
class Exposures:
    """The exposures of a file: a micrograph for each row that has a pixel size, and the errors of
    rows by row number counted from zero.
    """

    data: Dataset
    names: tuple[str, ...]
    micrographs: tuple[Micrograph, ...]
    errors: Mapping[int, UserError]


def read_exposures(
    path: Path, suffixes: Suffixes | None, given_A: float | None, needs_ctf: bool
) -> Exposures:
    """The micrographs of a ``.cs`` or ``.csg`` file of exposures, in its order.

    Files are found by :func:`finder`. Halves are found by ``suffixes`` beside the full sum or, if
    that is a link, as for imported micrographs, beside its target. A missing or invalid CTF is None
    if no CTF is needed.

    Raises
    ------
    UserError
        As :func:`read_dataset`; or there are no micrographs, one is listed twice, a pixel size
        differs from the one given, or columns of a needed CTF are missing.
    """
    data = read_dataset(path)
    names = _names(data)
    sizes_A = _pixel_sizes_A(data, given_A)
    if needs_ctf:
        _require_ctf_columns(data)
    ctfs = _ctf_if_any(data)
    unusable = {
        **_name_errors(data, names),
        **_stack_errors(data),
        **_pixel_size_errors(data, sizes_A),
    }
    errors = {**(_ctf_errors(data) if needs_ctf else {}), **unusable}
    find = finder(path)
    micrographs = [
        Micrograph(without_mark(name), find(name), size_A, row, ctf)
        for row, (name, size_A, ctf) in enumerate(zip(names, sizes_A, ctfs, strict=True))
        if row not in unusable
    ]
    if suffixes:
        micrographs = [_with_halves(micrograph, suffixes) for micrograph in micrographs]
    names_without_mark = tuple(without_mark(name) for name in names)
    return Exposures(data, names_without_mark, tuple(micrographs), dict(sorted(errors.items())))


def _require_ctf_columns(data: Dataset) -> None:
    missing = [f"ctf/{name}" for name in CTF_COLUMNS if data.column(f"ctf/{name}") is None]
    if missing:
        finding = missing_words(missing)
        wanted = _FOR_CTF if len(missing) == 1 else "Phase flipping needs them"
        do = data.where_to_find() or "give the .csg of a CTF estimation job, or `phase_flip=False`"
        raise UserError(finding, where=data.source, wanted=wanted, do=do)


def _ctf_errors(data: Dataset) -> dict[int, UserError]:
    """The first impossible CTF value of each row that has one."""
    values, bad = ctf_values(data)
    errors: dict[int, UserError] = {}
    for row, number in np.argwhere(bad).tolist():
        name = f"ctf/{(*CTF_COLUMNS, PHASE_SHIFT)[number]}"
        problem = f"{name} is {values[row, number]:g}"
        finite = np.isfinite(values[row, number])
        wanted = _FOR_CTF + (needed_ctf(name) if finite else "")
        error = UserError(problem, where=data.place(name, row), wanted=wanted, do=_CTF_CURE)
        errors.setdefault(row, error)
    return errors


def _ctf_if_any(data: Dataset) -> Sequence[CTFParameters | None]:
    """As :func:`ctf_parameters`, but None where that would raise."""
    if any(data.column(f"ctf/{name}") is None for name in CTF_COLUMNS):
        return [None] * len(data)
    values, bad = ctf_values(data)
    wrong = set(np.nonzero(bad)[0].tolist())
    return [
        None if row in wrong else parameters_of(row_values)
        for row, row_values in enumerate(values.tolist())
    ]


def _names(data: Dataset) -> list[str]:
    column = data.column(PATH)
    if column is None:
        of_particles = (
            data.column("blob/path") is not None
            or data.column("location/micrograph_path") is not None
        )
        problem = "it lists particles" if of_particles else f"{PATH} is missing"
        do = _CORRECTED if of_particles else data.where_to_find() or _CORRECTED
        raise UserError(problem, where=data.source, wanted=_NEEDS_FILE, do=do)
    names = texts(column)
    first_row: dict[str, int] = {}
    for row, name in enumerate(names):
        if not without_mark(name):
            raise UserError(
                f"{PATH} is empty",
                where=data.place(PATH, row),
                wanted=_NEEDS_FILE,
                do=_CORRECTED,
            )
        if first_row.setdefault(name, row) != row:
            problem, wanted = (
                f"{name} is listed a second time",
                "A micrograph may be listed only once",
            )
            raise UserError(
                problem, where=data.place(PATH, row), wanted=wanted, do="remove one of the rows"
            )
    return names


def _name_errors(data: Dataset, names: Sequence[str]) -> dict[int, UserError]:
    """The errors of rows whose names cannot be file names."""
    return {
        row: UserError(
            f"{PATH} holds a NUL character",
            where=data.place(PATH, row),
            do="correct the file's name",
        )
        for row, name in enumerate(names)
        if "\0" in name
    }


def _stack_errors(data: Dataset) -> dict[int, UserError]:
    """The errors of rows that are images of a stack."""
    index = data.column(INDEX)
    if index is None:
        return {}
    return {
        row: UserError(
            f"{INDEX} is {index[row]}",
            where=data.place(INDEX, row),
            wanted="Each micrograph must be a file of its own",
            do="convert stacks to single images",
        )
        for row in np.flatnonzero(index).tolist()
    }


def _pixel_sizes_A(data: Dataset, given_A: float | None) -> list[float]:
    column = data.column(PIXEL_SIZE)
    if column is None:
        if given_A is not None:
            return [given_A] * len(data)
        do = data.where_to_find() or "give `pixel_size_A`"
        raise UserError(
            f"{PIXEL_SIZE} is missing",
            where=data.source,
            wanted="A pixel size in Å is needed",
            do=do,
        )
    sizes_A = decimals(column)
    if (
        given_A is not None
        and (off := np.flatnonzero(abs(given_A - sizes_A) > 0.01 * sizes_A)).size
    ):
        problem = f"the pixel size is {sizes_A[off[0]]:g} Å, and {given_A:g} Å was given"
        raise UserError(
            problem,
            where=data.place(PIXEL_SIZE, int(off[0])),
            wanted="The two pixel sizes must agree to within 1 %",
            do="leave `pixel_size_A` out",
        )
    return sizes_A.tolist()


def _pixel_size_errors(data: Dataset, sizes_A: Sequence[float]) -> dict[int, UserError]:
    """The errors of rows whose pixel sizes are impossible."""
    return {
        row: UserError(
            f"{PIXEL_SIZE} is {size_A:g}",
            where=data.place(PIXEL_SIZE, row),
            wanted="A positive pixel size in Å is needed",
            do="correct it",
        )
        for row, size_A in enumerate(sizes_A)
        if not 1e-6 <= size_A <= 1e6
    }


def _with_halves(micrograph: Micrograph, suffixes: Suffixes) -> Micrograph:
    """The micrograph with its halves: beside it, else beside the file that it links to, else where
    they are expected.
    """
    even, odd = halves_by_suffix(str(micrograph.image), suffixes, Places())
    if not (even.is_file() and odd.is_file()) and micrograph.image.is_symlink():
        linked = halves_by_suffix(str(resolved(micrograph.image)), suffixes, Places())
        if linked[0].is_file() and linked[1].is_file():
            even, odd = linked
    return replace(micrograph, even=even, odd=odd)
