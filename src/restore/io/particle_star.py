"""Particles and their images as a RELION STAR file, wherever they were read from."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from restore.errors import UserError
from restore.io.particle_images import ParticleImages
from restore.io.relion_particles import (
    COORDINATES,
    EULER,
    HALF,
    IMAGE,
    MICROGRAPH,
    OPTICS,
    ORIGINS_A,
    PHASE_SHIFT,
    PHASES_FLIPPED,
    PREMULTIPLIED,
)
from restore.io.star import Block, StarFile
from restore.micrograph import CTFParameters

_MICROSCOPE = ("rlnVoltage", "rlnSphericalAberration", "rlnAmplitudeContrast")
_DEFOCUS = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")


def particle_star(images: ParticleImages) -> StarFile:
    """A file of RELION 3.1 that names these images, with their orientations, shifts, half sets and CTFs.

    Particles of one microscope setting become one optics group. Images are named by their absolute paths.

    Raises
    ------
    UserError
        The images' contrast is not the same in all (cryoSPARC's ``blob/sign``), which RELION cannot say.
    """
    particles = images.particles
    if particles.contrast_signs is not None and (particles.contrast_signs < 0).any():
        found = "some of its images have their contrast inverted (blob/sign is -1)"
        raise UserError(found, where=particles.source, wanted="RELION cannot say so", do="extract them again")
    settings = [_settings(each) for each in particles.ctfs] if particles.ctfs else [()] * len(particles)
    groups = list(dict.fromkeys(settings))
    columns = {IMAGE: _names(images), OPTICS: [str(groups.index(each) + 1) for each in settings]}
    if particles.micrograph_names is not None:
        columns[MICROGRAPH] = list(particles.micrograph_names)
    columns |= _numbers(COORDINATES, particles.coordinates_px)
    columns |= _numbers(EULER, _euler_deg(images))
    columns |= _numbers(ORIGINS_A, particles.origins_A)
    if particles.ctfs:
        rows = [
            (each.defocus_u_A, each.defocus_v_A, each.defocus_angle_deg, each.phase_shift_deg)
            for each in particles.ctfs
        ]
        columns |= _numbers((*_DEFOCUS, PHASE_SHIFT), np.array(rows))
    if particles.half_sets is not None:
        columns[HALF] = [str(each) for each in particles.half_sets]
    block = Block("particles", tuple(columns), tuple(zip(*columns.values(), strict=True)))
    return StarFile((_optics(images, groups), block))


def _settings(ctf: CTFParameters) -> tuple[float, ...]:
    return ctf.voltage_kV, ctf.spherical_aberration_mm, ctf.amplitude_contrast


def _optics(images: ParticleImages, groups: Sequence[tuple[float, ...]]) -> Block:
    particles = images.particles
    names = ["rlnOpticsGroupName", OPTICS, *(_MICROSCOPE if groups[0] else ())]
    names += ["rlnImagePixelSize", "rlnImageSize", "rlnImageDimensionality"]
    last = [f"{images.pixel_size_A:.6f}", str(images.box_px), "2"]
    if particles.micrograph_pixel_size_A is not None:
        names.append("rlnMicrographPixelSize")
        last.append(f"{particles.micrograph_pixel_size_A[0]:.6f}")
    for name, flags in ((PHASES_FLIPPED, particles.phases_flipped), (PREMULTIPLIED, particles.ctf_premultiplied)):
        if flags is not None:
            names.append(name)
            last.append(str(int(flags[0])))
    rows = [
        (f"opticsGroup{number}", str(number), *(f"{each:.6f}" for each in group), *last)
        for number, group in enumerate(groups, 1)
    ]
    return Block("optics", tuple(names), tuple(rows))


def _names(images: ParticleImages) -> list[str]:
    absolute = {path: Path(path).absolute() for path in dict.fromkeys(images.paths)}
    return [
        f"{section + 1:06d}@{absolute[path]}"
        for section, path in zip(images.sections.tolist(), images.paths, strict=True)
    ]


def _euler_deg(images: ParticleImages) -> Float[np.ndarray, "n 3"]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # at the pole only the sum of two angles is known, and that is enough
        return np.asarray(images.particles.rotations.as_euler("ZYZ", degrees=True))


def _numbers(names: Sequence[str], values: Float[np.ndarray, "n columns"] | None) -> dict[str, list[str]]:
    if values is None:
        return {}
    return {name: [f"{each:.6f}" for each in column.tolist()] for name, column in zip(names, values.T, strict=True)}
