"""The weight of each frame at each frequency, from radiation damage (Grant & Grigorieff 2015, eLife
4, e06980).
"""

import torch
from jaxtyping import Float
from torch import Tensor

from restore.errors import UserError

_AT_VOLTAGE = {300: 1.0, 200: 0.8, 100: 0.64}
"""Critical exposures relative to 300 kV, for the three voltages that RELION supports."""


def critical_exposure_e_per_A2(
    frequency_per_A: Float[Tensor, "*grid"], voltage_kV: float
) -> Float[Tensor, "*grid"]:
    """The exposure after which 1/e of the signal's power at a frequency is left: 0.245 k^−1.665 +
    2.81 at 300 kV (eq. 3).

    Infinite at zero frequency.

    Raises
    ------
    UserError
        The voltage is not 300, 200 or 100 kV.
    """
    factor = next((value for kV, value in _AT_VOLTAGE.items() if abs(voltage_kV - kV) < 1), None)
    if factor is None:
        wanted = "Dose weighting is implemented for 300, 200 and 100 kV"
        raise UserError(
            f"the voltage is {voltage_kV:g} kV", wanted=wanted, do="give `dose_weighting=False`"
        )
    return factor * (0.245 * frequency_per_A**-1.665 + 2.81)


def dose_weight(
    critical_e_per_A2: Float[Tensor, "*grid"], accumulated_e_per_A2: float
) -> Float[Tensor, "*grid"]:
    """The share of the signal's amplitude that is left after an exposure: exp(−N / (2 Ne)).

    Because sums of frames are divided by √(Σ w²), only ratios of weights matter. Exposure before
    the first frame multiplies all weights by the same factor, so N may be counted from any frame.
    """
    return torch.exp(-0.5 * accumulated_e_per_A2 / critical_e_per_A2)
