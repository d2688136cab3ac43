"""Simulated particles for tests: a known map, orientations, shifts, CTFs and noise, as a STAR file
and its stacks.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
import torch
from scipy.spatial.transform import Rotation

from restore.ctf import ctf
from restore.io.star import Block, StarFile, write_star
from restore.micrograph import CTFParameters
from restore.symmetry import from_euler_deg, point_group

VOLTAGE_KV, CS_MM, CONTRAST = 300.0, 2.7, 0.1


@dataclass(frozen=True)
class Blobs:
    """A particle made of Gaussians, whose transform is known exactly at any frequency: there is
    nothing to interpolate.

    Places are in pixels from the centre (x, y, z), the width is the deviation of each Gaussian in
    pixels.
    """

    place_px: np.ndarray
    weight: np.ndarray
    width_px: float

    def transform(self, frequency_per_px):
        """The Fourier transform at frequencies (…, x y z) in cycles per pixel; nothing beyond the
        Nyquist frequency.
        """
        squared = (frequency_per_px**2).sum(-1)
        turns = frequency_per_px @ self.place_px.T
        value = (np.exp(-2j * np.pi * turns) * self.weight).sum(-1)
        return np.where(
            squared <= 0.25, value * np.exp(-2 * np.pi**2 * self.width_px**2 * squared), 0
        )

    def volume(self, side):
        """The map (z, y, x), its centre on voxel side // 2."""
        k, kx = np.fft.fftfreq(side), np.fft.rfftfreq(side)
        grid = np.stack(np.broadcast_arrays(kx, k[:, None], k[:, None, None]), axis=-1)
        planes = np.stack([self.transform(plane) for plane in grid])
        return np.fft.fftshift(np.fft.irfftn(planes, s=(side,) * 3, axes=(0, 1, 2))).astype(
            np.float32
        )

    def projections(self, rotations, side):
        """The half transforms (n, y, kx) of the projections along z, DC in the corner, centred on
        pixel 0.
        """
        k, kx = np.fft.fftfreq(side), np.fft.rfftfreq(side)
        flat = np.stack(np.broadcast_arrays(kx, k[:, None], 0.0), axis=-1)
        return np.stack([self.transform(flat @ matrix.T) for matrix in rotations.as_matrix()])


