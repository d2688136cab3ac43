"""Maps beside each other in one picture: a column for each map, a row for each kind of it and for
each stretch of residues.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from restore.io.residues import Residues
from restore.maps.contour import Contour
from restore.report.frame import VIEWS
from restore.report.gallery import Column, Tile, side_by_side
from restore.report.numerals import figure
from restore.report.rays import Solid
from restore.report.region import region_frame, region_picture
from restore.report.shading import Colour
from restore.report.surface import BLUE, GREY, RED, middle_frame, surface_picture

COLOURS: tuple[Colour, ...] = (
    BLUE,
    RED,
    (0.45, 0.68, 0.50),
    (0.86, 0.68, 0.36),
    (0.62, 0.50, 0.76),
    GREY,
)
ROWS = ("", "sharpened")
_ROOM = 1.06  # around the largest map


@dataclass(frozen=True)
class Shown:
    """A map's column: its title, its surface, then that of the sharpened map where there is one,
    and its colour.

    ``origin_A`` is where the map's first voxel lies in the model, in x, y and z.
    """

    title: str
    contours: tuple[Contour, ...]
    origin_A: tuple[float, float, float] = (0.0, 0.0, 0.0)
    colour: Colour = BLUE


def views_picture(
    shown: Sequence[Shown],
    views: Sequence[str] = ("side", "top"),
    residues: Sequence[Residues] = (),
    side_px: int = 480,
) -> Image.Image:
    """Every map from these sides (names among ``VIEWS``), on one scale, then each stretch of
    residues in its density.

    Residues are drawn in the last surface of each map. Under the title stand level and volume of
    each surface.
    """
    width_px = max(len(views) * side_px, round(1.4 * side_px) if residues else 0)
    extent_A = _extent_A(shown, views)
    return side_by_side(
        [
            Column(
                each.title,
                " · ".join(_words(contour) for contour in each.contours),
                each.colour,
                [*_surfaces(each, views, side_px, extent_A), *_regions(each, residues, width_px)],
            )
            for each in shown
        ],
        width_px,
        side_px // 24,
    )


def _words(contour: Contour) -> str:
    return f"{contour.volume_A3 / 1000:,.0f} nm³ above {figure(contour.level)}".replace(",", " ")


def _surfaces(
    shown: Shown, views: Sequence[str], side_px: int, extent_A: float
) -> Iterator[list[Tile]]:
    for contour, row in zip(shown.contours, ROWS, strict=False):
        if views:
            yield [
                _surface(contour, view, side_px, extent_A, (shown.colour, row)) for view in views
            ]


def _surface(
    contour: Contour, view: str, side_px: int, extent_A: float, look: tuple[Colour, str]
) -> Tile:
    solid, (colour, row) = _solid(contour), look
    pixels = surface_picture(solid, middle_frame(solid, side_px, extent_A, view), colour)
    return Tile(pixels, extent_A / side_px, ", ".join(filter(None, (view, row))))


def _regions(shown: Shown, residues: Sequence[Residues], width_px: int) -> Iterator[list[Tile]]:
    for each in residues:
        origin_A = np.array(shown.origin_A)
        frame = region_frame(each.position_A - origin_A, width_px, round(0.75 * width_px))
        pixels = region_picture(_solid(shown.contours[-1]), each, origin_A, frame, shown.colour)
        words = str(each.stretch).replace("-", "–")
        yield [Tile(pixels, frame.pixel_size_A, words)]


def _solid(contour: Contour) -> Solid:
    return Solid(contour.density, contour.voxel_size_zyx_A, contour.level)


def _extent_A(shown: Sequence[Shown], views: Sequence[str]) -> float:
    """The side of the square about the middle of its box that holds every surface in every view."""
    reach_A = 0.0
    for contour in (contour for each in shown for contour in each.contours):
        above = contour.density > contour.level
        for number, axis in enumerate("zyx"):
            if any(axis in _across(view) for view in views):
                rest = [other for other in range(3) if other != number]
                occupied = above.amax(dim=rest).nonzero()[:, 0].numpy()
                middle = (above.shape[number] - 1) / 2
                reach_A = max(
                    reach_A,
                    float(np.abs(occupied - middle).max() + 1) * contour.voxel_size_zyx_A[number],
                )
    return 2 * _ROOM * reach_A


def _across(view: str) -> set[str]:
    """The axes of the map that lie in the plane of the picture."""
    return {
        axis
        for direction in VIEWS[view][:2]
        for axis, part in zip("xyz", direction, strict=True)
        if part
    }
