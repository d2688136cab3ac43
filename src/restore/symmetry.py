"""Point groups and rotations, in RELION's axes and Euler angles."""

import re

import numpy as np
from jaxtyping import Float
from scipy.spatial.transform import Rotation

KNOWN_GROUPS = (
    "C1, C2 … Cn, D1 … Dn, DY1 … DYn (two-fold axis on y), T, O, I (the same as I2), I1, I2, I3, I4"
)
LARGEST_FOLD = 1000
_GOLDEN_ANGLE_DEG = float(
    np.degrees(np.arctan(2 / (1 + 5**0.5)))
)  # 31.72°, from z to the nearest five-fold axis of I2


def from_euler_deg(euler_deg: Float[np.ndarray, "n 3"]) -> Rotation:
    """The rotations of RELION's Euler angles rlnAngleRot, rlnAngleTilt, rlnAnglePsi, in degrees.

    Each turns the axes (x, y, z) of the image into those of the specimen: Rz(rot) Ry(tilt) Rz(psi),
    axes that turn along. A symmetry of the specimen therefore stands on the left: ``group *
    rotation`` shows the same.
    """
    return Rotation.from_euler("ZYZ", euler_deg, degrees=True)


def point_group(name: str) -> Rotation:
    """The rotations of a point group, in any order, with its axes where RELION has them; upper or
    lower case.

    Cn, Dn: the n-fold axis on z, a two-fold axis of Dn on x. T: a three-fold axis on z. O:
    four-fold axes on x, y and z. I1 and I2: two-fold axes on x, y and z, five-fold axes in the
    planes xz, 31.7° from x (I1) or from z (I2). I3 and I4: a five-fold axis on z, a two-fold axis
    on y. DYn, cryoSPARC's Dn: the two-fold axis on y.

    >>> len(point_group("d7")), len(point_group("I3"))
    (14, 60)

    Raises
    ------
    ValueError
        There is no such group; the text lists those that there are.
    """
    found = re.fullmatch(r"(C|D|DY)0*([1-9]\d{0,5})|(T|O|I[1-4]?)", name.strip().upper())
    if found is None or int(found[2] or 1) > LARGEST_FOLD:
        raise ValueError(f'"{name}" is no point group of rotations; those known are {KNOWN_GROUPS}')
    if found[1] == "DY":
        return _turned(
            Rotation.create_group(f"D{found[2]}"), Rotation.from_euler("z", 90, degrees=True)
        )
    if found[1]:
        return Rotation.create_group(f"{found[1]}{int(found[2])}")
    return _polyhedral(found[3])


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
