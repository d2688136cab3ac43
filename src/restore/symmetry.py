"""Point groups and rotations, in RELION's axes and Euler angles."""

import re

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

from restore.errors import UsageError

KNOWN_GROUPS = (
    "C1, C2 … Cn, D1 … Dn, DY1 … DYn (two-fold axis on y), T, O, I (the same as I2), I1, I2, I3, I4"
)
LARGEST_FOLD = 1000
_GOLDEN_ANGLE_DEG = float(
    np.degrees(np.arctan(2 / (1 + 5**0.5)))
)  # 31.72°, from z to the nearest five-fold axis of I2


class PointGroupError(UsageError, ValueError):
    """A name is not that of a point group; the text lists those that are known."""


def from_euler_deg(euler_deg: Float[np.ndarray, "n 3"]) -> Rotation:
    """The rotations of RELION's Euler angles rlnAngleRot, rlnAngleTilt, rlnAnglePsi, in degrees.

    Each takes the axes (x, y, z) of the image to those of the specimen: Rz(rot) Ry(tilt) Rz(psi),
    about axes that rotate along. A symmetry operation of the specimen is therefore applied from
    the left: ``group * rotation`` gives the same image.
    """
    return Rotation.from_euler("ZYZ", euler_deg, degrees=True)


def point_group(name: str) -> Rotation:
    """The rotations of a point group, in any order, with its axes where RELION has them; case does
    not matter.

    Cn, Dn: the n-fold axis on z, a two-fold axis of Dn on x. T: a three-fold axis on z. O:
    four-fold axes on x, y and z. I1 and I2: two-fold axes on x, y and z, five-fold axes in the
    planes xz, 31.7° from x (I1) or from z (I2). I3 and I4: a five-fold axis on z, a two-fold axis
    on y. DYn, cryoSPARC's Dn: the two-fold axis on y.

    >>> len(point_group("d7")), len(point_group("I3"))
    (14, 60)

    Raises
    ------
    PointGroupError
        There is no such group.
    """
    parts = re.fullmatch(r"(C|D|DY)0*([1-9]\d{0,5})|(T|O|I[1-4]?)", name.strip().upper())
    if parts is None or int(parts[2] or 1) > LARGEST_FOLD:
        raise PointGroupError(
            f'"{name}" is not a point group of rotations; those known are {KNOWN_GROUPS}'
        )
    family, fold, polyhedral = parts.groups()
    if family == "DY":
        return _turned(
            Rotation.create_group(f"D{fold}"), Rotation.from_euler("z", 90, degrees=True)
        )
    if family:
        return Rotation.create_group(f"{family}{int(fold)}")
    return _polyhedral(polyhedral)


def _polyhedral(name: str) -> Rotation:
    """T, O or an icosahedral group. scipy's O is RELION's, its I is RELION's I1, its T has two-fold
    axes on x, y and z.
    """
    if name == "T":
        diagonal, two_fold = np.ones(3) / 3**0.5, [0, (2 / 3) ** 0.5, (1 / 3) ** 0.5]
        turn = Rotation.align_vectors([[0, 0, 1], two_fold], np.array([diagonal, [0, 0, 1]]))[0]
        return _turned(Rotation.create_group("T"), turn)
    if name == "O":
        return Rotation.create_group("O")
    first = Rotation.create_group("I")
    if name == "I1":
        return first
    second = _turned(first, Rotation.from_euler("z", 90, degrees=True))
    about_y_deg = {"I3": -_GOLDEN_ANGLE_DEG, "I4": _GOLDEN_ANGLE_DEG}.get(name, 0.0)
    return _turned(second, Rotation.from_euler("y", about_y_deg, degrees=True))


def _turned(group: Rotation, turn: Rotation) -> Rotation:
    """The group whose axes are those of ``group``, each turned."""
    return turn * group * turn.inv()
