"""Faults of a pair of halves: identical, inverted, shifted, flipped, unrelated."""

from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from restore import fourier

Finding = Literal["usable", "identical", "inverted", "shifted", "flipped", "unrelated", "unclear"]

IDENTICAL_FROM = 0.999
"""Halves whose correlation is higher have no independent noise."""

LOST_BY_FILLING, MOST_LOST = 0.3, 0.03
"""With a share p of pixels without data, halves are identical whose correlation in the others is
higher than ``IDENTICAL_FROM`` − 0.3 p (− 0.03 at most): the filling differs between halves, and
phase flipping carries it into other pixels. The correlation of identical images of 512×576 pixels
of 2 Å, prepared to 5 Å, at a defocus of 1.1 µm is 0.999 with a border of 6 pixels on one side,
0.983 with 40 pixels on four sides, and 0.973 if half of the image holds no data.
"""

CLEAR, VERY_CLEAR = 5.0, 8.0
"""The number of standard deviations above which a value of a correlation map is significant: at one
given place, and at the best of all places.
"""

LOW_SHARE = 0.35
"""Correlation maps use frequencies up to this share of the Nyquist frequency, where there is
signal.
"""

FEWEST_COMPONENTS = 2000
"""An image with fewer Fourier components there may be too small to show what its halves have in
common.
"""

WHAT_IS_WRONG: dict[str, tuple[str, str]] = {
    "identical": (
        "the halves of {name} are identical",
        "give the sums of the even and of the odd frames: without independent noise there is "
        "nothing to learn",
    ),
    "inverted": (
        "one half of {name} has the contrast of the other inverted",
        "make the halves again with the same contrast",
    ),
    "shifted": (
        "the halves of {name} are shifted against each other",
        "make the halves again from frames that are aligned to the same reference",
    ),
    "flipped": (
        "one half of {name} is upside down or mirrored",
        "make the halves again with the same program, or flip one half back",
    ),
    "unrelated": (
        "the halves of {name} have no signal in common",
        (
            "check that both belong to the same micrograph, and check the names of the even and "
            "odd halves"
        ),
    ),
}
"""The message and the advice for each finding; ``{name}`` stands for the micrograph's name."""


def finding_of(halves: Float[Tensor, "2 y x"], blank: Bool[Tensor, "y x"] | None = None) -> Finding:
    """The fault of a pair of halves, if any, from the map of their correlation at every shift.

    For matching halves the map is highest at zero shift. ``unclear`` means that the images are too
    small for their halves to be called unrelated. ``blank`` marks pixels without data, which hold
    different noise in the two halves.
    """
    if are_identical(halves, blank):
        return "identical"
    first, second = (half - half.mean() for half in halves)
    correlation = correlation_map(first, second)
    here, (best, offset) = float(correlation[0, 0]), _highest(correlation)
    lowest = float(correlation.min())
    if here < -CLEAR and lowest < -VERY_CLEAR and -lowest > best:
        return "inverted"
    far = max(offset) > 1
    if far and best > VERY_CLEAR and best > 1.2 * here + CLEAR:
        return "shifted"
    if here > CLEAR:
        return "usable"
    if any(_highest(correlation_map(first, turned))[0] > VERY_CLEAR for turned in _flips(second)):
        return "flipped"
    components = (first.shape[0] * LOW_SHARE) * (first.shape[1] * LOW_SHARE)
    weak = here < CLEAR / 2
    return "unrelated" if weak and components > FEWEST_COMPONENTS else "unclear"


def are_identical(halves: Float[Tensor, "2 y x"], blank: Bool[Tensor, "y x"] | None) -> bool:
    """Whether the halves, in any scale, have no independent noise in the pixels that are not
    ``blank``: their correlation exceeds `IDENTICAL_FROM`, less what filling takes from it.
    """
    if blank is None:
        first, second = (half - half.mean() for half in halves)
        scale = (first.square().mean() * second.square().mean()).sqrt()
        return float((first * second).mean() / scale) > IDENTICAL_FROM
    first, second = (half[~blank] for half in halves)
    first, second = ((half - half.mean()) / half.std() for half in (first, second))
    # For normal distributions of unit variance, the ratio of the medians is √(2 − 2 correlation).
    # Medians ignore the neighbourhood of blank pixels, where the filling has most influence.
    ratio = float((first - second).abs().median() / first.abs().median())
    lost = min(LOST_BY_FILLING * float(blank.float().mean()), MOST_LOST)
    return 1 - ratio**2 / 2 > IDENTICAL_FROM - lost


def correlation_map(
    first: Float[Tensor, "y x"], second: Float[Tensor, "y x"]
) -> Float[Tensor, "y x"]:
    """The correlation of the low frequencies at every cyclic shift, in its own standard deviations.

    Every component has the same weight (phases are correlated, not amplitudes), so that a strong
    gradient does not hide the rest.
    """
    shape = (first.shape[0], first.shape[1])
    product = fourier.spectrum_of(first) * fourier.spectrum_of(second).conj()
    frequency = fourier.frequency_per_A(shape, (1.0, 1.0), product.device)
    inside = (frequency > 0) & (frequency < LOW_SHARE / 2)
    phases = torch.where(inside, product / (product.abs() + 1e-30), 0)
    correlation = fourier.image_of(phases, shape)
    return correlation / correlation.square().mean().sqrt()


def _highest(correlation: Float[Tensor, "y x"]) -> tuple[float, tuple[int, int]]:
    """The highest value, and its distance from zero shift along each axis."""
    place = int(correlation.argmax())
    row, column = divmod(place, correlation.shape[1])
    far = (min(row, correlation.shape[0] - row), min(column, correlation.shape[1] - column))
    return float(correlation.max()), far


def _flips(image: Float[Tensor, "y x"]) -> list[Float[Tensor, "y x"]]:
    return [image.flip(0), image.flip(1), image.flip((0, 1))]
