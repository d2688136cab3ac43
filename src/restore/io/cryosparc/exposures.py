"""Exposures in cryoSPARC's files: where the micrographs lie, their pixel sizes, and the CTF in the
units of the records.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from restore.errors import UserError
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
from restore.io.paths import Places
from restore.io.relion.micrographs import halves_by_suffix
from restore.micrograph import CTFParameters, Micrograph

BLOB = "micrograph_blob"
PATH, PIXEL_SIZE, INDEX = f"{BLOB}/path", f"{BLOB}/psize_A", f"{BLOB}/idx"

_FOR_CTF = "Phase flipping needs it"
_CTF_CURE = "estimate the CTF again, or give `phase_flip=False`"
_CORRECTED = "give the exposures of a motion correction job, or of one after it"


def read_exposures(
    path: Path, suffixes: Suffixes | None, given_A: float | None, needs_ctf: bool
) -> tuple[tuple[Micrograph, ...], Dataset]:
    """The micrographs of a ``.cs`` or ``.csg`` file of exposures, in its order, and the file as it
    was read.

    Files are found by :func:`finder`. Halves are found by ``suffixes``, beside the full sum, or
    where it is a link, as those of imported micrographs are, beside what it leads to. A CTF that is
    missing or wrong is None where it is not needed.

    Raises
    ------
    UserError
        As :func:`read_dataset`; no micrographs, one named twice, a pixel size that cannot be or is
        not the one that was given, no CTF or one that cannot be where it is needed.
    """
    data = read_dataset(path)
    names = _names(data)
    sizes_A = _pixel_sizes_A(data, given_A)
    ctfs = ctf_parameters(data) if needs_ctf else _ctf_if_any(data)
    find = finder(path)
    micrographs = [
        Micrograph(without_mark(name), find(name), size_A, row, ctf)
        for row, (name, size_A, ctf) in enumerate(zip(names, sizes_A, ctfs, strict=True))
    ]
    if suffixes:
        micrographs = [_with_halves(micrograph, suffixes) for micrograph in micrographs]
    return tuple(micrographs), data


def ctf_parameters(data: Dataset) -> list[CTFParameters]:
    """The CTF of every exposure, from the slot ``ctf``. Phase shift is zero where there is no
    column of it.

    ``df1_A`` lies at ``df_angle_rad`` from the x axis (columns) towards the y axis (rows as
    stored), and is positive in underfocus, so that degrees are all that RELION's angle differs by;
    ``phase_shift_rad`` is additional.

    Raises
    ------
    UserError
        Columns are missing, or hold a number that cannot be, with file and row.
    """
    missing = [f"ctf/{name}" for name in CTF_COLUMNS if data.column(f"ctf/{name}") is None]
    if missing:
        finding = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        wanted = _FOR_CTF if len(missing) == 1 else "Phase flipping needs them"
        do = data.where_to_find() or "give the .csg of a CTF estimation job, or `phase_flip=False`"
        raise UserError(finding, where=data.source, wanted=wanted, do=do)
    values, bad = ctf_values(data)
    if bad.any():
        row, number = np.argwhere(bad)[0].tolist()
        name = f"ctf/{(*CTF_COLUMNS, PHASE_SHIFT)[number]}"
        found = f"{name} is {values[row, number]:g}"
        finite = np.isfinite(values[row, number])
        wanted = _FOR_CTF + (needed_ctf(name) if finite else "")
        raise UserError(found, where=data.place(name, row), wanted=wanted, do=_CTF_CURE)
    return [parameters_of(row) for row in values.tolist()]


def _ctf_if_any(data: Dataset) -> Sequence[CTFParameters | None]:
    """As :func:`ctf_parameters`, with None where that would refuse."""
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
        found = "it lists particles" if of_particles else f"{PATH} is missing"
        do = _CORRECTED if of_particles else data.where_to_find() or _CORRECTED
        raise UserError(found, where=data.source, wanted="Each micrograph needs its file", do=do)
    names = texts(column)
    first_row: dict[str, int] = {}
    for row, name in enumerate(names):
        if not without_mark(name):
            raise UserError(
                f"{PATH} is empty",
                where=data.place(PATH, row),
                wanted="Each micrograph needs its file",
                do=_CORRECTED,
            )
        if first_row.setdefault(name, row) != row:
            found, wanted = f"{name} is named again", "Each micrograph may be there once"
            raise UserError(
                found, where=data.place(PATH, row), wanted=wanted, do="remove one of the rows"
            )
    index = data.column(INDEX)
    if index is not None and index.any():
        row = int(np.flatnonzero(index)[0])
        found, wanted = f"{INDEX} is {index[row]}", "Each micrograph must be a file of its own"
        raise UserError(
            found, where=data.place(INDEX, row), wanted=wanted, do="convert stacks to single images"
        )
    return names


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
    bad = np.flatnonzero(~(np.isfinite(sizes_A) & (sizes_A > 0)))
    if len(bad):
        found, wanted = (
            f"{PIXEL_SIZE} is {sizes_A[bad[0]]:g}",
            "A positive pixel size in Å is needed",
        )
        raise UserError(
            found, where=data.place(PIXEL_SIZE, int(bad[0])), wanted=wanted, do="correct it"
        )
    if (
        given_A is not None
        and (off := np.flatnonzero(abs(given_A - sizes_A) > 0.01 * sizes_A)).size
    ):
        found = f"the pixel size is {sizes_A[off[0]]:g} Å, and {given_A:g} Å was given"
        raise UserError(
            found,
            where=data.place(PIXEL_SIZE, int(off[0])),
            wanted="They must agree",
            do="leave `pixel_size_A` out",
        )
    return sizes_A.tolist()


def _with_halves(micrograph: Micrograph, suffixes: Suffixes) -> Micrograph:
    """The micrograph with its halves: beside it, else beside the file that it is a link to, else
    where they ought to be.
    """
    even, odd = halves_by_suffix(str(micrograph.image), suffixes, Places())
    if not (even.is_file() and odd.is_file()) and micrograph.image.is_symlink():
        linked = halves_by_suffix(str(micrograph.image.resolve()), suffixes, Places())
        if linked[0].is_file() and linked[1].is_file():
            even, odd = linked
    return replace(micrograph, even=even, odd=odd)
