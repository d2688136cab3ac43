"""A specimen: the Coulomb potential of a particle above that of the ice it displaces, and its
projections.
"""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Complex, Float
from torch import Tensor
from torch_fourier_slice import extract_central_slices_rfft_3d
from torch_fourier_slice.volume_utils import separable_sinc2_correction

from restore.atoms import Atoms
from restore.errors import UserError
from restore.fourier import soft_lowpass
from restore.io.atomic_models import is_model, read_atoms
from restore.io.images.maps import cubic_voxel_size_A, read_map, read_map_header
from restore.maps.potential import VOLT_A3_PER_SCATTERING_A, ScatteringDensity
from restore.simulation.phantom import barrel_atoms
from restore.symmetry import from_euler_deg

WATER_V = (
    4.57  # mean inner potential of vitreous water at 0.94 g/cm³, by the same scattering factors
)
PROTEIN_ABOVE_WATER_V = 2.5
# protein 133 Å3 and 7.8 atoms (without hydrogen) per residue; nucleic acid is within a tenth
VOLUME_PER_ATOM_A3 = 17.0
SHARPNESS_A2 = 20.0  # the B factor that every atom gets; the microscope's envelope comes on top
LARGEST_BOX_PX = 640
ATOM_MARGIN_A = 8.0
# side of the box over the particle's diameter: interpolation in Fourier space needs padding
BOX_MARGIN = 1.7
FINEST_A = 2.5  # projections hold nothing finer, which no exposure here would resolve
_SLICES_AT_A_TIME = 16


@dataclass(frozen=True)
class Specimen:
    """A particle: potential above ice in volts, on a cube (z, y, x) of even side d, centred on
    voxel d/2.

    ``diameter_A`` is that of the sphere about the centre that holds it.
    """

    density: Float[np.ndarray, "d d d"]
    pixel_size_A: float
    diameter_A: float
    name: str
    symmetry: str = "C1"


@dataclass(frozen=True)
class SpecimenTransform:
    """A specimen ready to be sliced: the transform that torch-fourier-slice needs, made once for
    many projections.
    """

    dft: Complex[Tensor, "d d kx"]
    pixel_size_A: float
    diameter_A: float

    @property
    def window_px(self) -> int:
        """The even side, in pixels, of the window in the middle of a projection that holds all of
        the particle.
        """
        return min(2 * math.ceil(self.diameter_A / self.pixel_size_A / 2 + 2), self.dft.shape[0])


def load_specimen(name: str, pixel_size_A: float) -> Specimen:
    """The specimen called ``name``: "barrel", an atomic model (.pdb, .cif, .ent, gzipped or not) or
    a map (.mrc, .map).
    """
    if name == "barrel":
        return barrel_phantom(pixel_size_A)
    path = Path(name)
    endings = [suffix.lower() for suffix in path.suffixes if suffix.lower() != ".gz"]
    ending = endings[-1] if endings else ""
    if ending in {".mrc", ".map", ".ccp4"}:
        return from_map(path, pixel_size_A)
    if is_model(path):
        return from_model(path, pixel_size_A)
    raise UserError(
        f'the specimen "{name}" is of an unknown kind',
        wanted='"barrel", a PDB or mmCIF model, or an MRC map is needed',
    )


def barrel_phantom(pixel_size_A: float) -> Specimen:
    """A D7 barrel like the T20S proteasome, 150 Å tall and 115 Å wide, with helices and strands; z
    is the 7-fold axis.

    >>> barrel = barrel_phantom(4.0)
    >>> barrel.density.shape, barrel.symmetry
    ((90, 90, 90), 'D7')
    """
    return _specimen(barrel_atoms(), pixel_size_A, "barrel", "D7")


def from_model(path: Path, pixel_size_A: float) -> Specimen:
    """The first model of a PDB or mmCIF file, in its own orientation, centred, without waters; B
    factors are not used.

    Hydrogens scatter if the file has them; missing ones are not added.
    """
    atoms = read_atoms(path)
    return _specimen(Atoms(atoms.elements, atoms.position_A), pixel_size_A, path.name, "C1")


