"""Bonds of an atomic model as round sticks in a picture, seen without perspective."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree

from restore.report.frame import Frame
from restore.report.rays import Hits
from restore.report.shading import Colour

RADIUS_A = 0.2
LONGEST_BOND_A = 1.9
ELEMENT_COLOURS: dict[str, Colour] = {
    "N": (0.19, 0.31, 0.97),
    "O": (0.93, 0.16, 0.12),
    "S": (0.92, 0.78, 0.15),
    "P": (1.0, 0.5, 0.0),
}
CARBON: Colour = (0.93, 0.79, 0.55)


@dataclass(frozen=True)
class Stick:
    """A rod with round ends, between two places (right, up, toward) in Å from the middle of the
    picture.
    """

    start_A: Float[np.ndarray, "3"]
    end_A: Float[np.ndarray, "3"]
    colour: Colour


def bonds(position_A: Float[np.ndarray, "n 3"]) -> Int[np.ndarray, "bonds 2"]:
    """The pairs of atoms less than 1.9 Å apart."""
    return KDTree(position_A).query_pairs(LONGEST_BOND_A, output_type="ndarray").reshape(-1, 2)


def sticks(
    elements: tuple[str, ...], seen_A: Float[np.ndarray, "n 3"], carbon: Colour = CARBON
) -> list[Stick]:
    """Two sticks for each bond, each in the colour of its atom's element: carbon as given, oxygen
    red, nitrogen blue.
    """
    drawn: list[Stick] = []
    for one, other in bonds(seen_A):
        middle = (seen_A[one] + seen_A[other]) / 2
        drawn += [
            Stick(seen_A[each], middle, ELEMENT_COLOURS.get(elements[each], carbon))
            for each in (one, other)
        ]
    return drawn


def stick_hits(
    drawn: Sequence[Stick], frame: Frame
) -> tuple[Hits, Float[np.ndarray, "rows columns 3"]]:
    """The surface of the nearest stick in each pixel, and its colour (white where there is none)."""
    depth_A = np.full(frame.shape, np.nan, np.float32)
    normal = np.zeros((*frame.shape, 3), np.float32)
    colour = np.ones((*frame.shape, 3), np.float32)
    for stick in drawn:
        part = _window(stick, frame)
        found_A, faces = _surface(stick, frame.right_A[None, part[1]], frame.up_A[part[0], None])
        nearer = ~np.isnan(found_A) & ~(found_A <= depth_A[part])
        depth_A[part][nearer], normal[part][nearer], colour[part][nearer] = (
            found_A[nearer],
            faces[nearer],
            stick.colour,
        )
    return Hits(depth_A, normal), colour


def _window(stick: Stick, frame: Frame) -> tuple[slice, slice]:
    """The rows and columns that the stick can touch."""
    ends = np.stack([stick.start_A, stick.end_A])
    low, high = ends.min(0) - RADIUS_A, ends.max(0) + RADIUS_A
    top, bottom = np.searchsorted(-frame.up_A, [-high[1], -low[1]])
    left, right = np.searchsorted(frame.right_A, [low[0], high[0]])
    return slice(int(top), int(bottom)), slice(int(left), int(right))


def _surface(
    stick: Stick, right_A: Float[np.ndarray, "1 columns"], up_A: Float[np.ndarray, "rows 1"]
) -> tuple[Float[np.ndarray, "rows columns"], Float[np.ndarray, "rows columns 3"]]:
    """The front of a stick: the nearest of the balls whose centres lie along it; NaN beside it.

    With x the place of a ball's centre along the stick's picture, from where the pixel stands, the
    front of the ball lies at depth slope x + sqrt(R² − x²), up to a constant: highest at x = slope
    R / sqrt(1 + slope²).
    """
    along = stick.end_A - stick.start_A
    length_A = max(math.hypot(along[0], along[1]), 1e-9)
    slope = along[2] / length_A
    ahead, aside = right_A - stick.start_A[0], up_A - stick.start_A[1]
    passed_A = (ahead * along[0] + aside * along[1]) / length_A
    beside_A = (aside * along[0] - ahead * along[1]) / length_A
    reach_A = np.sqrt(np.clip(RADIUS_A**2 - beside_A**2, 0, None))
    share = np.clip((passed_A + slope * reach_A / math.sqrt(1 + slope**2)) / length_A, 0, 1)
    centre = stick.start_A + share[..., None] * along
    offset = np.stack([right_A - centre[..., 0], up_A - centre[..., 1]], axis=-1)
    high_A = np.sqrt(np.clip(RADIUS_A**2 - (offset**2).sum(-1), 0, None))
    depth_A = np.where((offset**2).sum(-1) < RADIUS_A**2, centre[..., 2] + high_A, np.nan)
    return depth_A, np.concatenate([offset, high_A[..., None]], axis=-1) / RADIUS_A
