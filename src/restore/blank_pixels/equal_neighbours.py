"""Runs of one value along a row or a column of an image that are too long to be chance."""

import math

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

_GROUP_PX = 8  # of the shortest run, 2·8 pixels, there is at least one group equal throughout
_SHORTEST_RUN_PX = 2 * _GROUP_PX
_CHANCE_RUNS = 1e-6  # chance runs expected in an image
_SAMPLED_ROWS, _SAMPLE_PX = 8, 64
_FEW = 1 / 8  # share of the groups up to which they are examined one by one


def equal_neighbours(image: Float[Tensor, "y x"]) -> Bool[Tensor, "y x"] | None:
    """Pixels in runs of one value that are too long to be chance."""
    groups_right, groups_below = _equal_groups(image), _equal_groups(image.T)
    if groups_right is None and groups_below is None:
        return None
    whole = _constant_lines(image, groups_right, groups_below)
    shortest_px = max(_SHORTEST_RUN_PX, _chance_length(image))
    blank = torch.zeros(image.shape, dtype=torch.bool, device=image.device)
    if groups_right is not None:
        _mark_runs(blank, image, groups_right, shortest_px)
    if groups_below is not None:
        _mark_runs(blank.T, image.T, groups_below, shortest_px)
    if whole is not None:
        blank |= whole
    return blank if blank.any() else None


def _constant_lines(
    image: Float[Tensor, "y x"],
    groups_right: Bool[Tensor, "y groups"] | None,
    groups_below: Bool[Tensor, "x groups"] | None,
) -> Bool[Tensor, "y x"] | None:
    """The rows (or columns) with one value throughout, if more than half of them are so; otherwise
    None. In an image of which so little is left, chance cannot be estimated.
    """
    marked = torch.zeros(image.shape, dtype=torch.bool, device=image.device)
    for lines, groups, target in (
        (image, groups_right, marked),
        (image.T, groups_below, marked.T),
    ):
        if groups is None:
            continue
        constant = groups.all(dim=1)
        if int(constant.count_nonzero()) > lines.shape[0] / 2:
            constant &= (lines == lines[:, :1]).all(dim=1)
            if int(constant.count_nonzero()) > lines.shape[0] / 2:
                target[constant] = True
    return marked if marked.any() else None


def _equal_groups(lines: Float[Tensor, "lines n"]) -> Bool[Tensor, "lines groups"] | None:
    """The groups of pixels 8k … 8k + 8 of each line that have one value; None if there are none."""
    count = (lines.shape[1] - 1) // _GROUP_PX
    if count < 1:
        return None
    # The first and the last pixel of a group are nearly always sufficient, and take an eighth of
    # the time.
    corners = lines[:, ::_GROUP_PX]
    groups = corners[:, 1 : count + 1] == corners[:, :count]
    candidates = int(groups.count_nonzero())
    if candidates > _FEW * groups.numel():
        length = count * _GROUP_PX
        groups = lines[:, 1 : length + 1] == lines[:, :length]
        while groups.shape[1] > count:
            groups = groups[:, ::2] & groups[:, 1::2]
    elif candidates:
        line, group = groups.nonzero(as_tuple=True)
        for inner in (4, 2, 6, 1, 3, 5, 7):
            start = group * _GROUP_PX
            equal = lines[line, start + inner] == lines[line, start]
            line, group = line[equal], group[equal]
        groups = torch.zeros_like(groups)
        groups[line, group] = True
    return groups if groups.any() else None


def _chance_length(image: Float[Tensor, "y x"]) -> int:
    """The length of a run of equal pixels that occurs by chance in one image of a million.

    With P the probability of the commonest value, a run of n pixels has the probability Pⁿ, and P²
    is at most that of two equal neighbours. The latter is measured in blocks; the nine-tenths
    quantile of those that are not equal throughout is that of the darkest areas of the image.
    """
    rows_sampled = image[::_SAMPLED_ROWS]
    sample = rows_sampled[:, 1:] == rows_sampled[:, :-1]
    side = min(_SAMPLE_PX, sample.shape[1])
    rows = max(1, min(side // _SAMPLED_ROWS, sample.shape[0]))
    sample = sample[: sample.shape[0] // rows * rows, : sample.shape[1] // side * side]
    shares = sample.unflatten(1, (-1, side)).unflatten(0, (-1, rows)).float().mean(dim=(1, 3))
    mixed = shares[shares < 1]
    pair = float(mixed.quantile(0.9)) if mixed.numel() else 0.0
    # A sampled share of zero still allows for one pair in a thousand.
    single = math.sqrt(max(pair, 1e-3))
    pairs = image.shape[0] * (image.shape[1] - 1)
    return math.ceil(math.log(_CHANCE_RUNS / pairs) / math.log(min(single, 1 - 1e-6)))


def _mark_runs(
    blank: Bool[Tensor, "lines n"],
    lines: Float[Tensor, "lines n"],
    groups: Bool[Tensor, "lines groups"],
    shortest_px: int,
) -> None:
    """Set ``blank``, which is changed, in all runs of at least ``shortest_px`` pixels.

    A run is a sequence of equal groups, and up to seven pixels before and after it.
    """
    starts, stops = groups.clone(), groups.clone()
    starts[:, 1:] &= ~groups[:, :-1]
    stops[:, :-1] &= ~groups[:, 1:]
    line, first = starts.nonzero(as_tuple=True)
    last = stops.nonzero(as_tuple=True)[1]
    before, equal_before = _equal_beside(lines, line, first * _GROUP_PX, -1)
    after, equal_after = _equal_beside(lines, line, (last + 1) * _GROUP_PX, 1)
    length = (last - first + 1) * _GROUP_PX + 1
    long = length + equal_before.sum(dim=1) + equal_after.sum(dim=1) >= shortest_px
    # The groups of long runs: +1 where one begins, −1 behind its end, and the running sum.
    change = torch.zeros(groups.shape[0], groups.shape[1] + 1, dtype=torch.int8, device=line.device)
    change[line[long], first[long]] = 1
    change[line[long], last[long] + 1] = -1
    inside = change.cumsum(dim=1, dtype=torch.int8)[:, :-1].bool()
    pixels = blank[:, : groups.shape[1] * _GROUP_PX].unflatten(1, (-1, _GROUP_PX))
    pixels |= inside[:, :, None]
    blank[line[long], (last[long] + 1) * _GROUP_PX] = True
    for place, equal in ((before, equal_before), (after, equal_after)):
        chosen = equal & long[:, None]
        blank[line[:, None].expand_as(chosen)[chosen], place[chosen]] = True


def _equal_beside(
    lines: Float[Tensor, "lines n"], line: Int[Tensor, "runs"], end: Int[Tensor, "runs"], side: int
) -> tuple[Int[Tensor, "runs 7"], Bool[Tensor, "runs 7"]]:
    """The seven places before (``side`` −1) or after (1) an end of a run, and which of them
    continue it.
    """
    place = end[:, None] + side * torch.arange(1, _GROUP_PX, device=end.device)
    inside = (place >= 0) & (place < lines.shape[1])
    place = place.clamp(0, lines.shape[1] - 1)
    equal = inside & (lines[line[:, None], place] == lines[line, end][:, None])
    return place, equal.cumprod(dim=1).bool()
