"""The contrast transfer function in cryoSPARC's tables, of exposures and of particles."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from numpy.typing import NDArray

from restore.io.cryosparc.datasets import Dataset
from restore.micrograph import CTFParameters

CTF_COLUMNS = ("df1_A", "df2_A", "df_angle_rad", "accel_kv", "cs_mm", "amp_contrast")
PHASE_SHIFT = "phase_shift_rad"

_ABERRATIONS = ("ctf/shift_A", "ctf/tilt_A", "ctf/trefoil_A", "ctf/tetra_A", "ctf/anisomag")
_LEAST = {"accel_kv": 1.0, "amp_contrast": 0.0}
_MOST = {"amp_contrast": 1.0}


def aberrations(data: Dataset) -> list[str]:
    """The columns of aberrations beyond the CTF, or of distortion, that are not zero everywhere."""
    columns = {name: data.column(name) for name in _ABERRATIONS}
    return [
        name for name, column in columns.items() if column is not None and np.asarray(column).any()
    ]


def ctf_values(data: Dataset) -> tuple[Float[np.ndarray, "n 7"], Bool[np.ndarray, "n 7"]]:
    """The columns of the CTF and which of their values cannot be."""
    names = (*CTF_COLUMNS, PHASE_SHIFT)
    columns = [data.column(f"ctf/{name}") for name in names]
    values = np.stack(
        [np.zeros(len(data)) if each is None else decimals(each) for each in columns], axis=1
    )
    least = np.array([_LEAST.get(name, -math.inf) for name in names])
    most = np.array([_MOST.get(name, math.inf) for name in names])
    return values, ~np.isfinite(values) | (values < least) | (values > most)


def parameters_of(row: Sequence[float]) -> CTFParameters:
    """The record of one row of these columns: Å and degrees for Å and radians."""
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
    """Numbers as they were typed: of a float32 the shortest decimal, 0.6575 and not 0.65750002861."""
    return np.array([float(str(value)) for value in column])
