"""Micrographs in RELION's STAR files, flat (2.x, 3.0) or with an optics table (3.1 and later)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from restore.errors import UserError, missing_words
from restore.io.ctf_limits import RELION_LIMITS
from restore.io.half_names import Suffixes, half_names
from restore.io.paths import Places
from restore.io.relion.optics import undefined_group
from restore.io.star import Block, StarFile
from restore.micrograph import CTFParameters

NAME, EVEN, ODD = "rlnMicrographName", "rlnMicrographNameEven", "rlnMicrographNameOdd"
PIXEL_SIZES = (
    "rlnMicrographPixelSize",
    "rlnTomoTiltSeriesPixelSize",
    "rlnMicrographOriginalPixelSize",
    "rlnPixelSize",
)
CTF_COLUMNS = (
    "rlnDefocusU",
    "rlnDefocusV",
    "rlnDefocusAngle",
    "rlnVoltage",
    "rlnSphericalAberration",
    "rlnAmplitudeContrast",
)
_FOR_CTF = "Phase flipping needs it"
_CTF_CURE = "run CTF estimation, or give `phase_flip=False`"


@dataclass(frozen=True)
class StarRow:
    """One row of the micrograph table, with its row of the optics table."""

    row: Mapping[str, str]
    row_place: str
    optics: Mapping[str, str]
    optics_place: str

    def has(self, column: str) -> bool:
        """Whether the row or its optics group has this column."""
        return column in self.row or column in self.optics

    def number(self, column: str, limits: tuple[float, float], wanted: str, do: str) -> float:
        """The number in a column, which must be within the limits (inclusive); the row takes
        precedence over the optics group.

        Raises
        ------
        UserError
            The value is not a number, not finite or beyond the limits; the message ends in
            ``wanted`` and ``do``.
        """
        text, place = (
            (self.row[column], self.row_place)
            if column in self.row
            else (self.optics[column], self.optics_place)
        )
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and limits[0] <= value <= limits[1]):
            raise UserError(f'{column} is "{text}"', where=place, wanted=wanted, do=do)
        return value


def micrograph_block(star: StarFile, where: object) -> Block:
    """The table of micrographs: ``data_micrographs``, else the only block that names micrographs.

    Raises
    ------
    UserError
        There is no such block, it lists particles, or the table has no rows.
    """
    named = [block for block in star.blocks if NAME in block.columns]
    block = star.block("micrographs") or (named[0] if len(named) == 1 else None)
    if block is None or NAME not in block.columns:
        blocks = ", ".join(f"data_{block.name}" for block in star.blocks)
        problem = (
            f"{NAME} is missing (the blocks are {blocks})"
            if len(named) < 2
            else f"several blocks have {NAME}"
        )
        do = "give the STAR file of a motion correction or CTF estimation job"
        raise UserError(problem, where=where, wanted="A table of micrographs is needed", do=do)
    if "rlnImageName" in block.columns:
        wanted, do = "A table of micrographs is needed", "give micrographs_ctf.star instead"
        raise UserError(
            "it lists particles", where=f"{where}, data_{block.name}", wanted=wanted, do=do
        )
    if not block.rows:
        raise UserError(
            "the table has no rows",
            where=f"{where}, data_{block.name}",
            wanted="At least one micrograph is needed",
        )
    return block


def star_rows(star: StarFile, block: Block, where: object) -> list[StarRow]:
    """The rows of the micrograph table, each with its optics group.

    Raises
    ------
    UserError
        An optics group is undefined or defined twice, or a micrograph is listed twice.
    """
    groups = _optics_groups(star, where)
    if groups and "rlnOpticsGroup" not in block.columns:
        problem, wanted = (
            "rlnOpticsGroup is missing",
            "With data_optics each micrograph needs its optics group",
        )
        raise UserError(
            problem, where=f"{where}, data_{block.name}", wanted=wanted, do="add the column"
        )
    rows: list[StarRow] = []
    for index, values in enumerate(block.rows, 1):
        row, place = (
            dict(zip(block.columns, values, strict=True)),
            f"{where}, data_{block.name}, row {index}",
        )
        optics, optics_place = _group_of(row, groups, place) if groups else ({}, "")
        rows.append(StarRow(row, place, optics, optics_place))
    refuse_repeats(block.column(NAME), f"{where}, data_{block.name}")
    return rows


def pixel_size_A(row: StarRow, given_A: float | None) -> float:
    """The micrograph's pixel size: from its column, else from detector pixel and magnification,
    else ``given_A``.

    Raises
    ------
    UserError
        There is no pixel size, it is not a positive number, or it differs from the one given.
    """
    limits, wanted, do = (1e-6, 1e6), "A positive pixel size in Å is needed", "correct it"
    column = next((column for column in PIXEL_SIZES if row.has(column)), None)
    if column:
        size_A = row.number(column, limits, wanted, do)
    elif row.has("rlnDetectorPixelSize") and row.has("rlnMagnification"):
        detector_um = row.number(
            "rlnDetectorPixelSize", limits, "A positive detector pixel size in µm is needed", do
        )
        size_A = (
            detector_um
            * 1e4
            / row.number("rlnMagnification", limits, "A positive magnification is needed", do)
        )
    elif given_A is not None:
        return given_A
    else:
        missing = (
            f"there is no pixel size ({PIXEL_SIZES[0]}, or rlnDetectorPixelSize and "
            "rlnMagnification)"
        )
        raise UserError(
            missing, where=row.row_place, wanted=wanted, do="add the column, or give `pixel_size_A`"
        )
    if given_A is not None and abs(given_A - size_A) > 0.01 * size_A:
        problem = f"the pixel size is {size_A:g} Å, and {given_A:g} Å was given"
        raise UserError(
            problem,
            where=row.row_place,
            wanted="The two pixel sizes must agree to within 1 %",
            do="leave `pixel_size_A` out",
        )
    return size_A


def ctf_parameters(row: StarRow) -> CTFParameters:
    """The micrograph's CTF. The phase shift is zero if there is no column for it.

    Raises
    ------
    UserError
        Columns are missing, or hold something that is not a number or is an impossible one.
    """
    missing = [column for column in CTF_COLUMNS if not row.has(column)]
    if missing:
        finding = missing_words(missing)
        wanted = _FOR_CTF if len(missing) == 1 else "Phase flipping needs them"
        raise UserError(finding, where=row.row_place, wanted=wanted, do=_CTF_CURE)
    any_number = (-math.inf, math.inf)
    values = [row.number(column, any_number, _FOR_CTF, _CTF_CURE) for column in CTF_COLUMNS]
    for column, value in zip(CTF_COLUMNS, values, strict=True):
        limits = RELION_LIMITS.get(column)
        if limits and not limits.hold(value):
            wanted = f"{_FOR_CTF} {limits.words}"
            row.number(column, (limits.least, limits.most), wanted, _CTF_CURE)
    has_shift = row.has("rlnPhaseShift")
    shift_deg = row.number("rlnPhaseShift", any_number, _FOR_CTF, _CTF_CURE) if has_shift else 0.0
    u_A, v_A, angle_deg, voltage_kV, cs_mm, contrast = values
    return CTFParameters(u_A, v_A, angle_deg, voltage_kV, cs_mm, contrast, shift_deg)


def ctf_if_any(row: StarRow) -> CTFParameters | None:
    """The micrograph's CTF, or None where :func:`ctf_parameters` would raise."""
    try:
        return ctf_parameters(row)
    except UserError:
        return None


