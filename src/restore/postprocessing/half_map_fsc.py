"""The FSC of two half-map files, or of two images or stacks, with its table and figure."""

from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from restore.io.atomic import write_text
from restore.io.images.maps import Kind, MapHeader, read_map, read_map_header
from restore.io.outputs import output_paths
from restore.io.star import write_star
from restore.maps.fsc import FSC, FSCSettings, Voxel, half_map_fsc
from restore.postprocessing.map_files import (
    mask_for,
    refuse_other_shape,
    refuse_pixel_size,
    voxel_size_of,
    warn_of_copies,
    warn_of_shared_content,
)
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.fsc_figure import fsc_figure
from restore.tables.fsc import fsc_star

_DEFAULT = FSCSettings()


@dataclass(frozen=True)
class HalfMapComparison:
    """The FSC of two half maps, their headers, and the table and figure, if they were written."""

    fsc: FSC
    halves: tuple[MapHeader, MapHeader]
    voxel_size_zyx_A: Voxel
    settings: FSCSettings
    is_masked: bool
    files: tuple[Path, ...]


def compare_half_maps(
    half1: Path,
    half2: Path,
    settings: FSCSettings = _DEFAULT,
    *,
    mask: Path | None = None,
    pixel_size_A: float | None = None,
    kind: Kind = "auto",
    output: Path | None = None,
    overwrite: bool = False,
) -> HalfMapComparison:
    """The FSC of two MRC files; with ``output`` a STAR file, a figure and the settings are written.

    Raises
    ------
    UserError
        A file is missing or unreadable, the grids differ, or an output exists.
    """
    refuse_pixel_size(pixel_size_A)
    outputs = output_paths(output, ".star", [".png", ".settings.json"], overwrite)
    headers = (read_map_header(half1, kind), read_map_header(half2, kind))
    halves = correlate_halves(headers, settings, mask=mask, pixel_size_A=pixel_size_A)
    fsc, voxel_A = halves.fsc, halves.voxel_size_zyx_A
    if outputs:
        star, figure, record = outputs
        inputs = {"half1": half1, "half2": half2, "mask": mask, "voxel_size_zyx_A": voxel_A}
        write_text(record, as_json(provenance(settings, inputs)) + "\n")
        write_star(star, fsc_star(fsc, str(half1), str(half2), str(mask) if mask else None))
        save_png(fsc_figure(fsc, f"{half1.name} and {half2.name}"), figure)
    written = tuple(outputs[:2])
    return HalfMapComparison(fsc, headers, voxel_A, settings, halves.mask is not None, written)


@dataclass(frozen=True)
class CorrelatedHalves:
    """The voxels of two half maps, their mask, and their FSC."""

    first: Float[Tensor, "n z y x"]
    second: Float[Tensor, "n z y x"]
    mask: Float[Tensor, "z y x"] | None
    voxel_size_zyx_A: Voxel
    fsc: FSC


def correlate_halves(
    headers: tuple[MapHeader, MapHeader],
    settings: FSCSettings,
    *,
    mask: Path | None = None,
    pixel_size_A: float | None = None,
) -> CorrelatedHalves:
    """Read two half maps and compute their FSC, with warnings if they cannot be independent.

    Raises
    ------
    UserError
        A file is unreadable, or the grids differ.
    """
    refuse_other_shape(*headers)
    voxel_A = voxel_size_of(headers, pixel_size_A)
    masking = mask_for(mask, headers[0], pixel_size_A)
    warn_of_shared_content(headers)
    first, second = (torch.from_numpy(read_map(header)) for header in headers)
    fsc = half_map_fsc(first, second, voxel_A, settings, masking)
    warn_of_copies(fsc, headers)
    return CorrelatedHalves(first, second, masking, voxel_A, fsc)