def from_map(path: Path, pixel_size_A: float) -> Specimen:
    """A map of cubic voxels, resampled to ``pixel_size_A`` in Fourier space.

    A map's grey values have no unit: they are shifted so that the faces of the box are zero, and
    scaled so that the voxels more than two standard deviations above the mean average 2.5 V, as
    protein does above ice.

    Raises
    ------
    UserError
        As `read_map_header`, `cubic_voxel_size_A` and `read_map`; or the map has fewer than eight
        voxels along an axis, or is too large for the pixel size.
    """
    density, voxel_A = _read_map(path)
    density = density - _face_mean(density)
    density *= PROTEIN_ABOVE_WATER_V / density[density > density.mean() + 2 * density.std()].mean()
    diameter_A = _map_diameter_A(density, voxel_A)
    resampled = _resample(density, voxel_A, pixel_size_A, BOX_MARGIN * diameter_A)
    return Specimen(resampled, pixel_size_A, diameter_A, path.name)


def transform(specimen: Specimen) -> SpecimenTransform:
    """The input of :func:`project`: the volume over sinc² (for its linear interpolation),
    transformed and shifted.
    """
    volume = torch.from_numpy(specimen.density)
    volume = volume / separable_sinc2_correction(tuple(volume.shape))
    dft = torch.fft.rfftn(torch.fft.ifftshift(volume))
    return SpecimenTransform(
        torch.fft.fftshift(dft, dim=(0, 1)), specimen.pixel_size_A, specimen.diameter_A
    )


def project(
    specimen: Specimen | SpecimenTransform, rotations: Float[Tensor, "n 3 3"]
) -> Float[Tensor, "n d d"]:
    """Projections along z of the rotated specimen, in volts × Å, through torch-fourier-slice.

    A rotation turns the axes (x, y, z) of the image into those of the specimen:
    :func:`relion_rotations`. Nothing is padded, because the boxes made by this module are wide
    enough for the interpolation. Projections are cut off at 2.5 Å.
    """
    ready = transform(specimen) if isinstance(specimen, Specimen) else specimen
    d, finest = ready.dft.shape[0], min(0.5, ready.pixel_size_A / FINEST_A)
    projections = torch.empty(len(rotations), d, d)
    for start in range(0, len(rotations), _SLICES_AT_A_TIME):
        some = rotations[start : start + _SLICES_AT_A_TIME]
        slices = extract_central_slices_rfft_3d(ready.dft, some, fftfreq_max=finest)
        images = torch.fft.irfft2(torch.fft.ifftshift(slices, dim=-2), s=(d, d))
        projections[start : start + len(some)] = torch.fft.fftshift(images, dim=(-2, -1))
    return projections * ready.pixel_size_A


def relion_rotations(euler_deg: Float[np.ndarray, "n 3"]) -> Float[Tensor, "n 3 3"]:
    """The rotations of RELION's Euler angles (rlnAngleRot, rlnAngleTilt, rlnAnglePsi), in degrees,
    for :func:`project`.
    """
    matrices = from_euler_deg(euler_deg).as_matrix()
    return torch.from_numpy(np.asarray(matrices, dtype=np.float32).reshape(-1, 3, 3))


def _specimen(atoms: Atoms, pixel_size_A: float, name: str, symmetry: str) -> Specimen:
    """The potential of the atoms minus that of the water they displace (a Gaussian of 17 Å³ each),
    in volts.

    Atoms are placed blurred by a B factor that the grid can represent, which is removed in Fourier
    space; a soft edge from three quarters of the Nyquist frequency on keeps the density inside its
    box.
    """
    centred_A = atoms.position_A - (atoms.position_A.min(0) + atoms.position_A.max(0)) / 2
    diameter_A = 2 * float(np.linalg.norm(centred_A, axis=1).max()) + ATOM_MARGIN_A
    side = _box_side(BOX_MARGIN * diameter_A, pixel_size_A, name)
    blur_A2 = 72.0 * pixel_size_A**2
    spectrum = torch.fft.rfftn(
        _scattering_density(Atoms(atoms.elements, centred_A), side, pixel_size_A, blur_A2)
    )
    k = _frequency_per_A(side, pixel_size_A)
    nyquist_per_A = 0.5 / pixel_size_A
    spectrum *= torch.exp(k * k * ((blur_A2 - SHARPNESS_A2) / 4))
    spectrum *= soft_lowpass(k, 0.75 * nyquist_per_A, nyquist_per_A) * VOLT_A3_PER_SCATTERING_A
    return Specimen(
        torch.fft.irfftn(spectrum, s=(side,) * 3).numpy(), pixel_size_A, diameter_A, name, symmetry
    )


