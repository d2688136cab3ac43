"""The network over an image of any size: whole, or in tiles that give the same numbers."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import pad

from restore.network import STRIDE, WAUNet, receptive_field_px
from restore.precision import autocast

WHOLE_PX = 2048
"""Images of up to this many pixels squared go through whole: about 2.5 GB in float32, half of that in bf16."""


@dataclass(frozen=True)
class Span:
    """Along one axis: the pixels that a tile reads, and the part of them that it is right about."""

    read_start: int
    read_stop: int
    start: int
    stop: int


def spans(extent: int, tile_px: int, halo_px: int) -> Iterator[Span]:
    """Tiles of ``tile_px`` along an axis, each read with a halo; every edge is a multiple of 8, or the image's own."""
    step = max(STRIDE, tile_px // STRIDE * STRIDE)
    halo = -(-halo_px // STRIDE) * STRIDE
    for start in range(0, extent, step):
        stop = min(start + step, extent)
        yield Span(max(0, start - halo), min(extent, stop + halo), start, stop)


def apply_network(
    network: WAUNet, image: Float[Tensor, "y x"], dtype: torch.dtype = torch.float32, tile_px: int = 0
) -> Float[Tensor, "y x"]:
    """The network's output for an image of any shape, padded by reflection to multiples of 8 and cropped back.

    ``tile_px`` is the side of the tiles; 0 takes the image whole where it is small enough. The halo is the
    network's receptive field, so that tiled and whole agree to rounding.
    """
    height, width = image.shape
    below, right = -height % STRIDE, -width % STRIDE
    whole = pad(image[None, None], (0, right, 0, below), mode="reflect")
    halo_px = receptive_field_px(network.settings)
    if tile_px == 0:
        tile_px = WHOLE_PX - 2 * halo_px if whole.numel() > WHOLE_PX**2 else max(whole.shape)
    output = torch.empty_like(whole)
    with torch.inference_mode(), autocast(image.device, dtype):
        for rows in spans(whole.shape[2], tile_px, halo_px):
            for columns in spans(whole.shape[3], tile_px, halo_px):
                tile = whole[..., rows.read_start : rows.read_stop, columns.read_start : columns.read_stop]
                done = network(tile)
                output[..., rows.start : rows.stop, columns.start : columns.stop] = done[
                    ...,
                    rows.start - rows.read_start : rows.stop - rows.read_start,
                    columns.start - columns.read_start : columns.stop - columns.read_start,
                ]
    return output[0, 0, :height, :width]
