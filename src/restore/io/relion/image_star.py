"""Particle images as a RELION STAR file, with their orientations."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from restore.errors import UserError
from restore.io.particle_images import ParticleImages
from restore.io.relion.particle_columns import PHASES_FLIPPED, PREMULTIPLIED
from restore.io.relion.particle_star import particle_star
from restore.io.star import Block, StarFile


def image_star(images: ParticleImages) -> StarFile:
    """The images by absolute path, with their orientations, shifts, half sets and CTFs, in the form
    of RELION 3.1. It does not record the common contrast of the images
    (:attr:`Particles.contrast_sign`), for which RELION has no column.

    Raises
    ------
    UserError
        The images have both contrasts (cryoSPARC's ``blob/sign``).
    """
    particles = images.particles
    if particles.contrast_sign is None:
        problem = "some of its images, and not all, have their contrast inverted (blob/sign is -1)"
        raise UserError(
            problem,
            where=particles.source,
            wanted="RELION's STAR files cannot record that",
            do="extract the particles again, all with one contrast",
        )
    absolute = {path: Path(path).absolute() for path in dict.fromkeys(images.paths)}
    places = zip(images.sections.tolist(), images.paths, strict=True)
    names = tuple(f"{section + 1:06d}@{absolute[path]}" for section, path in places)
    sizes_A = np.full(len(images), images.pixel_size_A)
    star = particle_star(replace(particles, image_names=names, image_pixel_size_A=sizes_A))
    optics = star.block("optics")
    return star if optics is None else star.with_block(_with_sizes(optics, images))


def _with_sizes(optics: Block, images: ParticleImages) -> Block:
    flags = (
        (PHASES_FLIPPED, images.particles.phases_flipped),
        (PREMULTIPLIED, images.particles.ctf_premultiplied),
    )
    more = {"rlnImageSize": str(images.box_px), "rlnImageDimensionality": "2"}
    more |= {name: str(int(values[0])) for name, values in flags if values is not None}
    for name, value in more.items():
        optics = optics.with_column(name, [value] * len(optics.rows))
    return optics
