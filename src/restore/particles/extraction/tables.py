"""The table of the particles to extract, and the table of the extracted ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.cryosparc.datasets import is_cryosparc
from restore.io.particles import read_particles
from restore.io.relion.particle_columns import (
    COORDINATES,
    FLAT_PIXEL_SIZE,
    IMAGE,
    MICROGRAPH,
    MICROGRAPH_PIXEL,
    OPTICS,
    ORIGINS_A,
    ORIGINS_PX,
    PHASES_FLIPPED,
    PREMULTIPLIED,
)
from restore.io.relion.particle_star import particle_star
from restore.io.star import Block, StarFile, read_star
from restore.io.star.numbers import finite_numbers
from restore.micrograph import CTFParameters
from restore.particles.extraction.windows import ExtractionSettings

DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
_WANTED = "Particles are extracted at their coordinates"


@dataclass(frozen=True)
class ParticleTable:
    """Particles with their coordinates (x and y in pixels of the micrographs), row by row, and the
    file that they were read from.
    """

    path: Path
    star: StarFile
    block: Block
    micrograph_names: tuple[str, ...]
    coordinates_px: Float[NDArray[np.float64], "n 2"]

    @property
    def rows_of(self) -> dict[str, list[int]]:
        """The rows of each micrograph, counted from zero; micrographs in order of first
        appearance.
        """
        rows: dict[str, list[int]] = {}
        for row, name in enumerate(self.micrograph_names):
            rows.setdefault(name, []).append(row)
        return rows

    @property
    def optics(self) -> Block | None:
        """The optics table, or None if the file is flat."""
        optics = self.star.block("optics")
        return (
            optics
            if optics is not None and OPTICS in optics.columns and OPTICS in self.block.columns
            else None
        )


def read_table(path: Path) -> ParticleTable:
    """The particles of a STAR file, which must have coordinates and micrographs; all other columns
    are kept as they are.

    Those of a ``.cs`` or ``.csg`` file are first converted to a STAR file
    (`restore.io.relion.particle_star`).

    Raises
    ------
    UserError
        The file is missing or invalid, has no such table or no rows, or a coordinate is not a
        number.
    """
    star = particle_star(read_particles(path)) if is_cryosparc(path) else read_star(path)
    needed = (MICROGRAPH, *COORDINATES)
    fitting = [block for block in star.blocks if set(needed) <= set(block.columns)]
    if not fitting:
        problem = f"no table has {', '.join(needed)}"
        raise UserError(
            problem,
            where=path,
            wanted=_WANTED,
            do="give the STAR file of a refinement, such as run_data.star",
        )
    block = fitting[0]
    where = f"{path}, data_{block.name}"
    if not block.rows:
        raise UserError(
            ("the table has no rows"), where=where, wanted="At least one particle is needed"
        )
    xy = np.stack(
        [finite_numbers(block.column(name), name, where, _WANTED) for name in COORDINATES], axis=1
    )
    return ParticleTable(path, star, block, tuple(block.column(MICROGRAPH)), xy)


def with_ctfs(table: ParticleTable, ctfs: Mapping[str, CTFParameters] | None) -> ParticleTable:
    """The table with the defocus of each particle's micrograph, if the table has none and ``ctfs``
    are given.
    """
    if ctfs is None or DEFOCUS[0] in table.block.columns:
        return table
    missing = next((name for name in table.micrograph_names if name not in ctfs), None)
    if missing is not None:
        do = "give the micrographs that the particles were picked in"
        raise UserError(
            f"the CTF of {missing} is not known",
            where=table.path,
            wanted="Each particle needs a CTF",
            do=do,
        )
    values = np.array(
        [
            (ctf.defocus_u_A, ctf.defocus_v_A, ctf.defocus_angle_deg, ctf.phase_shift_deg)
            for ctf in (ctfs[name] for name in table.micrograph_names)
        ]
    )
    block = table.block
    for name, column in zip((*DEFOCUS, "rlnPhaseShift"), values.T, strict=True):
        if name in DEFOCUS or column.any():
            block = block.with_column(name, [f"{value:.6f}" for value in column])
    return replace(table, block=block, star=table.star.with_block(block))


def with_flags(table: ParticleTable, phases_flipped: bool) -> ParticleTable:
    """The table, marked as listing images that were multiplied by the sign of their CTF, or without
    any mark; those in the table belong to the images that it listed before.
    """
    star = table.star
    for block in (table.optics, table.block):
        if block is not None:
            star = star.with_block(block.without((PHASES_FLIPPED, PREMULTIPLIED)))
    if phases_flipped:
        marked = star.existing_block((table.optics or table.block).name)
        star = star.with_block(marked.with_column(PHASES_FLIPPED, ["1"] * len(marked.rows)))
    return replace(table, star=star, block=star.existing_block(table.block.name))


def listed(
    table: ParticleTable,
    image_names: Sequence[str],
    settings: ExtractionSettings,
    micrograph_A: Mapping[str, float],
) -> StarFile:
    """The file with the names, the size and the pixel size of the new images, and every other
    column unchanged. An optics table also gets the pixel size of the micrographs, in which
    coordinates are given.

    If the table has no origins, origins are added that restore the exact coordinates, since windows
    begin at whole pixels. Existing origins are kept: they belong to windows that RELION cut at the
    same whole pixels.
    """
    scale = settings.box_px / settings.image_px
    micrographs_A = np.array([micrograph_A[name] for name in table.micrograph_names])
    lost_px = np.trunc(table.coordinates_px) - table.coordinates_px
    has_origins = any(name in table.block.columns for name in (*ORIGINS_A, *ORIGINS_PX))
    block = table.block.with_column(IMAGE, image_names)
    optics = table.optics
    if optics is None:
        block = _flat_sizes(block, (scale * micrographs_A).tolist())
        if not has_origins:
            block = _with_numbers(block, ORIGINS_PX, lost_px / scale)
        return table.star.with_block(block)
    if not has_origins:
        block = _with_numbers(block, ORIGINS_A, lost_px * micrographs_A[:, None])
    optics = _image_optics(optics, block, micrographs_A.tolist(), settings)
    return table.star.with_block(block).with_block(optics)


def _with_numbers(block: Block, names: Sequence[str], values: Float[np.ndarray, "n m"]) -> Block:
    for name, column in zip(names, values.T, strict=True):
        block = block.with_column(name, [f"{value + 0.0:.6f}" for value in column])
    return block


def _image_optics(
    optics: Block, block: Block, micrographs_A: Sequence[float], settings: ExtractionSettings
) -> Block:
    """The optics table with the size of the new images and of their micrographs' pixels; those of a
    group are those of its first particle.
    """
    sizes_A: dict[str, float] = {}
    scale = settings.box_px / settings.image_px
    for group, size_A in zip(block.column(OPTICS), micrographs_A, strict=True):
        first_A = sizes_A.setdefault(group, size_A)
        if abs(first_A - size_A) > 1e-4 * size_A:
            problem = (
                f"{OPTICS} {group} has micrographs of {first_A * scale:g} and of "
                f"{size_A * scale:g} Å"
            )
            raise UserError(
                problem,
                wanted="The particle images of an optics group must have one pixel size",
                do="split the optics group",
            )
    groups = optics.column(OPTICS)
    used = optics.keeping([index for index, group in enumerate(groups) if group in sizes_A])
    of_rows_A = [sizes_A[group] for group in used.column(OPTICS)]
    columns = {
        "rlnImagePixelSize": [f"{size_A * scale:.6f}" for size_A in of_rows_A],
        MICROGRAPH_PIXEL: [f"{size_A:.6f}" for size_A in of_rows_A],
        "rlnImageSize": [str(settings.image_px)] * len(of_rows_A),
        "rlnImageDimensionality": ["2"] * len(of_rows_A),
    }
    for name, values in columns.items():
        used = used.with_column(name, values)
    return used


def _flat_sizes(block: Block, image_A: Sequence[float]) -> Block:
    """The pixel size of a flat table, as detector pixel (µm) over magnification; origins in pixels
    are converted to the new pixels.
    """
    if set(FLAT_PIXEL_SIZE) <= set(block.columns):
        detector_um, magnification = (
            np.array(block.column(name), np.float64) for name in FLAT_PIXEL_SIZE
        )
        ratio = detector_um * 1e4 / magnification / np.array(image_A)
        for name in set(ORIGINS_PX) & set(block.columns):
            moved = np.array(block.column(name), np.float64) * ratio
            block = block.with_column(name, [f"{value:.6f}" for value in moved])
    block = block.with_column("rlnDetectorPixelSize", [f"{size_A:.6f}" for size_A in image_A])
    return block.with_column("rlnMagnification", [f"{1e4:.6f}"] * len(image_A))
