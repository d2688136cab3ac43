"""The covariances of a micrograph's images in every ring, by blocks of patches."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from restore.evaluation.estimators.decomposition import IMAGES, PAIRS, covariance
from restore.evaluation.estimators.spectra import RingAxis, patch_covariances, valid_patches
from restore.evaluation.views import Image, Views, valid_values
from restore.preprocessing import Grid

_BLOCKS = 4  # along each axis: few enough to store, and enough to resample


@dataclass(frozen=True)
class Sampling:
    """The settings that all micrographs of a set share: the side of the patches, and the rings."""

    patch_px: int
    axis: RingAxis


def covariance_table(
    images: Mapping[str, Image], pairs: Sequence[tuple[str, str]], grid: Grid, sampling: Sampling
) -> Float[Tensor, "rows columns pairs rings"]:
    """The covariances of all `PAIRS`; NaN for those that are not in ``pairs``."""
    names = [name for name in IMAGES if name in images]
    indices = [(names.index(first), names.index(second)) for first, second in pairs]
    stacked = torch.stack([images[name] for name in names])
    covariances = patch_covariances(
        stacked, indices, grid.pixel_size_yx_A, sampling.patch_px, sampling.axis
    )
    table = covariances.new_full(
        (*covariances.shape[:2], len(PAIRS), covariances.shape[-1]), torch.nan
    )
    table[:, :, [PAIRS.index(pair) for pair in pairs]] = covariances
    return table


def blocks_of(
    table: Float[Tensor, "rows columns pairs rings"],
    valid: Bool[Tensor, "rows columns"] | None = None,
) -> Float[Tensor, "blocks pairs rings"]:
    """Neighbouring patches combined into at most 4×4 blocks, whose sum is the mean over patches. If
    only some patches are ``valid``, blocks without any are left out.
    """
    parts = [part for rows in _parts(table, 0) for part in _parts(rows, 1)]
    if valid is not None:
        flags = [part for rows in _parts(valid, 0) for part in _parts(rows, 1)]
        sums = [
            part[flag].double().sum(dim=0)
            for part, flag in zip(parts, flags, strict=True)
            if flag.any()
        ]
        return torch.stack(sums) / int(valid.sum())
    return torch.stack([part.double().sum(dim=(0, 1)) for part in parts]) / (
        table.shape[0] * table.shape[1]
    )


def _parts(table: Tensor, axis: int) -> tuple[Tensor, ...]:
    return table.tensor_split(min(_BLOCKS, table.shape[axis]), dim=axis)


def with_unpaired(
    blocks: Float[Tensor, "blocks pairs rings"], views: Views, neighbour: Views, sampling: Sampling
) -> Float[Tensor, "blocks pairs rings"]:
    """The table with the covariances of the first half and the second half of another micrograph,
    and the power of the latter, over the area that both cover.
    """
    rows, columns = (
        min(sides) for sides in zip(views.grid.shape, neighbour.grid.shape, strict=True)
    )
    full_size = {
        "M1": views.raw[0],
        "D1": views.denoised[0],
        "M2'": neighbour.raw[1],
        "D2'": neighbour.denoised[1],
    }
    images = {name: image[:rows, :columns] for name, image in full_size.items()}
    masks = [view.blank[:rows, :columns] for view in (views, neighbour) if view.blank is not None]
    blank = torch.stack(masks).any(dim=0) if masks else None
    valid = None
    if blank is not None:
        valid = valid_patches(blank, sampling.patch_px)
        if not valid.any():  # no area in which both have data
            return blocks
    first, second = (images["M1"], images["D1"]), (images["M2'"], images["D2'"])
    scales = [
        float(valid_values(own, blank).std() / (valid_values(partner, blank).std() + 1e-30))
        for own, partner in zip(first, second, strict=True)
    ]
    images |= {"M2'": second[0] * scales[0], "D2'": second[1] * scales[1]}
    unpaired = [pair for pair in PAIRS if pair[1] in ("M2'", "D2'")]
    table = blocks_of(covariance_table(images, unpaired, views.grid, sampling), valid)
    filled = blocks.clone()
    for pair in unpaired:
        filled[:, PAIRS.index(pair)] = spread(covariance(table, *pair), len(blocks))
    return filled


def spread(parts: Float[Tensor, "parts rings"], blocks: int) -> Float[Tensor, "blocks rings"]:
    """The parts as this many blocks with the same sum. The common area may have other blocks than
    the micrograph, mostly fewer; the blocks that no part falls into are zero. Equal blocks would
    have no variance between them, and so no interval.
    """
    places = torch.arange(len(parts)) * blocks // len(parts)
    return parts.new_zeros(blocks, parts.shape[-1]).index_add_(0, places, parts)
