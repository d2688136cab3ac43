"""The weights of a denoised image and of the raw one whose sum is nearest to the truth in each
ring, from halves alone.

In a ring, |a·D + b·M − S|² is least where a·var D + b·cov(D, M) = cov(D, S) and
a·cov(D, M) + b·var M = cov(M, S). The noise of the other half is independent of D and M:
cov(D1, S) = cov(D1, M2) and cov(M1, S) = cov(M1, M2), so that no truth is needed. Where a = 0,
b is the Wiener filter, cov(M1, M2) / var M.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import avg_pool1d

HALF_IMAGES: tuple[str, ...] = ("M1", "M2", "D1", "D2")
SMOOTHED_RINGS = 11
"""So many neighbouring rings of 1/600 Å are taken together: one micrograph's are too noisy to be
inverted.
"""

LARGEST_SLOPE = 1.5


@dataclass(frozen=True)
class Weights:
    """The factors of the denoised and of the raw image in each ring."""

    slope: Float[Tensor, "rings"]
    share: Float[Tensor, "rings"]


def least_squares_weights(
    table: Float[Tensor, "images images rings"], window: int = SMOOTHED_RINGS
) -> Weights:
    """The weights for a half, from the covariances of M1, M2, D1 and D2 in each ring.

    ``window`` rings are taken together.

    No factor is negative: where the unconstrained solution has a negative one, it is nothing, and
    the other is that of one image alone. The signal of a ring is never taken to be negative.
    """
    smooth = smoothed_rings(table, window)
    signal = smooth[0, 1].clamp(min=0)
    power, raw_power = ((smooth[i, i] + smooth[j, j]) / 2 for i, j in ((2, 3), (0, 1)))
    across = ((smooth[0, 3] + smooth[1, 2]) / 2).clamp(min=0)
    mixed = (smooth[0, 2] + smooth[1, 3]) / 2
    return _solved(power, mixed, raw_power, across, signal)


def weights_for_full_sum(
    half: Weights,
    table: Float[Tensor, "images images rings"],
    window: int = SMOOTHED_RINGS,
) -> Weights:
    """The weights for the full sum: those of a half, but for the share where the slope is nothing.

    What the network makes of the full sum keeps the slope of the halves, for nothing independent of
    it is there to measure its own with. Where the slope is nothing, the share must be the full
    sum's Wiener filter, 2 FRC/(1 + FRC), which is 2/(1 + FRC) times the half's; the factor falls to
    1 where the slope is 1.
    """
    smooth = smoothed_rings(table, window)
    frc = (smooth[0, 1].clamp(min=0) / (smooth[0, 0] * smooth[1, 1]).sqrt()).nan_to_num(0.0)
    more = 2 / (1 + frc.clamp(0, 1)) - 1
    return Weights(half.slope, half.share * (1 + more * (1 - half.slope.clamp(max=1))))


def smoothed_rings(
    table: Float[Tensor, "*batch rings"], window: int = SMOOTHED_RINGS
) -> Float[Tensor, "*batch rings"]:
    """The running mean over ``window`` rings (an odd number), over fewer at either end."""
    window = min(window, table.shape[-1] // 2 * 2 - 1)
    if window < 3:
        return table
    flat = table.reshape(-1, 1, table.shape[-1])
    mean = avg_pool1d(flat, window, stride=1, padding=window // 2, count_include_pad=False)
    return mean.reshape(table.shape)


def _solved(
    power: Tensor, mixed: Tensor, raw_power: Tensor, across: Tensor, signal: Tensor
) -> Weights:
    """The share by least squares, as far as the raw image is needed, and the matching slope."""
    raw_alone = (signal / raw_power).nan_to_num(0.0, 0.0, 0.0)
    share = (power * signal - mixed * across) / (power * raw_power - mixed.square())
    share = (share * _need_of_raw(power, raw_power, across, signal)).nan_to_num(0.0, 0.0, 0.0)
    share = share.clamp(min=0).minimum(raw_alone)
    slope = ((across - share * mixed) / power).nan_to_num(0.0, 0.0, 0.0)
    share = torch.where(slope > 0, share, raw_alone)
    return Weights(slope.clamp(0, LARGEST_SLOPE), share.clamp(0, 1))


def _need_of_raw(power: Tensor, raw_power: Tensor, across: Tensor, signal: Tensor) -> Tensor:
    """1 where the raw image is as near to the truth as the denoised one, falling to 0 where it is
    half as near.

    Nearness is the squared correlation with the truth. Where the denoised image is far ahead, the
    raw one has little to add, and a share measured on a few micrographs would add their noise.
    """
    denoised_square, raw_square = across.square() / (power * signal), signal / raw_power
    return (2 - denoised_square / raw_square).nan_to_num(0.0, 0.0, 0.0).clamp(0, 1)


def summed(tables: Sequence[Float[Tensor, "images images _"]]) -> Tensor:
    """The tables of several micrographs added up, in the rings that all of them have."""
    count = min(table.shape[-1] for table in tables)
    return torch.stack([table[..., :count] for table in tables]).sum(dim=0)
