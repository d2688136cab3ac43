"""Whether images were multiplied by the sign of their CTF, by comparison with images that were
not.
"""

import torch
from jaxtyping import Float
from torch import Tensor

_TELLING = 0.02


def agreement_where_negative(
    raw: Float[Tensor, "n y x"], images: Float[Tensor, "n y x"], ctf: Float[Tensor, "n y kx"]
) -> float:
    """The correlation of two versions of the same images over the Fourier components in which the
    CTF is negative.

    It is negative if the phases of one version were flipped, and 0 if there are no such components.
    """
    first, second = (
        torch.fft.rfft2(stack - stack.mean(dim=(-2, -1), keepdim=True)) for stack in (raw, images)
    )
    negative = ctf < 0
    cross = (first * second.conj()).real[negative].sum()
    power = (first.abs().square()[negative].sum() * second.abs().square()[negative].sum()).sqrt()
    return float(cross / power) if power > 0 else 0.0


def are_flipped(agreement: float) -> bool | None:
    """Whether phases are flipped, from the correlation where the CTF is negative; None where that
    is too small to decide.
    """
    return None if abs(agreement) < _TELLING else agreement < 0
