"""A few residues of a model as sticks, in the translucent density around them."""

import numpy as np
import torch
from jaxtyping import Float, UInt8
from scipy.ndimage import generate_binary_structure, label, map_coordinates
from scipy.spatial import KDTree

from restore.io.residues import Residues
from restore.report.frame import Frame
from restore.report.rays import Hits, Solid, first_hits
from restore.report.shading import Colour, as_bytes, over, shaded, shrunk_colours
from restore.report.sticks import stick_hits, sticks
from restore.report.surface import FINER

ZONE_A = 2.6  # from an atom's centre: what is farther away is not drawn
_MARGIN_A, _EDGE_A = 1.2, 0.7  # beyond the zone: of the grid, and of the picture
_FINE_A = 0.4
_TOUCHING_A = 1.2
_CLEAREST, _DENSEST = (
    0.22,
    0.8,
)  # opacity of a surface that faces the viewer, and of one seen edge on


def region_frame(position_A: Float[np.ndarray, "n 3"], columns: int, most_rows: int) -> Frame:
    """A view in which these atoms lie as flat and as wide as they can, in a picture as high as they
    need.

    Right is the direction along which they spread most, up the next (principal components); the
    last atom lies right of the first, and z of the map points up rather than down.
    """
    right, up = np.linalg.svd(position_A - position_A.mean(0), full_matrices=True)[2][:2]
    right = -right if right @ (position_A[-1] - position_A[0]) < 0 else right
    up = -up if up[2] < 0 else up
    axes = np.stack([right, up, np.cross(right, up)])
    seen = position_A @ axes.T
    low, high = seen.min(0) - ZONE_A - _EDGE_A, seen.max(0) + ZONE_A + _EDGE_A
    width_A, height_A = (high - low)[:2]
    pixel_size_A = max(width_A / columns, height_A / most_rows)
    rows = min(most_rows, round(height_A / pixel_size_A))
    return Frame(axes, (low + high) / 2 @ axes, (rows, columns), float(pixel_size_A))


def region_picture(
    solid: Solid, residues: Residues, origin_A: Float[np.ndarray, "3"], frame: Frame, colour: Colour
) -> UInt8[np.ndarray, "rows columns 3"]:
    """The density around the residues at its level, and their bonds as sticks in it.

    Drawn is what lies within 2.6 Å of their atoms and is nearer to them than to any other atom of
    the model, in pieces that come within 1.2 Å of an atom. ``origin_A`` is where the map's first
    voxel lies in the model, in x, y and z.
    """
    fine, seen = frame.finer(FINER), frame.seen(residues.position_A - origin_A)
    near, middle_A = _near(solid, (seen, frame.seen(residues.around_A - origin_A)), frame)
    flat = Frame(np.eye(3), middle_A, fine.shape, fine.pixel_size_A)
    surfaces = _inside_of_back(first_hits(near, flat.from_behind())), first_hits(near, flat)
    rods, tint = stick_hits(sticks(residues.elements, seen), fine)
    rods_drawn = shaded(rods, tint, fine.pixel_size_A)
    over_surfaces = sum(_depth_A(rods) > _depth_A(each) for each in surfaces)
    picture = np.ones((*fine.shape, 3), np.float32)
    for place, surface in enumerate(
        (*surfaces, None)
    ):  # sticks lie under both surfaces, between them, or over both
        picture = over(
            rods_drawn, (rods.there & (over_surfaces == place)).astype(np.float32), picture
        )
        if surface is not None:
            picture = over(shaded(surface, colour, fine.pixel_size_A), _opacity(surface), picture)
    return as_bytes(shrunk_colours(picture, FINER))


def _near(
    solid: Solid, atoms_A: tuple[Float[np.ndarray, "n 3"], Float[np.ndarray, "m 3"]], frame: Frame
) -> tuple[Solid, Float[np.ndarray, "3"]]:
    """The density near the atoms on a fine grid of the view (toward, up, right), and where on it
    the view's middle is.

    By cubic splines. Its zero is the level, and the end of the zone about the atoms.
    """
    seen_A, others_A = atoms_A
    low, high = seen_A.min(0) - ZONE_A - _MARGIN_A, seen_A.max(0) + ZONE_A + _MARGIN_A
    sides = np.ceil((high - low) / _FINE_A).astype(int) + 1
    places = (
        np.stack(
            np.meshgrid(*(np.arange(side) * _FINE_A for side in sides), indexing="ij"), axis=-1
        )
        + low
    )
    index = (places @ frame.axes + frame.centre_A) / np.array(solid.voxel_size_zyx_A[::-1])
    first = np.maximum(np.floor(index.min((0, 1, 2))).astype(int) - 8, 0)
    last = np.ceil(index.max((0, 1, 2))).astype(int) + 9
    part = solid.density.numpy()[
        tuple(slice(int(a), int(b)) for a, b in zip(first[::-1], last[::-1], strict=True))
    ]
    found = map_coordinates(part, np.moveaxis(index - first, -1, 0)[::-1], order=3, mode="nearest")
    away_A = _distance_A(seen_A, places)
    room_A = (
        np.minimum(ZONE_A - away_A, _distance_A(others_A, places) - away_A)
        if len(others_A)
        else ZONE_A - away_A
    )
    height = np.minimum((found - solid.level) / max(float(part.std()), 1e-30), room_A)
    height = _at_atoms(height, away_A)
    return Solid(
        torch.from_numpy(height.astype(np.float32)).permute(2, 1, 0),
        (_FINE_A, _FINE_A, _FINE_A),
        0.0,
    ), -low


def _distance_A(
    atoms_A: Float[np.ndarray, "n 3"], places: Float[np.ndarray, "right up toward 3"]
) -> Float[np.ndarray, "right up toward"]:
    """How far the nearest atom is, at most a little more than the zone."""
    return KDTree(atoms_A).query(places, distance_upper_bound=ZONE_A + 1)[0].clip(max=ZONE_A + 1)


def _at_atoms(
    height: Float[np.ndarray, "right up toward"], away_A: Float[np.ndarray, "right up toward"]
) -> Float[np.ndarray, "right up toward"]:
    """Without the pieces that come near no atom: they belong to what lies beside the region."""
    numbers = np.zeros(height.shape, np.int32)
    label(height > 0, generate_binary_structure(3, 3), output=numbers)
    own = np.isin(numbers, np.unique(numbers[away_A < _TOUCHING_A]))
    return np.where(own, height, -np.abs(height))


def _inside_of_back(seen_from_behind: Hits) -> Hits:
    """The far surface as the viewer sees it through the near one: from its inner side."""
    return Hits(
        -seen_from_behind.depth_A, seen_from_behind.normal * np.array([-1, -1, 1], np.float32)
    )


def _depth_A(hits: Hits) -> Float[np.ndarray, "rows columns"]:
    return np.where(hits.there, hits.depth_A, -np.inf)


def _opacity(hits: Hits) -> Float[np.ndarray, "rows columns"]:
    edge_on = 1 - np.clip(hits.normal[..., 2], 0, 1)
    return np.where(hits.there, _CLEAREST + (_DENSEST - _CLEAREST) * edge_on**2, 0).astype(
        np.float32
    )
