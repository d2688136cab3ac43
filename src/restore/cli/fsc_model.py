"""``restore fsc --model``: how far a map agrees with an atomic model."""

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from restore.atoms import Atoms
from restore.cli.maps import (
    crossing_words,
    mask_for,
    refuse_other_shape,
    sides,
    volume_header,
    voxel_size_zyx_A,
    voxel_words,
)
from restore.cli.results import output_paths
from restore.errors import UsageError, UserError
from restore.io.atomic import write_text
from restore.io.atomic_models import read_atoms
from restore.io.images.maps import MapHeader, read_map
from restore.io.star import write_star
from restore.maps.fsc import FSC, Voxel
from restore.maps.map_model_fsc import COARSE_A, coarse_agreement, looks_unfitted, map_model_fsc
from restore.maps.potential import model_map
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.fsc_figure import map_model_figure
from restore.report.fsc_file import map_model_star

log = logging.getLogger(__name__)


def run_against_model(namespace: argparse.Namespace) -> int:
    """Compare the map, or the mean of the halves, with the model; the exit status comes back."""
    if namespace.kind == "stack":
        raise UsageError(
            "--stack is given", wanted="A model is compared with a volume", do="leave --stack out"
        )
    written = output_paths(
        namespace.output, ".star", [".png", ".settings.json"], namespace.overwrite
    )
    paths = [path for path in (namespace.half1, namespace.half2) if path is not None]
    headers = [volume_header(path) for path in paths]
    refuse_other_shape(headers[0], headers[-1])
    voxel_A = voxel_size_zyx_A(headers, namespace.pixel_size)
    mask = mask_for(namespace.mask, headers[0])
    atoms = read_atoms(namespace.model)
    if namespace.model_bfactors == "none":
        atoms = replace(atoms, bfactor_A2=np.zeros(len(atoms.elements)))
    _refuse_atoms_outside(atoms, namespace.model, headers[0], voxel_A)
    volume = torch.stack([torch.from_numpy(read_map(header))[0] for header in headers]).mean(dim=0)
    density = model_map(
        atoms, (volume.shape[0], volume.shape[1], volume.shape[2]), voxel_A, headers[0].origin_zyx_A
    )
    fsc = map_model_fsc(volume, density, voxel_A, mask)
    if looks_unfitted(fsc):
        words = (
            "%s and %s hardly agree: their mean correlation is %.2f where the shells are coarser "
            "than %g Å. Is the model fitted into this map?"
        )
        log.warning(words, paths[0], namespace.model, coarse_agreement(fsc), COARSE_A)
    print(_summary(fsc, headers, voxel_A, namespace.model, len(atoms.elements)))
    if written:
        _write(written, fsc, namespace, voxel_A)
        print(*written[:2], sep="\n")
    return 0


def _refuse_atoms_outside(atoms: Atoms, model: Path, header: MapHeader, voxel_A: Voxel) -> None:
    """UserError where atoms lie outside the box: the box repeats itself, and they would appear at
    its other side.
    """
    voxel_xyz_A, origin_A = np.array(voxel_A[::-1]), np.array(header.origin_zyx_A[::-1])
    end_A = origin_A + (np.array(header.shape[:0:-1]) - 1) * voxel_xyz_A
    outside = (
        (atoms.position_A < origin_A - voxel_xyz_A) | (atoms.position_A > end_A + voxel_xyz_A)
    ).any(axis=1)
    if outside.any():
        spans = (atoms.position_A.min(axis=0), atoms.position_A.max(axis=0), origin_A, end_A)
        low, high, first, last = (", ".join(f"{each:.0f}" for each in point) for point in spans)
        raise UserError(
            f"{outside.sum()} of its {len(atoms.elements)} atoms lie outside the box of "
            f"{header.path}: "
            f"the atoms go from ({low}) to ({high}) Å, the map from ({first}) to ({last}) Å",
            where=model,
            wanted="The model must lie in the map",
            do=(
                "fit it into this very map and save it relative to the map (its header's origin "
                "counts)"
            ),
        )


def _summary(fsc: FSC, headers: list[MapHeader], voxel_A: Voxel, model: Path, atoms: int) -> str:
    """What a person wants to know at once."""
    names = " and ".join(str(header.path) for header in headers)
    name = f"{names}, their mean" if len(headers) == 2 else names
    width_A = 1 / float(fsc.frequency_per_A[1])
    lines = [
        f"{name}: {sides(headers[0])}, {voxel_words(voxel_A)} Å each; "
        f"{len(fsc.frequency_per_A)} shells, 1/{width_A:.4g} Å wide",
        f"{model}: {atoms} atoms",
        f"{'falls under':<14}{'0.5':>12}",
    ]
    lines += [f"{curve:<14}{crossing_words(fsc, curve, 0.5):>12}" for curve in fsc.curves]
    if fsc.masked is not None:
        lines.append("What the mask adds is not taken off the masked curve.")
    return "\n".join(lines)


def _write(written: list[Path], fsc: FSC, namespace: argparse.Namespace, voxel_A: Voxel) -> None:
    star, figure, record = written
    maps = [str(path) for path in (namespace.half1, namespace.half2) if path is not None]
    names = ("half1", "half2", "model", "mask", "pixel_size")
    inputs = {name: getattr(namespace, name) for name in names} | {"voxel_size_zyx_A": voxel_A}
    made = provenance({"model_bfactors": namespace.model_bfactors}, inputs)
    write_text(record, as_json(made) + "\n")
    mask = str(namespace.mask) if namespace.mask else None
    write_star(star, map_model_star(fsc, maps, str(namespace.model), mask))
    names = " and ".join(Path(each).name for each in maps)
    label = namespace.half1.name if len(maps) == 1 else "mean of the halves"
    save_png(map_model_figure({label: fsc}, f"{names} against {namespace.model.name}"), figure)
