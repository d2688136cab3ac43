"""The shaded surface of a volume as a picture."""

import numpy as np
from jaxtyping import Float, UInt8

from restore.report.frame import VIEWS, Frame
from restore.report.rays import Solid, first_hits
from restore.report.shading import Colour, as_bytes, shaded, shrunk_colours

FINER = 2  # pixels along each side of a pixel, averaged in the end
BLUE: Colour = (0.36, 0.55, 0.80)
RED: Colour = (0.84, 0.42, 0.38)
GREY: Colour = (0.72, 0.74, 0.77)


def surface_picture(
    solid: Solid, frame: Frame, colour: Colour = GREY
) -> UInt8[np.ndarray, "rows columns 3"]:
    """The surface of the density at its level, lit from the upper left, on white."""
    fine = frame.finer(FINER)
    return as_bytes(
        shrunk_colours(shaded(first_hits(solid, fine), colour, fine.pixel_size_A), FINER)
    )


def middle_frame(
    solid: Solid, side_px: int, extent_A: float, view: str | Float[np.ndarray, "3 3"] = "top"
) -> Frame:
    """The middle of a map's box in a square picture of this extent.

    ``view`` is a name among ``VIEWS``, or the directions right, up and toward the viewer as rows,
    in x, y and z.
    """
    axes = np.array(VIEWS[view], float) if isinstance(view, str) else view
    size_xyz_A = (np.array(solid.density.shape[::-1]) - 1) * np.array(solid.voxel_size_zyx_A[::-1])
    return Frame(axes, size_xyz_A / 2, (side_px, side_px), extent_A / side_px)
