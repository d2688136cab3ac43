"""What would make the comparison mean something else than it seems to, in the particles."""

from collections.abc import Iterator

from restore.io.denoised_mark import shows_denoised
from restore.structure.combinations import ComparisonSet

_ON = {"raw": "raw images", "denoised": "denoised images"}


def warnings_of_particles(particles: ComparisonSet) -> Iterator[str]:
    """What is doubtful in the particles, before anything is reconstructed."""
    if shows_denoised(particles.images["raw"]):
        source = particles.images["raw"].particles.source
        yield (
            f"The images of {source} were denoised by restore, as their labels say: they "
            "are not raw."
        )
    for which, refinement in particles.refinements.items():
        if refinement.half_sets is None:
            yield (
                f"The refinement on {_ON[which]} has no half sets, so they were drawn at random. "
                "If "
                "all particles were refined together, their orientations fit the same noise, and "
                "no FSC of half maps can be trusted."
            )
