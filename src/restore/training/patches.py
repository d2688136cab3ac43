"""The store of prepared pairs of halves, and the random windows that training draws from it.

One HDF5 file holds both prepared halves of every micrograph as whole images, in chunks, and the
recipe of their preparation. Windows are drawn at random positions
(docs/decisions/003-whole-images.md). The window, flip and order of halves of sample ``i`` of a run
follow from the seed and ``i`` alone, so that a run can be resumed, or divided among processes and
workers, without any further state.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import h5py
import numpy as np
import torch
from jaxtyping import Bool, Float
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from restore.errors import UserError
from restore.preprocessing import Prepared, Recipe
from restore.training.patch_file import (
    FORMAT,
    FORMAT_VERSION,
    Pair,
    halves_dataset,
    open_patch_file,
    write_text_attribute,
)
from restore.training.steady_file import SteadyFile

CHUNK_PX = 96
FEWEST_SERIES = 4


@dataclass(frozen=True)
class Region:
    """A rectangle of one pair that windows may be drawn from: rows y0 … y1, columns x0 … x1 (ends
    excluded).

    ``valid_share`` is the share of its windows in which all pixels hold data: only these are drawn.
    """

    pair: int
    y0: int
    y1: int
    x0: int
    x1: int
    valid_share: float = 1.0

    def corners(self, patch_px: int) -> tuple[int, int]:
        """The numbers of rows and columns at which a window's first corner can be."""
        return self.y1 - self.y0 - patch_px + 1, self.x1 - self.x0 - patch_px + 1


class PatchWriter:
    """Writes a patch file pair by pair; it is complete only after `finish` has been called."""

    def __init__(self, path: Path, recipe: Recipe, dtype: str = "float16") -> None:
        self._disk = SteadyFile(path, "w+")
        self._file = h5py.File(self._disk, "w")
        self._dtype = dtype
        self._count = 0
        self._file.attrs.update(
            format=FORMAT,
            format_version=FORMAT_VERSION,
            complete=False,
            recipe=json.dumps(recipe.card()),
        )

    def add(self, name: str, even: Prepared, odd: Prepared, series: str = "") -> None:
        """Append the two prepared halves of a micrograph; ``series`` as in `Pair`."""
        halves = torch.stack([even.image, odd.image]).cpu().numpy()
        chunk = (2, min(CHUNK_PX, halves.shape[1]), min(CHUNK_PX, halves.shape[2]))
        dataset = self._file.create_dataset(
            f"{self._count:06d}", data=halves.astype(self._dtype), chunks=chunk
        )
        write_text_attribute(dataset, "name", name)
        if series:
            write_text_attribute(dataset, "series", series)
        dataset.attrs.update(
            pixel_size_yx_A=even.grid.pixel_size_yx_A,
            scale=(even.scale, odd.scale),
            mean=(even.mean, odd.mean),
            hot_pixels=(even.hot_pixels, odd.hot_pixels),
        )
        if even.blank is not None:
            bits = np.packbits(even.blank.cpu().numpy(), axis=1)
            self._file.create_dataset(_blank_name(self._count), data=bits)
        self._count += 1
        self._file.flush()
        self._disk.check()

    def finish(self, provenance: dict[str, Any]) -> None:
        """Mark the file as complete and close it."""
        self._file.attrs.update(complete=True, count=self._count, provenance=json.dumps(provenance))
        self.close()
        self._disk.check()

    def close(self) -> None:
        """Close the file; without `finish` it stays marked as half-written."""
        self._file.close()
        self._disk.close()

    def __enter__(self) -> "PatchWriter":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()


