"""The halves of one micrograph in the form in which they are compared: raw, denoised, and their
difference.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from restore.preprocessing import Grid

Image = Float[Tensor, "y x"]
Halves = tuple[Image, Image]
BinnedHalves = tuple[Float[Tensor, "rows columns"], Float[Tensor, "rows columns"]]


@dataclass(frozen=True)
class Views:
    """The two halves of a micrograph in the form in which they are compared, all in one scale;
    ``nothing`` is EVN − ODD, raw and denoised.

    ``blank`` marks pixels that hold no data, and is None if there are none; ``blank_share`` is
    their share of the raw image. ``remarks`` are what the checks found, in sentences.
    """

    raw: Halves
    denoised: Halves
    nothing: Halves | None
    grid: Grid
    hot_pixels: int
    blank: Bool[Tensor, "y x"] | None = None
    blank_share: float = 0.0
    remarks: tuple[str, ...] = ()

    def remarked(self, remarks: Iterable[str]) -> "Views":
        """The views with more remarks."""
        return replace(self, remarks=(*self.remarks, *remarks))


def as_remark(words: str) -> str:
    """The words of a message in the log as a sentence of `Views.remarks`."""
    return f"{words[0].upper()}{words[1:]}."


def stacked(halves: Halves, blank: Bool[Tensor, "y x"] | None) -> Float[Tensor, "2 y x"]:
    """Both halves, with zeros in the pixels that hold no data."""
    both = torch.stack(halves)
    return both if blank is None else both.masked_fill(blank, 0)


def valid_values(image: Image, blank: Bool[Tensor, "y x"] | None) -> Tensor:
    """The values of the pixels that hold data."""
    return image if blank is None else image[~blank]
