"""The table of the particles to extract, and the table of the extracted ones."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from numpy.typing import NDArray

from restore.errors import UserError
from restore.io.cryosparc.datasets import is_cryosparc
from restore.io.particles import read_particles
from restore.io.relion.optics import undefined_group
from restore.io.relion.particle_star import particle_star
from restore.io.star import Block, StarFile, read_star
from restore.io.star.numbers import finite_numbers, number_of
from restore.micrograph import CTFParameters
from restore.particles.extraction.windows import ExtractionSettings

MICROGRAPH, IMAGE, OPTICS = "rlnMicrographName", "rlnImageName", "rlnOpticsGroup"
COORDINATES = ("rlnCoordinateX", "rlnCoordinateY")
ORIGINS_A, ORIGINS_PX = ("rlnOriginXAngst", "rlnOriginYAngst"), ("rlnOriginX", "rlnOriginY")
PHASES_FLIPPED = "rlnCtfDataArePhaseFlipped"
DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
MICROGRAPH_PIXEL, MOVIE_PIXEL = "rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize"
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


def pixel_sizes_A(table: ParticleTable, header_A: Mapping[str, float | None]) -> dict[str, float]:
    """The pixel size of each micrograph, the unit of the coordinates.

    It is ``rlnMicrographPixelSize`` of the optics table, else that of the image header
    (``header_A``), else ``rlnMicrographOriginalPixelSize``, which in RELION remains that of the
    movie if motion correction has binned it.

    Raises
    ------
    UserError
        There is no pixel size, it is not a positive number, or the optics group is not defined.
    """
    group_of = _optics_rows(table)
    sizes: dict[str, float] = {}
    for name, rows in table.rows_of.items():
        group = group_of(rows[0])
        texts = (group.get(MICROGRAPH_PIXEL), header_A.get(name), group.get(MOVIE_PIXEL))
        first = next((text for text in texts if text is not None), None)
        if first is None:
            problem, wanted = (
                f"the pixel size of {name} is not known",
                f"Neither {MICROGRAPH_PIXEL} nor its header gives it",
            )
            raise UserError(
                problem, where=table.path, wanted=wanted, do="add the column to data_optics"
            )
        sizes[name] = _positive(first, table, rows[0])
    return sizes


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


def with_phases_flipped(table: ParticleTable) -> ParticleTable:
    """The table, marked as listing images that were multiplied by the sign of their CTF."""
    block = table.optics or table.block
    star = table.star.with_block(block.with_column(PHASES_FLIPPED, ["1"] * len(block.rows)))
    return replace(table, star=star, block=star.block(table.block.name) or table.block)


def listed(
    table: ParticleTable,
    image_names: Sequence[str],
    settings: ExtractionSettings,
    micrograph_A: Mapping[str, float],
) -> StarFile:
    """The file with the names, the size and the pixel size of the new images, and every other
    column unchanged.

    If the table has no origins, origins are added that restore the exact coordinates, since windows
    begin at whole pixels. Existing origins are kept: they belong to windows that RELION cut at the
    same whole pixels.
    """
    scale = settings.box_px / settings.image_px
    image_A = [micrograph_A[name] * scale for name in table.micrograph_names]
    block = table.block.with_column(IMAGE, image_names)
    optics = table.optics
    if optics is None:
        block = _flat_sizes(block, image_A)
    elif not any(name in block.columns for name in (*ORIGINS_A, *ORIGINS_PX)):
        micrographs_A = np.array([micrograph_A[name] for name in table.micrograph_names])
        lost_A = (np.trunc(table.coordinates_px) - table.coordinates_px) * micrographs_A[:, None]
        for name, values in zip(ORIGINS_A, lost_A.T, strict=True):
            block = block.with_column(name, [f"{value + 0.0:.6f}" for value in values])
    star = table.star.with_block(block)
    return (
        star
        if optics is None
        else star.with_block(_image_optics(optics, block, image_A, settings.image_px))
    )


def _image_optics(optics: Block, block: Block, image_A: Sequence[float], image_px: int) -> Block:
    """The optics table with the new images' size in it; a group's pixel size is that of its first
    particle.
    """
    sizes: dict[str, float] = {}
    for group, size_A in zip(block.column(OPTICS), image_A, strict=True):
        if abs(sizes.setdefault(group, size_A) - size_A) > 1e-4 * size_A:
            problem = f"{OPTICS} {group} has micrographs of {sizes[group]:g} and of {size_A:g} Å"
            raise UserError(
                problem,
                wanted="The particle images of an optics group must have one pixel size",
                do="split the optics group",
            )
    groups = optics.column(OPTICS)
    used = optics.keeping([index for index, group in enumerate(groups) if group in sizes])
    used = used.with_column(
        "rlnImagePixelSize", [f"{sizes[group]:.6f}" for group in used.column(OPTICS)]
    )
    used = used.with_column("rlnImageSize", [str(image_px)] * len(used.rows))
    return used.with_column("rlnImageDimensionality", ["2"] * len(used.rows))


def _flat_sizes(block: Block, image_A: Sequence[float]) -> Block:
    """The pixel size of a flat table, as detector pixel (µm) over magnification; origins in pixels
    are converted to the new pixels.
    """
    if {"rlnDetectorPixelSize", "rlnMagnification"} <= set(block.columns):
        detector_um, magnification = (
            np.array(block.column(name), np.float64)
            for name in ("rlnDetectorPixelSize", "rlnMagnification")
        )
        ratio = detector_um * 1e4 / magnification / np.array(image_A)
        for name in set(ORIGINS_PX) & set(block.columns):
            moved = np.array(block.column(name), np.float64) * ratio
            block = block.with_column(name, [f"{value:.6f}" for value in moved])
    block = block.with_column("rlnDetectorPixelSize", [f"{size_A:.6f}" for size_A in image_A])
    return block.with_column("rlnMagnification", [f"{1e4:.6f}"] * len(image_A))


def _optics_rows(table: ParticleTable) -> Callable[[int], Mapping[str, str]]:
    """A function from a particle's row to its row of the optics table, which is empty if there is
    no such table.
    """
    optics = table.optics
    if optics is None:
        return lambda _: {}
    groups = {
        row[optics.columns.index(OPTICS)]: dict(zip(optics.columns, row, strict=True))
        for row in optics.rows
    }
    named = table.block.column(OPTICS)
    strange = next((row for row, group in enumerate(named) if group not in groups), None)
    if strange is not None:
        where = f"{table.path}, data_{table.block.name}, row {strange + 1}"
        raise undefined_group(named[strange], groups, where)
    return lambda row: groups[named[row]]


def _positive(value: str | float, table: ParticleTable, row: int) -> float:
    number = number_of(value) if isinstance(value, str) else value
    if not 0 < number < np.inf:
        where = f"{table.path}, optics group of row {row + 1}"
        raise UserError(
            f'the pixel size is "{value}"', where=where, wanted="A positive number of Å is needed"
        )
    return number
