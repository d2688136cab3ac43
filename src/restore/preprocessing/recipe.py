"""The settings of preparation, which training and use must share."""

import math
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from restore.errors import UserError
from restore.records import MAY_BE_INFINITE, python_number

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
    6.0
    """

    exact: ClassVar[bool] = True
    """A file must have all of these fields and no others, so that an unknown step is never silently
    left out.
    """

    max_resolution_A: float = 4.5
    phase_flip: bool = True
    highpass_A: float = 200.0
    background_order: int = 2
    hot_pixel_sigma: float = field(default=10.0, metadata=MAY_BE_INFINITE)

    def __post_init__(self) -> None:
        for part in fields(self):
            object.__setattr__(self, part.name, python_number(getattr(self, part.name)))
        if type(self.phase_flip) is not bool:
            raise UserError(f"phase_flip is {self.phase_flip!r}", wanted="it must be true or false")
        for name in ("max_resolution_A", "highpass_A", "hot_pixel_sigma"):
            # 6 and 6.0 are the same recipe, with the same digest
            object.__setattr__(self, name, _number(name, getattr(self, name)))
        order = _number("background_order", self.background_order)
        if not self.hot_pixel_sigma > 0:
            raise UserError(
                f"hot_pixel_sigma is {self.hot_pixel_sigma:g}", wanted="it must be more than 0"
            )
        if order not in range(_HIGHEST_ORDER + 1):
            raise UserError(
                f"background_order is {order:g}",
                wanted=f"it must be a whole number from 0 to {_HIGHEST_ORDER}",
            )
        if not (0 < self.max_resolution_A < self.highpass_A < math.inf):
            raise UserError(
                f"max_resolution is {self.max_resolution_A:g} Å",
                wanted=f"it must be between 0 and {self.highpass_A:g} Å",
            )

        object.__setattr__(self, "background_order", int(order))

    def card(self) -> dict[str, Any]:
        """The recipe as plain values, for a file."""
        return asdict(self)


def _number(name: str, value: object) -> float:
    """The value of a field. Raises UserError if it is not a number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise UserError(f"{name} is {value!r}", wanted="it must be a number")
    return float(value)
