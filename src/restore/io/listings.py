"""The tables that list micrographs, and tables of the same form for the denoised ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from restore.io.relion.micrographs import NAME
from restore.io.star import Block, StarFile
from restore.micrograph import Micrograph


@dataclass(frozen=True)
class WrittenImage:
    """An image to be listed: its path, and its name for a STAR file, which RELION looks for from
    its project's folder. cryoSPARC's tables name it by its path.
    """

    path: Path
    name: str


class Listing(Protocol):
    """A table of micrographs as it was read, with everything that must survive in the table of the
    denoised images.
    """

    @property
    def ending(self) -> str:
        """The ending of the table's file name, with its dot."""
        ...

    def denoised(self, path: Path, outputs: Mapping[int, WrittenImage]) -> dict[Path, bytes]:
        """The files that make up the listing of the denoised images at ``path``, ``path`` itself
        last.

        ``outputs`` holds the denoised image of each row that has one; the other rows are left
        out. Everything else is unchanged.
        """
        ...


@dataclass(frozen=True)
class StarListing:
    """A STAR file whose block called ``block`` (without ``data_``) names the micrographs."""

    star: StarFile
    block: str
    ending: str = ".star"

    def denoised(self, path: Path, outputs: Mapping[int, WrittenImage]) -> dict[Path, bytes]:
        """One STAR file, as described in `Listing`; unchanged blocks are written byte for byte."""
        block = self.star.existing_block(self.block)
        rows = sorted(outputs)
        changed = block.keeping(rows).with_column(NAME, [outputs[row].name for row in rows])
        return {path: star_bytes(self.star.with_block(changed))}


@dataclass(frozen=True)
class ImageListing:
    """Images without a table: their denoised versions get a minimal STAR file in the form of RELION
    3.1, with an optics group for each pixel size.
    """

    micrographs: Sequence[Micrograph]
    ending: str = ".star"

    def denoised(self, path: Path, outputs: Mapping[int, WrittenImage]) -> dict[Path, bytes]:
        """One STAR file, as `Listing` says."""
        size_of_row = {
            micrograph.row: f"{micrograph.pixel_size_A:.6f}" for micrograph in self.micrographs
        }
        sizes = list(dict.fromkeys(size_of_row[row] for row in sorted(outputs)))
        group_of_size = {size: str(number) for number, size in enumerate(sizes, 1)}
        columns = (
            "rlnOpticsGroupName",
            "rlnOpticsGroup",
            "rlnMicrographOriginalPixelSize",
            "rlnMicrographPixelSize",
        )
        groups = tuple(
            (f"opticsGroup{number}", number, size, size) for size, number in group_of_size.items()
        )
        optics = Block("optics", columns, groups)
        rows = tuple(
            (outputs[row].name, group_of_size[size_of_row[row]]) for row in sorted(outputs)
        )
        return {
            path: star_bytes(
                StarFile((optics, Block("micrographs", (NAME, "rlnOpticsGroup"), rows)))
            )
        }


def star_bytes(star: StarFile) -> bytes:
    """The bytes of a STAR file: UTF-8, except that bytes that were not valid UTF-8 are written as
    they were read.
    """
    return star.text().encode("utf-8", "surrogateescape")
