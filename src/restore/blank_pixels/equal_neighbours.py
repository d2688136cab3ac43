"""Runs of one value along a row or a column of an image that are too long to be chance."""

import math

import torch
from jaxtyping import Bool, Float
from torch import Tensor

_SHORTEST_RUN_PX = 16
_CHANCE_RUNS = 1e-6  # chance runs expected in an image
_SAMPLED_ROWS, _SAMPLE_PX = 8, 64
_ALL_EQUAL = 0x0101010101010101  # eight true bools, read as one integer


def equal_neighbours(image: Float[Tensor, "y x"]) -> Bool[Tensor, "y x"] | None:
    """Pixels in runs of one value that are too long to be chance."""
    height, width = image.shape
    # Whether each pixel equals the one to its right, and the one below it. Rows and columns are
    # padded to multiples of eight, so that eight answers can be read as one integer.
    padded = (-(-height // 8) * 8, -(-width // 8) * 8)
    right = torch.zeros(padded, dtype=torch.bool, device=image.device)
    below = torch.zeros_like(right)
    torch.eq(image[:, 1:], image[:, :-1], out=right[:height, : width - 1])
    torch.eq(image[1:], image[:-1], out=below[: height - 1, :width])
    # Groups of eight along the run: in a run of 16 pixels or more there is at least one that is
    # equal throughout.
    groups_right = right.view(torch.int64) == _ALL_EQUAL
    folded = below.view(torch.int64)
    for _ in range(3):
        folded = folded[::2] & folded[1::2]
    groups_below = folded.contiguous().view(torch.bool)
    if not (groups_right.any() or groups_below.any()):
        return None
    shortest_px = max(_SHORTEST_RUN_PX, _chance_length(right[:height, : width - 1]))
    blank = torch.zeros(height, width, dtype=torch.bool, device=image.device)
    rows = _lines_with_runs(groups_right[:height], shortest_px)
    columns = _lines_with_runs(groups_below.T, shortest_px)
    columns = columns[columns < width]
    if len(rows):
        blank[rows] |= _runs(right[:height][rows][:, : width - 1], shortest_px)
    if len(columns):
        blank[:, columns] |= _runs(below[: height - 1, columns].T, shortest_px).T
    return blank if blank.any() else None


def _chance_length(equal: Bool[Tensor, "y x"]) -> int:
    """The length of a run of equal pixels that chance makes in one image of a million.

    With P the probability of the commonest value, a run of n pixels has the probability Pⁿ, and P²
    is at most that of two equal neighbours. The latter is measured in blocks; the nine-tenths
    quantile of those that are not equal throughout is that of the darkest areas of the image.
    """
    sample = equal[::_SAMPLED_ROWS]
    side = min(_SAMPLE_PX, sample.shape[1])
    rows = max(1, min(side // _SAMPLED_ROWS, sample.shape[0]))
    sample = sample[: sample.shape[0] // rows * rows, : sample.shape[1] // side * side]
    shares = sample.unflatten(1, (-1, side)).unflatten(0, (-1, rows)).float().mean(dim=(1, 3))
    mixed = shares[shares < 1]
    pair = float(mixed.quantile(0.9)) if mixed.numel() else 0.0
    # A sampled share of nothing still allows for one pair in a thousand.
    single = math.sqrt(max(pair, 1e-3))
    return math.ceil(math.log(_CHANCE_RUNS / equal.numel()) / math.log(min(single, 1 - 1e-6)))


def _lines_with_runs(groups: Bool[Tensor, "lines groups"], length_px: int) -> Tensor:
    """The numbers of the lines that may hold a run of ``length_px`` pixels: those with as many
    groups of eight equal pairs in a row as it must contain.
    """
    consecutive = _eroded(groups, max(1, (length_px - 1 - 7) // 8))
    return consecutive.any(dim=1).nonzero()[:, 0]


def _runs(equal: Bool[Tensor, "lines pairs"], length_px: int) -> Bool[Tensor, "lines pixels"]:
    """The pixels that are in a run of at least ``length_px`` equal ones; a line has one pixel more
    than pairs.
    """
    lines, pairs = equal.shape
    starts = _eroded(equal, length_px - 1)
    inside = torch.zeros(lines, pairs + 1, dtype=torch.bool, device=equal.device)
    inside[:, : starts.shape[1]] = starts
    # Each start marks the pixels after it, as many at a time as have been marked already.
    reach = 1
    while reach < length_px:
        step = min(reach, length_px - reach)
        inside[:, step:] = inside[:, step:] | inside[:, :-step]
        reach += step
    return inside


def _eroded(flags: Bool[Tensor, "lines n"], length: int) -> Bool[Tensor, "lines m"]:
    """Where ``length`` flags in a row begin, all of which are set."""
    if length > flags.shape[1]:
        return flags[:, :0]
    reach = 1
    while reach < length:
        step = min(reach, length - reach)
        flags = flags[:, :-step] & flags[:, step:]
        reach += step
    return flags
