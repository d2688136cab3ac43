"""Which micrographs are trained on, and which are held out to measure the loss on."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from restore.training.patches import Pair, Region, grouped, refuse_smaller
from restore.training.settings import TrainingSettings

CALIBRATION_REGIONS = 8
"""On so many micrographs at least the calibration is measured, where there are as many: one alone
would be calibrated by its own defocus and dose.
"""

HELD_OUT_STRIP, CALIBRATION_STRIP = 8, 12
"""The strip of a single micrograph that is held out is an eighth of it; those for the calibration
are a twelfth of theirs.
"""


@dataclass(frozen=True)
class Split:
    """Where patches are drawn from, where the loss is measured that training never saw, and what
    the calibration is measured on: that, and strips of what is trained on.
    """

    training: Sequence[Region]
    held_out: Sequence[Region]
    calibration: Sequence[Region] = ()


def split(pairs: Sequence[Pair], settings: TrainingSettings) -> Split:
    """Hold out a share of the micrographs (or series: `grouped`), at least one; of a single one, a
    strip of it. Where few are held out, strips of others are kept from training, too, for the
    calibration.
    """
    patch_px = settings.patch_px
    whole = [Region(index, 0, pair.shape[0], 0, pair.shape[1]) for index, pair in enumerate(pairs)]
    refuse_smaller(pairs, patch_px)
    if settings.held_out == 0:
        return Split(whole, [])
    if len(whole) == 1:
        training, strips = _with_strips_off(whole, patch_px, HELD_OUT_STRIP, most=1 / 2)
        return Split(training, strips, strips)
    groups = grouped(pairs)
    order = np.random.default_rng([settings.seed, 1]).permutation(len(groups)).tolist()
    chosen = {
        pair
        for group in order[: max(1, round(settings.held_out * len(groups)))]
        for pair in groups[group]
    }
    held_out = [region for region in whole if region.pair in chosen]
    training = [region for region in whole if region.pair not in chosen]
    wanted = min(CALIBRATION_REGIONS - len(held_out), len(training))
    if wanted <= 0:
        return Split(training, held_out, held_out)
    cut = training[:: len(training) // wanted][:wanted]
    shorter, strips = _with_strips_off(cut, patch_px, CALIBRATION_STRIP, most=1 / 4)
    left = {region.pair: region for region in shorter}
    training = [left.get(region.pair, region) for region in training]
    return Split(training, held_out, [*held_out, *strips])


def _with_strips_off(
    regions: Sequence[Region], patch_px: int, share: int, most: float
) -> tuple[list[Region], list[Region]]:
    """The regions without a strip at the end of their longer side, and the strips: a ``share``-th,
    at least a patch. A region of which a patch is more than ``most`` stays whole.
    """
    shorter: list[Region] = []
    strips: list[Region] = []
    for region in regions:
        rows = region.y1 - region.y0 >= region.x1 - region.x0
        extent = region.y1 - region.y0 if rows else region.x1 - region.x0
        strip = max(patch_px, extent // share)
        if patch_px > most * extent:
            shorter.append(region)
        elif rows:
            edge = region.y1 - strip
            shorter.append(replace(region, y1=edge))
            strips.append(replace(region, y0=edge))
        else:
            edge = region.x1 - strip
            shorter.append(replace(region, x1=edge))
            strips.append(replace(region, x0=edge))
    return shorter, strips
