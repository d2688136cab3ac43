"""Which images are reconstructed by which orientations: the same particles, raw and denoised, in up
to four combinations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Int

from restore.errors import UserError
from restore.io.particle_images import ParticleImages
from restore.io.particles import Particles, match
from restore.particles.angles import angular_distances
from restore.symmetry import point_group

Which = Literal["raw", "denoised"]

_SAME_DEG = 1e-3


@dataclass(frozen=True)
class Combination:
    """Images of one kind, with the orientations, shifts and half sets that were refined on one
    kind.
    """

    images: Which
    orientations: Which
    particles: ParticleImages

    @property
    def name(self) -> str:
        """What files and tables call it: "denoised_by_raw" are denoised images by the orientations
        of the raw ones.
        """
        return f"{self.images}_by_{self.orientations}"


@dataclass(frozen=True)
class Cast:
    """The same particles, row by row: their images of both kinds, and the one or two refinements.

    ``way`` says how it is known which particle of one file is which of the other.
    """

    images: Mapping[Which, ParticleImages]
    refinements: Mapping[Which, Particles]
    way: str

    def __len__(self) -> int:
        return len(self.images["raw"])

    @property
    def combinations(self) -> list[Combination]:
        """Raw images by raw orientations first; images of one kind by the other's orientations
        beside their own.
        """
        order: Sequence[tuple[Which, Which]] = (
            ("raw", "raw"), ("denoised", "raw"), ("denoised", "denoised"), ("raw", "denoised"),
        )  # fmt: skip
        return [
            Combination(kind, by, oriented(self.images[kind], self.refinements[by]))
            for kind, by in order
            if by in self.refinements
        ]


def cast(
    raw: ParticleImages,
    denoised: ParticleImages,
    refined_denoised: Particles | None,
    tolerance_px: float,
) -> Cast:
    """The particles that all files hold, in the order of the raw ones.

    ``raw`` and ``denoised`` are the same particles' images. The orientations of ``raw`` are those
    refined on raw images, and ``refined_denoised`` are those refined on denoised ones. Where there
    are none, or they are the very same, there is one refinement.

    Raises
    ------
    UserError
        The files have no particle in common, or images differ in box or pixel size.
    """
    _refuse_other_images(raw, denoised)
    found = match(raw.particles, denoised.particles, tolerance_px)
    raw, denoised, way = rows_of(raw, found.first), rows_of(denoised, found.second), found.way
    refinements: dict[Which, Particles] = {"raw": raw.particles}
    if refined_denoised is not None:
        found = match(raw.particles, refined_denoised, tolerance_px)
        raw, denoised, way = rows_of(raw, found.first), rows_of(denoised, found.first), found.way
        refinements = {"raw": raw.particles, "denoised": refined_denoised.selected(found.second)}
        if _are_one(refinements["raw"], refinements["denoised"]):
            del refinements["denoised"]
    return Cast({"raw": raw, "denoised": denoised}, refinements, way)


def _are_one(first: Particles, second: Particles) -> bool:
    """Whether two files hold one refinement: every orientation is the same."""
    apart_deg = angular_distances(first.rotations, second.rotations, point_group("C1")).total_deg
    return bool(apart_deg.max(initial=0.0) < _SAME_DEG)


def oriented(images: ParticleImages, refinement: Particles) -> ParticleImages:
    """Images with the orientations, shifts and half sets of a refinement of the same particles, row
    by row.
    """
    particles = replace(
        images.particles,
        rotations=refinement.rotations,
        origins_A=refinement.origins_A,
        half_sets=refinement.half_sets,
    )
    return replace(images, particles=particles)


def rows_of(images: ParticleImages, rows: Int[np.ndarray, "m"]) -> ParticleImages:
    """Some of the images, in this order."""
    paths = tuple(images.paths[row] for row in rows)
    return ParticleImages(
        images.particles.selected(rows),
        paths,
        images.sections[rows],
        images.box_px,
        images.pixel_size_A,
    )


def _refuse_other_images(raw: ParticleImages, denoised: ParticleImages) -> None:
    same_size = abs(raw.pixel_size_A - denoised.pixel_size_A) <= 1e-3 * raw.pixel_size_A
    if raw.box_px == denoised.box_px and same_size:
        return
    sizes = [f"{each.box_px} pixels of {each.pixel_size_A:.4g} Å" for each in (raw, denoised)]
    found = f"its images have {sizes[1]}, and those of {raw.particles.source} {sizes[0]}"
    wanted = "Raw and denoised images must be of one size"
    raise UserError(found, where=denoised.particles.source, wanted=wanted, do="extract both alike")
