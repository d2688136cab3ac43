"""Specimens as clouds of points that scatter electrons, and their projections onto the grid of an
image.

A cloud is projected without a volume: its points are placed on a grid twice as fine as the image's,
transformed, and multiplied by the scattering factor that all of them share. This is fast for many
specimens, each projected a few times; `specimen` is faster for one that is projected often.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import gemmi
import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from restore import fourier
from restore.atoms import Atoms
from restore.maps.potential import VOLT_A3_PER_SCATTERING_A
from restore.simulation.specimen import SHARPNESS_A2, VOLUME_PER_ATOM_A3, WATER_V

FINER = 2
"""The number of pixels of the grid of points per pixel of the image, along each side."""

_AT_A_TIME = 500_000
_COMPOSITION = {"C": 0.63, "N": 0.17, "O": 0.19, "S": 0.01}
_WATER_BFACTOR_A2 = 4 * np.pi * VOLUME_PER_ATOM_A3 ** (2 / 3)


@dataclass(frozen=True)
class Scatterers:
    """Points that scatter: positions xyz (Å), scattering lengths at zero angle (Å), and water
    displaced.

    ``displaced_atoms`` is the volume of water that a point displaces, in atoms (17 Å³ each).
    """

    position_A: Float[np.ndarray, "n 3"]
    length_A: Float[np.ndarray, "n"]
    displaced_atoms: Float[np.ndarray, "n"]

    def __len__(self) -> int:
        return len(self.length_A)

    @property
    def radius_A(self) -> float:
        """The radius of the sphere about the origin that holds all points."""
        return float(np.linalg.norm(self.position_A, axis=1).max()) if len(self) else 0.0

    def centred(self) -> "Scatterers":
        """The cloud with the middle of its bounding box at the origin."""
        middle_A = (self.position_A.min(axis=0) + self.position_A.max(axis=0)) / 2
        return self.moved(np.eye(3), -middle_A)

    def moved(
        self, rotation: Float[np.ndarray, "3 3"], shift_A: Float[np.ndarray, "3"]
    ) -> "Scatterers":
        """The cloud rotated about the origin, then shifted."""
        position_A = self.position_A @ rotation.T.astype(np.float32) + shift_A.astype(np.float32)
        return Scatterers(position_A, self.length_A, self.displaced_atoms)

    def where(self, chosen: np.ndarray) -> "Scatterers":
        """The points selected by a mask or an array of indices."""
        return Scatterers(
            self.position_A[chosen], self.length_A[chosen], self.displaced_atoms[chosen]
        )


def scatterers_of_atoms(atoms: Atoms) -> Scatterers:
    """A point for each atom. Hydrogens scatter, but displace no water of their own."""
    lengths = {element: _length_A(element) for element in set(atoms.elements)}
    heavy = [element not in {"H", "D"} for element in atoms.elements]
    length_A = np.array([lengths[element] for element in atoms.elements]) * atoms.occupancy
    return Scatterers(
        atoms.position_A.astype(np.float32),
        length_A.astype(np.float32),
        np.array(heavy, dtype=np.float32),
    )


def joined(clouds: Sequence[Scatterers]) -> Scatterers:
    """All points of several clouds."""
    return Scatterers(
        np.concatenate([cloud.position_A for cloud in clouds]),
        np.concatenate([cloud.length_A for cloud in clouds]),
        np.concatenate([cloud.displaced_atoms for cloud in clouds]),
    )


def projected_potential(
    clouds: Sequence[Scatterers], shape: tuple[int, int], pixel_size_A: float
) -> Complex[Tensor, "y kx"]:
    """The half spectrum (``torch.fft.rfft2``) of the clouds' potential above ice, along z, in V ×
    Å.

    Points at x = y = 0 fall on the centre of the first pixel; the canvas is periodic. Each point
    gets the mean scattering factor of protein's atoms, scaled to its own length, minus a Gaussian
    for the water that it displaces, and the B factor of all the simulator's specimens.
    """
    fine = (shape[0] * FINER, shape[1] * FINER)
    step_A = pixel_size_A / FINER
    lengths, displaced = np.zeros(fine[0] * fine[1]), np.zeros(fine[0] * fine[1])
    for batch in _batches(clouds):
        _put_down(batch, fine, step_A, lengths, displaced)
    spectra = [_cropped(grid.reshape(fine), shape) for grid in (lengths, displaced)]
    ky, kx = fourier.frequency_yx_per_A(shape, (pixel_size_A, pixel_size_A))
    k = torch.hypot(*torch.broadcast_tensors(ky, kx))
    spread = (torch.sinc(ky * step_A) * torch.sinc(kx * step_A)).square()
    atoms_V_A3 = VOLT_A3_PER_SCATTERING_A * scattering_shape(k)
    water_V_A3 = WATER_V * VOLUME_PER_ATOM_A3 * torch.exp(k * k * (-_WATER_BFACTOR_A2 / 4))
    sharpness = torch.exp(k * k * (-SHARPNESS_A2 / 4)) / (spread * pixel_size_A**2)
    return (spectra[0] * atoms_V_A3 - spectra[1] * water_V_A3) * sharpness


def scattering_shape(k_per_A: Float[Tensor, "*grid"]) -> Float[Tensor, "*grid"]:
    """The electron scattering factor of protein's mean atom (without hydrogen) over that at zero
    angle.
    """
    total, at_zero = torch.zeros_like(k_per_A), 0.0
    for element, share in _COMPOSITION.items():
        for a, b in _coefficients(element):
            total += share * a * torch.exp(-b * (k_per_A / 2).square())
            at_zero += share * a
    return total / at_zero


def _batches(clouds: Sequence[Scatterers]) -> Iterator[Scatterers]:
    """The clouds joined into fewer, larger ones, because each costs a pass over the whole grid."""
    waiting: list[Scatterers] = []
    for cloud in clouds:
        waiting.append(cloud)
        if sum(len(batch) for batch in waiting) >= _AT_A_TIME:
            yield joined(waiting)
            waiting = []
    if waiting:
        yield joined(waiting)


def _length_A(element: str) -> float:
    return sum(a for a, _ in _coefficients(element))


def _coefficients(element: str) -> list[tuple[float, float]]:
    """The Gaussians of an element's scattering factor (International Tables C, 4.3.2.2)."""
    factor = gemmi.Element(element).c4322
    return list(zip(factor.a, factor.b, strict=True))


