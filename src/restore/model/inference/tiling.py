"""The network applied to an image of any size, in tiles that give the same numbers as the whole
image.

Each stage of the network is applied to the whole image, tile by tile, before the next: a stage
reads only a few pixels beyond those it writes, so that almost nothing is computed twice
(docs/decisions/010-stages-in-tiles.md). Only the maps between stages are as large as the image; if
even they would be too large, the image itself is first cut into parts, with the whole network's
receptive field as a halo.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from restore.model.inference.engine import Engine
from restore.model.network import Halo, architecture_of, receptive_field_px, stage_named
from restore.runtime.memory import memory_errors

log = logging.getLogger(__name__)

WHOLE_PX = 5632
"""Images with sides up to this many pixels are not cut: their maps between stages take 2 GB in
float32.
"""

_SMALLEST_TILE_PX = 64


@dataclass(frozen=True)
class Span:
    """Along one axis: the pixels that a tile reads, and those for which its output is valid."""

    read_start: int
    read_stop: int
    start: int
    stop: int

    @property
    def read(self) -> slice:
        """The pixels that are read."""
        return slice(self.read_start, self.read_stop)

    def written(self, numerator: int = 1, denominator: int = 1) -> slice:
        """The place in an output that has ``numerator / denominator`` pixels per input pixel."""
        return slice(self.start * numerator // denominator, self.stop * numerator // denominator)

    def kept(self, numerator: int = 1, denominator: int = 1) -> slice:
        """The part of the tile's own output that goes there."""
        first = self.start - self.read_start
        last = self.stop - self.read_start
        return slice(first * numerator // denominator, last * numerator // denominator)


def spans(extent: int, tile_px: int, halo: Halo, multiple: int) -> Iterator[Span]:
    """Tiles of at most ``tile_px`` along an axis, each read with its halo; all read the same number
    of pixels.

    Every edge is at a multiple of ``multiple``, or at the end of the axis.
    """
    count = -(-extent // max(tile_px, multiple))
    step = _up(-(-extent // count), multiple)
    before, after = _up(halo.before, multiple), _up(halo.after, multiple)
    size = min(extent, step + before + after)
    for start in range(0, extent, step):
        read_start = max(0, min(start - before, extent - size))
        yield Span(read_start, read_start + size, start, min(start + step, extent))


def _up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple


def apply_network(
    engine: Engine, image: Float[Tensor, "y x"], tile_px: int = 0
) -> Float[Tensor, "y x"]:
    """The network's output for an image of any shape, which is padded by reflection to multiples of
    the network's stride and cropped back.

    ``tile_px`` is the side of the tiles; 0 stands for the side at which the engine is fastest and
    that fits in its memory.
    """
    height, width = image.shape
    stride = architecture_of(engine.settings).stride
    below, right = -height % stride, -width % stride
    whole = pad(image[None, None], (0, right, 0, below), mode="reflect")
    if whole.numel() <= WHOLE_PX**2:
        return _network_of(engine, whole, tile_px)[0, 0, :height, :width]
    halo_px = receptive_field_px(engine.settings)
    halo, output = Halo(halo_px, halo_px), torch.empty_like(whole)
    for rows in spans(whole.shape[2], WHOLE_PX - 2 * halo_px, halo, stride):
        for columns in spans(whole.shape[3], WHOLE_PX - 2 * halo_px, halo, stride):
            done = _network_of(engine, whole[..., rows.read, columns.read], tile_px)
            output[..., rows.written(), columns.written()] = done[..., rows.kept(), columns.kept()]
    return output[0, 0, :height, :width]


def _network_of(
    engine: Engine, image: Float[Tensor, "1 1 y x"], tile_px: int
) -> Float[Tensor, "1 1 y x"]:
    """The network's output for an image whose sides are multiples of its stride, in smaller tiles
    if memory runs out.
    """
    side = tile_px or engine.tile_px(max(image.shape))
    join = architecture_of(engine.settings).through_stages
    while True:
        try:
            with torch.inference_mode(), memory_errors():
                return join(partial(_stage_of, engine, side), image).float()
        except (torch.OutOfMemoryError, MemoryError):
            if side <= _SMALLEST_TILE_PX:
                raise
        side = max(_SMALLEST_TILE_PX, side // 2)
        engine.forget()
        log.info("memory ran out; continuing in tiles of %d pixels", side)


def _stage_of(engine: Engine, tile_px: int, name: str, *maps: Tensor) -> Tensor:
    """One stage applied to whole maps. A tile has sides of ``tile_px`` pixels at the stage's finest
    sampling.
    """
    stage = stage_named(engine.settings, name)
    ratio = (stage.numerator, stage.denominator)
    side = tile_px // stage.numerator
    height, width = maps[0].shape[-2:]
    output: Tensor | None = None
    for rows in spans(height, side, stage.halo, stage.multiple):
        for columns in spans(width, side, stage.halo, stage.multiple):
            done = engine.run(name, *(plane[..., rows.read, columns.read] for plane in maps))
            if rows.read == slice(0, height) and columns.read == slice(0, width):
                return done
            if output is None:
                shape = (height * ratio[0] // ratio[1], width * ratio[0] // ratio[1])
                output = done.new_empty((*done.shape[:2], *shape))
            output[..., rows.written(*ratio), columns.written(*ratio)] = done[
                ..., rows.kept(*ratio), columns.kept(*ratio)
            ]
    assert output is not None
    return output
