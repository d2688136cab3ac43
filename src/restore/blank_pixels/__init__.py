"""Recognition of pixels without data.

Motion correction leaves flat borders, some programs mask areas out, and beyond the edge of the beam
there are no electrons. Such pixels are recognised by three signs:

- *Equal neighbours*: runs of one value along a row or a column that are too long to be chance. How
  long that is follows from the image itself, because counting images repeat their values.
- *No electrons*: blocks of 16×16 pixels whose standard deviation is less than a tenth of the usual
  one, which is less than 1 % of the electrons (gold and carbon let more through), or whose mean is
  less than 5 % of the usual one where grey values count from zero.
- *Far-off lines* along the four sides: a row or column at the border that, as a whole, lies more
  than five standard deviations of a pixel from the rows or columns further in, and ends in a step.

From noiseless areas the search continues along a soft edge (of the beam, of a mask) until the image
has returned to its usual grey value.
"""

import math
from functools import reduce

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import max_pool2d

from restore.background import BLOCK_PX, marked_in_blocks
from restore.blank_pixels.equal_neighbours import equal_neighbours

_NOISELESS = 0.1  # of the usual standard deviation
_UPPER, _UPPER_IN_SIGMA = 0.65, 0.385  # a quantile of the normal distribution, above the median
_DEVIATIONS_OF_BLOCKS = 6.0
_GLANCED_ROWS = 8  # of which one is examined first
_GLANCE = 1.5  # how much an estimate from them may be wrong
_DARK_AT_A_GLANCE = 0.5  # of the usual grey value
_BRIGHT, _DARK = 5.0, 0.05  # of the usual deviation; of the usual grey value
_SOFT_EDGE_BLOCKS = 24
_FLAT_SLOPE, _BACK_AT = 0.04, 0.02  # of the depth of the area without data
_LEAST_STEP, _LEAST_SCATTER = 0.5, 4.0  # standard deviations of pixels, and of block means
_AS_DEEP, _DEEP = 0.9, 3.0

_FLAT_SHARE = 0.9  # of pixels that equal both neighbours
_WIDEST_BORDER_PX = 100
_FAR_OFF = 5.0


def find_blank_pixels(image: Float[Tensor, "y x"]) -> Bool[Tensor, "y x"] | None:
    """A mask of the pixels of a raw image that hold no data; None if all of them do, or none does
    (the caller must reject a constant image).

    The image must be a raw one: without noise (a simulated truth, a denoised image), areas without
    contrast would be taken for areas without data.
    """
    blank = _search(image)
    return None if blank is None or blank.all() else blank


def is_without_data(image: Float[Tensor, "y x"]) -> bool:
    """Whether an image consists of flat areas of several values, and of nothing else."""
    # Stripes and gradients along one axis are flat along the other one alone, so both are asked;
    # one pixel in 64 is enough to dismiss nearly every image.
    inside = image[:-1:_GLANCED_ROWS, :-1:_GLANCED_ROWS]
    right = image[:-1:_GLANCED_ROWS, 1::_GLANCED_ROWS]
    below = image[1::_GLANCED_ROWS, :-1:_GLANCED_ROWS]
    flat = (inside == right) & (inside == below)
    if int(flat.count_nonzero()) < _FLAT_SHARE * flat.numel() or bool((image == image[0, 0]).all()):
        return False
    blank = _search(image)
    return blank is not None and bool(blank.all())


def _search(image: Float[Tensor, "y x"]) -> Bool[Tensor, "y x"] | None:
    """All pixels that look blank, even if these are all of them; None if none does."""
    blank = union([equal_neighbours(image), _far_off_lines(image)])
    return union([blank, _without_noise(image, blank)])


def union(masks: list[Bool[Tensor, "y x"] | None]) -> Bool[Tensor, "y x"] | None:
    """The pixels marked in any of the masks; None if there are none."""
    marked = [mask for mask in masks if mask is not None]
    return reduce(torch.logical_or, marked) if marked else None


