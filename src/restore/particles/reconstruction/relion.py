"""Two half maps from particle images by RELION's own program, if it is installed."""

import logging
import math
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from restore.errors import UserError
from restore.io.images.maps import read_map, read_map_header
from restore.io.particle_images import ParticleImages
from restore.io.particles import Particles
from restore.io.paths import resolved
from restore.io.relion.optics import optics_table
from restore.io.star import Block, StarFile, write_star
from restore.micrograph import CTFParameters
from restore.particles.reconstruction.halves import (
    HalfMaps,
    ReconstructionSettings,
    Watch,
    half_sets,
    treatment,
)

log = logging.getLogger(__name__)

PROGRAM = "relion_reconstruct"
_INPUT = "particles.star"
_MTF = "rlnMtfFileName"


def relion_is_there() -> bool:
    """Whether ``relion_reconstruct`` is installed."""
    return shutil.which(PROGRAM) is not None


def reconstruct_halves_by_relion(
    images: ParticleImages, settings: ReconstructionSettings, watch: Watch = lambda _: None
) -> HalfMaps:
    """Both half maps by ``relion_reconstruct``, as
    :func:`restore.particles.reconstruction.halves.reconstruct_halves` makes them.

    RELION gets the orientations, shifts and CTFs of the records and the optics table of their file,
    so that it also corrects the aberrations in that table, but does not divide by the detector's
    MTF. Grey values agree with those of the library within a few per cent.

    Raises
    ------
    UserError
        As :func:`reconstruct_halves`; or RELION is not installed, or fails (its message is quoted),
        or does not support the point group or images of both contrasts.
    """
    images_are = treatment(images, settings)[1]
    sign = _sign(images.particles)
    if settings.symmetry.strip().upper().startswith("DY"):
        raise UserError(f"{PROGRAM} does not support {settings.symmetry}", do="give `engine=torch`")
    halves = half_sets(images.particles, settings.seed)
    options = [
        "--sym",
        settings.symmetry.strip(),
        "--angpix",
        str(images.pixel_size_A),
        "--pad",
        "2",
    ]
    options += ["--ctf"] if settings.ctf else []
    options += ["--ctf_phase_flipped"] if settings.ctf and images_are == "flipped" else []
    maps: list[Tensor] = []
    with tempfile.TemporaryDirectory(prefix="restore-") as name:
        folder = Path(name)
        write_star(
            folder / _INPUT,
            _star(images, halves, images_are == "multiplied", _linked(images, folder)),
        )
        for half in (1, 2):
            maps.append(sign * _reconstructed(folder, [*options, "--subset", str(half)]))
            watch(int((halves <= half).sum()))
    counts = int((halves == 1).sum()), int((halves == 2).sum())
    return HalfMaps(maps[0], maps[1], images.pixel_size_A, counts, "relion")


def _reconstructed(folder: Path, options: Sequence[str]) -> Float[Tensor, "z y x"]:
    program = shutil.which(PROGRAM)
    if program is None:
        do = "load RELION, or give `engine=torch`"
        raise UserError(f"{PROGRAM} is not installed", wanted="The engine relion needs it", do=do)
    output = folder / "map.mrc"
    command = [program, "--i", _INPUT, "--o", output.name, *options]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, errors="replace", check=False
    )
    if done.returncode or not output.is_file():
        lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        words = " | ".join(lines[-6:]) or f"it exited with status {done.returncode}"
        raise UserError(
            f"RELION failed: {words}",
            where=PROGRAM,
            do="fix this, or give `engine=torch`",
        )
    density = torch.from_numpy(read_map(read_map_header(output, "volume"))[0])
    output.unlink()
    return density


def _linked(images: ParticleImages, folder: Path) -> dict[Path, str]:
    """Links to the stacks under names that RELION can read: without spaces, and ending in .mrcs."""
    links: dict[Path, str] = {}
    for path in dict.fromkeys(images.paths):
        links[path] = f"{len(links) + 1:06d}.mrcs"
        (folder / links[path]).symlink_to(resolved(path))
    return links


