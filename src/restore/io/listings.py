"""The tables that list micrographs, and how the denoised ones are listed in the same form."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from restore.io.relion.micrographs import NAME
from restore.io.star import Block, StarFile
from restore.micrograph import Micrograph


class Listing(Protocol):
    """A table of micrographs as it was read, with everything that must survive into the one of the
    denoised images.
    """

    @property
    def ending(self) -> str:
        """What the name of the table's file ends in, with its dot."""
        ...

    def denoised(self, path: Path, outputs: Mapping[int, str]) -> dict[Path, bytes]:
        """The files that make the listing at ``path`` of the denoised images, ``path`` itself the
        last.

        ``outputs`` holds the name of the denoised image of each row that has one; the other rows
        are left out. All else is as it was.
        """
        ...


@dataclass(frozen=True)
class StarListing:
    """A STAR file whose block called ``block`` (without ``data_``) names the micrographs."""

    star: StarFile
    block: str
    ending: str = ".star"

    def denoised(self, path: Path, outputs: Mapping[int, str]) -> dict[Path, bytes]:
        """One STAR file, as `Listing` says; blocks that do not change come out byte for byte."""
        block = self.star.block(self.block)
        if block is None:
            raise ValueError(f"the STAR file has no block {self.block!r}")
        rows = sorted(outputs)
        changed = block.keeping(rows).with_column(NAME, [outputs[row] for row in rows])
        return {path: star_bytes(self.star.with_block(changed))}


@dataclass(frozen=True)
class ImageListing:
    """Images that no table lists: their denoised ones get a minimal STAR file, of RELION 3.1, with
    an optics group for each pixel size.
    """

    micrographs: Sequence[Micrograph]
    ending: str = ".star"

    def denoised(self, path: Path, outputs: Mapping[int, str]) -> dict[Path, bytes]:
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
        rows = tuple((outputs[row], group_of_size[size_of_row[row]]) for row in sorted(outputs))
        return {
            path: star_bytes(
                StarFile((optics, Block("micrographs", (NAME, "rlnOpticsGroup"), rows)))
            )
        }


def star_bytes(star: StarFile) -> bytes:
    """A STAR file's text as it stands on the disk: UTF-8, and bytes that were none as they were
    read.
    """
    return star.text().encode("utf-8", "surrogateescape")
