"""Specimens larger than a field: filaments, membranes, two-dimensional crystals, as clouds of
points.
"""

import math
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from restore.maps.potential import VOLT_A3_PER_SCATTERING_A
from restore.simulation.assemblies import about_z, random_rotation
from restore.simulation.scatterers import Scatterers, joined

LIPID_AREA_A2 = 65.0
"""The area of one lipid in its leaflet."""

_HEAD_V_A3, _TAIL_V_A3 = (
    1040.0,
    -730.0,
)  # a lipid's head above water, and its tails below, volts × volume
_HEAD_DEPTH_A, _HEAD_SPREAD_A, _TAIL_DEPTH_A = 19.0, 3.0, 13.0  # from the middle of the bilayer


@dataclass(frozen=True)
class Helix:
    """A helical lattice, along x, bent in the plane of the image.

    The centre of each subunit is ``radius_A`` from the axis; the next is ``rise_A`` further along
    and rotated by ``twist_deg``. The axis is an arc of ``bend_radius_A``, or straight if that is
    infinite.
    """

    rise_A: float
    twist_deg: float
    radius_A: float
    length_A: float
    bend_radius_A: float = math.inf


def filament(subunit: Scatterers, helix: Helix) -> Scatterers:
    """A filament of subunits, centred; at least one subunit long."""
    number = max(int(helix.length_A / helix.rise_A), 1)
    out = subunit.moved(np.eye(3), np.array([helix.radius_A, 0.0, 0.0]))
    copies = [
        out.moved(about_z(helix.twist_deg * n), np.array([0.0, 0.0, helix.rise_A * height]))
        for n, height in enumerate(np.arange(number) - (number - 1) / 2)
    ]
    along_z = joined(copies)
    across_A, depth_A, along_A = along_z.position_A.T
    if math.isfinite(helix.bend_radius_A):
        angle = along_A / helix.bend_radius_A
        lever_A = helix.bend_radius_A + across_A
        along_A = lever_A * np.sin(angle)
        across_A = lever_A * np.cos(angle) - helix.bend_radius_A
    position_A = np.stack([along_A, across_A, depth_A], axis=1).astype(np.float32)
    return Scatterers(position_A, along_z.length_A, along_z.displaced_atoms)


def vesicle(
    radii_A: Float[np.ndarray, "3"], rng: np.random.Generator, most_lipids: int = 40_000
) -> Scatterers:
    """A bilayer on an ellipsoid with these semi-axes: lipids at random positions in both leaflets.

    If there are more than ``most_lipids``, each point stands for several lipids.
    """
    mean_A = float(np.mean(radii_A))
    wanted = 2 * 4 * np.pi * mean_A**2 / LIPID_AREA_A2
    number = int(min(wanted, most_lipids))
    directions = rng.normal(size=(number, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    side = rng.choice([-1.0, 1.0], number)
    heads_A = side * _HEAD_DEPTH_A + rng.normal(0, _HEAD_SPREAD_A, (3, number))
    tails_A = side * rng.uniform(0, _TAIL_DEPTH_A, (4, number))
    depths_A = np.concatenate([heads_A, tails_A])
    places = directions * (radii_A + depths_A[..., None])
    places[..., :2] += rng.normal(0, 2.0, places[..., :2].shape)
    share = wanted / number / VOLT_A3_PER_SCATTERING_A
    lengths = np.concatenate(
        [
            np.full(3 * number, share * _HEAD_V_A3 / 3),
            np.full(4 * number, share * _TAIL_V_A3 / 4),
        ]
    )
    flat = places.reshape(-1, 3).astype(np.float32)
    return Scatterers(flat, lengths.astype(np.float32), np.zeros(len(flat), dtype=np.float32))


def lattice_places(
    spacing_A: tuple[float, float],
    angle_deg: float,
    extent_A: float,
    disorder_A: float,
    rng: np.random.Generator,
) -> Float[np.ndarray, "n 2"]:
    """Nodes xy (Å) of a two-dimensional crystal in a random orientation, out to ``extent_A`` from
    its middle.

    ``spacing_A`` are the lengths of its two vectors and ``angle_deg`` the angle between them; every
    node is displaced by a normal deviate of ``disorder_A`` along x and y.
    """
    first = spacing_A[0] * np.array([1.0, 0.0])
    angle = np.deg2rad(angle_deg)
    second = spacing_A[1] * np.array([np.cos(angle), np.sin(angle)])
    reach = int(2 * extent_A / min(spacing_A)) + 1
    n, m = np.meshgrid(np.arange(-reach, reach + 1), np.arange(-reach, reach + 1))
    nodes = n.reshape(-1, 1) * first + m.reshape(-1, 1) * second
    nodes = nodes[np.linalg.norm(nodes, axis=1) <= extent_A]
    nodes = nodes @ about_z(float(rng.uniform(0, 360)))[:2, :2].T
    return nodes + rng.normal(0, disorder_A, nodes.shape)


def membrane_protein_sites(
    radii_A: Float[np.ndarray, "3"], number: int, rng: np.random.Generator
) -> list[tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]]:
    """Sites of particles in a vesicle: rotations that turn z outwards, and positions on the middle
    of the bilayer (Å).
    """
    sites: list[tuple[Float[np.ndarray, "3 3"], Float[np.ndarray, "3"]]] = []
    for _ in range(number):
        rotation = random_rotation(rng)
        sites.append((rotation, rotation[:, 2] * radii_A))
    return sites
