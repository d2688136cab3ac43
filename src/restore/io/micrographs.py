"""Sets of micrographs: from a table, an image or a pattern to records, and back to a table."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from restore.errors import UserError
from restore.io.bad_rows import BadRow, bad_rows, errors_of
from restore.io.cryosparc.datasets import ENDINGS as CRYOSPARC_ENDINGS
from restore.io.cryosparc.exposures import read_exposures
from restore.io.cryosparc.listings import CryosparcListing
from restore.io.ctf_limits import warn_of_units
from restore.io.endings import IMAGE_ENDINGS
from restore.io.file_checks import HALVES, Part, ReadHeader, check_files, header_pixel_size_A
from restore.io.half_names import Suffixes, is_half, parse_suffixes
from restore.io.images.image import read_image_header
from restore.io.listings import ImageListing, Listing, StarListing
from restore.io.paths import Places, image_names
from restore.io.relion.micrographs import (
    NAME,
    StarRow,
    ctf_if_any,
    ctf_parameters,
    half_paths,
    halves_by_suffix,
    micrograph_block,
    names_halves,
    pixel_size_A,
    star_rows,
)
from restore.io.relion.tilt_series import SERIES, read_tilt_series, require_optics, series_table
from restore.io.star import read_star
from restore.micrograph import CTFParameters, Micrograph

log = logging.getLogger(__name__)

_TABLES = (".star", *CRYOSPARC_ENDINGS)

__all__ = [
    "HALVES",
    "BadRow",
    "MicrographSet",
    "Needs",
    "Part",
    "Suffixes",
    "check_files",
    "parse_suffixes",
    "read_micrographs",
]


@dataclass(frozen=True)
class Needs:
    """What the following step needs of every micrograph: its CTF, its two halves.

    With ``skip_bad``, a row whose CTF or pixel size cannot be used does not stop the run: the
    micrograph has no CTF, or is left out, and the set's ``problems`` give the reason. With
    ``header_pixel_size``, images without a table may have the pixel size of their headers.
    """

    ctf: bool = True
    halves: bool = False
    skip_bad: bool = False
    header_pixel_size: bool = False


@dataclass(frozen=True)
class MicrographSet:
    """The micrographs of a table or a pattern, in its order.

    Attributes
    ----------
    source
        The table, image or pattern.
    micrographs
        The micrographs that can be used.
    listing
        The table that lists them; for images and patterns, the one that will be written.
    problems
        Rows that cannot be used, counted from 0; there are none unless :class:`Needs` allows them.
    suffixes
        The suffixes that were given to find the halves; None if none were given.
    listed_halves
        The rows for which the table itself names both halves.
    """

    source: str
    micrographs: tuple[Micrograph, ...]
    listing: Listing
    problems: Mapping[int, BadRow] = field(default_factory=dict[int, BadRow])
    suffixes: Suffixes | None = None
    listed_halves: frozenset[int] = frozenset()

    @property
    def is_listed(self) -> bool:
        """Whether the source is a table."""
        return not isinstance(self.listing, ImageListing)

    @property
    def row_count(self) -> int:
        """The number of rows, including those that cannot be used."""
        return len({*self.problems, *(micrograph.row for micrograph in self.micrographs)})

    def unusable(
        self, needed: Sequence[Part], read: ReadHeader = read_image_header
    ) -> dict[int, BadRow]:
        """The rows that cannot be used because of their ``needed`` images, their CTF or their pixel
        size.
        """
        _, problems = check_files(self.micrographs, needed, read)
        files = {
            problem.micrograph.row: BadRow(problem.micrograph.name, problem.message)
            for problem in problems
        }
        return dict(sorted({**files, **self.problems}.items()))


def read_micrographs(
    source: str | Path | Sequence[str | Path],
    suffixes: Suffixes | None = None,
    pixel_size_A: float | None = None,
    needs: Needs = Needs(),
    ctf: CTFParameters | None = None,
) -> MicrographSet:
    """The micrographs of a RELION STAR file, of a cryoSPARC ``.cs`` or ``.csg`` file, of one image,
    or of a pattern. If there are several sources, they are images and patterns, and form one set.

    A STAR file may list micrographs, or tilt series (RELION 5), of which each tilt image is a
    micrograph.

    Halves are named by the STAR file's own columns, else found by ``suffixes`` (DW,EVN,ODD if
    halves are needed and no suffixes are given); otherwise they are not looked for. Tables have
    their own pixel sizes and CTFs. For images such as ``folder/*.mrc``, ``pixel_size_A`` must be
    given (but see `Needs`), ``ctf`` is their CTF, and files that are halves by ``suffixes`` are
    left out. No image is opened here: `restore.io.file_checks` does that.

    Raises
    ------
    UserError
        The source is missing, empty or invalid, or lacks what is needed; the error names block, row
        and column.
    """
    _refuse_pixel_size(pixel_size_A)
    given = suffixes
    if suffixes is None and needs.halves:
        suffixes = Suffixes()
    sources = [source] if isinstance(source, str | Path) else list(source)
    tables = [name for name in sources if Path(name).suffix.lower() in _TABLES]
    if not tables:
        names = [str(name) for name in sources]
        images = read_images(names, suffixes, pixel_size_A, needs, ctf)
        return replace(images, suffixes=given)
    source = Path(_only_table(sources, tables, ctf))
    from_table = _from_star if source.suffix.lower() == ".star" else _from_cryosparc
    chosen = from_table(source, suffixes, pixel_size_A, needs)
    if needs.ctf:
        warn_of_units((micrograph.ctf for micrograph in chosen.micrographs), source)
    return replace(chosen, suffixes=given)


def is_table(source: str | Path | Sequence[str | Path]) -> bool:
    """Whether a source of `read_micrographs` is, by its name, a STAR file or one of cryoSPARC's
    tables.
    """
    sources = [source] if isinstance(source, str | Path) else source
    return any(Path(name).suffix.lower() in _TABLES for name in sources)


def _refuse_models(sources: Sequence[str]) -> None:
    """UserError where a model file stands for the micrographs."""
    for source in sources:
        if Path(source).suffix.lower() == ".safetensors":
            raise UserError(
                "a model, not micrographs",
                where=source,
                wanted="give images, or a STAR, .cs or .csg file that lists them",
            )


def read_images(
    sources: Sequence[str],
    suffixes: Suffixes | None = None,
    pixel_size_A: float | None = None,
    needs: Needs = Needs(),
    ctf: CTFParameters | None = None,
) -> MicrographSet:
    """The distinct images that names and patterns stand for, as described in `read_micrographs`."""
    source = " ".join(sources)
    _refuse_models(sources)
    names = list(dict.fromkeys(n for source in sources for n in image_names(source, IMAGE_ENDINGS)))
    if pixel_size_A is None and not needs.header_pixel_size:
        wanted, do = (
            "Images without a STAR file need a pixel size",
            "give `pixel_size_A`, or a STAR file",
        )
        raise UserError("there is no pixel size", where=source, wanted=wanted, do=do)
    if needs.ctf and ctf is None:
        do = "give a STAR file, or `phase_flip=False`"
        if not needs.halves:
            do += ", or for one image `defocus_A`, `voltage_kV`, "
            do += "`spherical_aberration_mm` and `amplitude_contrast`"
        problem, wanted = "images without a STAR file have no CTF", "Phase flipping needs the CTF"
        raise UserError(problem, where=source, wanted=wanted, do=do)
    full = [name for name in names if suffixes is None or not is_half(name, suffixes)]
    if not full:
        do = "give the full sums, or other suffixes with -s"
        raise UserError(
            "only halves match it", where=source, wanted="Full sums are needed to name them", do=do
        )
    places = Places()
    micrographs: list[Micrograph] = []
    errors: dict[int, UserError] = {}
    for index, name in enumerate(full):
        even, odd = halves_by_suffix(name, suffixes, places) if suffixes else (None, None)
        try:
            size_A = header_pixel_size_A(Path(name)) if pixel_size_A is None else pixel_size_A
        except UserError as error:
            errors[index] = error
        else:
            micrographs.append(Micrograph(name, Path(name), size_A, index, ctf, even, odd))
    problems = bad_rows(errors, full, needs.skip_bad)
    return MicrographSet(source, tuple(micrographs), ImageListing(micrographs), problems)


def _only_table(
    sources: Sequence[str | Path], tables: Sequence[str | Path], ctf: CTFParameters | None
) -> str | Path:
    if len(sources) > 1:
        raise UserError(
            "a table is given together with other inputs",
            where=tables[0],
            do="give one table, or images only",
        )
    if ctf is not None:
        raise UserError(
            "a CTF is given, and the table has its own",
            where=tables[0],
            do="leave `defocus_A` out",
        )
    return tables[0]


def _refuse_pixel_size(size_A: float | None) -> None:
    if size_A is not None and not 0 < size_A < float("inf"):
        wanted, do = "A positive pixel size in Å is needed", "correct `pixel_size_A`"
        raise UserError(f"the pixel size given is {size_A}", wanted=wanted, do=do)


def _from_star(
    path: Path, suffixes: Suffixes | None, given_A: float | None, needs: Needs
) -> MicrographSet:
    star, places = read_star(path), Places.of_star(path)
    table = series_table(star, path)
    if table is None:
        block = micrograph_block(star, path)
        listing, rows = StarListing(star, block.name), star_rows(star, block, path)
    else:
        listing = read_tilt_series(star, table, path, places)
        rows = list(listing.rows())
    require_optics(rows, given_A, needs.ctf)

    unusable = {
        **errors_of(rows, lambda row: pixel_size_A(row, given_A)),
        **errors_of(rows, _named),
    }
    errors = {**(errors_of(rows, ctf_parameters) if needs.ctf else {}), **unusable}
    names = [row.row[NAME] for row in rows]
    problems = bad_rows(dict(sorted(errors.items())), names, needs.skip_bad)

    def micrograph(index: int, row: StarRow) -> Micrograph:
        ctf = ctf_if_any(row)
        even, odd = half_paths(row, suffixes, places)
        name, series = row.row[NAME], row.optics.get(SERIES, "")
        size_A = pixel_size_A(row, given_A)
        return Micrograph(name, places.find_or_first(name), size_A, index, ctf, even, odd, series)

    micrographs = tuple(
        micrograph(index, row) for index, row in enumerate(rows) if index not in unusable
    )
    listed_halves = frozenset(index for index, row in enumerate(rows) if names_halves(row))
    return MicrographSet(str(path), micrographs, listing, problems, listed_halves=listed_halves)


def _from_cryosparc(
    path: Path, suffixes: Suffixes | None, given_A: float | None, needs: Needs
) -> MicrographSet:
    exposures = read_exposures(path, suffixes, given_A, needs.ctf)
    problems = bad_rows(exposures.errors, exposures.names, needs.skip_bad)
    listing = CryosparcListing(exposures.data, exposures.micrographs)
    return MicrographSet(str(path), exposures.micrographs, listing, problems)


def _named(row: StarRow) -> None:
    """Raise UserError if the micrograph's name cannot be a file name."""
    if "\0" in row.row[NAME]:
        raise UserError(
            f"{NAME} holds a NUL character", where=row.row_place, do="correct the file's name"
        )
