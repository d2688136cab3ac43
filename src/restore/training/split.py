"""The division into micrographs to train on and micrographs held out for measuring the loss."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from restore.training.patches import Pair, Region, grouped, refuse_smaller
from restore.training.settings import TrainingSettings

CALIBRATION_REGIONS = 8
"""The least number of micrographs (if there are as many) on which the calibration is measured: with
only one, it would reflect that micrograph's defocus and dose.
"""

HELD_OUT_STRIP, CALIBRATION_STRIP = 8, 12
"""The held-out strip of a single micrograph is an eighth of it; the strips for the calibration are
a twelfth of their micrographs.
"""


@dataclass(frozen=True)
class Split:
    """The regions from which patches are drawn, those held out for the validation loss, and those
    on which the calibration is measured: the held-out ones, and strips of the others.
    """

    training: Sequence[Region]
    held_out: Sequence[Region]
    calibration: Sequence[Region] = ()


def whole_regions(pairs: Sequence[Pair]) -> list[Region]:
    """The region of each pair that is the whole of it."""
    return [Region(index, 0, pair.shape[0], 0, pair.shape[1]) for index, pair in enumerate(pairs)]


def split(
    pairs: Sequence[Pair], settings: TrainingSettings, whole: Sequence[Region] | None = None
) -> Split:
    """Hold out a share of the micrographs (or series: `grouped`), at least one, and not all; of a
    single micrograph, a strip. If few are held out, strips of others are also kept out of training,
    for the calibration.

    ``whole`` are the regions to divide, at most one of each pair: by default the whole pairs.
    Raises UserError if a pair is smaller than a patch.
    """
    patch_px = settings.patch_px
    refuse_smaller(pairs, patch_px)
    whole = whole_regions(pairs) if whole is None else list(whole)
    if settings.held_out == 0:
        return Split(whole, [])
    if len(whole) == 1:
        training, strips = _with_strips_off(whole, patch_px, HELD_OUT_STRIP, most=1 / 2)
        return Split(training, strips, strips)
    groups = grouped([pairs[region.pair] for region in whole])
    order = np.random.default_rng([settings.seed, 1]).permutation(len(groups)).tolist()
    count = min(len(groups) - 1, max(1, round(settings.held_out * len(groups))))
    chosen = {whole[index].pair for group in order[:count] for index in groups[group]}
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
    """The regions without a strip at the end of their longer side, and the strips: one ``share``-th
    of the side, at least a patch. A region of which a patch would be more than ``most`` stays
    whole.
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


def kept_out(parts: Split, names: Sequence[str]) -> tuple[str, ...]:
    """What is kept out of training for validation and calibration, one text for each of
    ``parts.calibration``: a micrograph's name, with rows and columns (ends excluded) if it is only
    a strip; ``names`` are those of the pairs.

    >>> strip, rest = Region(0, 56, 64, 0, 48), Region(0, 0, 56, 0, 48)
    >>> kept_out(Split([rest], [strip], [strip]), ["a.mrc"])
    ('a.mrc, rows 56 to 64, columns 0 to 48',)
    """
    trained_on = {region.pair for region in parts.training}
    return tuple(
        f"{names[part.pair]}, rows {part.y0} to {part.y1}, columns {part.x0} to {part.x1}"
        if part.pair in trained_on
        else names[part.pair]
        for part in parts.calibration
    )


def words_of_split(parts: Split, names: Sequence[str]) -> str:
    """A message saying what is trained on and what is held out; ``names`` are those of the pairs.

    >>> strip, rest = Region(0, 0, 8, 0, 64), Region(0, 8, 64, 0, 64)
    >>> words_of_split(Split([rest], [strip]), ["a.mrc"])
    'training on 7/8 of the one micrograph, a.mrc; validation on the other eighth'
    """
    held_out = sorted({names[region.pair] for region in parts.held_out})
    trained_on = {region.pair for region in parts.training}
    if not held_out:
        return f"training on {_counted(len(trained_on))}, without validation"
    if trained_on == {region.pair for region in parts.held_out}:
        area = {
            name: sum((part.y1 - part.y0) * (part.x1 - part.x0) for part in regions)
            for name, regions in (("training", parts.training), ("held_out", parts.held_out))
        }
        share = area["held_out"] / (area["training"] + area["held_out"])
        if abs(share - 1 / HELD_OUT_STRIP) < 0.03:
            return (
                f"training on 7/8 of the one micrograph, {held_out[0]}; validation on the other "
                "eighth"
            )
        return (
            f"training on {100 * (1 - share):.0f} % of the one micrograph, {held_out[0]}; "
            "validation on the rest"
        )
    shown = ", ".join(held_out[:3]) + (", …" if len(held_out) > 3 else "")
    return (
        f"training on {_counted(len(trained_on))}; validation on {_counted(len(held_out))}: {shown}"
    )


def _counted(count: int) -> str:
    return f"{count} micrograph{'' if count == 1 else 's'}"
