"""The STAR file of a set whose halves restore has made: the set's own file, with the names of the
halves added.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from restore.errors import UserError
from restore.io.listings import ImageListing, StarListing, WrittenImage
from restore.io.micrographs import MicrographSet
from restore.io.relion.micrographs import EVEN, ODD, PIXEL_SIZES
from restore.io.star import Block, StarFile, parse_star


@dataclass(frozen=True)
class HalfNames:
    """One micrograph's entries in a STAR file: its full sum, its halves, and its pixel size in Å if
    that is new.
    """

    full: str
    even: str
    odd: str
    pixel_size_A: float | None = None


def star_listing(chosen: MicrographSet) -> StarListing | ImageListing:
    """The set's table, if it can name halves. Raises UserError if the source is neither a STAR file
    nor a pattern.
    """
    if isinstance(chosen.listing, StarListing | ImageListing):
        return chosen.listing
    do = "convert it with csparc2star.py (pyem)" if chosen.listing.ending.startswith(".cs") else ""
    wanted = "A STAR file of micrographs has it"
    raise UserError(
        "it has no place for the names of halves", where=chosen.source, wanted=wanted, do=do
    )


def halves_star(
    chosen: MicrographSet, names: Mapping[int, HalfNames], voltage_kV: float | None = None
) -> StarFile:
    """The set's STAR file with only the rows in ``names``, and rlnMicrographNameEven and
    rlnMicrographNameOdd.

    A new pixel size is written where RELION looks for it. Everything else is unchanged. A set
    without a STAR file gets a minimal one in the form of RELION 3.1, with the voltage if it is
    given. Raises UserError as :func:`star_listing`.
    """
    listing, rows, path = star_listing(chosen), sorted(names), Path("halves.star")
    full = {row: WrittenImage(Path(names[row].full), names[row].full) for row in rows}
    content = listing.denoised(path, full)[path]
    star = parse_star(content.decode("utf-8", "surrogateescape"))
    block = star.block(listing.block if isinstance(listing, StarListing) else "micrographs")
    if block is None:
        raise ValueError("the listing has lost its block of micrographs")
    block = block.with_column(EVEN, [names[row].even for row in rows]).with_column(
        ODD, [names[row].odd for row in rows]
    )
    star = star.with_block(block)
    sizes_A = [names[row].pixel_size_A for row in rows]
    if any(size is not None for size in sizes_A):
        star = _resized(star, block, sizes_A)
    return star if voltage_kV is None or chosen.is_listed else _with_voltage(star, voltage_kV)


def _resized(star: StarFile, block: Block, sizes_A: Sequence[float | None]) -> StarFile:
    """The STAR file with new pixel sizes, in the optics table if there is one, else in the
    micrographs' rows.
    """
    column = PIXEL_SIZES[0]
    optics = star.block("optics")
    if optics is None or column in block.columns:
        old = block.column(column) if column in block.columns else [""] * len(block.rows)
        star = star.with_block(_magnified(block.with_column(column, _texts(sizes_A, old)), sizes_A))
    if optics is None:
        return star
    of_group = dict(zip(block.column("rlnOpticsGroup"), sizes_A, strict=True))
    old = optics.column(column) if column in optics.columns else optics.column(PIXEL_SIZES[1])
    sizes = [of_group.get(group) for group in optics.column("rlnOpticsGroup")]
    return star.with_block(optics.with_column(column, _texts(sizes, old)))


def _texts(sizes_A: Sequence[float | None], old: Sequence[str]) -> list[str]:
    return [
        text if size is None else f"{size:.6f}" for size, text in zip(sizes_A, old, strict=True)
    ]


def _magnified(block: Block, sizes_A: Sequence[float | None]) -> Block:
    """The rows of a flat STAR file (RELION 3.0 and earlier) with the detector pixel size (µm) that
    gives the new pixel size.
    """
    detector, magnification = "rlnDetectorPixelSize", "rlnMagnification"
    if detector not in block.columns or magnification not in block.columns:
        return block
    pairs = zip(sizes_A, block.column(magnification), strict=True)
    sizes_um = [None if size is None else size * 1e-4 * float(factor) for size, factor in pairs]
    return block.with_column(detector, _texts(sizes_um, block.column(detector)))


def _with_voltage(star: StarFile, voltage_kV: float) -> StarFile:
    optics = star.block("optics")
    return (
        star
        if optics is None
        else star.with_block(optics.with_column("rlnVoltage", [f"{voltage_kV:.6f}"]))
    )
