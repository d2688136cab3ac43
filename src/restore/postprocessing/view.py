"""A picture of map files side by side, and of residues of a model in their density."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from restore.errors import UsageError, UserError
from restore.io.atomic import write_text
from restore.io.images.maps import MapHeader
from restore.io.outputs import output_paths
from restore.io.residues import Residues, read_residues, stretch_from
from restore.maps.contour import Contour, ContourError, ContourSettings, contours
from restore.maps.fsc import Voxel
from restore.postprocessing.map_files import (
    mask_for,
    refuse_pixel_size,
    volume_header,
    volume_of,
    voxel_size_of,
)
from restore.provenance import as_json, provenance
from restore.report.panels import save_picture
from restore.report.views import COLOURS, Shown, views_picture

SMALLEST_PX, LARGEST_PX = 100, 2000
_DEFAULT = ContourSettings()


@dataclass(frozen=True)
class DrawnMaps:
    """What a picture of maps shows.

    ``paths`` are the maps, a column each; ``sharpened``, where there are any, is a second row.
    ``names`` are the columns' titles.
    """

    paths: tuple[Path, ...]
    sharpened: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()
    mask: Path | None = None
    pixel_size_A: float | None = None

    def __post_init__(self) -> None:
        refuse_pixel_size(self.pixel_size_A)
        for label, values in (("sharpened maps", self.sharpened), ("names", self.names)):
            if values and len(values) != len(self.paths):
                raise UsageError(
                    f"there are {len(self.paths)} maps and {len(values)} {label}",
                    wanted="One for each map is needed, in the same order",
                )


@dataclass(frozen=True)
class DrawnResidues:
    """The model that lies in the maps, and the stretches of it to draw, such as A/45-60.

    Without stretches, the middle of its longest helix and of its longest strand are drawn.
    """

    model: Path
    stretches: tuple[str, ...] = ()


@dataclass(frozen=True)
class MapView:
    """The surfaces drawn, the maps they are of, the residues, and the picture's path."""

    maps: tuple[MapHeader, ...]
    surfaces: tuple[Contour, ...]
    residues: tuple[Residues, ...]
    picture: Path


def draw_maps(
    maps: DrawnMaps,
    settings: ContourSettings = _DEFAULT,
    residues: DrawnResidues | None = None,
    *,
    views: Sequence[str] = ("side", "top"),
    side_px: int = 480,
    output: Path = Path("view.png"),
    overwrite: bool = False,
) -> MapView:
    """Find the levels, draw the surfaces, and write the picture and its settings.

    Raises
    ------
    UserError
        A file is missing or unreadable, there is nothing to draw, a surface cannot be found,
        residues lie outside a map, or an output exists.
    """
    _refuse_levels(maps, settings)
    _refuse_picture(residues, views, side_px)
    picture, record = output_paths(output, ".png", [".settings.json"], overwrite)
    stretches = _stretches(residues)
    headers = [volume_header(path) for path in (*maps.paths, *maps.sharpened)]
    voxels_A = [voxel_size_of([header], maps.pixel_size_A) for header in headers]
    if residues is not None:
        for header, voxel_A in zip(headers, voxels_A, strict=True):
            _refuse_outside(header, voxel_A, stretches, residues.model)
    surfaces = _surfaces(maps, headers, voxels_A, settings)
    image = views_picture(_columns(maps, headers, surfaces), views, stretches, side_px)
    inputs = _inputs(maps, residues, stretches) | {"views": list(views), "size_px": side_px}
    inputs["drawn"] = [{"level": one.level, "volume_A3": one.volume_A3} for one in surfaces]
    write_text(record, as_json(provenance(settings, inputs)) + "\n")
    save_picture(image, picture)
    return MapView(tuple(headers), tuple(surfaces), tuple(stretches), picture)


def _inputs(
    maps: DrawnMaps, residues: DrawnResidues | None, stretches: Sequence[Residues]
) -> dict[str, object]:
    return {
        "maps": list(maps.paths),
        "sharpened": list(maps.sharpened),
        "names": list(maps.names),
        "mask": maps.mask,
        "pixel_size": maps.pixel_size_A,
        "model": None if residues is None else residues.model,
        "region": [str(one.stretch) for one in stretches],
    }


