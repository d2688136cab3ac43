"""Tables of particles whose images are stored again, with everything else unchanged."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from restore.errors import UserError
from restore.io.cryosparc.datasets import Dataset, is_cryosparc, read_dataset
from restore.io.cryosparc.paths import project_folder, reference
from restore.io.cryosparc.tables import cs_bytes, text_column
from restore.io.cryosparc.writing import (
    GroupKind,
    group_text,
    moved_columns,
    refuse_to_replace_inputs,
)
from restore.io.listings import star_bytes
from restore.io.relion.particle_columns import IMAGE, OPTICS, PHASES_FLIPPED
from restore.io.star import StarFile, read_star

PARTICLES = GroupKind(
    "particle",
    "particles",
    "Denoised particles",
    {
        name: name
        for name in ("alignments2D", "alignments3D", "blob", "ctf", "location", "pick_stats")
    },
)


@dataclass(frozen=True)
class StoredImage:
    """The place of a particle's new image: the path of its stack, its section, counted from zero,
    and the name of the stack for a STAR file.
    """

    stack: Path
    section: int
    name: str


@runtime_checkable
class ParticleListing(Protocol):
    """A table of particles as it was read."""

    @property
    def ending(self) -> str:
        """The ending of the table's file name, with its dot."""
        ...

    def stored(
        self, path: Path, images: Mapping[int, StoredImage], phases_flipped: bool
    ) -> dict[Path, bytes]:
        """The files that make up the table at ``path``, ``path`` itself last.

        ``images`` holds the new image of each row that has one; the other rows are left out.
        """
        ...


def read_particle_listing(path: Path) -> ParticleListing:
    """The table of particles in a STAR, ``.cs`` or ``.csg`` file. Raises UserError as their readers
    do.
    """
    return CryosparcParticles(read_dataset(path)) if is_cryosparc(path) else _star_particles(path)


def lists_particles(path: Path) -> bool:
    """Whether a file lists particle images: a STAR file with a table of ``rlnImageName``, or a file
    of cryoSPARC's with ``blob/path`` and no micrographs. Also False if it cannot be read.
    """
    try:
        if is_cryosparc(path):
            data = read_dataset(path)
            return data.column("blob/path") is not None and (
                data.column("micrograph_blob/path") is None
            )
        return path.suffix.lower() == ".star" and any(
            IMAGE in block.columns for block in read_star(path).blocks
        )
    except UserError:
        return False


@dataclass(frozen=True)
class StarParticles:
    """A STAR file whose block called ``block`` names particle images."""

    star: StarFile
    block: str
    ending: str = ".star"

    def stored(
        self, path: Path, images: Mapping[int, StoredImage], phases_flipped: bool
    ) -> dict[Path, bytes]:
        """One STAR file, as described in `ParticleListing`.

        Images that were multiplied by the sign of their CTF are marked so in the optics table or,
        without one, in the particle table.
        """
        block = self.star.existing_block(self.block)
        rows = sorted(images)
        names = [f"{images[row].section + 1:06d}@{images[row].name}" for row in rows]
        changed = block.keeping(rows).with_column(IMAGE, names)
        star = self.star.with_block(changed)
        if phases_flipped:
            optics = star.block("optics")
            has_groups = optics is not None and OPTICS in optics.columns
            marked = optics if optics is not None and has_groups else changed
            star = star.with_block(marked.with_column(PHASES_FLIPPED, ["1"] * len(marked.rows)))
        return {path: star_bytes(star)}


@dataclass(frozen=True)
class CryosparcParticles:
    """Particles as cryoSPARC lists them."""

    data: Dataset

    @property
    def ending(self) -> str:
        """``.cs`` or ``.csg``, whichever was given; both are written."""
        return self.data.source.suffix.lower()

    def stored(
        self, path: Path, images: Mapping[int, StoredImage], phases_flipped: bool
    ) -> dict[Path, bytes]:
        """The ``.cs`` and the ``.csg``, as described in `ParticleListing`. Only ``blob/path`` and
        ``blob/idx`` change.

        Raises ValueError if phases are flipped, for which cryoSPARC has no mark.
        """
        if phases_flipped:
            raise ValueError("cryoSPARC's tables cannot say that phases are flipped")
        table, group = path.with_suffix(".cs"), path.with_suffix(".csg")
        refuse_to_replace_inputs(self.data, table, group)
        rows = sorted(images)
        columns = moved_columns(self.data, rows, path.parent)
        project = project_folder(self.data.source)
        columns["blob/path"] = text_column(
            [reference(images[row].stack, path.parent, project) for row in rows]
        )
        columns["blob/idx"] = np.array(
            [images[row].section for row in rows], columns["blob/idx"].dtype
        )
        files = {
            table: cs_bytes(columns),
            group: group_text(self.data, table.name, columns, len(rows), PARTICLES).encode(),
        }
        companion = group if path == table else table
        return {name: files[name] for name in (companion, path)}


def _star_particles(path: Path) -> StarParticles:
    star = read_star(path)
    named = [block for block in star.blocks if IMAGE in block.columns]
    block = star.block("particles") or (named[0] if named else None)
    if block is None or IMAGE not in block.columns:
        raise UserError(f"no table has {IMAGE}", where=path, wanted="Particle images are needed")
    return StarParticles(star, block.name)
