"""Particles of many kinds, as clouds of points: biological assemblies, invented rings, broken and
clustered ones.
"""

from dataclasses import dataclass
from pathlib import Path

import gemmi
import numpy as np
from jaxtyping import Float

from restore.atoms import Atoms
from restore.io.atomic_models import read_structure
from restore.simulation.scatterers import Scatterers, joined, scatterers_of_atoms
from restore.symmetry import from_euler_deg

_SURFACE_A = 4.0  # approximate closest distance between atoms of neighbouring subunits


@dataclass(frozen=True)
class Particle:
    """A specimen: the whole particle, centred, and its single chains, from which other particles
    may be built.
    """

    name: str
    whole: Scatterers
    chains: tuple[Scatterers, ...]


def read_particle(path: Path) -> Particle:
    """The first biological assembly of a PDB or mmCIF file, or the model itself if none is given.

    Waters, and all alternate conformations but the first, are left out. Raises UserError as
    `read_atoms` does.
    """
    structure = read_structure(path)
    chains = [scatterers_of_atoms(_atoms_of(chain)).centred() for chain in structure[0]]
    model = structure[0]
    if structure.assemblies:
        model = _assembly(structure)
    whole = joined([scatterers_of_atoms(_atoms_of(chain)) for chain in model])
    return Particle(path.name.split(".")[0], whole.centred(), tuple(chains))


def ring_of(subunit: Scatterers, fold: int, dihedral: bool, rng: np.random.Generator) -> Scatterers:
    """An artificial ring (Cn), or two rings back to back (Dn), of a subunit, centred.

    The subunit is in a random orientation, at the distance from the axis at which its copies touch.
    """
    turned = subunit.moved(random_rotation(rng), np.zeros(3))
    half_width_A = float(np.percentile(np.abs(turned.position_A[:, 1]), 97))
    distance_A = half_width_A / np.tan(np.pi / fold) if fold > 2 else half_width_A * (fold - 1)
    height_A = float(np.percentile(np.abs(turned.position_A[:, 2]), 97)) + _SURFACE_A / 2
    out = turned.moved(np.eye(3), np.array([distance_A, 0.0, height_A if dihedral else 0.0]))
    ring = [out.moved(about_z(360.0 * n / fold), np.zeros(3)) for n in range(fold)]
    if dihedral:
        flip = np.diag([1.0, -1.0, -1.0]) @ about_z(float(rng.uniform(0, 360 / fold)))
        ring += [copy.moved(flip, np.zeros(3)) for copy in ring]
    return joined(ring).centred()


def broken(particle: Scatterers, share: float, rng: np.random.Generator) -> Scatterers:
    """The part of a particle on one side of a random plane: about ``share`` of its points."""
    direction = rng.normal(size=3)
    along = particle.position_A @ (direction / np.linalg.norm(direction)).astype(np.float32)
    return particle.where(along <= np.quantile(along, share))


def clustered(number: int, distance_A: float, rng: np.random.Generator) -> Float[np.ndarray, "n 2"]:
    """Positions xy (Å) in an aggregate: each is about ``distance_A`` from an earlier one."""
    places = np.zeros((1, 2))
    while len(places) < number:
        angle, factor = rng.uniform(0, 2 * np.pi), rng.uniform(0.8, 1.15)
        step = distance_A * factor * np.array([np.cos(angle), np.sin(angle)])
        places = np.concatenate([places, [places[rng.integers(len(places))] + step]])
    return places - places.mean(axis=0)


def random_rotation(rng: np.random.Generator) -> Float[np.ndarray, "3 3"]:
    """A rotation drawn uniformly from SO(3)."""
    rot, psi = rng.uniform(-180, 180, 2)
    tilt = np.rad2deg(np.arccos(rng.uniform(-1, 1)))
    return np.asarray(from_euler_deg(np.array([[rot, tilt, psi]])).as_matrix()).reshape(3, 3)


def about_z(angle_deg: float) -> Float[np.ndarray, "3 3"]:
    """The rotation about the z axis that takes x towards y."""
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    return np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])


def _assembly(structure: gemmi.Structure) -> gemmi.Model:
    """The first assembly; parts of it that the file lacks (such as the removed waters) are left
    out.
    """
    structure.setup_entities()
    present = {residue.subchain for chain in structure[0] for residue in chain}
    assembly = structure.assemblies[0]
    for generator in assembly.generators:
        generator.subchains = [name for name in generator.subchains if name in present]
    return gemmi.make_assembly(assembly, structure[0], gemmi.HowToNameCopiedChain.Short)


def _atoms_of(chain: gemmi.Chain) -> Atoms:
    atoms = [atom for residue in chain for atom in residue]
    positions_A = np.array([atom.pos.tolist() for atom in atoms]).reshape(-1, 3)
    return Atoms(tuple(atom.element.name for atom in atoms), positions_A)
