"""Which micrographs are trained on, and which are held out to measure the loss on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from restore.training.patches import Pair, Region, grouped, refuse_smaller
from restore.training.settings import TrainingSettings


@dataclass(frozen=True)
class Split:
    """Where patches are drawn from, and where the loss is measured that training never saw."""

    training: Sequence[Region]
    held_out: Sequence[Region]


def split(pairs: Sequence[Pair], settings: TrainingSettings) -> Split:
    """Hold out a share of the micrographs (or series: `grouped`), at least one; of a single one, a
    strip of it.
    """
    patch_px = settings.patch_px
    whole = [Region(index, 0, pair.shape[0], 0, pair.shape[1]) for index, pair in enumerate(pairs)]
    refuse_smaller(pairs, patch_px)
    if settings.held_out == 0:
        return Split(whole, [])
    if len(whole) == 1:
        return _split_one(whole[0], patch_px)
    groups = grouped(pairs)
    order = np.random.default_rng([settings.seed, 1]).permutation(len(groups)).tolist()
    chosen = {
        pair
        for group in order[: max(1, round(settings.held_out * len(groups)))]
        for pair in groups[group]
    }
    return Split(
        [region for region in whole if region.pair not in chosen],
        [region for region in whole if region.pair in chosen],
    )


def _split_one(whole: Region, patch_px: int) -> Split:
    rows = whole.y1 >= whole.x1
    extent = whole.y1 if rows else whole.x1
    strip = max(patch_px, extent // 8)
    if extent < 2 * patch_px:
        return Split([whole], [])
    edge = extent - strip
    if rows:
        return Split([replace(whole, y1=edge)], [replace(whole, y0=edge)])
    return Split([replace(whole, x1=edge)], [replace(whole, x0=edge)])
