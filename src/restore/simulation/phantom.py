"""The atoms of an artificial barrel with D7 symmetry, like the T20S proteasome, and with the detail
of protein.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from restore.atoms import Atoms

# One residue on a rod: element, distance from the axis (Å), angle (degrees), height (Å) relative to
# its Cα.
# α helix after Arnott & Dover (1967); the side chains are a mean one. The same for a β strand,
# which turns by 180°.
_HELIX_RESIDUE = (
    ("N", 1.55, -27.6, -0.90),
    ("C", 2.29, 0.0, 0.0),
    ("C", 1.66, 26.5, 1.09),
    ("O", 2.05, 20.0, 2.30),
    ("C", 3.29, -19.0, -0.60),
    ("C", 4.40, -25.0, -1.20),
    ("C", 5.40, -17.0, -0.40),
    ("O", 6.10, -27.0, -1.60),
)
_STRAND_RESIDUE = (
    ("N", 0.30, -70.0, -1.20),
    ("C", 0.90, 0.0, 0.0),
    ("C", 0.30, 70.0, 1.20),
    ("O", 1.40, 90.0, 1.60),
    ("C", 2.40, 0.0, 0.10),
    ("C", 3.40, 15.0, 0.80),
    ("C", 4.10, -5.0, 1.90),
    ("N", 4.70, 10.0, -0.50),
)
_RISE_A = {"helix": 1.5, "strand": 3.3}
_TURN_DEG = {"helix": 100.0, "strand": 180.0}
_RESIDUE = {"helix": _HELIX_RESIDUE, "strand": _STRAND_RESIDUE}

_RING_HEIGHT_A = 37.5
_FOLD = 7


@dataclass(frozen=True)
class _Rod:
    """A helix or a strand in a subunit: middle and length in Å, and the tilt of its axis from the z
    direction.
    """

    kind: str
    radius_A: float
    along_A: float
    height_A: float
    length_A: float
    lean_deg: float
    phase_deg: float = 0.0


def barrel_atoms() -> Atoms:
    """A barrel of four stacked rings of seven subunits, 150 Å tall, 115 Å wide and hollow; z is the
    7-fold axis.

    A subunit is a layer of helices, two sheets and, in the outer rings, an inner layer of helices:
    about 1700 atoms. All rods lean the same way, so that the hand is visible. The 2-fold axes lie
    in the plane z = 0, one along x.
    """
    outer = _subunit(lean_deg=14.0, inner_helices=2)
    inner = _subunit(lean_deg=-9.0, inner_helices=0)
    half = [_raised(outer, 1.5 * _RING_HEIGHT_A, 0.0), _raised(inner, 0.5 * _RING_HEIGHT_A, 17.0)]
    asymmetric = _joined(half)
    flipped = Atoms(asymmetric.elements, asymmetric.position_A * np.array([1.0, -1.0, -1.0]))
    turned = [
        _turned(copy, 360.0 * k / _FOLD) for copy in (asymmetric, flipped) for k in range(_FOLD)
    ]
    return _joined(turned)


def _subunit(lean_deg: float, inner_helices: int) -> Atoms:
    """One subunit in the wedge about the x axis, turned about its own middle so that the ring is a
    pinwheel.
    """
    middle = np.array([40.0, 0.0, 0.0])
    subunit = _joined([_rod_atoms(rod) for rod in _rods(lean_deg, inner_helices)])
    pinwheel = _turned(Atoms(subunit.elements, subunit.position_A - middle), 1.2 * lean_deg)
    return Atoms(pinwheel.elements, pinwheel.position_A + middle)


def _rods(lean_deg: float, inner_helices: int) -> list[_Rod]:
    """The rods of a subunit. No two are exactly parallel or level, because a lattice of rods would
    diffract, unlike protein.
    """
    layers = [
        _Rod(
            "helix",
            49.5 + 2.5 * (k % 2),
            3.0 - 2.0 * k,
            9.0 * k - 13.5,
            36.0 - 4.0 * k,
            90.0 - lean_deg - 7.0 * k,
            77.0 * k,
        )
        for k in range(4)
    ]
    layers += [
        _Rod("strand", 41.5, 4.8 * k, 1.7 * k, 24.0 + 2.0 * (k % 3), lean_deg + 10.0 + 4.0 * k)
        for k in range(-3, 4)
    ]
    layers += [
        _Rod(
            "strand",
            32.5,
            4.8 * k,
            2.0 - k * k,
            26.0 - 2.0 * (k % 2),
            0.5 * lean_deg - 11.0 - 4.0 * k,
            90.0,
        )
        for k in range(-2, 3)
    ]
    layers += [
        _Rod("helix", 23.0 - 5.0 * k, 9.0 * k - 5.0, 4.0 * k, 27.0, lean_deg + 15.0 * k, 70.0 * k)
        for k in range(inner_helices)
    ]
    return layers


def _rod_atoms(rod: _Rod) -> Atoms:
    """The atoms of a straight rod."""
    residue, rise_A = _RESIDUE[rod.kind], _RISE_A[rod.kind]
    number = round(rod.length_A / rise_A)
    index = np.repeat(np.arange(number), len(residue))
    distance_A, angle_deg, height_A = np.tile(np.array([row[1:] for row in residue]), (number, 1)).T
    angle = np.deg2rad(rod.phase_deg + angle_deg + _TURN_DEG[rod.kind] * index)
    across_A = distance_A * np.sin(angle)
    axial_A = height_A + rise_A * (index - (number - 1) / 2)
    lean = np.deg2rad(rod.lean_deg)
    out_A = rod.radius_A + distance_A * np.cos(angle)
    along_A = rod.along_A + across_A * np.cos(lean) + axial_A * np.sin(lean)
    up_A = rod.height_A - across_A * np.sin(lean) + axial_A * np.cos(lean)
    return Atoms(
        tuple(row[0] for row in residue) * number, np.stack([out_A, along_A, up_A], axis=1)
    )


def _raised(atoms: Atoms, height_A: float, turn_deg: float) -> Atoms:
    raised = Atoms(atoms.elements, atoms.position_A + np.array([0.0, 0.0, height_A]))
    return _turned(raised, turn_deg)


def _turned(atoms: Atoms, angle_deg: float) -> Atoms:
    """The atoms rotated about z."""
    cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    matrix = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return Atoms(atoms.elements, atoms.position_A @ matrix.T)


def _joined(parts: Sequence[Atoms]) -> Atoms:
    elements = tuple(element for part in parts for element in part.elements)
    return Atoms(elements, np.concatenate([part.position_A for part in parts]))
