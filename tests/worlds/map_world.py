"""Small maps for tests of the commands: half maps of known density and noise, masks, models, as
files.
"""

import warnings
from pathlib import Path

import gemmi
import mrcfile
import numpy as np

from restore.atoms import Atoms
from restore.io.images.maps import write_map
from restore.maps.potential import model_map

SIDE, VOXEL_A = 64, 1.5
HALVES = "run_half1_class001_unfil.mrc run_half2_class001_unfil.mrc"


def coloured(seed, gain, side=SIDE):
    """Noise whose amplitudes follow ``gain`` of the frequency in cycles per voxel."""
    white = np.fft.rfftn(np.random.default_rng(seed).standard_normal((side,) * 3))
    squared = [np.fft.fftfreq(side) ** 2, np.fft.fftfreq(side) ** 2, np.fft.rfftfreq(side) ** 2]
    radius = np.sqrt(squared[0][:, None, None] + squared[1][:, None] + squared[2])
    return np.fft.irfftn(white * gain(radius), s=(side,) * 3, axes=(0, 1, 2))


def ball(side, radius_px, edge_px=6):
    grid = np.indices((side,) * 3) - side // 2
    return 0.5 - 0.5 * np.cos(
        np.pi * np.clip((radius_px + edge_px - np.sqrt((grid**2).sum(0))) / edge_px, 0, 1)
    )


def store(path, data, voxel_A=VOXEL_A, label=None):
    with (
        warnings.catch_warnings(action="ignore"),
        mrcfile.new(path, np.asarray(data, np.float32), overwrite=True) as file,
    ):  # NaN
        file.voxel_size = voxel_A
        if label:
            file.add_label(label)


def make_halves(side, seed):
    """Density in a ball with independent coloured noise all over, and a soft mask, as files of the
    working directory.
    """
    density = coloured(seed, lambda r: np.exp(-60 * r**2), side)
    density *= 2 / density.std() * (ball(side, 0.36 * side) > 0.5)
    for half in (1, 2):
        noise = coloured(seed + half, lambda r: 0.3 + 0.5 * np.exp(-10 * r**2), side)
        store(f"run_half{half}_class001_unfil.mrc", density + noise / noise.std())
    store("mask.mrc", ball(side, 0.36 * side))


def write_model(path, atoms):
    """The atoms as a PDB or mmCIF file, one residue each."""
    structure, chain = gemmi.Structure(), gemmi.Chain("A")
    rows = zip(atoms.elements, atoms.position_A, atoms.bfactor_A2, atoms.occupancy, strict=True)
    for number, (element, place_A, b_A2, occupancy) in enumerate(rows, 1):
        residue, atom = gemmi.Residue(), gemmi.Atom()
        residue.name, residue.seqid = "ALA", gemmi.SeqId(str(number))
        atom.name, atom.element, atom.pos = (
            element,
            gemmi.Element(element),
            gemmi.Position(*place_A),
        )
        atom.b_iso, atom.occ = b_A2, occupancy
        residue.add_atom(atom)
        chain.add_residue(residue)
    structure.add_model(gemmi.Model("1"))
    structure[0].add_chain(chain)
    structure.setup_entities()
    if path.suffix == ".cif":
        structure.make_mmcif_document().write_file(str(path))
    else:
        structure.write_pdb(str(path))


def lump(count=400, seed=0, middle_A=(0.0, 0.0, 0.0)):
    """Atoms at random in a ball of 20 Å about a point, with B factors from 20 to 80 Å²."""
    generator = np.random.default_rng(seed)
    direction = generator.standard_normal((count, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    place_A = direction * 20 * generator.random((count, 1)) ** (1 / 3) + np.array(middle_A)
    elements = tuple(generator.choice(["C", "N", "O"], count, p=[0.6, 0.2, 0.2]).tolist())
    return Atoms(elements, np.round(place_A, 3), np.round(generator.uniform(20, 80, count), 2))


def make_fitted_halves(origin_zyx_A=(-48.0, -48.0, -48.0), noise=1.0):
    """``model.pdb``, half maps of its density with white noise, and a soft mask about it, in the
    working directory.
    """
    atoms = lump()
    write_model(Path("model.pdb"), atoms)
    density = model_map(atoms, (SIDE,) * 3, (VOXEL_A,) * 3, origin_zyx_A).numpy()
    for half in (1, 2):
        white = np.random.default_rng(half).standard_normal(density.shape)
        write_map(
            Path(f"half{half}.mrc"), density + noise * density.std() * white, VOXEL_A, origin_zyx_A
        )
    write_map(Path("mask.mrc"), ball(SIDE, 15), VOXEL_A, origin_zyx_A)