def _put_down(
    cloud: Scatterers,
    fine: tuple[int, int],
    step_A: float,
    lengths: Float[np.ndarray, "pixels"],
    displaced: Float[np.ndarray, "pixels"],
) -> None:
    """Add a cloud's points to two flat grids, each point distributed bilinearly over four
    pixels.
    """
    place = cloud.position_A[:, :2] / np.float32(step_A)
    first = np.floor(place).astype(np.int64)
    share = place - first
    for dy in (0, 1):
        rows = (first[:, 1] + dy) % fine[0] * fine[1]
        weight_y = share[:, 1] if dy else 1 - share[:, 1]
        for dx in (0, 1):
            index = rows + (first[:, 0] + dx) % fine[1]
            weight = weight_y * (share[:, 0] if dx else 1 - share[:, 0])
            lengths += np.bincount(index, weight * cloud.length_A, minlength=len(lengths))
            displaced += np.bincount(index, weight * cloud.displaced_atoms, minlength=len(lengths))


def _cropped(
    grid: Float[np.ndarray, "fine_y fine_x"], shape: tuple[int, int]
) -> Complex[Tensor, "y kx"]:
    """The spectrum of a fine grid's sums of points, at the frequencies of a coarser one."""
    fine = (grid.shape[0], grid.shape[1])
    return fourier.crop(torch.fft.rfft2(torch.from_numpy(grid).float()), fine, shape)
