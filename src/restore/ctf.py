"""The value and the sign of a contrast transfer function on a grid, through torch-ctf.

The sign is RELION's: positive at low frequency in underfocus, so that flipping phases leaves
protein as dark as it was. torch-ctf's phase is that of minus the sine; it takes the larger defocus
only as U (the square root of a negative astigmatism is NaN), and documents angle 0 as along y,
whereas its code puts it along x; tests/test_ctf.py checks all three.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from restore.errors import UserError
from restore.fourier import Shape, frequency_yx_per_A
from restore.micrograph import CTFParameters

LEAST_DEFOCUS_A = 100.0
"""The smallest underfocus, in Å, at which phases are flipped without a phase plate."""

MOST_DEFOCUS_A = 1e6
"""The largest underfocus, in Å, at which phases are flipped."""

_MOST_UM = 20.0
_MOST_ASTIGMATISM_A = 5000.0
_ESTIMATE_AGAIN = "run CTF estimation again, or leave this micrograph out"


def ctf(
    parameters: CTFParameters,
    shape: Shape,
    pixel_size_yx_A: tuple[float, float],
    device: torch.device | str = "cpu",
) -> Float[Tensor, "y kx"]:
    """The contrast transfer function on the half spectrum of an image of ``shape`` (y, x) pixels,
    from −1 to 1.
    """
    # This import takes half a second, for which an image without a CTF need not wait.
    from torch_ctf import (  # noqa: PLC0415
        apply_astigmatism_to_defocus,
        calculate_total_phase_shift,
    )

    ky, kx = frequency_yx_per_A(shape, pixel_size_yx_A, device)
    grid = torch.stack(torch.broadcast_tensors(ky, kx), dim=-1)
    squared = ky * ky + kx * kx

    def scalar(value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float32, device=device)

    mean_um, half_difference_um, angle_deg = _ordered_defocus(parameters)
    defocus_um = apply_astigmatism_to_defocus(
        scalar(mean_um)[None, None], scalar(half_difference_um), scalar(angle_deg), grid, squared
    )
    phase = calculate_total_phase_shift(
        defocus_um,
        scalar(parameters.voltage_kV),
        scalar(parameters.spherical_aberration_mm),
        scalar(parameters.phase_shift_deg),
        scalar(parameters.amplitude_contrast),
        squared,
    )
    return -torch.sin(phase)


def ctf_sign(
    parameters: CTFParameters,
    shape: Shape,
    pixel_size_yx_A: tuple[float, float],
    device: torch.device | str = "cpu",
) -> Float[Tensor, "y kx"]:
    """The sign of the contrast transfer function: +1 or −1, and +1 where it is zero."""
    return torch.where(ctf(parameters, shape, pixel_size_yx_A, device) < 0, -1.0, 1.0)


def require_plausible_defocus(parameters: CTFParameters) -> None:
    """Raise UserError if a defocus cannot be an underfocus in Å: negative, zero, below 100 Å (such
    as µm in a column of Å), or above 100 µm; or if its two values are too far apart for
    astigmatism.

    With a phase plate (a phase shift that is not 0) micrographs may be taken in focus, and any
    defocus is possible.
    """
    if parameters.phase_shift_deg != 0:
        return
    columns = {"rlnDefocusU": parameters.defocus_u_A, "rlnDefocusV": parameters.defocus_v_A}
    for column, value_A in columns.items():
        if value_A < LEAST_DEFOCUS_A:
            is_um = 0 < value_A < _MOST_UM
            raise UserError(
                f"the defocus is {value_A:g} Å ({column} in a STAR file)",
                wanted=f"phase flipping needs the underfocus in Å, {LEAST_DEFOCUS_A:g} or more",
                do="it seems to be in µm: multiply it by 10000" if is_um else _ESTIMATE_AGAIN,
            )
    least_A, most_A = sorted(columns.values())
    if most_A > MOST_DEFOCUS_A or (most_A > 3 * least_A and most_A - least_A > _MOST_ASTIGMATISM_A):
        raise UserError(
            f"the defocus is {most_A:g} and {least_A:g} Å along the two axes (rlnDefocusU and "
            "rlnDefocusV in a STAR file)",
            wanted=f"phase flipping needs the underfocus in Å, at most {MOST_DEFOCUS_A:g}, and "
            "nearly the same along both axes",
            do=_ESTIMATE_AGAIN,
        )


def _ordered_defocus(parameters: CTFParameters) -> tuple[float, float, float]:
    """Mean defocus and half the astigmatism in µm, never negative, and the angle (degrees) of the
    larger defocus.
    """
    u_um, v_um = parameters.defocus_u_A * 1e-4, parameters.defocus_v_A * 1e-4
    turn_deg = 90.0 if u_um < v_um else 0.0
    return (u_um + v_um) / 2, abs(u_um - v_um) / 2, parameters.defocus_angle_deg + turn_deg
