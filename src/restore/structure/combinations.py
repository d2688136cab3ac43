"""Images combined with orientations: the same particles, raw and denoised, in up to four
combinations.
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
from restore.structure.recentring import origins_in
from restore.symmetry import point_group

Which = Literal["raw", "denoised"]

_SAME_DEG = 1e-3


@dataclass(frozen=True)
class Combination:
    """Images of one kind, with the orientations, shifts and half sets refined on images of one
    kind.
    """

    images: Which
    orientations: Which
    particles: ParticleImages

    @property
    def name(self) -> str:
        """The name in files and tables: "denoised_by_raw" are denoised images with the orientations
        of the raw ones.
        """
        return f"{self.images}_by_{self.orientations}"


@dataclass(frozen=True)
class ComparisonSet:
    """The same particles, row by row: their images of both kinds, and one or two refinements.

    ``way`` says how particles of different files were matched.
    """

    images: Mapping[Which, ParticleImages]
    refinements: Mapping[Which, Particles]
    way: str

    def __len__(self) -> int:
        return len(self.images["raw"])

    @property
    def combinations(self) -> list[Combination]:
        """All combinations, raw images with raw orientations first."""
        order: Sequence[tuple[Which, Which]] = (
            ("raw", "raw"),
            ("denoised", "raw"),
            ("denoised", "denoised"),
            ("raw", "denoised"),
        )
        return [
            Combination(kind, by, oriented(self.images[kind], self.refinements[by]))
            for kind, by in order
            if by in self.refinements
        ]


def comparison_set(
    raw: ParticleImages,
    denoised: ParticleImages,
    refined_denoised: Particles | None,
    tolerance_px: float,
) -> ComparisonSet:
    """The particles that all files hold, in the order of the raw ones.

    ``raw`` and ``denoised`` are images of the same particles. The orientations of ``raw`` were
    refined on raw images, those of ``refined_denoised`` on denoised ones. If the latter are None,
    or identical to the former, there is one refinement.

    Raises
    ------
    UserError
        The files have no particle in common, or images differ in box or pixel size.
    """
    _require_same_images(raw, denoised)
    matches = match(raw.particles, denoised.particles, tolerance_px)
    raw, denoised, way = rows_of(raw, matches.first), rows_of(denoised, matches.second), matches.way
    refinements: dict[Which, Particles] = {"raw": raw.particles}
    if refined_denoised is not None:
        matches = match(raw.particles, refined_denoised, tolerance_px)
        raw, denoised, way = (
            rows_of(raw, matches.first),
            rows_of(denoised, matches.first),
            matches.way,
        )
        refinements = {"raw": raw.particles, "denoised": refined_denoised.selected(matches.second)}
        if _are_one(refinements["raw"], refinements["denoised"]):
            del refinements["denoised"]
    return ComparisonSet({"raw": raw, "denoised": denoised}, refinements, way)


def _are_one(first: Particles, second: Particles) -> bool:
    """Whether two files hold the same refinement: every orientation is the same."""
    apart_deg = angular_distances(first.rotations, second.rotations, point_group("C1")).total_deg
    return bool(apart_deg.max(initial=0.0) < _SAME_DEG)


def oriented(images: ParticleImages, refinement: Particles) -> ParticleImages:
    """Images with the orientations, shifts and half sets of a refinement of the same particles, row
    by row.

    Shifts are converted where the refinement's images were cut at other coordinates
    (:func:`restore.structure.recentring.origins_in`), as after an extraction that recentres.
    """
    particles = replace(
        images.particles,
        rotations=refinement.rotations,
        origins_A=origins_in(images, refinement),
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


def _require_same_images(raw: ParticleImages, denoised: ParticleImages) -> None:
    same_size = abs(raw.pixel_size_A - denoised.pixel_size_A) <= 1e-3 * raw.pixel_size_A
    if raw.box_px == denoised.box_px and same_size:
        return
    sizes = [f"{images.box_px} pixels of {images.pixel_size_A:.4g} Å" for images in (raw, denoised)]
    problem = f"its images have {sizes[1]}, and those of {raw.particles.source} {sizes[0]}"
    wanted = "Raw and denoised images must have the same size"
    raise UserError(
        problem,
        where=denoised.particles.source,
        wanted=wanted,
        do="extract both with the same box and pixel size",
    )
