"""The regions and windows of a patch file in which all pixels hold data."""

import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool
from numpy.typing import NDArray
from torch import Tensor

from restore.errors import UserError
from restore.training.patches import PatchFile, Region, covering_windows, refuse_smaller
from restore.training.settings import TrainingSettings
from restore.training.split import Split, split, whole_regions

log = logging.getLogger(__name__)

FEWEST_VALID_SHARE = 0.02
"""The least share of a region's windows that must be free of blank pixels for the region to be
used.
"""


def blank_pixels_of(data: PatchFile, index: int) -> Bool[Tensor, "y x"] | None:
    """A mask of all pixels of a pair that hold no data; None if all of them hold data."""
    height, width = data.pairs[index].shape
    blank = data.blank(Region(index, 0, height, 0, width))
    return None if blank is None else torch.from_numpy(blank)


def split_with_data(data: PatchFile, settings: TrainingSettings) -> Split:
    """The split of a patch file, without regions and borders that lack data.

    What is divided are the parts of the micrographs that hold data: a strip cut off a whole
    micrograph could lie in its border. Raises UserError if there is nothing to train on, or nothing
    is left of what is held out.
    """
    patch_px = settings.patch_px
    refuse_smaller(data.pairs, patch_px)
    whole = valid_regions(data, whole_regions(data.pairs), patch_px)
    parts = split(data.pairs, settings, whole)
    return Split(
        valid_regions(data, parts.training, patch_px, whole),
        valid_regions(data, parts.held_out, patch_px, whole),
        parts.calibration,
    )


def valid_regions(
    data: PatchFile, regions: Sequence[Region], patch_px: int, known: Sequence[Region] = ()
) -> list[Region]:
    """The regions without their blank borders, and with the share of their windows that are valid.

    Regions with almost none are left out, with a warning that names the micrograph; ``known`` are
    regions that this function returned before. Raises UserError if none is left.
    """
    unchanged = set(known)
    smaller = [
        region if region in unchanged else _valid_region(data, region, patch_px)
        for region in regions
    ]
    kept = [region for region in smaller if region is not None]
    if regions and not kept:
        raise UserError(
            f"no micrograph has a window of {patch_px} pixels in which every pixel holds data",
            where=data.path,
            do="use smaller patches, or check the borders and masks of the images",
        )
    return kept


def _valid_region(data: PatchFile, region: Region, patch_px: int) -> Region | None:
    """The smallest region that holds every valid window of this one, and their share of its
    windows; None, with a warning, if they are too few.
    """
    blank = data.blank(region)
    if blank is None or not blank.any():
        return replace(region, valid_share=1.0)
    corners = _valid_corners(blank, patch_px)
    if corners.any():
        smaller = _bounds(region, corners, patch_px)
        share = float(corners.sum()) / np.prod(smaller.corners(patch_px))
        if share >= FEWEST_VALID_SHARE:
            return replace(smaller, valid_share=share)
    log.warning(
        "%s is left out, because its area with data is too small for windows of %d pixels: %.0f %% "
        "of it is a border, masked out, or beyond the edge of the beam",
        data.pairs[region.pair].name,
        patch_px,
        100 * blank.mean(),
    )
    return None


def valid_covering_windows(
    data: PatchFile, regions: Sequence[Region], patch_px: int
) -> list[Region]:
    """Windows that cover the regions, without those that hold blank pixels.

    If none of a region's covering windows is valid, one valid window elsewhere in it is returned.
    """
    windows: list[Region] = []
    for region in regions:
        covering = covering_windows([region], patch_px)
        if region.valid_share == 1:
            windows += covering
            continue
        valid = [window for window in covering if not np.any(data.blank(window))]
        windows += valid or [_one_window(data, region, patch_px)]
    return windows


def _one_window(data: PatchFile, region: Region, patch_px: int) -> Region:
    blank = data.blank(region)
    assert blank is not None
    rows, columns = np.nonzero(_valid_corners(blank, patch_px))
    middle = len(rows) // 2
    y, x = region.y0 + int(rows[middle]), region.x0 + int(columns[middle])
    return Region(region.pair, y, y + patch_px, x, x + patch_px)


def _valid_corners(
    blank: Bool[NDArray[Any], "y x"], patch_px: int
) -> Bool[NDArray[Any], "rows columns"]:
    """The positions of a window's first corner for which the window holds no blank pixel."""
    # The number of blank pixels above and to the left of each pixel: the number in any window is
    # the difference of its four corners.
    summed = np.zeros((blank.shape[0] + 1, blank.shape[1] + 1), dtype=np.int64)
    summed[1:, 1:] = blank.cumsum(axis=0, dtype=np.int64).cumsum(axis=1)
    below, above = summed[patch_px:], summed[:-patch_px]
    inside = below[:, patch_px:] - below[:, :-patch_px] - above[:, patch_px:] + above[:, :-patch_px]
    return inside == 0


def _bounds(region: Region, corners: Bool[NDArray[Any], "rows columns"], patch_px: int) -> Region:
    """The smallest rectangle that holds every valid window."""
    rows, columns = (np.flatnonzero(corners.any(axis=axis)) for axis in (1, 0))
    return replace(
        region,
        y0=region.y0 + int(rows[0]),
        y1=region.y0 + int(rows[-1]) + patch_px,
        x0=region.x0 + int(columns[0]),
        x1=region.x0 + int(columns[-1]) + patch_px,
    )
