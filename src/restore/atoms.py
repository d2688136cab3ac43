"""The atoms of a model: elements, positions, B factors and occupancies. It does not
import torch.
"""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class Atoms:
    """Elements and positions, xyz in Å, of n atoms.

    By default each atom has a B factor of zero and full occupancy.
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
