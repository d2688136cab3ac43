"""From where a volume is looked at: directions, and the pixels of the picture."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

VIEWS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "top": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "side": ((1, 0, 0), (0, 0, 1), (0, -1, 0)),
    "right": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    "bottom": ((1, 0, 0), (0, -1, 0), (0, 0, -1)),
}
"""What points right, up and at the viewer, in x, y and z of the map: "top" looks down z, x right
and y up.
"""


@dataclass(frozen=True)
class Frame:
    """A picture of rows and columns of square pixels, seen without perspective.

    ``axes`` has the directions right, up and toward the viewer as rows, in x, y and z of the map.
    ``centre_A`` is what stands in the middle of the picture, in x, y and z from the map's first
    voxel.
    """

    axes: Float[np.ndarray, "3 3"]
    centre_A: Float[np.ndarray, "3"]
    shape: tuple[int, int]
    pixel_size_A: float

    def finer(self, times: int) -> "Frame":
        """The same view with this many pixels along each side of a pixel."""
        rows, columns = self.shape
        return replace(
            self, shape=(rows * times, columns * times), pixel_size_A=self.pixel_size_A / times
        )

    def from_behind(self) -> "Frame":
        """The same pixels, looked at from the other side; depths change their sign, and the picture
        is no mirror image.
        """
        return replace(self, axes=self.axes * np.array([[1.0], [1.0], [-1.0]]))

    @property
    def right_A(self) -> Float[np.ndarray, "columns"]:
        """How far right of the middle each column lies."""
        columns = self.shape[1]
        return (np.arange(columns) - (columns - 1) / 2) * self.pixel_size_A

    @property
    def up_A(self) -> Float[np.ndarray, "rows"]:
        """How far above the middle each row lies."""
        rows = self.shape[0]
        return ((rows - 1) / 2 - np.arange(rows)) * self.pixel_size_A

    def seen(self, position_A: Float[np.ndarray, "n 3"]) -> Float[np.ndarray, "n 3"]:
        """Places in x, y and z as places right, up and toward the viewer, from the middle."""
        return (position_A - self.centre_A) @ self.axes.T
