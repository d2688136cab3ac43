"""The contrast transfer function in cryoSPARC's tables, of exposures and of particles."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from restore.io.cryosparc.datasets import Dataset
from restore.io.ctf_limits import CRYOSPARC_LIMITS
from restore.micrograph import CTFParameters

CTF_COLUMNS = ("df1_A", "df2_A", "df_angle_rad", "accel_kv", "cs_mm", "amp_contrast")
PHASE_SHIFT = "phase_shift_rad"

_ABERRATIONS = ("ctf/shift_A", "ctf/tilt_A", "ctf/trefoil_A", "ctf/tetra_A", "ctf/anisomag")


def aberrations(data: Dataset) -> list[str]:
    """The columns of higher-order aberrations or of anisotropic magnification that are not zero
    everywhere.
    """
    columns = {name: data.column(name) for name in _ABERRATIONS}
    return [
        name for name, column in columns.items() if column is not None and np.asarray(column).any()
    ]


def ctf_values(data: Dataset) -> tuple[Float[np.ndarray, "n 7"], Bool[np.ndarray, "n 7"]]:
    """The columns of the CTF, and which of their values are impossible."""
    names = (*CTF_COLUMNS, PHASE_SHIFT)
    columns = [data.column(f"ctf/{name}") for name in names]
    values = np.stack(
        [np.zeros(len(data)) if column is None else decimals(column) for column in columns], axis=1
    )
    limits = [CRYOSPARC_LIMITS.get(name) for name in names]
    least = np.array([limit.least if limit else -math.inf for limit in limits])
    most = np.array([limit.most if limit else math.inf for limit in limits])
    return values, ~np.isfinite(values) | (values < least) | (values > most)


def needed_ctf(name: str) -> str:
    """What a column of the CTF must hold, such as " in kV, from 10 to 4000"; "" if any number is
    valid.
    """
    limits = CRYOSPARC_LIMITS.get(name.removeprefix("ctf/"))
    return f" {limits.words}" if limits else ""


def parameters_of(row: Sequence[float]) -> CTFParameters:
    """The record of one row of these columns, in Å and degrees (the columns are in Å and
    radians).

    ``df1_A`` is the defocus along the direction at ``df_angle_rad`` from the x axis (columns)
    towards the y axis (rows as stored), positive for underfocus, so that RELION's angle differs
    only in being in degrees; ``phase_shift_rad`` is the additional phase shift.
    """
    defocus_1_A, defocus_2_A, angle_rad, voltage_kV, cs_mm, contrast, shift_rad = row
    return CTFParameters(
        defocus_1_A,
        defocus_2_A,
        math.degrees(angle_rad),
        voltage_kV,
        cs_mm,
        contrast,
        math.degrees(shift_rad),
    )


def decimals(column: NDArray[Any]) -> Float[np.ndarray, "n"]:
    """Numbers as they were typed: the shortest decimal of a float32, 0.6575 and not
    0.65750002861.
    """
    return np.array([float(str(value)) for value in column])
