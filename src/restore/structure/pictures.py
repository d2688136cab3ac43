"""The maps as surfaces, from the side and from the top, and residues of the model in their
density.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.errors import UserError
from restore.io.atomic import write_text
from restore.io.residues import Residues, read_residues, stretch_from
from restore.maps.contour import Contour, ContourError, ContourSettings, contours
from restore.records import decoded, record_text
from restore.report.palette import DENOISED, RAW
from restore.report.scenes import (
    FILE,
    SceneRow,
    Scenes,
    ShownMap,
    residue_rows,
    surface_rows,
)
from restore.structure.reconstructions import MapFiles
from restore.structure.records import Picture
from restore.structure.settings import StructureInputs, StructureSettings
from restore.structure.stages import REDO, Stage, Stages
from restore.structure.volumes import References, read_volume

log = logging.getLogger(__name__)

_IN_SHARPENED = "In the sharpened maps, where there are any."
_TITLES = {
    "raw_by_raw": "raw",
    "denoised_by_raw": "denoised, orientations of raw",
    "denoised_by_denoised": "denoised",
}


@dataclass(frozen=True)
class Pictures:
    """The scenes of the maps, and those of residues of the model in them."""

    views: tuple[Picture, ...] = ()
    regions: tuple[Picture, ...] = ()


def draw(
    files: Mapping[str, MapFiles],
    against: References,
    residues: Sequence[Residues],
    settings: StructureSettings,
    run: tuple[Stages, Path],
) -> Pictures:
    """The scenes of the raw map and of the denoised one: ``views`` and, with a model, ``regions``.
    Each is a file of scenes in the folder, shown on the page.
    """
    if not settings.views:
        return Pictures()
    stages, folder = run
    chosen = {name: files[name] for name in _chosen(files)}
    names = [str(stretch.stretch) for stretch in residues]
    views, regions = folder / "views.json", folder / "regions.json"
    maps = [
        path
        for files in chosen.values()
        for path in (files.mean, files.sharpened)
        if path.is_file()
    ]

    def work() -> Mapping[str, Any]:
        shown = _shown(chosen, against, settings.mass_kDa)
        surfaces: list[Picture] = []
        details: list[Picture] = []
        if shown:
            _write(tuple(surface_rows(shown)), views)
            words = (
                "Before sharpening"
                + (", and after it" if len(shown[0].contours) > 1 else "")
                + ", all at the same scale."
            )
            surfaces.append(_picture("Side and top", words, views, folder))
        if shown and residues:
            _write(tuple(residue_rows(shown, residues)), regions)
            details.append(_picture(", ".join(names), _IN_SHARPENED, regions, folder))
        files = [picture.path for picture in (*surfaces, *details)]
        return {"views": surfaces, "regions": details, "files": files}

    made_with = [list(chosen), settings.mass_kDa, names]
    stage = Stage("views", made_with, maps, [], against.files)
    return decoded(Pictures, stages.run(stage, work), stages.path_of(stage), "stage", REDO)


def _chosen(files: Mapping[str, MapFiles]) -> list[str]:
    """The raw map, and the denoised one in its own orientations, or else in the raw one's."""
    return [
        "raw_by_raw",
        "denoised_by_denoised" if "denoised_by_denoised" in files else "denoised_by_raw",
    ]


def _shown(
    chosen: Mapping[str, MapFiles], against: References, mass_kDa: float | None
) -> list[ShownMap]:
    """The maps with their surfaces, and the sharpened ones if all have been sharpened; empty if a
    map has no surface.
    """
    kinds = [[files.mean for files in chosen.values()]]
    if all(files.sharpened.is_file() for files in chosen.values()):
        kinds.append([files.sharpened for files in chosen.values()])
    try:
        rows = [_surfaces(paths, against, mass_kDa) for paths in kinds]
    except ContourError as error:
        log.warning("the maps cannot be drawn: %s", error)
        return []
    columns = zip(chosen, (RAW.light, DENOISED.light), zip(*rows, strict=True), strict=True)
    return [ShownMap(_TITLES[name], surfaces, colour=colour) for name, colour, surfaces in columns]


def _surfaces(paths: Sequence[Path], against: References, mass_kDa: float | None) -> list[Contour]:
    """Each map's surface under the mask; all enclose the same volume as the first."""
    maps = [read_volume(path) for path in paths]
    masked = [volume if against.mask is None else volume * against.mask for volume in maps]
    return contours(
        [(volume, against.voxel_zyx_A) for volume in masked], ContourSettings(mass_kDa=mass_kDa)
    )


def _write(rows: tuple[SceneRow, ...], path: Path) -> None:
    write_text(path, record_text(Scenes(rows), FILE))


def residues_of(inputs: StructureInputs, settings: StructureSettings) -> list[Residues]:
    """The parts of the model to draw: the stretches that were named, else a helix and a strand, if
    its file identifies any.

    Raises
    ------
    UserError
        The model has no such residues.
    """
    if inputs.model is None:
        return []
    try:
        return read_residues(inputs.model, [stretch_from(words) for words in settings.region or ()])
    except UserError as error:
        if settings.region:
            raise
        log.warning("no residues are drawn: %s", error)
        return []


def _picture(title: str, words: str, path: Path, folder: Path) -> Picture:
    return Picture(title=title, words=words, path=str(path.relative_to(folder)))
