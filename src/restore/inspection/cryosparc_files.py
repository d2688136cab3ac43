"""cryoSPARC's tables that list no micrographs: volumes, masks, class averages, picks, movies."""

from pathlib import Path

import numpy as np

from restore.inspection.commands import compare_halves
from restore.inspection.findings import Findings, counted, span
from restore.io.cryosparc.datasets import Dataset
from restore.io.cryosparc.paths import finder, without_mark
from restore.io.cryosparc.tables import texts

_VOLUMES = ("map", "mask", "volume")
_POSE = "alignments3D/pose"
_CLASSES = ("class_averages", "templates")


def inspect_cryosparc_file(data: Dataset) -> Findings | None:
    """The findings on a table that lists neither exposures nor refined particles; None if
    it does.
    """
    names = set(data.names())
    slots = {name.partition("/")[0] for name in names if name.endswith("/path")}
    volumes = sorted(slot for slot in slots if slot.startswith(_VOLUMES))
    if volumes:
        return _inspect_volumes(data, volumes)
    if _POSE in names or "micrograph_blob" in slots:
        return None
    if "movie_blob" in slots:
        need = "their motion correction in cryoSPARC, with halves or frames kept"
        return Findings("a list of movies", (("movies", str(len(data))),), needs=(need,))
    if "blob" in slots:
        return _inspect_images(data)
    if "location/center_x_frac" in names:
        return Findings("particle coordinates", (("particles", str(len(data))),))
    return None


def _inspect_volumes(data: Dataset, slots: list[str]) -> Findings:
    """Maps, half maps and masks of a refinement: the file of each, and whether it exists."""
    find = finder(data.source)
    files: dict[str, Path] = {}
    facts: list[tuple[str, str]] = []
    for slot in slots:
        column = data.column(f"{slot}/path")
        values = [] if column is None else [text for text in texts(column) if text]
        if not values:
            continue
        file = find(values[0])
        more = f" and {len(values) - 1} more" if len(values) > 1 else ""
        absent = "" if file.is_file() else " (not there)"
        facts.append((slot, f"{without_mark(values[0])}{more}{absent}"))
        if not absent:
            files[slot] = file
    is_mask = all(slot.startswith("mask") for slot in slots)
    what = "masks of cryoSPARC's" if is_mask else "volumes of cryoSPARC's"
    first, second = files.get("map_half_A"), files.get("map_half_B")
    if first is None or second is None:
        return Findings(what, tuple(facts))
    mask = files.get("mask_fsc") or files.get("mask_refine")
    return Findings(what, tuple(facts), (compare_halves(first, second, mask),))


def _inspect_images(data: Dataset) -> Findings:
    """Small images without orientations: class averages, judged by the table's name, else
    particles.
    """
    shape, size_A = data.column("blob/shape"), data.column("blob/psize_A")
    is_classes = any(name in data.source.name for name in _CLASSES)
    facts = [("images", counted(len(data), "image"))]
    if shape is not None:
        sides = " or ".join(
            f"{x} × {y}" for y, x in np.unique(np.asarray(shape)[:, -2:], axis=0).tolist()
        )
        facts.append(("size", f"{sides} pixels"))
    if size_A is not None:
        facts.append(("pixel size", span((float(side) for side in size_A), "Å")))
    what = "class averages of cryoSPARC's" if is_classes else "particles without orientations"
    return Findings(what, tuple(facts))
