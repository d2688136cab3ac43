"""Warnings about the particles: properties that would change the meaning of the comparison."""

from collections.abc import Iterator

from restore.io.denoised_mark import shows_denoised
from restore.structure.combinations import ComparisonSet

_ON = {"raw": "raw images", "denoised": "denoised images"}


def warnings_of_particles(particles: ComparisonSet) -> Iterator[str]:
    """Doubts about the particles, before anything is reconstructed."""
    if shows_denoised(particles.images["raw"]):
        source = particles.images["raw"].particles.source
        yield f"The images of {source} are not raw: their labels say that restore denoised them."
    for which, refinement in particles.refinements.items():
        if refinement.half_sets is None:
            yield (
                f"The refinement on {_ON[which]} has no half sets, so the particles were split at "
                "random. If all particles were refined together, their orientations fit the same "
                "noise, and no FSC of the half maps can be trusted."
            )
