"""How images are prepared for the network: what training and use must agree on."""

import math
from dataclasses import asdict, dataclass
from typing import Any

from restore.errors import UserError

_HIGHEST_ORDER = 6


@dataclass(frozen=True)
class Recipe:
    """How images are prepared for the network: what training and denoising must have in common.

    Attributes
    ----------
    max_resolution_A
        Finest resolution in Å; it becomes the Nyquist limit of the cropped image.
    phase_flip
        Correct the CTF by flipping phases.
    highpass_A
        Length in Å beyond which the band-pass filter removes slow changes of the grey value.
    background_order
        Degree of the polynomial surface that is subtracted as background.
    hot_pixel_sigma
        Number of local standard deviations from which on a pixel counts as hot and is replaced;
        infinity replaces none.

    Raises
    ------
    UserError
        A value is impossible, or of another type.

    Examples
    --------
    >>> Recipe(max_resolution_A=6).card()["max_resolution_A"]
    6
    """

    max_resolution_A: float = 4.5
    phase_flip: bool = True
    highpass_A: float = 200.0
    background_order: int = 2
    hot_pixel_sigma: float = 10.0

    def __post_init__(self) -> None:
        if type(self.phase_flip) is not bool:
            raise UserError(f"phase_flip is {self.phase_flip!r}", wanted="it must be true or false")
        for name in ("max_resolution_A", "highpass_A", "hot_pixel_sigma", "background_order"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise UserError(f"{name} is {value!r}", wanted="it must be a number")
        if not self.hot_pixel_sigma > 0:
            raise UserError(
                f"hot_pixel_sigma is {self.hot_pixel_sigma:g}", wanted="it must be more than 0"
            )
        if self.background_order not in range(_HIGHEST_ORDER + 1):
            raise UserError(
                f"background_order is {self.background_order:g}",
                wanted=f"it must be a whole number from 0 to {_HIGHEST_ORDER}",
            )
        if not (0 < self.max_resolution_A < self.highpass_A < math.inf):
            raise UserError(
                f"max_resolution is {self.max_resolution_A:g} Å",
                wanted=f"it must be between 0 and {self.highpass_A:g} Å",
            )

    def card(self) -> dict[str, Any]:
        """The recipe as plain values, for a file."""
        return asdict(self)

    @classmethod
    def from_card(cls, card: dict[str, Any]) -> "Recipe":
        """The recipe that `card` wrote; ValueError where a field is missing or unknown."""
        try:
            return cls(**card)
        except TypeError as error:
            raise ValueError(f"not a recipe: {error}") from None
