"""The shells of a Fourier transform: the shell of each component, and sums over shells."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

Voxel = tuple[float, float, float]
Counting = Literal["half", "whole"]
"""The Fourier components that a shell sums over: those of the half transform, or those of the whole
one.

A real map's components come in pairs, k and -k. The half transform has one of each pair, but both
of those with kx = 0. RELION sums over the half, so that the plane kx = 0 counts double. In a sum
over the whole transform, all pairs have the same weight.
"""


@dataclass(frozen=True)
class ShellAxis:
    """The shells of a grid, as wide as a Fourier voxel of its longest side, up to the Nyquist
    frequency of its coarsest voxel side.

    For a cube of side N they are RELION's: 0 to N/2, with the component (kx, ky, kz) in shell
    floor(|k| + 1/2).
    """

    shape: tuple[int, int, int]
    voxel_size_zyx_A: Voxel

    @property
    def width_per_A(self) -> float:
        """The width of each shell (1/Å)."""
        return 1 / max(side * voxel_A for side, voxel_A in self._sides)

    @property
    def count(self) -> int:
        """The number of shells, including shell 0."""
        return int(0.5 / max(voxel_A for _, voxel_A in self._sides) / self.width_per_A + 1e-6) + 1

    @property
    def frequency_per_A(self) -> Float[Tensor, "shells"]:
        """The centre of each shell."""
        return torch.arange(self.count, dtype=torch.float64) * self.width_per_A

    @property
    def _sides(self) -> list[tuple[int, float]]:
        """Size and voxel size of each axis with more than one voxel: the z axis of an image sets no
        limit.
        """
        return [axis for axis in zip(self.shape, self.voxel_size_zyx_A, strict=True) if axis[0] > 1]

    def radii(self) -> Iterator[Float[Tensor, "y kx"]]:
        """The distance of each component of the half transform from the centre, in shells, plane by
        plane along kz.
        """
        kz, ky, kx = self._components()
        in_plane = ky[:, None].square() + kx.square()
        return ((z * z + in_plane).sqrt() for z in kz)

    def shells(self) -> Iterator[Int[Tensor, "y kx"]]:
        """The shell of each component of the half transform, plane by plane along kz; ``count``
        beyond Nyquist.
        """
        return ((radius + 0.5).long().clamp(max=self.count) for radius in self.radii())

    def _components(self) -> list[Float[Tensor, "k"]]:
        """The frequencies along each axis in units of a shell: whole numbers, exactly, along an
        axis of full length.
        """
        longest_A = 1 / self.width_per_A
        parts: list[Tensor] = []
        for axis, (side, voxel_A) in enumerate(zip(self.shape, self.voxel_size_zyx_A, strict=True)):
            transform = torch.fft.rfftfreq if axis == 2 else torch.fft.fftfreq
            whole = (transform(side, dtype=torch.float64) * side).round()
            parts.append(whole * (longest_A / (side * voxel_A)))
        return parts


def shell_sums(
    first: Complex[Tensor, "z y kx"],
    second: Complex[Tensor, "z y kx"],
    axis: ShellAxis,
    counting: Counting,
) -> Float[Tensor, "3 shells"]:
    """The real cross spectrum of two half transforms, and their powers, summed over each shell."""
    weights = torch.ones(first.shape[-1], dtype=torch.float64)
    if counting == "whole":
        weights[1 : (axis.shape[-1] + 1) // 2] = 2
    sums = torch.zeros(3, axis.count, dtype=torch.float64)
    for shells, first_part, second_part in zip(axis.shells(), first, second, strict=True):
        a, b = first_part.cpu(), second_part.cpu()
        (a_re, a_im), (b_re, b_im) = (
            (plane.real.double(), plane.imag.double()) for plane in (a, b)
        )
        products = (a_re * b_re + a_im * b_im, a_re * a_re + a_im * a_im, b_re * b_re + b_im * b_im)
        for row, product in enumerate(products):
            sums[row] += torch.bincount(
                shells.flatten(), (product * weights).flatten(), axis.count + 1
            )[: axis.count]
    return sums
