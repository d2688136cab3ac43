"""A few residues of a model as sticks, in the translucent density around them."""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.ndimage import map_coordinates
from scipy.spatial import KDTree

from restore.report.frame import Frame
from restore.report.rays import Hits, Solid, first_hits
from restore.report.shading import Colour, as_bytes, over, shaded, shrunk_colours
from restore.report.sticks import stick_hits, sticks
from restore.report.surface import FINER

ZONE_A = 2.6  # from an atom's centre: what is farther away is not drawn
_MARGIN_A = 1.2
_FINE_A = 0.4
_CLEAREST, _DENSEST = 0.22, 0.8  # opacity of a surface that faces the viewer, and of one seen edge on


def region_frame(position_A: Float[np.ndarray, "n 3"], shape: tuple[int, int]) -> Frame:
    """A view in which these atoms lie as flat and as wide as they can, and fill a picture of so many rows and columns.

    Right is the direction along which they spread most, up the next (principal components); the last atom lies right
    of the first, and z of the map, or else y, points up rather than down.
    """
    low, high = position_A.min(0), position_A.max(0)
    directions = np.linalg.svd(position_A - position_A.mean(0), full_matrices=True)[2]
    right, up = directions[0], directions[1]
    right = -right if right @ (position_A[-1] - position_A[0]) < 0 else right
    up = -up if (up[2], up[1]) < (0.0, 0.0) else up
    axes = np.stack([right, up, np.cross(right, up)])
    seen = (position_A - (low + high) / 2) @ axes.T
    span_A = np.ptp(seen[:, :2], axis=0) + 2 * (ZONE_A + _MARGIN_A)
    middle = (seen.min(0) + seen.max(0)) / 2
    pixel_size_A = max(span_A[1] / shape[0], span_A[0] / shape[1])
    return Frame(axes, (low + high) / 2 + middle @ axes, shape, float(pixel_size_A))


def region_picture(
    solid: Solid,
    position_A: Float[np.ndarray, "n 3"],
    elements: Sequence[str],
    frame: Frame,
    colour: Colour,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """The density within 2.6 Å of the atoms, at its level, and the atoms' bonds as sticks in it.

    Positions are x, y and z from the map's first voxel.
    """
    fine, seen = frame.finer(FINER), frame.seen(position_A)
    near, middle_A = _near(solid, seen, frame)
    flat = Frame(np.eye(3), middle_A, fine.shape, fine.pixel_size_A)
    surfaces = _inside_of_back(first_hits(near, flat.from_behind())), first_hits(near, flat)
    rods, tint = stick_hits(sticks(elements, seen), fine)
    rods_drawn = shaded(rods, tint, fine.pixel_size_A)
    over_surfaces = sum(_depth_A(rods) > _depth_A(each) for each in surfaces)
    picture = np.ones((*fine.shape, 3), np.float32)
    for place, surface in enumerate((*surfaces, None)):  # sticks lie under both surfaces, between them, or over both
        picture = over(rods_drawn, (rods.there & (over_surfaces == place)).astype(np.float32), picture)
        if surface is not None:
            picture = over(shaded(surface, colour, fine.pixel_size_A), _opacity(surface), picture)
    return as_bytes(shrunk_colours(picture, FINER))


def _near(solid: Solid, seen_A: Float[np.ndarray, "n 3"], frame: Frame) -> tuple[Solid, Float[np.ndarray, "3"]]:
    """The density near the atoms on a fine grid of the view (toward, up, right), and where on it the view's middle is.

    By cubic splines. Its zero is the level, and the end of the zone about the atoms.
    """
    low, high = seen_A.min(0) - ZONE_A - _MARGIN_A, seen_A.max(0) + ZONE_A + _MARGIN_A
    sides = np.ceil((high - low) / _FINE_A).astype(int) + 1
    places = np.stack(np.meshgrid(*(np.arange(side) * _FINE_A for side in sides), indexing="ij"), axis=-1) + low
    index = (places @ frame.axes + frame.centre_A) / np.array(solid.voxel_size_zyx_A[::-1])
    first = np.maximum(np.floor(index.min((0, 1, 2))).astype(int) - 8, 0)
    last = np.ceil(index.max((0, 1, 2))).astype(int) + 9
    part = solid.density.numpy()[tuple(slice(int(a), int(b)) for a, b in zip(first[::-1], last[::-1], strict=True))]
    found = map_coordinates(part, np.moveaxis(index - first, -1, 0)[::-1], order=3, mode="nearest")
    away_A = KDTree(seen_A).query(places, distance_upper_bound=ZONE_A + 1)[0].clip(max=ZONE_A + 1)
    height = np.minimum((found - solid.level) / max(float(part.std()), 1e-30), ZONE_A - away_A)
    return Solid(torch.from_numpy(height.astype(np.float32)).permute(2, 1, 0), (_FINE_A,) * 3, 0.0), -low


def _inside_of_back(seen_from_behind: Hits) -> Hits:
    """The far surface as the viewer sees it through the near one: from its inner side."""
    return Hits(-seen_from_behind.depth_A, seen_from_behind.normal * np.array([-1, -1, 1], np.float32))


def _depth_A(hits: Hits) -> Float[np.ndarray, "rows columns"]:
    return np.where(hits.there, hits.depth_A, -np.inf)


def _opacity(hits: Hits) -> Float[np.ndarray, "rows columns"]:
    edge_on = 1 - np.clip(hits.normal[..., 2], 0, 1)
    return np.where(hits.there, _CLEAREST + (_DENSEST - _CLEAREST) * edge_on**2, 0).astype(np.float32)
