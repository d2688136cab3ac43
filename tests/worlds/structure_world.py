"""Simulated projects for comparing structures: raw particles, denoised ones by a denoiser of known
bias, and the truth.
"""

from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
from particle_world import blobs, particle_star, shifted, write_particles, write_stack
from scipy.spatial.transform import Rotation

from restore.ctf import ctf
from restore.io.images.maps import write_map
from restore.io.star import write_star
from restore.symmetry import from_euler_deg


@dataclass(frozen=True)
class Project:
    """Particles refined on raw and on denoised images, with their stacks; the true orientations and
    the true map.
    """

    raw: Path
    denoised: Path
    truth: Path
    truth_map: Path

    @property
    def arguments(self):
        """How ``restore structure`` is told of everything."""
        return [
            "--raw_particles", str(self.raw), "--denoised_particles", str(self.denoised),
            "--truth_particles", str(self.truth), "--truth_map", str(self.truth_map),
        ]  # fmt: skip


def write_project(
    folder,
    count=200,
    side=32,
    pixel_size_A=4.0,
    noise=1.5,
    *,
    bias=0.0,
    errors_deg=(6.0, 3.0),
    symmetry="C1",
    seed=0,
):
    """Write a project; ``errors_deg`` are the angular errors of the refinements on raw and on
    denoised images.

    The denoiser filters each image by its resolution, and adds the projection of a wrong map,
    ``bias`` times as strong as the particle: what a network does that has seen another structure.
    """
    folder = Path(folder)
    world = write_particles(
        folder / "true", count, side, pixel_size_A, noise, symmetry=symmetry, seed=seed, stacks=1
    )
    with mrcfile.open(world.stacks[0]) as file:
        images = file.data.astype(np.float64)
    images = filtered(images, pixel_size_A) + bias * wrong(world, side, symmetry, seed + 50)
    rng = np.random.default_rng(seed + 7)
    stars = []
    for name, pixels, error_deg in (
        ("raw", None, errors_deg[0]),
        ("denoised", images, errors_deg[1]),
    ):
        stack = world.stacks[0] if pixels is None else folder / "denoised" / "images.mrcs"
        if pixels is not None:
            write_stack(stack, pixels, pixel_size_A, "restore 0.1.0 denoised with a test")
        names = [f"{at + 1:06d}@{stack}" for at in range(count)]
        turned = jittered(world.euler_deg, error_deg, rng)
        micrographs = [f"mic{at % 3}.mrc" for at in range(count)]
        size = (side, pixel_size_A)
        table = particle_star(
            names, turned, world.origins_A, world.ctfs, world.half_sets, size, micrographs
        )
        table = with_coordinates(table, count)
        stars.append(folder / f"{name}.star")
        write_star(stars[-1], table)
    truth = folder / "truth.star"
    names = [f"{at + 1:06d}@{world.stacks[0]}" for at in range(count)]
    micrographs = [f"mic{at % 3}.mrc" for at in range(count)]
    table = particle_star(
        names, world.euler_deg, world.origins_A, None, None, (side, pixel_size_A), micrographs
    )
    write_star(truth, with_coordinates(table, count))
    write_map(folder / "truth.mrc", world.volume.numpy(), pixel_size_A)
    return Project(*stars, truth, folder / "truth.mrc")


def filtered(images, pixel_size_A):
    """A low-pass filter: half of the amplitude is left at 16 Å."""
    k = (
        np.hypot(np.fft.fftfreq(images.shape[1])[:, None], np.fft.rfftfreq(images.shape[2]))
        / pixel_size_A
    )
    return np.fft.irfft2(np.fft.rfft2(images) / (1 + (16 * k) ** 4), s=images.shape[1:])


def wrong(world, side, symmetry, seed):
    """Images of another particle with the same orientations, shifts and CTFs, as strong as the true
    ones.
    """
    other = blobs(side, symmetry, seed=seed)
    spectra = shifted(
        other.projections(from_euler_deg(world.euler_deg), side),
        world.origins_A / world.pixel_size_A,
    )
    spectra = spectra * np.stack(
        [
            ctf(parameters, (side, side), (world.pixel_size_A,) * 2).numpy()
            for parameters in world.ctfs
        ]
    )
    images = np.fft.fftshift(np.fft.irfft2(spectra, s=(side, side)), axes=(1, 2))
    return images / images.std()


def jittered(euler_deg, error_deg, rng):
    """Orientations turned about axes at random by about so many degrees."""
    turns = Rotation.from_rotvec(
        np.radians(error_deg) * rng.normal(size=(len(euler_deg), 3)) / 3**0.5
    )
    return (from_euler_deg(euler_deg) * turns).as_euler("ZYZ", degrees=True)


def with_coordinates(star, count):
    """The table with a place for each particle in its micrograph, by which it is known in other
    tables.
    """
    block = star.block("particles")
    for name, step in (("rlnCoordinateX", 40.0), ("rlnCoordinateY", 30.0)):
        block = block.with_column(name, [f"{step * (at + 1):.3f}" for at in range(count)])
    return star.with_block(block)
