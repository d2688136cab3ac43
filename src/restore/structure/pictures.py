"""The maps as surfaces, from the side and from the top, and residues of the model in their
density.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.errors import UserError
from restore.io.residues import Residues, read_residues, stretch_from
from restore.maps.contour import Contour, ContourError, ContourSettings, contours
from restore.records import decoded
from restore.report.panels import save_picture
from restore.report.surface import BLUE, RED
from restore.report.views import Shown, views_picture
from restore.structure.reconstructions import MapFiles, References
from restore.structure.records import Picture
from restore.structure.settings import StructureInputs, StructureSettings
from restore.structure.stages import REDO, Stage, Stages
from restore.structure.volumes import read_volume

log = logging.getLogger(__name__)

_TITLES = {
    "raw_by_raw": "raw",
    "denoised_by_raw": "denoised, orientations of raw",
    "denoised_by_denoised": "denoised",
}


@dataclass(frozen=True)
class Pictures:
    """The pictures of the maps, and those of residues of the model in them."""

    views: tuple[Picture, ...] = ()
    regions: tuple[Picture, ...] = ()


def draw(
    files: Mapping[str, MapFiles],
    against: References,
    residues: Sequence[Residues],
    settings: StructureSettings,
    run: tuple[Stages, Path],
) -> Pictures:
    """The pictures of the raw map and of the denoised one: ``views`` and, with a model,
    ``regions``.
    """
    if not settings.views_px:
        return Pictures()
    stages, folder = run
    chosen = {name: files[name] for name in _chosen(files)}
    views, regions = folder / "views.png", folder / "regions.png"
    maps = [
        path for each in chosen.values() for path in (each.mean, each.sharpened) if path.is_file()
    ]

    def work() -> Mapping[str, Any]:
        shown = _shown(chosen, against, settings.mass_kDa)
        drawn: list[Picture] = []
        residues_drawn: list[Picture] = []
        if shown:
            save_picture(views_picture(shown, side_px=settings.views_px), views)
            words = (
                "Before sharpening"
                + (", and after it" if len(shown[0].contours) > 1 else "")
                + ", all on one scale."
            )
            drawn.append(_picture("Side and top", words, views, folder))
        if shown and residues:
            save_picture(views_picture(shown, (), residues, settings.views_px), regions)
            names = ", ".join(str(each.stretch) for each in residues)
            residues_drawn.append(
                _picture(names, "In the sharpened maps, where there are any.", regions, folder)
            )
        files = [picture.path for picture in (*drawn, *residues_drawn)]
        return {"views": drawn, "regions": residues_drawn, "files": files}

    made_with = [
        list(chosen),
        settings.mass_kDa,
        settings.views_px,
        [str(each.stretch) for each in residues],
    ]
    stage = Stage("views", made_with, [*maps, *against.files], [])
    return decoded(Pictures, stages.run(stage, work), stages.path_of(stage), "stage", REDO)


def _chosen(files: Mapping[str, MapFiles]) -> list[str]:
    """The raw map, and the denoised one by its own orientations, or else by the raw one's."""
    return [
        "raw_by_raw",
        "denoised_by_denoised" if "denoised_by_denoised" in files else "denoised_by_raw",
    ]


def _shown(
    chosen: Mapping[str, MapFiles], against: References, mass_kDa: float | None
) -> list[Shown]:
    """The maps with their surfaces; the sharpened ones only where all have been sharpened; nothing
    where a map has none.
    """
    kinds = [[each.mean for each in chosen.values()]]
    if all(each.sharpened.is_file() for each in chosen.values()):
        kinds.append([each.sharpened for each in chosen.values()])
    try:
        rows = [_surfaces(paths, against, mass_kDa) for paths in kinds]
    except ContourError as error:
        log.warning("the maps cannot be drawn: %s", error)
        return []
    columns = zip(chosen, (BLUE, RED), zip(*rows, strict=True), strict=True)
    return [Shown(_TITLES[name], surfaces, colour=colour) for name, colour, surfaces in columns]


def _surfaces(paths: Sequence[Path], against: References, mass_kDa: float | None) -> list[Contour]:
    """Each map's surface under the mask; all enclose the volume that the first one's encloses."""
    maps = [read_volume(path) for path in paths]
    masked = [each if against.mask is None else each * against.mask for each in maps]
    return contours(
        [(each, against.voxel_zyx_A) for each in masked], ContourSettings(mass_kDa=mass_kDa)
    )


def residues_of(inputs: StructureInputs, settings: StructureSettings) -> list[Residues]:
    """What of the model is drawn: the stretches that were named, else a helix and a strand, where
    its file says which.

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