def _scattering_density(
    atoms: Atoms, side: int, pixel_size_A: float, blur_A2: float
) -> Float[Tensor, "d d d"]:
    """Electron scattering length density (z, y, x) of centred atoms minus that of the water, in
    1/Å², blurred by a B factor.
    """
    middle_A, length_A = pixel_size_A * (side // 2), side * pixel_size_A
    density = ScatteringDensity((side, side, side), (length_A, length_A, length_A), blur_A2)
    density.add_atoms(atoms, (-middle_A, -middle_A, -middle_A))
    heavy = np.array([element not in {"H", "D"} for element in atoms.elements])
    water_A = -WATER_V * VOLUME_PER_ATOM_A3 / VOLT_A3_PER_SCATTERING_A
    water_A2 = 4 * np.pi * VOLUME_PER_ATOM_A3 ** (2 / 3)
    density.add_gaussians(atoms.position_A[heavy] + middle_A, water_A, water_A2)
    return density.array()


def _frequency_per_A(side: int, pixel_size_A: float) -> Float[Tensor, "d d kx"]:
    k, kx = torch.fft.fftfreq(side, pixel_size_A), torch.fft.rfftfreq(side, pixel_size_A)
    return torch.sqrt(k[:, None, None] ** 2 + k[None, :, None] ** 2 + kx**2)


def fast_length(least: int) -> int:
    """The smallest even number, at least ``least``, without a prime factor above five, for which
    FFTs are fast.

    >>> fast_length(211)
    216
    """
    length = least + least % 2
    while 60**20 % length:
        length += 2
    return length


def _box_side(length_A: float, pixel_size_A: float, where: str) -> int:
    side = fast_length(max(math.ceil(length_A / pixel_size_A), 32))
    if side > LARGEST_BOX_PX:
        raise UserError(
            f"the specimen needs a box of {length_A:.0f} Å, {side} voxels at {pixel_size_A} Å",
            where=where,
            wanted=f"the largest is {LARGEST_BOX_PX} voxels",
            do="give a larger pixel size or a smaller specimen",
        )
    return side


def _read_map(path: Path) -> tuple[Float[np.ndarray, "d d d"], float]:
    header = read_map_header(path, "volume")
    voxel_A = cubic_voxel_size_A(header)
    density = read_map(header)[0]
    if min(density.shape) < 8:
        raise UserError(
            f"its shape is {density.shape}", where=path, wanted="a three-dimensional map"
        )
    side = max(density.shape)
    edges = [(side // 2 - n // 2, side - n - (side // 2 - n // 2)) for n in density.shape]
    return np.pad(density, edges, constant_values=_face_mean(density)), voxel_A


def _face_mean(volume: Float[np.ndarray, "z y x"]) -> float:
    inside = volume[1:-1, 1:-1, 1:-1]
    return float(
        (volume.sum(dtype=np.float64) - inside.sum(dtype=np.float64)) / (volume.size - inside.size)
    )


def _map_diameter_A(density: Float[np.ndarray, "d d d"], voxel_A: float) -> float:
    """The diameter about the centre that holds every voxel more than two standard deviations above
    the mean.
    """
    occupied = np.argwhere(density > density.mean() + 2 * density.std()) - len(density) // 2
    return 2 * voxel_A * float(np.linalg.norm(occupied, axis=1).max()) + ATOM_MARGIN_A


def _resample(
    density: Float[np.ndarray, "d d d"], voxel_A: float, pixel_size_A: float, length_A: float
) -> Float[np.ndarray, "n n n"]:
    """The same density on another grid: padded until both grids span the same length, then cropped
    in Fourier space.
    """
    smallest = _box_side(max(length_A, len(density) * voxel_A), voxel_A, "the specimen's map")
    sides = np.arange(smallest, smallest + 40)
    wanted = sides * voxel_A / pixel_size_A / 2
    error = np.abs(np.round(wanted) / wanted - 1)
    side, new = int(sides[error.argmin()]), 2 * int(np.round(wanted[error.argmin()]))
    _box_side(new * pixel_size_A, pixel_size_A, "the specimen's map")
    spectrum = torch.fft.fftshift(
        torch.fft.fftn(torch.fft.ifftshift(_fitted(torch.from_numpy(density), side)))
    )
    resampled = torch.fft.ifftn(torch.fft.ifftshift(_fitted(spectrum, new))).real
    return (torch.fft.fftshift(resampled) * (new / side) ** 3).numpy()


def _fitted(volume: Tensor, side: int) -> Tensor:
    """The cube cropped or padded with zeros, its central voxel (n // 2) kept in the centre."""
    before = side // 2 - len(volume) // 2
    after = side - len(volume) - before
    return torch.nn.functional.pad(volume, [before, after] * 3)
