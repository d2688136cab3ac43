"""The FSC of a map file and an atomic model, with its table and figure."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from restore.atoms import Atoms
from restore.errors import UserError
from restore.io.atomic import write_text
from restore.io.atomic_models import read_atoms
from restore.io.images.maps import MapHeader
from restore.io.outputs import output_paths
from restore.io.star import write_star
from restore.maps.fsc import FSC, Voxel
from restore.maps.map_model_fsc import COARSE_A, coarse_agreement, looks_unfitted, map_model_fsc
from restore.maps.potential import model_map
from restore.postprocessing.map_files import (
    mask_for,
    refuse_other_shape,
    refuse_pixel_size,
    volume_header,
    volume_of,
    voxel_size_of,
)
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.fsc_figure import map_model_figure
from restore.tables.fsc import map_model_star

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelComparison:
    """The FSC of a map, or of the mean of two half maps, and a model; and the files written."""

    fsc: FSC
    maps: tuple[MapHeader, ...]
    voxel_size_zyx_A: Voxel
    atom_count: int
    files: tuple[Path, ...]


def compare_with_model(
    maps: Sequence[Path],
    model: Path,
    *,
    bfactors: Literal["file", "none"] = "file",
    mask: Path | None = None,
    pixel_size_A: float | None = None,
    output: Path | None = None,
    overwrite: bool = False,
) -> ModelComparison:
    """The FSC of one map, or of the mean of several, and the density of a model fitted into it.

    ``bfactors`` "none" makes all atoms equally sharp. With ``output`` a STAR file, a figure and
    the settings are written.

    Raises
    ------
    UserError
        A file is missing or unreadable, the grids differ, atoms lie outside the box, or an output
        exists.
    """
    refuse_pixel_size(pixel_size_A)
    outputs = output_paths(output, ".star", [".png", ".settings.json"], overwrite)
    headers = [volume_header(path) for path in maps]
    for header in headers[1:]:
        refuse_other_shape(headers[0], header)
    voxel_A = voxel_size_of(headers, pixel_size_A)
    masking = mask_for(mask, headers[0], pixel_size_A)
    atoms = read_atoms(model)
    if bfactors == "none":
        atoms = replace(atoms, bfactor_A2=np.zeros(len(atoms.elements)))
    shape, origin_A = headers[0].shape[1:], headers[0].origin_zyx_A
    refuse_atoms_outside(atoms, model, MapBox(str(headers[0].path), shape, voxel_A, origin_A))
    volume = torch.stack([volume_of(header) for header in headers]).mean(dim=0)
    density = model_map(atoms, shape, voxel_A, origin_A)
    fsc = map_model_fsc(volume, density, voxel_A, masking)
    _warn_if_unfitted(fsc, headers[0].path, model)
    if outputs:
        star, figure, record = outputs
        inputs = {"maps": list(maps), "model": model, "mask": mask, "voxel_size_zyx_A": voxel_A}
        write_text(record, as_json(provenance({"model_bfactors": bfactors}, inputs)) + "\n")
        names = [str(path) for path in maps]
        write_star(star, map_model_star(fsc, names, str(model), str(mask) if mask else None))
        title = f"{' and '.join(path.name for path in maps)} against {model.name}"
        label = maps[0].name if len(maps) == 1 else "mean of the halves"
        save_png(map_model_figure({label: fsc}, title), figure)
    return ModelComparison(fsc, tuple(headers), voxel_A, len(atoms.elements), tuple(outputs[:2]))


def _warn_if_unfitted(fsc: FSC, first: Path, model: Path) -> None:
    if looks_unfitted(fsc):
        log.warning(
            "%s and %s hardly agree: their mean correlation is %.2f in the shells coarser than "
            "%g Å. Is the model fitted into this map?",
            first,
            model,
            coarse_agreement(fsc),
            COARSE_A,
        )


@dataclass(frozen=True)
class MapBox:
    """The grid of a map, which is called ``name`` in messages."""

    name: str
    shape: tuple[int, int, int]
    voxel_size_zyx_A: Voxel
    origin_zyx_A: Voxel = (0.0, 0.0, 0.0)


def refuse_atoms_outside(atoms: Atoms, model: Path, box: MapBox) -> None:
    """Raise UserError if atoms lie outside the box: it is periodic, so they would appear on its
    other side.
    """
    voxel_xyz_A, origin_A = np.array(box.voxel_size_zyx_A[::-1]), np.array(box.origin_zyx_A[::-1])
    end_A = origin_A + (np.array(box.shape[::-1]) - 1) * voxel_xyz_A
    below, above = origin_A - voxel_xyz_A, end_A + voxel_xyz_A
    outside = ((atoms.position_A < below) | (atoms.position_A > above)).any(axis=1)
    if outside.any():
        corners = (atoms.position_A.min(axis=0), atoms.position_A.max(axis=0), origin_A, end_A)
        low, high, first, last = (", ".join(f"{x_A:.0f}" for x_A in corner) for corner in corners)
        raise UserError(
            f"{outside.sum()} of its {len(atoms.elements)} atoms lie outside the box of "
            f"{box.name}: the atoms go from ({low}) to ({high}) Å, the map from ({first}) to "
            f"({last}) Å",
            where=model,
            wanted="The model must lie in the map",
            do=(
                "fit the model into this map and save it relative to the map (the origin in the "
                "map's header counts)"
            ),
        )
