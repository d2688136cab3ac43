"""Two half maps from particle images, each from half of the particles, by torch-fourier-slice."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from scipy.spatial.transform import Rotation
from torch import Tensor

from restore.errors import UserError
from restore.fourier import cropped_spectrum_of, image_of
from restore.io.particle_images import ParticleImages, signed_images
from restore.io.particles import Particles
from restore.particles.reconstruction.insertion import Accumulator, ImagesAre
from restore.settings import setting
from restore.symmetry import point_group

log = logging.getLogger(__name__)

Watch = Callable[[int], None]
"""Called with the number of particles done."""

_AT_A_TIME = 64
_RAW = "split the images into two files"


@dataclass(frozen=True)
class ReconstructionSettings:
    """How a map is made from images and their orientations."""

    symmetry: str = setting(
        "C1", "point group of the particle, in RELION's convention: C1, D7, O, I1 …", "--sym"
    )
    ctf: bool = setting(True, "correct for the CTF", off="--no_ctf")
    phases_flipped: bool = setting(
        False, "the images are phase-flipped, as restore denoise writes them"
    )
    engine: str = setting(
        "auto",
        (
            "program that reconstructs: RELION's relion_reconstruct (auto: where it is "
            "installed), or restore's own (torch)"
        ),
        choices=("auto", "relion", "torch"),
    )
    seed: int = setting(
        0, "seed of the half sets, if the file has none (rlnRandomSubset, alignments3D/split)"
    )


@dataclass(frozen=True)
class HalfMaps:
    """Two maps (z, y, x) on the same grey scale, each from its half of the particles."""

    first: Float[Tensor, "z y x"]
    second: Float[Tensor, "z y x"]
    voxel_size_A: float
    counts: tuple[int, int]
    engine: str = "torch"

    @property
    def mean(self) -> Float[Tensor, "z y x"]:
        """The mean of both half maps, which relion_postprocess sharpens."""
        return (self.first + self.second) / 2


def reconstruct_halves(
    images: ParticleImages, settings: ReconstructionSettings, watch: Watch = lambda _: None
) -> HalfMaps:
    """Both half maps, one after the other; images are read in portions.

    Raises
    ------
    UserError
        As :func:`treatment`, :func:`half_sets` and :func:`signed_images`.
    """
    halves = half_sets(images.particles, settings.seed)
    empty = accumulator(images, settings)
    maps: list[Tensor] = []
    done = 0
    for half in (1, 2):
        sums = empty.copy()
        rows = np.flatnonzero(halves == half)
        for start in range(0, len(rows), _AT_A_TIME):
            add_particles(sums, images, rows[start : start + _AT_A_TIME], settings)
            done += len(rows[start : start + _AT_A_TIME])
            watch(done)
        maps.append(sums.volume())
    counts = int((halves == 1).sum()), int((halves == 2).sum())
    return HalfMaps(maps[0], maps[1], images.pixel_size_A, counts)


def accumulator(
    images: ParticleImages, settings: ReconstructionSettings, box_px: int | None = None
) -> Accumulator:
    """An empty accumulator for these images; with ``box_px``, for images that :func:`add_particles`
    crops to that many pixels in Fourier space.

    Raises as :func:`treatment`.
    """
    box_px = box_px or images.box_px
    pixel_size_A = images.pixel_size_A * images.box_px / box_px
    return Accumulator(box_px, pixel_size_A, *treatment(images, settings))


def treatment(
    images: ParticleImages, settings: ReconstructionSettings
) -> tuple[Rotation, ImagesAre]:
    """The rotations of the point group, and how the images were treated.

    Raises
    ------
    UserError
        As :func:`images_are`; there is no CTF and one is wanted; the point group is not known.
    """
    if settings.ctf and images.particles.ctfs is None:
        problem = "the particles have no CTF (rlnDefocusU and so on, or the slot ctf)"
        do = "give the file of a refinement, or `ctf=False`"
        raise UserError(
            problem, where=images.particles.source, wanted="The CTF is corrected for", do=do
        )
    return point_group(settings.symmetry), images_are(images.particles, settings)


def add_particles(
    sums: Accumulator,
    images: ParticleImages,
    rows: Int[np.ndarray, "m"],
    settings: ReconstructionSettings,
) -> None:
    """Read the images of some particles, by their rows counted from zero, and add them, cropped
    where the sums are coarser.

    Raises
    ------
    UserError
        As :func:`signed_images`.
    """
    particles = images.particles
    pixels = torch.from_numpy(signed_images(images, rows))
    if sums.box_px != images.box_px:
        shape = (sums.box_px, sums.box_px)
        pixels = image_of(cropped_spectrum_of(pixels, shape), shape)
    origins_A = (
        np.zeros((len(rows), 2)) if particles.origins_A is None else particles.origins_A[rows]
    )
    ctfs = (
        [particles.ctfs[row] for row in rows]
        if settings.ctf and particles.ctfs is not None
        else None
    )
    sums.add(pixels, particles.rotations_of(rows), origins_A, ctfs)


def half_sets(particles: Particles, seed: int) -> Int[np.ndarray, "n"]:
    """1 or 2 for each particle: the half sets of the refinement, or random ones if it has none.

    Raises
    ------
    UserError
        A half set is neither 1 nor 2, or one of them has no particles.
    """
    halves = particles.half_sets
    if halves is None:
        words = (
            "%s has no half sets, so the particles are split at random: if all particles were "
            "refined together, their orientations fit the same noise, and the maps are not "
            "independent"
        )
        log.warning(words, particles.source)
        halves = np.random.default_rng(seed).permutation(np.arange(len(particles)) % 2 + 1)
    strange = np.flatnonzero((halves != 1) & (halves != 2))
    if len(strange):
        problem = f"the half set of row {strange[0] + 1} is {halves[strange[0]]}"
        raise UserError(
            problem,
            where=particles.source,
            wanted="it must be 1 or 2",
            do="correct it or remove the column",
        )
    if not {1, 2} <= set(halves.tolist()):
        problem = f"all particles are in half set {halves[0]}"
        raise UserError(
            problem,
            where=particles.source,
            wanted="Both half sets are needed",
            do="give the file that holds all particles",
        )
    return halves


def images_are(particles: Particles, settings: ReconstructionSettings) -> ImagesAre:
    """How the images were treated: according to the settings, else to their file.

    Raises
    ------
    UserError
        The file's statements about its images do not agree.
    """
    if _all(particles.ctf_premultiplied, "rlnCtfDataAreCtfPremultiplied", particles.source):
        return "multiplied"
    flipped = _all(particles.phases_flipped, "rlnCtfDataArePhaseFlipped", particles.source)
    return "flipped" if flipped or settings.phases_flipped else "raw"


def _all(flags: Bool[np.ndarray, "n"] | None, column: str, source: str) -> bool:
    if flags is None:
        return False
    if flags.any() and not flags.all():
        raise UserError(
            f"{column} is not the same for all particles",
            where=source,
            wanted="All particles of a file must agree",
            do=_RAW,
        )
    return bool(flags.all())