def _far_off_lines(image: Float[Tensor, "y x"]) -> Bool[Tensor, "y x"] | None:
    """The rows and columns at the four sides, up to 100 on each, that are far off as a whole."""
    # The four sides: lines are counted from the border inwards.
    top, left = _border_width(image), _border_width(image.T)
    bottom, right = _border_width(image, -1), _border_width(image.T, -1)
    if not (top or left or bottom or right):
        return None
    blank = torch.zeros(image.shape, dtype=torch.bool, device=image.device)
    blank[:top] = True
    blank[image.shape[0] - bottom :] = True
    blank[:, :left] = True
    blank[:, image.shape[1] - right :] = True
    return blank


def _border_width(image: Float[Tensor, "lines n"], direction: int = 1) -> int:
    """The number of lines at the first (or, with ``direction`` −1, the last) end that are far off.

    Medians are compared, over the middle three quarters of each line, so that hot pixels and the
    borders of the other two sides have no effect.
    """
    widest = min(_WIDEST_BORDER_PX, image.shape[0] // 4)
    margin = image.shape[1] // 8
    middle = image[:, margin : image.shape[1] - margin]

    def lines(start: int, stop: int) -> Float[Tensor, "lines m"]:
        """Lines ``start`` … ``stop`` from the border."""
        count = image.shape[0]
        return middle[start:stop] if direction == 1 else middle[count - stop : count - start]

    further_in = lines(widest, widest + BLOCK_PX)
    usual = further_in.median()
    segments = further_in[:, : further_in.shape[1] // BLOCK_PX * BLOCK_PX]
    deviation = segments.unflatten(1, (-1, BLOCK_PX)).std(dim=2).median()
    limit = _FAR_OFF * float(deviation)
    if not limit > 0:
        return 0
    width = 0
    while width < widest and abs(float(lines(width, width + 1).median() - usual)) > limit:
        width += 1
    if width in (0, widest):
        return 0
    # A border ends in a step, which interpolation may spread over two lines; a steep gradient of
    # the ice has none.
    step = lines(width - 1, width).median() - lines(width + 1, width + 2).median()
    return width if abs(float(step)) > limit / 2 else 0


def _without_noise(
    image: Float[Tensor, "y x"], blank: Bool[Tensor, "y x"] | None
) -> Bool[Tensor, "y x"] | None:
    """Blocks without noise, and the soft edges around them and around ``blank`` pixels."""
    if blank is None and not _may_lack_noise(image):
        return None
    means, deviations, counts = _block_statistics(image, blank)
    enough = counts >= BLOCK_PX  # of the 128 pixels that are examined in a block
    full = counts >= counts.max() / 2
    usual, deviation = means[full].median(), deviations[full].median()
    # Where electrons are few, blocks without any are chance: the deviation then differs so much
    # from block to block that nothing can be said.
    spread = (deviations[full].quantile(_UPPER) - deviation) / _UPPER_IN_SIGMA
    noiseless = enough & (deviations < _NOISELESS * deviation)
    noiseless = _opened(noiseless) & (_DEVIATIONS_OF_BLOCKS * spread < deviation)
    if usual > _BRIGHT * deviation:  # grey values count from zero: dark blocks got no electrons
        noiseless |= enough & (means < _DARK * usual)
    if not (noiseless.any() or (blank is not None)):
        return None
    # How far each seed lies from the usual grey value; the one pixel in the middle of a block
    # stands for a block without valid pixels.
    middles = image[BLOCK_PX // 2 :: BLOCK_PX, BLOCK_PX // 2 :: BLOCK_PX]
    levels = torch.where(enough, means, middles[: means.shape[0], : means.shape[1]])
    # Blocks differ in noise, signal and ice: an edge must stand out from that.
    scatter = 1.4826 * (means[full] - usual).abs().median()
    least = max(_LEAST_STEP * float(deviation), _LEAST_SCATTER * float(scatter))
    edges = _soft_edges(levels - usual, noiseless | ~enough, enough & ~noiseless, least)
    marked = noiseless | edges
    return _pixels_of(marked, (image.shape[0], image.shape[1])) if marked.any() else None


def _may_lack_noise(image: Float[Tensor, "y x"]) -> bool:
    """Whether a block may be noiseless or dark, by an eighth of the image's rows.

    The standard deviation of a quarter of a block's pixels is at most twice that of all of them.
    """
    means, deviations, _ = _block_statistics(image, None, _GLANCED_ROWS)
    usual, deviation = means.median(), deviations.median()
    noiseless = deviations <= _GLANCE * 2 * _NOISELESS * deviation
    dark = (means < _DARK_AT_A_GLANCE * usual) & (_GLANCE * usual > _BRIGHT * deviation)
    return bool((noiseless | dark).any())


def _opened(blocks: Bool[Tensor, "rows columns"]) -> Bool[Tensor, "rows columns"]:
    """The marked blocks that are part of a marked square of 2×2."""
    squares = blocks[1:, 1:] & blocks[1:, :-1] & blocks[:-1, 1:] & blocks[:-1, :-1]
    opened = torch.zeros_like(blocks)
    for rows in (slice(1, None), slice(None, -1)):
        for columns in (slice(1, None), slice(None, -1)):
            opened[rows, columns] |= squares
    return opened


def _block_statistics(
    image: Float[Tensor, "y x"], blank: Bool[Tensor, "y x"] | None, every: int = 2
) -> tuple[
    Float[Tensor, "rows columns"], Float[Tensor, "rows columns"], Float[Tensor, "rows columns"]
]:
    """Mean, standard deviation and number of the valid pixels of each block, in its rows 0,
    ``every`` …
    """
    inside = tuple(slice(side // BLOCK_PX * BLOCK_PX) for side in image.shape)
    rows = image[inside][::every]
    per_block = BLOCK_PX // every
    offset = rows[rows.shape[0] // 2].mean()  # large numbers have no digits left for a variance
    values = (rows - offset).unflatten(1, (-1, BLOCK_PX)).unflatten(0, (-1, per_block))
    if blank is None:
        counts = torch.full(
            (values.shape[0], values.shape[2]), float(BLOCK_PX * per_block), device=image.device
        )
    else:
        values.masked_fill_(blank[inside][::every].view_as(values), 0)
        counts = BLOCK_PX * per_block - marked_in_blocks(blank[inside][::every], per_block)
    means = values.sum(dim=(1, 3)) / counts.clamp(min=1)
    squares = torch.linalg.vector_norm(values, dim=(1, 3)).square() / counts.clamp(min=1)
    return means + offset, (squares - means.square()).clamp(min=0).sqrt(), counts


def _soft_edges(
    distance: Float[Tensor, "rows columns"],
    seeds: Bool[Tensor, "rows columns"],
    with_data: Bool[Tensor, "rows columns"],
    least: float,
) -> Bool[Tensor, "rows columns"]:
    """The blocks on the slope between seeds and the image, up to 24 blocks away.

    ``distance`` is that of each block's mean from the usual grey value, ``least`` what is more than
    noise and signal. A block is on the slope when
    it lies on the seeds' side of that value, and means change around it (on a plateau, such as gold
    beside a border, they do not), or when it is as far off as the seeds themselves.
    """
    infinite = torch.full_like(distance, math.inf)
    highest = _largest_around(torch.where(with_data, distance, -infinite))
    lowest = -_largest_around(torch.where(with_data, -distance, -infinite))
    slope = highest - lowest
    edges = torch.zeros_like(seeds)
    for side in (1, -1):
        depth = torch.where(seeds, side * distance, 0).clamp(min=0)
        for _ in range(_SOFT_EDGE_BLOCKS):
            depth_around = _largest_around(depth)
            front = with_data & (depth == 0) & (depth_around > _DEEP * least)
            front &= side * distance > (_BACK_AT * depth_around).clamp(min=least)
            as_deep = side * distance > _AS_DEEP * depth_around
            front &= as_deep | (slope > (_FLAT_SLOPE * depth_around).clamp(min=least))
            if not front.any():
                break
            depth = torch.where(front, depth_around, depth)
            edges |= front
    return edges


def _largest_around(values: Float[Tensor, "rows columns"]) -> Float[Tensor, "rows columns"]:
    """The largest value among each block and its eight neighbours."""
    return max_pool2d(values[None, None], 3, stride=1, padding=1)[0, 0]


def _pixels_of(blocks: Bool[Tensor, "rows columns"], shape: tuple[int, int]) -> Bool[Tensor, "y x"]:
    """The pixels of marked blocks; an incomplete last row or column goes with its neighbour."""
    index = [
        (torch.arange(side, device=blocks.device) // BLOCK_PX).clamp(max=count - 1)
        for side, count in zip(shape, blocks.shape, strict=True)
    ]
    return blocks[index[0]][:, index[1]]
