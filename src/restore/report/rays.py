"""Where rays from the viewer first meet the surface of a volume, and how the surface lies there."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample, max_pool2d

from restore.report.frame import Frame

_STEP = 0.75  # of a voxel, along a ray
_THINNED = 0.95  # rays that ended are taken off where this share or fewer still go on
_HALVINGS = 4
_SLACK = 2.0  # voxels: a surface lies within √3 of a voxel above the level


@dataclass(frozen=True)
class Solid:
    """A density (z, y, x) and the level at which its surface is drawn."""

    density: Float[Tensor, "z y x"]
    voxel_size_zyx_A: tuple[float, float, float]
    level: float


@dataclass(frozen=True)
class Hits:
    """What each pixel shows: how far toward the viewer the surface is, NaN where there is none, and
    its normal.

    Normals are of unit length, (right, up, toward).
    """

    depth_A: Float[np.ndarray, "rows columns"]
    normal: Float[np.ndarray, "rows columns 3"]

    @property
    def there(self) -> Bool[np.ndarray, "rows columns"]:
        """Which pixels show a surface."""
        return ~np.isnan(self.depth_A)


def first_hits(solid: Solid, frame: Frame) -> Hits:
    """The surface as the viewer sees it, by trilinear interpolation; outside its box a volume is
    empty.
    """
    sampler = _Sampler(solid, frame)
    near_A, far_A = (edge.flatten() for edge in _span_A(solid, frame))
    pixels = near_A.isfinite().nonzero()[:, 0]
    entry_A, exit_A = sampler.box_A(sampler.places(pixels))
    crossed = entry_A > exit_A
    pixels = pixels[crossed]
    places = sampler.places(pixels)
    start_A = torch.minimum(near_A[pixels], entry_A[crossed])
    depth_A, hit = _march(sampler, places, start_A, torch.maximum(far_A[pixels], exit_A[crossed]))
    depth = torch.full((math.prod(frame.shape),), math.nan)
    normal = torch.zeros(math.prod(frame.shape), 3)
    depth[pixels[hit]] = depth_A[hit]
    normal[pixels[hit]] = sampler.normals(places[hit], depth_A[hit])
    return Hits(depth.reshape(frame.shape).numpy(), normal.reshape(*frame.shape, 3).numpy())


class _Sampler:
    """The height of the density above the level, at places in the picture."""

    def __init__(self, solid: Solid, frame: Frame) -> None:
        self._height = (solid.density - solid.level)[None, None].float()
        self._frame = frame
        self._voxel_A = torch.tensor(solid.voxel_size_zyx_A[::-1], dtype=torch.float32)
        self._axes = torch.tensor(frame.axes, dtype=torch.float32)
        last = torch.tensor(solid.density.shape[::-1], dtype=torch.float32) - 1
        self._scale = 2 / (last.clamp(min=1) * self._voxel_A)
        self.step_A = _STEP * float(self._voxel_A.min())

    def places(self, pixels: Tensor) -> Tensor:
        """Of each pixel the place in the plane through the middle, x, y and z in Å from the first
        voxel.
        """
        row, column = pixels // self._frame.shape[1], pixels % self._frame.shape[1]
        right = torch.from_numpy(self._frame.right_A).float()[column]
        up = torch.from_numpy(self._frame.up_A).float()[row]
        centre = torch.tensor(self._frame.centre_A, dtype=torch.float32)
        return centre + right[:, None] * self._axes[0] + up[:, None] * self._axes[1]

    def box_A(self, places: Tensor) -> tuple[Tensor, Tensor]:
        """Where the ray through each place enters the box and where it leaves it; in that order
        only if it does.
        """
        direction = torch.where(self._axes[2].abs() < 1e-6, 1e-6, self._axes[2])
        faces = torch.stack([-places / direction, (2 / self._scale - places) / direction])
        return faces.amax(dim=0).amin(dim=1), faces.amin(dim=0).amax(dim=1)

    def at(self, places: Tensor, toward_A: Tensor) -> Tensor:
        """The height this far toward the viewer from each place."""
        return self._sampled(places + toward_A[:, None] * self._axes[2])

    def normals(self, places: Tensor, toward_A: Tensor) -> Tensor:
        """The direction in which the density falls, (right, up, toward), from differences over two
        voxels.
        """
        position = places + toward_A[:, None] * self._axes[2]
        slopes: list[Tensor] = []
        for axis in range(3):
            offset = torch.zeros(3)
            offset[axis] = self._voxel_A[axis]
            difference = self._sampled(position - offset) - self._sampled(position + offset)
            slopes.append(difference / self._voxel_A[axis])
        normal = torch.stack(slopes, dim=1) @ self._axes.T
        return normal / normal.norm(dim=1, keepdim=True).clamp(min=1e-30)

    def _sampled(self, position_A: Tensor) -> Tensor:
        grid = position_A * self._scale - 1
        return grid_sample(self._height, grid[None, None, None], align_corners=True)[0, 0, 0, 0]


def _march(
    sampler: _Sampler, places: Tensor, near_A: Tensor, far_A: Tensor
) -> tuple[Tensor, Tensor]:
    """The depth at which each ray enters, and whether it does so between ``near_A`` and ``far_A``."""
    depth_A, hit = near_A.clone(), torch.zeros(len(near_A), dtype=torch.bool)
    rays, here, now_A, end_A = torch.arange(len(near_A)), places, near_A, far_A
    while len(rays):
        now_A = now_A - sampler.step_A
        inside = (sampler.at(here, now_A) > 0) & (end_A < math.inf)
        if bool(inside.any()):
            depth_A[rays[inside]], hit[rays[inside]] = now_A[inside], True
        going = ~inside & (now_A > end_A)
        if int(going.sum()) < _THINNED * len(rays):
            rays, here, now_A, end_A = rays[going], here[going], now_A[going], end_A[going]
        else:
            end_A = torch.where(going, end_A, math.inf)
    return _refined(sampler, places, depth_A, hit), hit


def _refined(sampler: _Sampler, places: Tensor, depth_A: Tensor, hit: Tensor) -> Tensor:
    """The depths of the hits, which lie within a step of where the surface is, halved down and then
    interpolated.
    """
    found, inner, outer = places[hit], depth_A[hit], depth_A[hit] + sampler.step_A
    for _ in range(_HALVINGS):
        middle = (inner + outer) / 2
        inside = sampler.at(found, middle) > 0
        inner, outer = torch.where(inside, middle, inner), torch.where(inside, outer, middle)
    above, below = sampler.at(found, inner), sampler.at(found, outer)
    share = (above / (above - below).clamp(min=1e-30)).clamp(0, 1)
    refined = depth_A.clone()
    refined[hit] = inner + share * (outer - inner)
    return refined


def _span_A(solid: Solid, frame: Frame) -> tuple[Tensor, Tensor]:
    """Of each pixel, between which depths a surface can lie; not finite where there is none.

    The voxels at the surface are put down on a coarse picture, each with a margin.
    """
    voxel_A = max(solid.voxel_size_zyx_A)
    rows, columns = (math.ceil(side * frame.pixel_size_A / voxel_A) + 1 for side in frame.shape)
    index = _shell(solid.density > solid.level).nonzero().flip(1).numpy()
    seen = torch.from_numpy(frame.seen(index * np.array(solid.voxel_size_zyx_A[::-1]))).float()
    row = (rows / 2 - seen[:, 1] / voxel_A).floor().long()
    column = (columns / 2 + seen[:, 0] / voxel_A).floor().long()
    within = (row >= -2) & (row < rows + 2) & (column >= -2) & (column < columns + 2)
    place = ((row + 2) * (columns + 4) + column + 2)[within]
    edges: list[Tensor] = []
    for sign in (1, -1):
        empty = torch.full(((rows + 4) * (columns + 4),), -math.inf)
        nearest = empty.scatter_reduce(0, place, sign * seen[within, 2], "amax").reshape(
            rows + 4, columns + 4
        )
        coarse = max_pool2d(nearest[None], 5, stride=1)[0] + _SLACK * voxel_A
        fine_row = torch.from_numpy(np.floor(rows / 2 - frame.up_A / voxel_A)).long()
        fine_column = torch.from_numpy(np.floor(columns / 2 + frame.right_A / voxel_A)).long()
        edges.append(sign * coarse[fine_row][:, fine_column])
    return edges[0], edges[1]


def _shell(above: Tensor) -> Tensor:
    """The voxels above the level with a neighbour that is not, or at a face of the box."""
    shell = above.clone()
    inner = above[1:-1, 1:-1, 1:-1].clone()
    for part in (
        above[:-2, 1:-1, 1:-1],
        above[2:, 1:-1, 1:-1],
        above[1:-1, :-2, 1:-1],
        above[1:-1, 2:, 1:-1],
        above[1:-1, 1:-1, :-2],
        above[1:-1, 1:-1, 2:],
    ):
        inner &= part
    shell[1:-1, 1:-1, 1:-1] &= ~inner
    return shell
