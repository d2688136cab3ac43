"""Warnings about the particles: properties that would change the meaning of the comparison."""

from collections.abc import Iterator

from restore.io.denoised_mark import shows_denoised
from restore.structure.combinations import ComparisonSet
from restore.structure.recentring import recentring

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
    yield from _unknown_recentring(particles)
    yield from _inverted(particles)


def _inverted(particles: ComparisonSet) -> Iterator[str]:
    """A warning for each kind of images with inverted contrast, which the STAR files written of
    them do not record.
    """
    for which, images in particles.images.items():
        if images.particles.contrast_sign == -1:
            yield (
                f"The {_ON[which]} of {images.particles.source} have inverted contrast (blob/sign "
                "is -1). The maps are of the right contrast, but the STAR files of these images "
                "in the folder particles do not record it: other programs make inverted maps "
                "from them."
            )


def _unknown_recentring(particles: ComparisonSet) -> Iterator[str]:
    """A warning if shifts are not converted to the windows of the other images."""
    for which, refinement in particles.refinements.items():
        for images in particles.images.values():
            moved = recentring(images, refinement)
            if moved is None or moved.offsets_A is not None:
                continue
            apart = (
                f"The coordinates of {images.particles.source} and of {refinement.source} "
                f"differ by up to {moved.apart_px:.1f} pixels"
            )
            applied = f"The shifts refined on {_ON[which]} are applied unchanged"
            if moved.most_px is None:
                yield (
                    f"{apart}, and the pixel size of the micrographs is not known. {applied}, "
                    "which blurs the map if particles were recentred between the two: add "
                    "rlnMicrographPixelSize to the optics tables."
                )
            else:
                yield (
                    f"{apart}, too far apart for recentring, which moves a particle by less than "
                    f"half its window ({moved.most_px:.1f} pixels). {applied}: check that both "
                    "files have the same micrographs, with the same pixel size, and count y from "
                    "the same edge."
                )
