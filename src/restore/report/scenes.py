"""Surfaces of maps, and residues in their density, as scenes that can be turned on a page.

3Dmol.js (BSD-3-Clause, inside the package) draws them; a page that holds scenes needs no network.
"""

import base64
import gzip
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

import gemmi
import numpy as np
import torch
from jaxtyping import Float
from scipy.spatial import KDTree
from scipy.spatial.transform import Rotation

from restore.io.residues import Residues
from restore.maps.contour import Contour
from restore.records import RecordFile
from restore.report.numerals import figure

COLOURS = ("#5c8ccc", "#d66b61", "#73ad80", "#dbad5c", "#9e80c2", "#b8bdc4")
"""Blue, red, green, ochre, violet and grey: one colour for each map."""

Quaternion = tuple[float, float, float, float]
"""A rotation of the scene: x, y, z, w."""

SIDE: Quaternion = (-(0.5**0.5), 0.0, 0.0, 0.5**0.5)
"""A look from −y, with x to the right and z up (ChimeraX: turn x -90)."""

TOP: Quaternion = (0.0, 0.0, 0.0, 1.0)
"""A look down z, with x to the right and y up (ChimeraX: the first view)."""

ZONE_A = 2.6
"""The largest distance from an atom of the residues at which density is shown."""

LONGEST_PX = 128
_MARGIN_PX = 2
_LEVELS = 127
_SMALL_NM3 = 10.0


@dataclass(frozen=True)
class ShownMap:
    """A map to be shown: its title, its surface, the surface of the sharpened map if there is one,
    and its colour.

    ``origin_A`` is the position of the map's first voxel in the frame of the model, in x, y and z
    (Å).
    """

    title: str
    contours: tuple[Contour, ...]
    origin_A: tuple[float, float, float] = (0.0, 0.0, 0.0)
    colour: str = COLOURS[0]


@dataclass(frozen=True)
class Volume:
    """A map as it is stored in a page: voxels along x, y and z, their size (Å), and the density
    relative to the surface's level in steps from −127 to 127 (x slowest; gzip, base64).
    """

    size_xyz: tuple[int, int, int]
    voxel_xyz_A: tuple[float, float, float]
    steps: str


@dataclass(frozen=True)
class Scene:
    """One scene: the title and caption above it, a map in its colour, and the atoms in it (PDB
    text, or empty).
    """

    title: str
    caption: str
    colour: str
    volume: Volume
    atoms: str = ""


@dataclass(frozen=True)
class SceneRow:
    """Scenes side by side that turn together: their title, their directions of view by name, and
    the scenes. The first direction is the initial one.
    """

    words: str
    turns: dict[str, Quaternion]
    scenes: tuple[Scene, ...]


@dataclass(frozen=True)
class Scenes:
    """Rows of scenes, as stored in a file."""

    rows: tuple[SceneRow, ...]


FILE = RecordFile("file of scenes", 1, "restore structure")


def scene_rows(shown: Sequence[ShownMap], stretches: Sequence[Residues] = ()) -> list[SceneRow]:
    """The maps side by side, then the sharpened maps, then each stretch of residues in its density
    (of the sharpened maps if there are any).
    """
    return [*surface_rows(shown), *residue_rows(shown, stretches)]


def surface_rows(shown: Sequence[ShownMap]) -> Iterator[SceneRow]:
    """One row for the maps, and one for the sharpened maps."""
    for words, contours in zip(
        ("", "sharpened"), zip(*(column.contours for column in shown), strict=True), strict=False
    ):
        scenes = [
            surface_scene(column, contour) for column, contour in zip(shown, contours, strict=True)
        ]
        yield SceneRow(words, {"side": SIDE, "top": TOP}, tuple(scenes))


def residue_rows(shown: Sequence[ShownMap], stretches: Sequence[Residues]) -> Iterator[SceneRow]:
    """One row for each stretch of residues."""
    for residues in stretches:
        words = f"residues {residues.stretch}".replace("-", "–")
        turns = {"flat": flat_view(residues.position_A)}
        yield SceneRow(words, turns, tuple(residue_scene(column, residues) for column in shown))


