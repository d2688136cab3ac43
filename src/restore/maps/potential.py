"""The density of a model: the Coulomb potential of its atoms on the grid of a map."""

import math
from collections.abc import Sequence

import gemmi
import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor

from restore.atoms import Atoms

VOLT_A3_PER_SCATTERING_A = (
    47.878  # h²/(2π m e), from an electron scattering factor (Å) to volts × Å³
)
# the grid of atoms has at least this many voxels per voxel of the map, along each side
_FINER = 1.5
_BLUR_VOXELS2 = (
    40.0  # B factor over squared voxel: 1e-3 of the density's amplitude at Nyquist is aliased
)
# density at which an atom is cut off, in 1/Å²: removing the blur amplifies what is missing
_CUTOFF_A2 = 1e-6

Grid = tuple[int, int, int]
Point = tuple[float, float, float]


def model_map(
    atoms: Atoms, shape: Grid, voxel_size_zyx_A: Point, origin_zyx_A: Point = (0.0, 0.0, 0.0)
) -> Float[Tensor, "z y x"]:
    """The Coulomb potential of the atoms in volts, on a map's grid, up to the Nyquist frequency of
    its longest voxel side.

    Scattering factors are those of the International Tables (c4322, through gemmi); B factors and
    occupancies are the atoms' own. The solvent is not modelled. ``origin_zyx_A`` is the position of
    the centre of the first voxel. The box is periodic, and holds nothing beyond the Nyquist
    frequency.

    Atoms are placed on a finer grid, blurred by a B factor that the grid can represent. The blur is
    removed in Fourier space, where the spectrum is cropped to the map's.
    """
    fine = _fine_shape(shape)
    cell_A = tuple(side * voxel_A for side, voxel_A in zip(shape, voxel_size_zyx_A, strict=True))
    blur_A2 = _BLUR_VOXELS2 * max(voxel_size_zyx_A) ** 2
    density = ScatteringDensity(fine, (cell_A[0], cell_A[1], cell_A[2]), blur_A2, _CUTOFF_A2)
    density.add_atoms(atoms, origin_zyx_A)
    spectrum = _cropped(torch.fft.rfftn(density.array()), shape) * (
        math.prod(shape) / math.prod(fine)
    )
    k = _frequency_per_A(shape, voxel_size_zyx_A)
    finest_per_A = 0.5 / max(voxel_size_zyx_A) + 0.5 / max(cell_A)
    sharpening = torch.exp(k * k * (blur_A2 / 4)) * (k < finest_per_A) * VOLT_A3_PER_SCATTERING_A
    return torch.fft.irfftn(spectrum * sharpening, s=shape)


class ScatteringDensity:
    """Electron scattering length density (1/Å²) in a periodic box, to which atoms are added.

    An atom is cut off where its density falls under ``cutoff_A2``.
    """

    def __init__(
        self, shape: Grid, cell_zyx_A: Point, blur_A2: float, cutoff_A2: float = 1e-5
    ) -> None:
        self._calculator = gemmi.DensityCalculatorE()
        self._calculator.grid.spacegroup = gemmi.SpaceGroup("P1")
        self._calculator.grid.set_unit_cell(
            gemmi.UnitCell(cell_zyx_A[2], cell_zyx_A[1], cell_zyx_A[0], 90, 90, 90)
        )
        self._calculator.grid.set_size(shape[2], shape[1], shape[0])
        self._calculator.blur = blur_A2
        self._calculator.cutoff = cutoff_A2

    def add_atoms(self, atoms: Atoms, origin_zyx_A: Point = (0.0, 0.0, 0.0)) -> None:
        """Add atoms; the blur is added to each atom's own B factor."""
        atom = gemmi.Atom()
        places_A = atoms.position_A - np.array(origin_zyx_A[::-1])
        for element, place_A, b_A2, occupancy in zip(
            atoms.elements, places_A, atoms.bfactor_A2, atoms.occupancy, strict=True
        ):
            atom.element, atom.pos = gemmi.Element(element), gemmi.Position(*place_A)
            atom.b_iso, atom.occ = float(b_A2), float(occupancy)
            self._calculator.add_atom_density_to_grid(atom)

    def add_gaussians(
        self, position_A: Float[np.ndarray, "n 3"], length_A: float, bfactor_A2: float
    ) -> None:
        """Add Gaussians of one scattering length and one B factor (to which the blur is added) at
        positions xyz in the box.
        """
        atom = gemmi.Atom()
        atom.occ, atom.b_iso = 1.0, bfactor_A2
        for place_A in position_A:
            atom.pos = gemmi.Position(*place_A)
            self._calculator.add_c_contribution_to_grid(atom, length_A)

    def array(self) -> Float[Tensor, "z y x"]:
        """The density of all atoms added."""
        return torch.from_numpy(np.array(self._calculator.grid.array, dtype=np.float32)).permute(
            2, 1, 0
        )


def _fine_shape(shape: Grid) -> Grid:
    z, y, x = (_quick_length(math.ceil(_FINER * side)) for side in shape)
    return z, y, x


def _quick_length(least: int) -> int:
    """The smallest number, at least ``least``, without a prime factor above five, for which FFTs
    are fast.
    """
    length = least
    while 60**20 % length:
        length += 1
    return length


def _frequency_per_A(shape: Sequence[int], voxel_size_zyx_A: Point) -> Float[Tensor, "z y kx"]:
    z, y = (
        torch.fft.fftfreq(side, voxel_A)
        for side, voxel_A in zip(shape[:2], voxel_size_zyx_A[:2], strict=True)
    )
    x = torch.fft.rfftfreq(shape[2], voxel_size_zyx_A[2])
    return (z[:, None, None].square() + y[:, None].square() + x.square()).sqrt()


def _cropped(
    spectrum: Complex[Tensor, "z y kx"], shape: Grid
) -> Complex[Tensor, "new_z new_y new_kx"]:
    """The half transform of the same field on a coarser grid; components at its Nyquist frequency
    are folded together.
    """
    for axis in (0, 1):
        side, fine = shape[axis], spectrum.shape[axis]
        tail = spectrum.narrow(axis, fine - side // 2, side // 2)
        folded = torch.cat([spectrum.narrow(axis, 0, (side + 1) // 2), tail], dim=axis)
        if side % 2 == 0:
            folded.select(axis, side // 2).add_(spectrum.select(axis, side // 2))
        spectrum = folded
    cropped = spectrum[..., : shape[2] // 2 + 1].clone()
    if shape[2] % 2 == 0:
        last = cropped[..., -1].clone()
        cropped[..., -1] += last.flip(0, 1).roll((1, 1), (0, 1)).conj()
    return cropped
