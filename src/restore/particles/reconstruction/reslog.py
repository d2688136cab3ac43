"""The resolution of half maps from more and more particles."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from restore.errors import UserError
from restore.io.particle_images import ParticleImages
from restore.maps.fsc import FSCSettings, half_map_fsc
from restore.maps.reslog import THRESHOLD
from restore.particles.reconstruction.halves import (
    ReconstructionSettings,
    accumulator,
    add_particles,
)
from restore.particles.reconstruction.insertion import Accumulator

_AT_A_TIME = 64

Watch = Callable[[int], None]
"""Told how many images have been added, those of all repeats together."""


@dataclass(frozen=True)
class ResLogSource:
    """Particle images, the half set (1 or 2) of each, and how they are reconstructed and compared.

    With ``max_resolution_A`` images are cropped in Fourier space, so that nothing finer is
    reconstructed, in a time that goes with the third power of the box. The mask is of the images'
    own box.
    """

    images: ParticleImages
    half_sets: Int[np.ndarray, "n"]
    settings: ReconstructionSettings
    mask: Float[Tensor, "z y x"] | None = None
    max_resolution_A: float | None = None

    @property
    def box_px(self) -> int:
        """Side of the maps: the images' own, or the least even one that holds the finest resolution
        wanted.
        """
        if self.max_resolution_A is None:
            return self.images.box_px
        needed = 2 * math.ceil(
            self.images.box_px * self.images.pixel_size_A / self.max_resolution_A
        )
        return min(self.images.box_px, max(needed, 8))

    @property
    def voxel_size_A(self) -> float:
        """Voxel size of the maps."""
        return self.images.pixel_size_A * self.images.box_px / self.box_px


def work(repeats: int, sizes: Sequence[int]) -> int:
    """How many images :func:`resolutions_per_A` adds: the largest subset, all particles, is made
    once.
    """
    return sizes[-1] + (repeats - 1) * sizes[-2]


def resolutions_per_A(
    source: ResLogSource,
    orders: Int[np.ndarray, "repeats n"],
    sizes: Sequence[int],
    watch: Watch = lambda _: None,
) -> Float[np.ndarray, "repeats sizes"]:
    """1/d of the first so many particles of each order, where their half maps' FSC falls under
    0.143.

    ``orders`` hold rows of the images' file. Subsets of a repeat are nested, so each image is added
    once for all of them. The values are those of :class:`restore.maps.reslog.ResLogCurve`: 0 for
    under it at once, infinite for never.

    Raises
    ------
    UserError
        The smallest subset has no particle in one of the halves; as
        :func:`restore.particles.reconstruction.halves.accumulator` and
        :func:`restore.io.particle_images.read_particle_images`.
    """
    found = np.empty((len(orders), len(sizes)))
    mask = None if source.mask is None else _cropped(source.mask, source.box_px)
    done = 0
    for repeat, order in enumerate(orders):
        sums = [accumulator(source.images, source.settings, source.box_px) for _ in range(2)]
        starts = (0, *sizes[:-1])
        for index, (start, stop) in enumerate(zip(starts, sizes, strict=True)):
            if repeat and index == len(sizes) - 1:
                found[repeat, index] = found[0, index]
                break
            for rows in _portions(order[start:stop]):
                _add(sums, source, rows)
                done += len(rows)
                watch(done)
            found[repeat, index] = _resolution_per_A(sums, source, mask)
    return found


def _portions(rows: Int[np.ndarray, "m"]) -> list[Int[np.ndarray, "k"]]:
    """The rows in the order of the file, so that stacks are read from their beginning to their end,
    some at a time.
    """
    ordered = np.sort(rows)
    return [ordered[start : start + _AT_A_TIME] for start in range(0, len(ordered), _AT_A_TIME)]


def _add(sums: Sequence[Accumulator], source: ResLogSource, rows: Int[np.ndarray, "k"]) -> None:
    for half, each in enumerate(sums, 1):
        own = rows[source.half_sets[rows] == half]
        if len(own):
            add_particles(each, source.images, own, source.settings)


def _cropped(mask: Float[Tensor, "z y x"], box_px: int) -> Float[Tensor, "w v u"]:
    """A mask on a coarser grid, by cropping its transform; it stays between 0 and 1."""
    if len(mask) == box_px:
        return mask
    start = (len(mask) - box_px) // 2
    middle = (slice(start, start + box_px),) * 3
    spectrum = torch.fft.fftshift(torch.fft.fftn(mask, norm="forward"))[middle]
    return torch.fft.ifftn(torch.fft.ifftshift(spectrum), norm="forward").real.clamp(0, 1)


def _resolution_per_A(
    sums: Sequence[Accumulator], source: ResLogSource, mask: Float[Tensor, "w v u"] | None
) -> float:
    if not all(each.count for each in sums):
        found = "the smallest subset has no particle in one of the half sets"
        raise UserError(
            found,
            where=source.images.particles.source,
            do="give a larger --smallest or fewer --sizes",
        )
    first, second = (each.volume()[None] for each in sums)
    voxel_A = source.voxel_size_A
    fsc = half_map_fsc(first, second, (voxel_A, voxel_A, voxel_A), FSCSettings(), mask)
    crossing_A = fsc.crossing_A(fsc.best, THRESHOLD)
    return math.inf if crossing_A is None else 1 / crossing_A
