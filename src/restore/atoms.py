"""The atoms of a model: what scatters, where, how sharply, how much of it; no torch."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Atoms:
    """Elements and positions, xyz in Å, of n atoms.

    Where nothing else is said, each has a B factor of zero, as sharp as its scattering factor, and
    is there wholly.
    """

    elements: tuple[str, ...]
    position_A: Float[np.ndarray, "n 3"]
    bfactor_A2: Float[np.ndarray, "n"] = field(default_factory=lambda: np.zeros(0))
    occupancy: Float[np.ndarray, "n"] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        for name, value in (("bfactor_A2", 0.0), ("occupancy", 1.0)):
            numbers = getattr(self, name)
            if len(numbers) == 0:
                object.__setattr__(self, name, np.full(len(self.elements), value))
            elif len(numbers) != len(self.elements):
                raise ValueError(
                    f"{len(self.elements)} elements, but {name} has {len(numbers)} values"
                )