def surface_scene(shown: ShownMap, contour: Contour) -> Scene:
    """The surface of a map at its level. Large maps are binned to at most 128 voxels per side."""
    volume_nm3 = contour.volume_A3 / 1000
    decimals = 1 if volume_nm3 < _SMALL_NM3 else 0
    volume = f"{volume_nm3:,.{decimals}f} nm³".replace(",", " ")
    caption = f"{volume} above {figure(contour.level)}"
    return Scene(shown.title, caption, shown.colour, _encoded(_binned(_cropped(contour))))


def residue_scene(shown: ShownMap, residues: Residues) -> Scene:
    """Residues as sticks in the density around them.

    The density is shown within 2.6 Å of their atoms, where it is closer to them than to any other
    atom of the model.
    """
    contour = shown.contours[-1]
    origin_A = np.array(shown.origin_A)
    part, first_A = _around(contour, residues.position_A - origin_A)
    corner_A = origin_A + first_A
    zone = _in_zone(part, residues.position_A - corner_A, residues.around_A - corner_A)
    outside = torch.full_like(part.density, 2 * part.level - float(part.density.max()))
    volume = _encoded(replace(part, density=torch.where(zone, part.density, outside)))
    return Scene(shown.title, "", shown.colour, volume, pdb_text(residues, corner_A))


def flat_view(position_A: Float[np.ndarray, "n 3"]) -> Quaternion:
    """The direction of view in which these atoms appear as flat and as wide as possible.

    Horizontal is the direction of their largest spread, vertical that of the next (principal
    components); the last atom is to the right of the first, and z of the map points up rather than
    down.
    """
    right, up = np.linalg.svd(position_A - position_A.mean(0), full_matrices=True)[2][:2]
    right = -right if right @ (position_A[-1] - position_A[0]) < 0 else right
    up = -up if up[2] < 0 else up
    x, y, z, w = Rotation.from_matrix(np.stack([right, up, np.cross(right, up)])).as_quat()
    return float(x), float(y), float(z), float(w)


def pdb_text(residues: Residues, first_voxel_A: Float[np.ndarray, "3"]) -> str:
    """The residues as a PDB file, in the frame of a map whose first voxel is at this position."""
    model, chain = gemmi.Model(1), gemmi.Chain(residues.stretch.chain[:1])
    rows = zip(
        residues.elements, residues.atom_names, residues.residue_names, residues.numbers,
        residues.position_A - first_voxel_A, strict=True,
    )  # fmt: skip
    for element, atom_name, residue_name, number, position_A in rows:
        if not len(chain) or chain[-1].seqid.num != number:
            residue = gemmi.Residue()
            residue.name, residue.seqid = residue_name, gemmi.SeqId(number, " ")
            chain.add_residue(residue)
        atom = gemmi.Atom()
        atom.name, atom.element = atom_name, gemmi.Element(element)
        atom.pos = gemmi.Position(*(float(part) for part in position_A))
        chain[-1].add_atom(atom)
    model.add_chain(chain)
    structure = gemmi.Structure()
    structure.add_model(model)
    return structure.make_pdb_string(gemmi.PdbWriteOptions(minimal=True))


def plain_rows(rows: Sequence[SceneRow]) -> list[dict[str, object]]:
    """The rows as plain values, for JSON."""
    return [asdict(row) for row in rows]


def _cropped(contour: Contour) -> Contour:
    """The map cropped about its middle to the extent of its surface, so that maps stay
    superimposed.
    """
    above = contour.density > contour.level
    slices: list[slice] = []
    for axis, side in enumerate(above.shape):
        plane_axes = [axis_number for axis_number in range(3) if axis_number != axis]
        occupied = above.amax(dim=plane_axes).nonzero()[:, 0]
        spare = min(int(occupied.min()), side - 1 - int(occupied.max()))
        margin = max(0, spare - _MARGIN_PX)
        slices.append(slice(margin, side - margin))
    return replace(contour, density=contour.density[tuple(slices)])


