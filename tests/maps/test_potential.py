"""The density of a model: against the sum over its atoms in Fourier space, and its identities."""

import json
from pathlib import Path

import gemmi
import numpy as np
import pytest
import torch

from restore.atoms import Atoms
from restore.maps.potential import VOLT_A3_PER_SCATTERING_A, model_map

ORIGIN_A = (-4.0, 2.0, 7.0)


def some_atoms(shape, voxel_A, seed=0):
    """Five unlike atoms anywhere in a box whose first voxel lies at ORIGIN_A."""
    size_A = np.array(shape)[::-1] * np.array(voxel_A)[::-1]
    places_A = np.random.default_rng(seed).uniform(0, 1, (5, 3)) * size_A + ORIGIN_A[::-1]
    return Atoms(
        ("C", "N", "O", "S", "H"),
        places_A,
        np.array([0.0, 5.0, 30.0, 100.0, 2.0]),
        np.array([1, 1, 0.5, 1, 1.0]),
    )


def summed_in_fourier_space(atoms, shape, voxel_A):
    """The transform of the atoms by the formula: scattering factor, B factor, occupancy, phase of
    its place.
    """
    parts = [np.fft.fftfreq(n, v) for n, v in zip(shape[:2], voxel_A[:2], strict=True)]
    kz, ky, kx = np.meshgrid(*parts, np.fft.rfftfreq(shape[2], voxel_A[2]), indexing="ij")
    k2 = kz**2 + ky**2 + kx**2
    total = np.zeros(k2.shape, complex)
    for element, place_A, b_A2, occupancy in zip(
        atoms.elements, atoms.position_A, atoms.bfactor_A2, atoms.occupancy, strict=True
    ):
        factor = np.vectorize(gemmi.Element(element).c4322.calculate_sf)(k2 / 4)
        z, y, x = place_A[::-1] - np.array(ORIGIN_A)
        total += (
            occupancy * factor * np.exp(-b_A2 * k2 / 4 - 2j * np.pi * (kz * z + ky * y + kx * x))
        )
    return total * VOLT_A3_PER_SCATTERING_A / np.prod(voxel_A), np.sqrt(k2)


@pytest.mark.parametrize(
    ("shape", "voxel_A"),
    [((32, 32, 32), (1.0,) * 3), ((33, 36, 27), (1.2, 1.0, 1.1)), ((30, 31, 30), (3.0,) * 3)],
)
def test_every_component_up_to_nyquist_is_that_of_the_formula(shape, voxel_A):
    atoms = some_atoms(shape, voxel_A)
    components = np.fft.rfftn(model_map(atoms, shape, voxel_A, ORIGIN_A).numpy())
    wanted, k = summed_in_fourier_space(atoms, shape, voxel_A)
    nyquist = 0.5 / max(voxel_A)
    for start in np.arange(0, 1, 0.1):
        band = (k >= start * nyquist) & (k < (start + 0.1) * nyquist * (1 - 1e-6))
        error = np.sqrt(
            (np.abs(components - wanted)[band] ** 2).sum() / (np.abs(wanted)[band] ** 2).sum()
        )
        assert error < 1e-3, start
    beyond = k > nyquist + 1 / min(np.array(shape) * voxel_A)
    assert np.abs(components[beyond]).max() < 1e-5 * np.abs(wanted).max()


def test_components_at_nyquist_are_folded_as_sampling_folds_them():
    shape, voxel_A = (16, 16, 16), (2.0,) * 3
    fine = model_map(some_atoms(shape, voxel_A), (32,) * 3, (1.0,) * 3, ORIGIN_A)
    coarse = model_map(some_atoms(shape, voxel_A), shape, voxel_A, ORIGIN_A)
    k = torch.fft.fftfreq(32, 1.0)
    radius = sum(
        part.square() for part in torch.meshgrid(k, k, torch.fft.rfftfreq(32, 1.0), indexing="ij")
    ).sqrt()
    kept = torch.fft.rfftn(fine) * (radius < 0.25 + 0.5 / 32)
    sampled = torch.fft.irfftn(kept, s=(32,) * 3)[::2, ::2, ::2]
    torch.testing.assert_close(coarse, sampled, atol=2e-3 * float(coarse.abs().max()), rtol=0)


def test_moving_the_origin_by_voxels_rolls_the_map():
    atoms = some_atoms((24, 24, 24), (1.5,) * 3)
    first = model_map(atoms, (24,) * 3, (1.5,) * 3)
    moved = model_map(atoms, (24,) * 3, (1.5,) * 3, (3.0, -1.5, 0.0))
    torch.testing.assert_close(
        moved, first.roll((-2, 1), (0, 1)), atol=2e-3 * float(first.abs().max()), rtol=0
    )


# Beside other programs


ORACLE = Path(__file__).parent / "data" / "potential_oracle.json"


@pytest.mark.parametrize(
    ("program", "correlated", "scatter"),
    [("torch_calculate_electrostatic_potential_V", 0.999999, 1e-3), ("ttsim3d", 0.9999, 0.03)],
)
def test_components_are_those_of_other_programs(program, correlated, scatter):
    stored = json.loads(ORACLE.read_text())
    atoms = Atoms(
        tuple(stored["elements"]),
        np.array(stored["position_xyz_A"]),
        np.array(stored["bfactor_A2"]),
    )
    components = np.fft.rfftn(model_map(atoms, (48,) * 3, (1.0,) * 3, (-24.0,) * 3).numpy())
    z, y, x = np.array(stored["component_zyx"]).T
    ours, theirs = components[z, y, x], np.array(stored[program]) @ [1, 1j]
    radius = np.sqrt(z**2 + y**2 + x**2)
    scale = np.abs(ours[radius < 6]).sum() / np.abs(theirs[radius < 6]).sum()
    if program.endswith("_V"):
        assert scale == pytest.approx(1, abs=1e-3)  # both in volts
    for start in range(0, 24, 4):
        band = (radius >= start) & (radius < start + 4)
        one, other = ours[band], theirs[band]
        cross = (one.conj() * other).sum().real / np.sqrt(
            (abs(one) ** 2).sum() * (abs(other) ** 2).sum()
        )
        assert cross > correlated, start
        assert np.sqrt((abs(one) ** 2).sum() / (abs(other) ** 2).sum()) / scale == pytest.approx(
            1, abs=scatter
        )
