"""Filters to compare the network with: the Wiener filter of the same halves, and the best plain
low-pass.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import avg_pool1d

from restore.evaluation.estimators.decomposition import Table, decompose

_SMOOTHED_OVER = 3


def wiener_filter(
    frc: Float[Tensor, "*batch rings"], images: int = 1
) -> Float[Tensor, "*batch rings"]:
    """The Wiener filter of an image, SNR/(SNR + 1) in each ring, from the ring correlation of two
    halves of it.

    For a half itself (``images`` = 1) this is the correlation; for the average of two halves it is
    2 FRC/(1 + FRC). The correlation is first smoothed over three rings, and negative values or NaN
    count as no signal.
    """
    smooth = smoothed(frc.nan_to_num(0.0)).clamp(0, 1)
    return images * smooth / (1 + (images - 1) * smooth)


def smoothed(curve: Float[Tensor, "*batch rings"]) -> Float[Tensor, "*batch rings"]:
    """The running mean over three rings, over two at either end."""
    flat = curve.reshape(-1, 1, curve.shape[-1])
    mean = avg_pool1d(
        flat, _SMOOTHED_OVER, stride=1, padding=_SMOOTHED_OVER // 2, count_include_pad=False
    )
    return mean.reshape(curve.shape)


def lowpass_filter(table: Table) -> tuple[Int[Tensor, "*batch"], Float[Tensor, "*batch rings"]]:
    """The sharp low-pass whose output is closest to the signal, at the best grey scale.

    If the rings up to some ring are kept, the correlation with the signal is √(kept² / (power ·
    all)), where ``kept`` is the signal's variance in the kept rings, ``all`` that in all rings, and
    ``power`` the image's variance in the kept rings; the best scale is kept/power. Returns the
    index of the last ring that is kept, and the filter itself: that scale, then zeros.
    """
    numbers = decompose(table)
    kept, power = numbers["var_signal"].cumsum(dim=-1), numbers["power_raw"].cumsum(dim=-1)
    last = (kept.clamp(min=0).square() / power).argmax(dim=-1, keepdim=True)
    scale = (kept / power).gather(-1, last)
    rings = torch.arange(table.shape[-1], device=table.device)
    return last[..., 0], (rings <= last) * scale