def _sign(particles: Particles) -> float:
    """The common sign of all images, which RELION does not know about."""
    sign = particles.contrast_sign
    if sign is None:
        problem = "the images have both contrasts (blob/sign)"
        raise UserError(problem, where=particles.source, do="give `engine=torch`")
    return float(sign)


def _star(
    images: ParticleImages,
    halves: Int[np.ndarray, "n"],
    multiplied: bool,
    links: Mapping[Path, str],
) -> StarFile:
    particles = images.particles
    optics, groups = _optics(images, multiplied)
    places = zip(images.paths, images.sections.tolist(), strict=True)
    with warnings.catch_warnings(action="ignore"):  # gimbal lock: one of many right answers
        euler_deg = particles.rotations.as_euler("ZYZ", degrees=True)
    origins_A = np.zeros((len(images), 2)) if particles.origins_A is None else particles.origins_A
    columns = {
        "rlnImageName": [f"{at + 1:06d}@{links[path]}" for path, at in places],
        "rlnOpticsGroup": groups,
    }
    columns |= _numbers(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), euler_deg)
    columns |= _numbers(("rlnOriginXAngst", "rlnOriginYAngst"), origins_A)
    if particles.ctfs is not None:
        rows = [
            (c.defocus_u_A, c.defocus_v_A, c.defocus_angle_deg, c.phase_shift_deg)
            for c in particles.ctfs
        ]
        columns |= _numbers(
            ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift"), np.array(rows)
        )
    columns["rlnRandomSubset"] = [str(half) for half in halves.tolist()]
    table = Block("particles", tuple(columns), tuple(zip(*columns.values(), strict=True)))
    return StarFile((optics, table))


def _optics(images: ParticleImages, multiplied: bool) -> tuple[Block, list[str]]:
    """The optics table and the group of each particle: those of the file without the detector's
    MTF, or one for each microscope.
    """
    particles = images.particles
    known = optics_table(Path(particles.source)) if particles.optics_groups is not None else None
    if known is not None and particles.optics_groups is not None:
        block, groups = _without_mtf(known), list(particles.optics_groups)
    else:
        nobody = CTFParameters(
            0.0, 0.0, 0.0, 300.0, 0.0, 0.0
        )  # columns that RELION requires but does not use
        ctfs = particles.ctfs or (nobody,) * len(particles)
        microscopes = [
            (ctf.voltage_kV, ctf.spherical_aberration_mm, ctf.amplitude_contrast) for ctf in ctfs
        ]
        numbers = {
            microscope: str(number)
            for number, microscope in enumerate(dict.fromkeys(microscopes), 1)
        }
        names = (
            "rlnOpticsGroup",
            "rlnOpticsGroupName",
            "rlnVoltage",
            "rlnSphericalAberration",
            "rlnAmplitudeContrast",
        )
        rows = tuple(
            (number, f"microscope{number}", *map(repr, microscope))
            for microscope, number in numbers.items()
        )
        block, groups = (
            Block("optics", names, rows),
            [numbers[microscope] for microscope in microscopes],
        )
    texts = {"rlnImagePixelSize": repr(images.pixel_size_A), "rlnImageSize": str(images.box_px)}
    texts |= {"rlnImageDimensionality": "2", "rlnCtfDataAreCtfPremultiplied": str(int(multiplied))}
    for name, text in texts.items():
        block = block.with_column(name, [text] * len(block.rows))
    return block, groups


def _without_mtf(optics: Block) -> Block:
    """The optics table without the file of the detector's MTF, which the library does not correct.
    relion_reconstruct 3.1.3 ignores it; a version that does not would divide by it, and would look
    for a relative path in the temporary folder.
    """
    if _MTF not in optics.columns:
        return optics
    log.info("the maps are not divided by the detector's MTF (%s), whichever engine is used", _MTF)
    return optics.without((_MTF,))


def _numbers(names: Sequence[str], values: Float[np.ndarray, "n columns"]) -> dict[str, list[str]]:
    if not math.isfinite(float(values.sum())):
        raise ValueError(f"{', '.join(names)}: some values are not numbers")
    return {
        name: [f"{value:.6f}" for value in column]
        for name, column in zip(names, values.T.tolist(), strict=True)
    }