class PatchFile:
    """A complete patch file, open for reading. Several processes may open the same file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file, content = open_patch_file(path)
        self.recipe, self.provenance, self.pairs = (
            content.recipe,
            content.provenance,
            content.pairs,
        )

    def window(self, region: Region, patch_px: int) -> Float[NDArray[Any], "2 y x"]:
        """The two halves in the window that starts at the region's first corner."""
        y, x = region.y0, region.x0
        halves = halves_dataset(self._file, region.pair)[:, y : y + patch_px, x : x + patch_px]
        return np.asarray(halves, dtype=np.float32)

    def halves(self, index: int) -> Float[NDArray[Any], "2 y x"]:
        """The two whole halves of one pair."""
        return np.asarray(halves_dataset(self._file, index)[()], dtype=np.float32)

    def blank(self, region: Region) -> Bool[NDArray[Any], "y x"] | None:
        """A mask of a region's pixels without data; None if all pixels of its pair hold data."""
        name = _blank_name(region.pair)
        if name not in self._file:
            return None
        height, width = self.pairs[region.pair].shape
        bits = self._file[name]
        if not isinstance(bits, h5py.Dataset) or bits.shape != (height, -(-width // 8)):
            raise UserError(
                f"the patch file is damaged ({name} is not a mask of its pair)",
                where=self.path,
                do="make the patch file again",
            )
        # A byte holds eight neighbouring pixels of a row.
        first = region.x0 // 8
        part = np.asarray(bits[region.y0 : region.y1, first : -(-region.x1 // 8)], dtype=np.uint8)
        mask = np.unpackbits(part, axis=1)[:, region.x0 - 8 * first : region.x1 - 8 * first]
        return mask.astype(np.bool_)

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def _blank_name(index: int) -> str:
    """The name of the dataset with the mask of a pair's pixels without data, if it has any."""
    return f"{index:06d}_blank"


def grouped(pairs: Sequence[Pair]) -> list[list[int]]:
    """The indices of pairs in groups that are held out from training together: the images of a tilt
    series.

    The images of one series show the same specimen a few degrees apart. With fewer than four
    series, one would be too large a share of the data, and each image forms its own group.
    """
    groups: dict[str | int, list[int]] = {}
    for index, pair in enumerate(pairs):
        groups.setdefault(pair.series or index, []).append(index)
    return (
        list(groups.values())
        if len(groups) >= FEWEST_SERIES
        else [[index] for index in range(len(pairs))]
    )


def refuse_smaller(pairs: Sequence[Pair], patch_px: int) -> None:
    """Raise UserError if a pair is smaller than a patch."""
    small = [pair for pair in pairs if min(pair.shape) < patch_px]
    if small:
        raise UserError(
            f"{len(small)} micrographs are smaller than a patch of {patch_px} pixels; "
            f"{small[0].name} has {small[0].shape[0]}×{small[0].shape[1]} once cropped",
            do="give a finer `max_resolution`, or a smaller `patch_px`",
        )


def cover(extent: int, patch_px: int) -> list[int]:
    """First pixels of the fewest evenly spread windows that together cover ``extent`` pixels,
    including the last one.

    >>> cover(500, 192)
    [0, 154, 308]
    """
    count = -(-extent // patch_px)
    return [round(index * (extent - patch_px) / max(count - 1, 1)) for index in range(count)]


def covering_windows(regions: Sequence[Region], patch_px: int) -> list[Region]:
    """Windows that cover every region."""
    return [
        Region(
            region.pair,
            region.y0 + y,
            region.y0 + y + patch_px,
            region.x0 + x,
            region.x0 + x + patch_px,
        )
        for region in regions
        for y in cover(region.y1 - region.y0, patch_px)
        for x in cover(region.x1 - region.x0, patch_px)
    ]


class RandomWindows(Dataset[Float[Tensor, "2 y x"]]):
    """Sample ``i`` is a random window of a random region, flipped and rotated at random, with its
    halves in random order.
    """

    def __init__(self, path: Path, regions: Sequence[Region], patch_px: int, seed: int) -> None:
        self._path, self._regions, self._patch_px, self._seed = path, tuple(regions), patch_px, seed
        places = np.array(
            [region.valid_share * np.prod(region.corners(patch_px)) for region in regions],
            dtype=np.float64,
        )
        self._share = places / places.sum()
        self._file: PatchFile | None = None

    def __getitem__(self, index: int) -> Float[Tensor, "2 y x"]:
        """The window, as (input half, target half)."""
        random = np.random.default_rng([self._seed, index])
        region = self._regions[random.choice(len(self._regions), p=self._share)]
        if (
            self._file is None
        ):  # opened by the process that reads, because HDF5 handles do not survive a fork
            self._file = PatchFile(self._path)
        window = _random_window(self._file, region, self._patch_px, random)
        halves = self._file.window(window, self._patch_px)
        return torch.from_numpy(_augment(halves, random))


def _random_window(
    data: PatchFile, region: Region, patch_px: int, random: np.random.Generator
) -> Region:
    """A window at a random position in the region, drawn again until it holds no blank pixel."""
    rows, columns = region.corners(patch_px)
    while True:
        y, x = region.y0 + int(random.integers(rows)), region.x0 + int(random.integers(columns))
        window = Region(region.pair, y, y + patch_px, x, x + patch_px)
        if region.valid_share == 1 or not np.any(data.blank(window)):
            return window


def _augment(
    halves: Float[NDArray[Any], "2 y x"], random: np.random.Generator
) -> Float[NDArray[Any], "2 y x"]:
    """The halves under one of the eight rotations and flips, the same for both, in random order."""
    turned = np.rot90(halves, int(random.integers(4)), axes=(1, 2))
    if random.random() < 0.5:
        turned = turned[:, :, ::-1]
    if random.random() < 0.5:
        turned = turned[::-1]
    return np.ascontiguousarray(turned)


class DistributedBatchSampler(torch.utils.data.Sampler[list[int]]):
    """The sample numbers of the batches of one process: at each step, all processes together take
    consecutive samples.
    """

    def __init__(self, first_step: int, batch_size: int, rank: int, world_size: int) -> None:
        self._first_step, self._batch_size, self._rank, self._world_size = (
            first_step,
            batch_size,
            rank,
            world_size,
        )

    def __iter__(self) -> Iterator[list[int]]:
        """An endless sequence of batches."""
        step = self._first_step
        while True:
            start = (step * self._world_size + self._rank) * self._batch_size
            yield list(range(start, start + self._batch_size))
            step += 1