def _binned(contour: Contour) -> Contour:
    """The map averaged over cubes of whole voxels, so that no side is longer than 128.

    The outermost voxels are repeated beyond either end: to fill the last cube, and by one cube
    more, so that the averages at the ends are below the level and the surface is closed there.
    """
    sides = contour.density.shape
    if max(sides) <= LONGEST_PX:
        return contour
    factor = -(-max(sides) // (LONGEST_PX - 2))
    padding: list[int] = []
    for side in reversed(sides):  # from the last axis to the first, as torch has it
        missing = -side % factor
        padding += [factor + missing // 2, factor + missing - missing // 2]
    whole = torch.nn.functional.pad(contour.density[None, None].float(), padding, "replicate")
    density = torch.nn.functional.avg_pool3d(whole, factor)[0, 0]
    voxel_zyx_A = tuple(factor * side_A for side_A in contour.voxel_size_zyx_A)
    return replace(contour, density=density, voxel_size_zyx_A=voxel_zyx_A)


def _around(
    contour: Contour, position_A: Float[np.ndarray, "n 3"]
) -> tuple[Contour, Float[np.ndarray, "3"]]:
    """The part of the map around these positions, and the offset of its first voxel from
    the map's.
    """
    voxel_xyz_A = np.array(contour.voxel_size_zyx_A[::-1])
    sides = np.array(contour.density.shape[::-1])
    first = np.floor((position_A.min(0) - ZONE_A) / voxel_xyz_A).astype(int) - _MARGIN_PX
    last = np.ceil((position_A.max(0) + ZONE_A) / voxel_xyz_A).astype(int) + _MARGIN_PX
    first, last = first.clip(0, sides - 1), last.clip(0, sides - 1)
    slices = tuple(slice(int(a), int(b) + 1) for a, b in zip(first[::-1], last[::-1], strict=True))
    return replace(contour, density=contour.density[slices]), first * voxel_xyz_A


def _in_zone(
    part: Contour, atoms_A: Float[np.ndarray, "n 3"], others_A: Float[np.ndarray, "m 3"]
) -> torch.Tensor:
    """A mask of the voxels within the zone of the atoms, and closer to them than to the others."""
    index = np.moveaxis(np.indices(part.density.shape)[::-1], 0, -1)
    places_A = index * np.array(part.voxel_size_zyx_A[::-1])
    away_A = KDTree(atoms_A).query(places_A)[0]
    zone = away_A < ZONE_A
    if len(others_A):
        zone &= away_A < KDTree(others_A).query(places_A)[0]
    return torch.from_numpy(zone)


def _encoded(contour: Contour) -> Volume:
    """The map in 8 bits; the range is symmetric about the level and ends at the highest value.

    Voxels without a neighbour on the other side of the level do not affect the surface: they are
    set to the lowest or the highest step, so that noise far from it compresses well.
    """
    height = contour.density - contour.level
    reach = max(float(height.max()), 1e-30)
    levels = (height / reach * _LEVELS).clamp(-_LEVELS, _LEVELS).round().to(torch.int8)
    above = (levels > 0).float()[None, None]
    near_above = torch.nn.functional.max_pool3d(above, 3, 1, 1)[0, 0] > 0
    near_below = torch.nn.functional.max_pool3d(1 - above, 3, 1, 1)[0, 0] > 0
    levels = torch.where(near_above, levels, -_LEVELS)
    levels = torch.where(near_below, levels, _LEVELS)
    packed = gzip.compress(levels.permute(2, 1, 0).contiguous().numpy().tobytes(), mtime=0)
    z, y, x = contour.density.shape
    size_z_A, size_y_A, size_x_A = contour.voxel_size_zyx_A
    return Volume((x, y, z), (size_x_A, size_y_A, size_z_A), base64.b64encode(packed).decode())
