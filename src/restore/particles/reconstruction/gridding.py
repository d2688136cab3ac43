"""Density compensation, because slices are dense in parts of a map's transform and sparse in others
(Pipe and Menon 1999).
"""

import torch
from jaxtyping import Complex, Float
from torch import Tensor

ROUNDS = 10
"""Number of iterations, as in RELION."""
LEAST_WEIGHT = 1e-3
"""Least weight of a component, as a share of its shell's mean weight, as in RELION."""
_LEAST_SMOOTHED = 1e-3


def compensation(weight: Float[Tensor, "z y x"], rounds: int = ROUNDS) -> Float[Tensor, "z y x"]:
    """The factor for the numerator at each component that makes the weights around every component
    add up to one.

    w ← w / (w · weight ⊗ C), Pipe and Menon 1999, Magn. Reson. Med. 41, 179, eq. 19. The transform
    of a map within a ball cannot vary faster than C, the transform of the ball's overlap with a
    shifted copy of itself. A component with few slices next to one with many therefore contributes
    little, unlike in a division of each component by its own weight. ``weight`` is centred at (z //
    2, y // 2, 0); the result is zero beyond the last x.
    """
    double = 2 * (weight.shape[-1] - 1)
    distance = _distance(weight.shape)
    inside = _corner(distance <= double / 2, double)
    means = _shell_means(weight, distance.round_().to(torch.int32))
    measured = _corner(torch.maximum(weight, LEAST_WEIGHT * means), double) * inside
    factor = _corner(means.reciprocal_(), double) * inside
    overlap = _ball_overlap(double)
    for _ in range(rounds):
        smoothed = _smoothed(factor * measured, overlap)
        factor.div_(smoothed.clamp_(min=_LEAST_SMOOTHED))
    whole = torch.zeros_like(weight)
    whole[:double, :double] = torch.fft.fftshift(factor, dim=(0, 1))
    return whole


def map_of(transform: Complex[Tensor, "kz ky kx"]) -> Float[Tensor, "z y x"]:
    """The map of a transform that is centred at (z // 2, y // 2, 0): two voxels for each step of
    kx, its centre in the middle.
    """
    double = 2 * (transform.shape[-1] - 1)
    return torch.fft.fftshift(torch.fft.irfftn(_corner(transform, double), s=(double,) * 3))


def _smoothed(
    values: Float[Tensor, "z y kx"], overlap: Float[Tensor, "z y x"]
) -> Float[Tensor, "z y kx"]:
    """An even, real transform ⊗ C, which is a product in the map."""
    density = torch.fft.irfftn(values.to(torch.complex64), s=overlap.shape)
    return torch.fft.rfftn(density.mul_(overlap)).real


def _corner(values: Tensor, side: int) -> Tensor:
    """A centred half transform with its centre moved to the corner, its last row and column left
    out.
    """
    return torch.fft.ifftshift(values[:side, :side], dim=(0, 1))


def _ball_overlap(side: int) -> Float[Tensor, "z y x"]:
    """The overlap, as a share of its volume, of a ball half as wide as the grid with a copy shifted
    to each voxel, counted from the corner.
    """
    steps = torch.fft.fftfreq(side, 1 / side)
    squared = (steps / (side / 2)).square()
    distance = (squared[:, None, None] + squared[:, None] + squared).sqrt_().clamp_(max=1)
    return 1 - 1.5 * distance + 0.5 * distance**3


def _distance(shape: tuple[int, ...]) -> Float[Tensor, "z y x"]:
    """The distance of each component of a centred half transform from the centre."""
    centres = (shape[0] // 2, shape[1] // 2, 0)
    z, y, x = (
        (torch.arange(side) - centre).square() for side, centre in zip(shape, centres, strict=True)
    )
    return (z[:, None, None] + y[:, None] + x).sqrt()


def _shell_means(weight: Float[Tensor, "z y x"], shells: Tensor) -> Float[Tensor, "z y x"]:
    """The mean weight of each component's shell; for a shell without any, the smallest mean of the
    other shells.
    """
    flat = shells.flatten()
    means = torch.bincount(flat, weight.flatten().double()) / torch.bincount(flat).clamp(min=1)
    positive = means[means > 0]
    return means.clamp(min=float(positive.min()) if len(positive) else 1.0).float()[shells]