def blobs(side, symmetry="C1", count=30, seed=0, width_px=0.8):
    """Blobs at random in a ball of 0.3 box sides, repeated by a point group."""
    rng, group = np.random.default_rng(seed), point_group(symmetry)
    own = max(1, count // len(group))
    place = rng.normal(size=(own, 3))
    place *= (0.3 * side * rng.uniform(0.05, 1, own) ** (1 / 3) / np.linalg.norm(place, axis=1))[
        :, None
    ]
    everywhere = np.concatenate([operation.apply(place) for operation in group])
    return Blobs(everywhere, np.tile(rng.uniform(0.5, 1.5, own), len(group)), width_px)


@dataclass(frozen=True)
class ParticleWorld:
    """What `write_particles` wrote, and the truth: the STAR file, the map, the orientations
    (degrees), shifts and CTFs.
    """

    star: Path
    stacks: tuple[Path, ...]
    volume: torch.Tensor
    pixel_size_A: float
    euler_deg: np.ndarray
    origins_A: np.ndarray
    ctfs: tuple[CTFParameters, ...]
    half_sets: np.ndarray


def write_particles(
    folder,
    count=400,
    side=48,
    pixel_size_A=3.0,
    noise=0.0,
    *,
    symmetry="C1",
    with_ctf=True,
    shift_A=6.0,
    phase_shift_deg=0.0,
    phases_flipped=False,
    with_halves=True,
    particle=None,
    stacks=2,
    seed=0,
):
    """Write particles.star and stacks/STACK.mrcs below ``folder``; ``noise`` is white, its
    deviation that of a pixel's.

    Images have unit deviation without it. Each has its own defocus, astigmatic; without CTF the
    STAR has no columns of it. ``phases_flipped`` stores images as restore denoise leaves them:
    times the sign of their CTF.
    """
    rng = np.random.default_rng(seed)
    euler_deg = random_euler_deg(count, rng)
    origins_A = np.round(rng.uniform(-shift_A, shift_A, (count, 2)), 4)
    ctfs = tuple(random_ctf(rng, phase_shift_deg) for _ in range(count))
    particle = particle or blobs(side, symmetry, seed=seed)
    spectra = shifted(
        particle.projections(from_euler_deg(euler_deg), side), origins_A / pixel_size_A
    )
    if with_ctf:
        values = np.stack(
            [ctf(parameters, (side, side), (pixel_size_A,) * 2).numpy() for parameters in ctfs]
        )
        spectra = spectra * (abs(values) if phases_flipped else values)
    images = np.fft.fftshift(np.fft.irfft2(spectra, s=(side, side)), axes=(1, 2))
    scale = 1 / images.std()
    images = images * scale + noise * rng.standard_normal(images.shape)
    parts = np.array_split(np.arange(count), stacks)
    paths = tuple(Path(folder) / f"stacks/part{number}.mrcs" for number in range(stacks))
    for path, rows in zip(paths, parts, strict=True):
        write_stack(path, images[rows], pixel_size_A)
    names = [
        f"{at + 1:06d}@stacks/{path.name}"
        for path, rows in zip(paths, parts, strict=True)
        for at in range(len(rows))
    ]
    half_sets = np.arange(count) % 2 + 1
    known = ctfs if with_ctf else None
    star = Path(folder) / "particles.star"
    star_file = particle_star(
        names, euler_deg, origins_A, known, half_sets if with_halves else None, (side, pixel_size_A)
    )
    write_star(star, star_file)
    volume = torch.from_numpy(particle.volume(side)) * float(scale)
    return ParticleWorld(star, paths, volume, pixel_size_A, euler_deg, origins_A, ctfs, half_sets)


def random_euler_deg(count, rng):
    """Orientations spread evenly over the rotations, as RELION's angles to six decimals."""
    rotations = Rotation.random(count, rng)
    with warnings.catch_warnings(action="ignore"):  # gimbal lock
        return np.round(rotations.as_euler("ZYZ", degrees=True), 6)


def random_ctf(rng, phase_shift_deg=0.0):
    """A CTF of 0.8 to 2 µm defocus with some astigmatism."""
    u_A, less_A, angle_deg = (
        rng.uniform(8000, 20000),
        rng.uniform(0, 800),
        rng.uniform(-90, 90),
    )
    u_A, v_A, angle_deg = round(u_A, 2), round(u_A - less_A, 2), round(angle_deg, 4)
    return CTFParameters(u_A, v_A, angle_deg, VOLTAGE_KV, CS_MM, CONTRAST, phase_shift_deg)


def shifted(spectra, origins_px):
    """The half transforms of images whose particles must be moved by their origins (x, y) to lie in
    the middle.
    """
    side = spectra.shape[1]
    ky, kx = np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)
    turns = origins_px[:, 0, None, None] * kx + origins_px[:, 1, None, None] * ky
    moved = spectra * np.exp(2j * np.pi * turns)
    moved[:, side // 2] = moved[:, side // 2].real  # a real image has no phase there
    return moved


def write_stack(path, images, pixel_size_A, label=None):
    """Write images (n, y, x) as a stack."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path, np.asarray(images, np.float32), overwrite=True) as file:
        file.set_image_stack()
        file.voxel_size = pixel_size_A
        if label:
            file.add_label(label)


def particle_star(
    names, euler_deg, origins_A, ctfs=None, half_sets=None, image=(48, 3.0), micrographs=None
):
    """The STAR file of particles, as RELION 3.1 has it; ``image`` is box side and pixel size."""
    optics = {
        "rlnOpticsGroupName": "opticsGroup1",
        "rlnOpticsGroup": "1",
        "rlnVoltage": f"{VOLTAGE_KV}",
    }
    optics |= {"rlnSphericalAberration": f"{CS_MM}", "rlnAmplitudeContrast": f"{CONTRAST}"}
    optics |= {
        "rlnImagePixelSize": f"{image[1]:.6f}",
        "rlnImageSize": f"{image[0]}",
        "rlnImageDimensionality": "2",
    }
    columns = {"rlnImageName": list(names), "rlnOpticsGroup": ["1"] * len(names)}
    columns["rlnMicrographName"] = list(micrographs) if micrographs else ["none.mrc"] * len(names)
    columns |= _texts(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"), np.asarray(euler_deg).T, 6)
    columns |= _texts(("rlnOriginXAngst", "rlnOriginYAngst"), np.asarray(origins_A).T, 4)
    if ctfs is not None:
        values = [
            [ctf.defocus_u_A, ctf.defocus_v_A, ctf.defocus_angle_deg, ctf.phase_shift_deg]
            for ctf in ctfs
        ]
        defocus = ("rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle", "rlnPhaseShift")
        columns |= _texts(defocus, np.array(values).T, 4)
    if half_sets is not None:
        columns["rlnRandomSubset"] = [str(number) for number in half_sets]
    rows = tuple(zip(*columns.values(), strict=True))
    blocks = (
        Block("optics", tuple(optics), (tuple(optics.values()),)),
        Block("particles", tuple(columns), rows),
    )
    return StarFile(blocks)


def _texts(names, values, decimals):
    return {
        name: [f"{value:.{decimals}f}" for value in column]
        for name, column in zip(names, values, strict=True)
    }


def shell_correlations(first, second):
    """The FSC of two maps, shell by shell, counted as RELION does."""
    from restore.maps.fsc import FSCSettings, half_map_fsc

    one, other = (
        torch.as_tensor(density, dtype=torch.float32)[None] for density in (first, second)
    )
    return half_map_fsc(one, other, (1.0, 1.0, 1.0), FSCSettings()).unmasked.numpy()