def half_paths(
    row: StarRow, suffixes: Suffixes | None, places: Places
) -> tuple[Path | None, Path | None]:
    """The even and the odd half: from their columns if both exist, else by suffix, else None.

    The first pair of names of which both files exist is taken or, if no pair is complete, the
    likelier one.
    """
    if names_halves(row):
        return places.find_or_first(row.row[EVEN]), places.find_or_first(row.row[ODD])
    return halves_by_suffix(row.row[NAME], suffixes, places) if suffixes else (None, None)


def names_halves(row: StarRow) -> bool:
    """Whether a row names both halves in columns of their own."""
    return bool(row.row.get(EVEN) and row.row.get(ODD))


def halves_by_suffix(name: str, suffixes: Suffixes, places: Places) -> tuple[Path, Path]:
    """The two halves of the full sum ``name``, as :func:`half_paths` finds them by suffix."""
    pairs = half_names(name, suffixes)
    for even, odd in pairs:
        halves = places.find(even), places.find(odd)
        if halves[0] and halves[1]:
            return halves[0], halves[1]
    return places.find_or_first(pairs[0][0]), places.find_or_first(pairs[0][1])


def _optics_groups(star: StarFile, where: object) -> dict[str, tuple[Mapping[str, str], str]]:
    optics = star.block("optics")
    groups: dict[str, tuple[Mapping[str, str], str]] = {}
    if optics is None:
        return groups
    if "rlnOpticsGroup" not in optics.columns:
        problem, wanted = "rlnOpticsGroup is missing", "Every optics group must have a number"
        raise UserError(problem, where=f"{where}, data_optics", wanted=wanted, do="add the column")
    for index, values in enumerate(optics.rows, 1):
        row, place = (
            dict(zip(optics.columns, values, strict=True)),
            f"{where}, data_optics, row {index}",
        )
        group = row["rlnOpticsGroup"]
        if group in groups:
            raise UserError(
                f"optics group {group} is defined twice",
                where=place,
                wanted="Every optics group must have a number of its own",
            )
        groups[group] = row, place
    return groups


def _group_of(
    row: Mapping[str, str], groups: Mapping[str, tuple[Mapping[str, str], str]], place: str
) -> tuple[Mapping[str, str], str]:
    group = row["rlnOpticsGroup"]
    if group not in groups:
        raise undefined_group(group, groups, place)
    return groups[group]


def refuse_repeats(
    values: Sequence[str], where: str, what: str = "micrograph", having: str = "name"
) -> None:
    """Raise UserError if two rows have the same value: a ``what`` may be listed only once.
    ``having`` is the verb of the message.
    """
    first_row: dict[str, int] = {}
    for index, value in enumerate(values, 1):
        if first_row.setdefault(value, index) != index:
            problem = f"rows {first_row[value]} and {index} both {having} {value}"
            raise UserError(
                problem,
                where=where,
                wanted=f"A {what} may be listed only once",
                do="remove one of the rows",
            )