def _refuse_levels(maps: DrawnMaps, settings: ContourSettings) -> None:
    """UsageError where the levels are neither one nor one for each map."""
    count = len(maps.paths) + len(maps.sharpened)
    if settings.level is not None and len(settings.level) not in {1, count}:
        raise UsageError(
            f"{len(settings.level)} levels are given",
            wanted=f"One is needed, or {count}: one for each map drawn",
        )


def _refuse_picture(residues: DrawnResidues | None, views: Sequence[str], side_px: int) -> None:
    if not views and residues is None:
        raise UsageError(
            "there is nothing to draw: no view and no model", do="choose a view, or give a model"
        )
    if not SMALLEST_PX <= side_px <= LARGEST_PX:
        wanted = f"{SMALLEST_PX} to {LARGEST_PX} pixels can be drawn"
        raise UsageError(f"the side of a view is {side_px} pixels", wanted=wanted)


def _stretches(residues: DrawnResidues | None) -> list[Residues]:
    if residues is None:
        return []
    return read_residues(residues.model, [stretch_from(text) for text in residues.stretches])


def _refuse_outside(
    header: MapHeader, voxel_A: Voxel, stretches: Sequence[Residues], model: Path
) -> None:
    """UserError where residues do not lie in the box of the map."""
    first_A = np.array(header.origin_zyx_A[::-1])
    last_A = first_A + (np.array(header.shape[:0:-1]) - 1) * np.array(voxel_A[::-1])
    for residues in stretches:
        low_A, high_A = residues.position_A.min(0), residues.position_A.max(0)
        if (low_A < first_A).any() or (high_A > last_A).any():
            spans = [
                ", ".join(
                    f"{axis} {low:.0f} to {high:.0f}"
                    for axis, low, high in zip("xyz", *ends, strict=True)
                )
                for ends in ((low_A, high_A), (first_A, last_A))
            ]
            raise UserError(
                f"its residues {residues.stretch} lie at {spans[0]} Å, outside {header.path} "
                f"({spans[1]} Å)",
                where=model,
                wanted="The model must lie in the map",
                do="fit it into the map",
            )


def _surfaces(
    maps: DrawnMaps,
    headers: Sequence[MapHeader],
    voxels_A: Sequence[Voxel],
    settings: ContourSettings,
) -> list[Contour]:
    """The surfaces of the maps, then those of the sharpened maps; where no level is given, each row
    has its own.
    """
    surfaces: list[Contour] = []
    count, levels = len(maps.paths), settings.level
    for start in range(0, len(headers), count):
        row = slice(start, start + count)
        own = levels if levels is None or len(levels) == 1 else levels[row]
        volumes = [_masked(header, maps) for header in headers[row]]
        try:
            surfaces += contours(
                list(zip(volumes, voxels_A[row], strict=True)), replace(settings, level=own)
            )
        except ContourError as error:
            where = headers[start + error.number].path
            do = "give another `level`, `sigma` or `mass_kDa`"
            raise UserError(str(error), where=where, do=do) from error
    return surfaces


def _masked(header: MapHeader, maps: DrawnMaps) -> Float[Tensor, "z y x"]:
    volume, mask = volume_of(header), mask_for(maps.mask, header, maps.pixel_size_A)
    return volume if mask is None else volume * mask


def _columns(
    maps: DrawnMaps, headers: Sequence[MapHeader], surfaces: Sequence[Contour]
) -> list[Shown]:
    count = len(maps.paths)
    columns: list[Shown] = []
    for number, title in enumerate(maps.names or [path.name for path in maps.paths]):
        z_A, y_A, x_A = headers[number].origin_zyx_A
        colour = COLOURS[number % len(COLOURS)]
        columns.append(Shown(title, tuple(surfaces[number::count]), (x_A, y_A, z_A), colour))
    return columns
