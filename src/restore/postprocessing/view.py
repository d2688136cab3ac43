"""A page of map files side by side, and of residues of a model in their density."""

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
from restore.report.scene_figures import scenes_page
from restore.report.scenes import COLOURS, ShownMap, scene_rows
from restore.version import __version__

_DEFAULT = ContourSettings()


@dataclass(frozen=True)
class DrawnMaps:
    """The maps on a page.

    ``paths`` are the maps, one per column; ``sharpened`` maps, if there are any, form a second row.
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
    """The model fitted into the maps, and the stretches of it to draw, such as A/45-60.

    Without stretches, the middle of its longest helix and of its longest strand are drawn.
    """

    model: Path
    stretches: tuple[str, ...] = ()


@dataclass(frozen=True)
class MapView:
    """The surfaces drawn, their maps, the residues, and the page's path."""

    maps: tuple[MapHeader, ...]
    surfaces: tuple[Contour, ...]
    residues: tuple[Residues, ...]
    page: Path


def draw_maps(
    maps: DrawnMaps,
    settings: ContourSettings = _DEFAULT,
    residues: DrawnResidues | None = None,
    *,
    output: Path = Path("view.html"),
    overwrite: bool = False,
) -> MapView:
    """Find the levels, and write a page of the surfaces, and its settings beside it.

    Raises
    ------
    UserError
        A file is missing or unreadable, a surface cannot be found, residues lie outside a map,
        or an output exists.
    """
    _refuse_levels(maps, settings)
    page, record = output_paths(output, ".html", [".settings.json"], overwrite)
    stretches = _stretches(residues)
    headers = [volume_header(path) for path in (*maps.paths, *maps.sharpened)]
    voxels_A = [voxel_size_of([header], maps.pixel_size_A) for header in headers]
    if residues is not None:
        for header, voxel_A in zip(headers, voxels_A, strict=True):
            _refuse_outside(header, voxel_A, stretches, residues.model)
    surfaces = _surfaces(maps, headers, voxels_A, settings)
    columns = _columns(maps, headers, surfaces)
    inputs = _inputs(maps, residues, stretches)
    inputs["drawn"] = [
        {"level": surface.level, "volume_A3": surface.volume_A3} for surface in surfaces
    ]
    title = " · ".join(column.title for column in columns)
    html = scenes_page(scene_rows(columns, stretches), title, _settings_line(maps, settings))
    write_text(record, as_json(provenance(settings, inputs)) + "\n")
    write_text(page, html)
    return MapView(tuple(headers), tuple(surfaces), tuple(stretches), page)


def _settings_line(maps: DrawnMaps, settings: ContourSettings) -> str:
    """How the surfaces' levels were chosen, in words."""
    if settings.level is not None:
        words = "levels as given"
    elif settings.sigma is not None:
        words = f"levels {settings.sigma:g} standard deviations above each map's mean"
    elif settings.mass_kDa is not None:
        words = f"levels that enclose {settings.mass_kDa:g} kDa of protein"
    elif len(maps.paths) > 1:
        words = "the maps of a row enclose the same volume"
    else:
        words = "level 35 % of the peak"
    mask = "" if maps.mask is None else f" · mask {maps.mask.name}"
    return f"{words}{mask} · restore {__version__}"


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
        "region": [str(residue.stretch) for residue in stretches],
    }


def _refuse_levels(maps: DrawnMaps, settings: ContourSettings) -> None:
    """Raise UsageError unless there is one level, or one for each map."""
    count = len(maps.paths) + len(maps.sharpened)
    if settings.level is not None and len(settings.level) not in {1, count}:
        raise UsageError(
            f"{len(settings.level)} levels are given",
            wanted=f"Give one level, or {count}: one for each map drawn",
        )


def _stretches(residues: DrawnResidues | None) -> list[Residues]:
    if residues is None:
        return []
    return read_residues(residues.model, [stretch_from(text) for text in residues.stretches])


def _refuse_outside(
    header: MapHeader, voxel_A: Voxel, stretches: Sequence[Residues], model: Path
) -> None:
    """Raise UserError if residues do not lie in the box of the map."""
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
                do="fit the model into the map",
            )


def _surfaces(
    maps: DrawnMaps,
    headers: Sequence[MapHeader],
    voxels_A: Sequence[Voxel],
    settings: ContourSettings,
) -> list[Contour]:
    """The surfaces of the maps, then those of the sharpened maps; if no level is given, each row
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
) -> list[ShownMap]:
    count = len(maps.paths)
    columns: list[ShownMap] = []
    for number, title in enumerate(maps.names or [path.name for path in maps.paths]):
        z_A, y_A, x_A = headers[number].origin_zyx_A
        colour = COLOURS[number % len(COLOURS)]
        columns.append(ShownMap(title, tuple(surfaces[number::count]), (x_A, y_A, z_A), colour))
    return columns
