"""Tilt series in RELION 5: a table of series (``data_global``), each with its own STAR file.

Every tilt image is a micrograph. Values common to a series (pixel size, voltage …) are in its row
of the table, the others in the row of the image (RELION 5.0 documentation, "Tomogram set").
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from restore.errors import UserError
from restore.io.listings import WrittenImage, star_bytes
from restore.io.paths import Places, resolved
from restore.io.relion.micrographs import NAME, PIXEL_SIZES, StarRow, refuse_repeats
from restore.io.star import Block, StarFile, read_star

SERIES, SERIES_FILE, STACK = "rlnTomoName", "rlnTomoTiltSeriesStarFile", "rlnTomoTiltSeriesName"
_GIVE_CORRECTED = "give the table of RELION 5's motion correction or CTF estimation job"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class TiltSeries:
    """One series: its row of the table, the place of that row, and its own STAR file, read from
    ``path``.

    ``first`` is the row of its first image, counted over all series.
    """

    row: Mapping[str, str]
    place: str
    path: Path
    star: StarFile
    first: int

    @property
    def name(self) -> str:
        """Its name in the table."""
        return self.row[SERIES]

    @property
    def block(self) -> Block:
        """The table of its tilt images."""
        return self.star.existing_block(self.name)


@dataclass(frozen=True)
class TiltSeriesListing:
    """A table of tilt series, called ``block``, and the STAR file of each series."""

    star: StarFile
    block: str
    series: Sequence[TiltSeries]
    ending: str = ".star"

    def rows(self) -> Iterator[StarRow]:
        """The row of every tilt image, series by series; the series' row of the table takes the
        place of the optics group.
        """
        for series in self.series:
            where = f"{series.path}, data_{series.name}"
            for index, values in enumerate(series.block.rows, 1):
                row = dict(zip(series.block.columns, values, strict=True))
                yield StarRow(row, f"{where}, row {index}", series.row, series.place)

    def denoised(self, path: Path, outputs: Mapping[int, WrittenImage]) -> dict[Path, bytes]:
        """A STAR file for each series, in the folder ``NAME_tilts`` beside ``path``, and the table
        of the series.

        A series keeps the rows that have an output, and a series without any is left out, as in
        RELION's own job that excludes tilt images.

        Raises
        ------
        UserError
            A file would replace a series' file of the input.
        """
        table = self.star.existing_block(self.block)
        inputs = {resolved(series.path) for series in self.series}
        files: dict[Path, bytes] = {}
        names: dict[int, str] = {}
        for index, series in enumerate(self.series):
            rows = [row for row in range(len(series.block.rows)) if series.first + row in outputs]
            if not rows:
                continue
            target = path.parent / f"{path.stem}_tilts" / f"{series.name}.star"
            if resolved(target) in inputs:
                do = "give another `output_suffix` or `output_directory`"
                raise UserError(
                    "the output STAR would replace a series' of the input", where=target, do=do
                )
            changed = series.block.keeping(rows).with_column(
                NAME, [outputs[series.first + row].name for row in rows]
            )
            files[target] = star_bytes(series.star.with_block(changed))
            names[index] = _name_of(target, series)
        changed = table.keeping(list(names)).with_column(SERIES_FILE, list(names.values()))
        return {**files, path: star_bytes(self.star.with_block(changed))}


def _name_of(target: Path, series: TiltSeries) -> str:
    """The name of a new series' file in the table: relative to the project's folder, like the names
    of the input, if possible.
    """
    given = Path(series.row[SERIES_FILE])
    if not given.is_absolute():
        project = series.path.parents[len(given.parts) - 1]
        for whole in (
            os.path.abspath,
            os.path.realpath,
        ):  # the folder may be named by a link
            if Path(whole(target)).is_relative_to(whole(project)):
                return str(Path(whole(target)).relative_to(whole(project)))
    return str(target.absolute())


def series_table(star: StarFile, where: object) -> Block | None:
    """The table of tilt series in a STAR file, or None if the file has none.

    Raises
    ------
    UserError
        The series are image stacks, as in RELION 4, or there are none.
    """
    table = next((block for block in star.blocks if SERIES_FILE in block.columns), None)
    if table is None:
        stacks = next((block for block in star.blocks if STACK in block.columns), None)
        if stacks is None:
            return None
        place = f"{where}, data_{stacks.name}"
        wanted = "One image for each tilt is needed"
        raise UserError(
            f"its series are stacks ({STACK}), as in RELION 4",
            where=place,
            wanted=wanted,
            do=_GIVE_CORRECTED,
        )
    place = f"{where}, data_{table.name}"
    if not table.rows:
        raise UserError(
            ("the table has no rows"), where=place, wanted="At least one tilt series is needed"
        )
    if SERIES not in table.columns:
        raise UserError(
            f"{SERIES} is missing",
            where=place,
            wanted="Every tilt series must have a name",
            do="add the column",
        )
    return table


def read_tilt_series(star: StarFile, table: Block, path: Path, places: Places) -> TiltSeriesListing:
    """Every series of the table, read from its file; ``path`` is that of the table's file.

    Raises
    ------
    UserError
        A series is listed twice; its file is missing, damaged, of another series, or lists no image
        or an image of a stack; an image is listed twice, or there is none at all.
    """
    where = f"{path}, data_{table.name}"
    refuse_repeats(table.column(SERIES), where, "series", "have the series")
    refuse_repeats(table.column(SERIES_FILE), where, "file", "have the file")
    read: list[TiltSeries] = []
    first = 0
    for index, values in enumerate(table.rows, 1):
        row = dict(zip(table.columns, values, strict=True))
        series = _read_one(row, f"{where}, row {index}", places, first)
        read.append(series)
        first += len(series.block.rows)
    listing = TiltSeriesListing(star, table.name, tuple(read))
    if not first:
        raise UserError(
            "no series in it has an image", where=where, wanted="At least one tilt image is needed"
        )
    _refuse_bad_images(listing)
    return listing


def _read_one(row: Mapping[str, str], place: str, places: Places, first: int) -> TiltSeries:
    name, file = row[SERIES], row[SERIES_FILE]
    if not name or "/" in name:
        raise UserError(
            f'{SERIES} is "{name}"', where=place, wanted="A name that a file can have is needed"
        )
    path = places.find(file)
    if path is None:
        wanted, do = "The STAR file of each series is needed", "run restore in the project's folder"
        raise UserError(f'there is no file "{file}"', where=place, wanted=wanted, do=do)
    star = read_star(path)
    block = star.block(name)
    if block is None:
        blocks = ", ".join(f"data_{block.name}" for block in star.blocks)
        wanted = f"The table of the series is needed, called as in {place}"
        raise UserError(
            f"there is no data_{name} (the blocks are {blocks})", where=path, wanted=wanted
        )
    if NAME not in block.columns and block.rows:
        wanted = "The name of each tilt image is needed"
        raise UserError(
            f"{NAME} is missing", where=f"{path}, data_{name}", wanted=wanted, do=_GIVE_CORRECTED
        )
    if not block.rows:
        log.warning("%s: the tilt series %s has no images, and is left out", path, name)
    return TiltSeries(row, place, path, star, first)


def _refuse_bad_images(listing: TiltSeriesListing) -> None:
    places: dict[str, str] = {}
    for row in listing.rows():
        name = row.row[NAME]
        if not name:
            wanted, do = "Every row must name its image", "remove the row"
            raise UserError(f"{NAME} is empty", where=row.row_place, wanted=wanted, do=do)
        if "@" in name.partition("/")[0]:
            wanted = "An image file for each tilt is needed"
            raise UserError(
                f"{name} is an image of a stack",
                where=row.row_place,
                wanted=wanted,
                do=_GIVE_CORRECTED,
            )
        if places.setdefault(name, row.row_place) != row.row_place:
            wanted, do = "A tilt image may be listed only once", "remove one of the rows"
            raise UserError(
                f"{name} is also in {places[name]}", where=row.row_place, wanted=wanted, do=do
            )


def require_optics(rows: Sequence[StarRow], given_A: float | None, ctf: bool) -> None:
    """Raise UserError if the pixel size of tilt images is not known or, where their CTF is needed,
    the voltage.

    The STAR file of one series states neither; its row of the table of series states both. Rows
    that are not tilt images are accepted.

    Raises
    ------
    UserError
        One is missing.
    """
    for row in rows:
        if SERIES not in row.optics and not any(column.startswith("rlnTomo") for column in row.row):
            continue
        where = row.optics_place or row.row_place
        do = (
            "add the column"
            if row.optics_place
            else "give the table of series that names this file"
        )
        if given_A is None and not any(row.has(column) for column in PIXEL_SIZES):
            problem = f"there is no pixel size ({PIXEL_SIZES[1]} or {PIXEL_SIZES[2]})"
            wanted = "A positive pixel size in Å is needed"
            raise UserError(problem, where=where, wanted=wanted, do=f"{do}, or `pixel_size_A`")
        if ctf and not row.has("rlnVoltage"):
            wanted = "Phase flipping needs it"
            raise UserError(
                "rlnVoltage is missing",
                where=where,
                wanted=wanted,
                do=f"{do}, or `phase_flip=False`",
            )
