"""The resolution of half maps reconstructed from increasing numbers of particles, always by the
library: RELION's program would read all images again for each subset.
"""

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
"""Called with the number of images added so far, over all repeats."""


@dataclass(frozen=True)
class ResLogSource:
    """Particle images, the half set (1 or 2) of each, and how they are reconstructed and compared.

    With ``max_resolution_A`` images are cropped in Fourier space, so that nothing finer is
    reconstructed; the time is proportional to the cube of the box. The mask has the images' own
    box.
    """

    images: ParticleImages
    half_sets: Int[np.ndarray, "n"]
    settings: ReconstructionSettings
    mask: Float[Tensor, "z y x"] | None = None
    max_resolution_A: float | None = None

    @property
    def box_px(self) -> int:
        """Side of the maps: that of the images, or the smallest even side that holds the finest
        resolution wanted.
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
    """The number of images that :func:`resolutions_per_A` adds. The largest subset, all particles,
    is reconstructed once.
    """
    return sizes[-1] + (repeats - 1) * sizes[-2]


def resolutions_per_A(
    source: ResLogSource,
    orders: Int[np.ndarray, "repeats n"],
    sizes: Sequence[int],
    watch: Watch = lambda _: None,
) -> Float[np.ndarray, "repeats sizes"]:
    """1/d of each subset, where the FSC of its half maps falls under 0.143; a subset consists of
    the first particles of one of the orders.

    ``orders`` hold rows of the images' file. The subsets of a repeat are nested, so each image is
    added only once. The values are those of :class:`restore.maps.reslog.ResLogCurve`: 0 where the
    FSC is under 0.143 from the first shell on, infinite where it never falls under it.

    Raises
    ------
    UserError
        The smallest subset has no particle in one of the halves; otherwise as
        :func:`restore.particles.reconstruction.halves.accumulator` and
        :func:`restore.io.particle_images.read_particle_images`.
    """
    per_A = np.empty((len(orders), len(sizes)))
    mask = None if source.mask is None else _cropped(source.mask, source.box_px)
    done = 0
    for repeat, order in enumerate(orders):
        sums = [accumulator(source.images, source.settings, source.box_px) for _ in range(2)]
        starts = (0, *sizes[:-1])
        for index, (start, stop) in enumerate(zip(starts, sizes, strict=True)):
            if repeat and index == len(sizes) - 1:
                per_A[repeat, index] = per_A[0, index]
                break
            for rows in _portions(order[start:stop]):
                _add(sums, source, rows)
                done += len(rows)
                watch(done)
            per_A[repeat, index] = _resolution_per_A(sums, source, mask)
    return per_A


def _portions(rows: Int[np.ndarray, "m"]) -> list[Int[np.ndarray, "k"]]:
    """The rows in portions, sorted so that stacks are read from beginning to end."""
    ordered = np.sort(rows)
    return [ordered[start : start + _AT_A_TIME] for start in range(0, len(ordered), _AT_A_TIME)]


def _add(sums: Sequence[Accumulator], source: ResLogSource, rows: Int[np.ndarray, "k"]) -> None:
    for half, half_sums in enumerate(sums, 1):
        own = rows[source.half_sets[rows] == half]
        if len(own):
            add_particles(half_sums, source.images, own, source.settings)


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
    if not all(half_sums.count for half_sums in sums):
        problem = "the smallest subset has no particle in one of the half sets"
        raise UserError(
            problem,
            where=source.images.particles.source,
            do="give a larger `smallest` or fewer `sizes`",
        )
    first, second = (half_sums.volume()[None] for half_sums in sums)
    voxel_A = source.voxel_size_A
    fsc = half_map_fsc(first, second, (voxel_A, voxel_A, voxel_A), FSCSettings(), mask)
    crossing_A = fsc.crossing_A(fsc.best, THRESHOLD)
    return math.inf if crossing_A is None else 1 / crossing_A
