"""The contents of a STAR file's optics table other than the CTF."""

from collections.abc import Iterable
from pathlib import Path

from restore.errors import UserError
from restore.io.star import Block, read_star
from restore.io.star.numbers import number_of

_WITHOUT = {
    "rlnBeamTiltX": 0.0,
    "rlnBeamTiltY": 0.0,
    "rlnOddZernike": 0.0,
    "rlnEvenZernike": 0.0,
    "rlnMagMat00": 1.0,
    "rlnMagMat01": 0.0,
    "rlnMagMat10": 0.0,
    "rlnMagMat11": 1.0,
}
"""The columns of aberrations and of anisotropic magnification, and the values that stand
for none.
"""


OPTICS_GROUP = "rlnOpticsGroup"


def undefined_group(group: str, defined: Iterable[str], where: str) -> UserError:
    """The error about a row of an optics group that the optics table does not define."""
    return UserError(
        f'{OPTICS_GROUP} is "{group}"',
        where=where,
        wanted=f"the groups in data_optics are {', '.join(defined)}",
        do="add the group or correct the row",
    )


def optics_table(path: Path) -> Block | None:
    """The optics table of a STAR file, or None if there is none. Raises as
    :func:`restore.io.star.read_star`.
    """
    return read_star(path).block("optics")


def aberrations(path: Path) -> list[str]:
    """The columns of a STAR file's optics table in which any group has higher-order aberrations or
    anisotropic magnification.

    Raises
    ------
    UserError
        As :func:`restore.io.star.read_star`.
    """
    optics = optics_table(path)
    columns = () if optics is None else optics.columns
    return [
        name
        for name in columns
        if optics is not None and name in _WITHOUT and _any_in(name, optics.column(name))
    ]


def _any_in(name: str, texts: list[str]) -> bool:
    return any(
        number_of(part) != _WITHOUT[name] for text in texts for part in text.strip("[]").split(",")
    )
