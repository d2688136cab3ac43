"""A sharpened map from two half-map files, with its FSC and Guinier plot."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from restore.errors import UserError
from restore.io.atomic import write_text
from restore.io.images.maps import MapHeader, write_map
from restore.io.outputs import output_paths, refuse_existing
from restore.io.star import write_star
from restore.maps.fsc import FSC, FSCSettings, Voxel
from restore.maps.guinier import GuinierSettings, TooFewShellsError
from restore.maps.sharpening import Sharpening, SharpenSettings, UnresolvedError, sharpen
from restore.postprocessing.half_map_fsc import correlate_halves
from restore.postprocessing.map_files import refuse_pixel_size, volume_header
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.guinier_figure import sharpening_figure
from restore.tables.fsc import fsc_star
from restore.tables.guinier import with_sharpening
from restore.version import __version__

log = logging.getLogger(__name__)

_BESIDE = (".star", ".png", ".settings.json")


@dataclass(frozen=True)
class SharpenRecipe:
    """All settings of a sharpened map: the sharpening, the Guinier fit and the FSC."""

    sharpening: SharpenSettings = SharpenSettings()
    fit: GuinierSettings = GuinierSettings()
    fsc: FSCSettings = FSCSettings()


@dataclass(frozen=True)
class SharpenedMap:
    """A sharpened map, the FSC it was weighted by, a half map's header, and the files written."""

    sharpening: Sharpening
    fsc: FSC
    header: MapHeader
    voxel_size_zyx_A: Voxel
    files: tuple[Path, ...]


_DEFAULT = SharpenRecipe()


def sharpen_half_maps(
    half1: Path,
    half2: Path,
    recipe: SharpenRecipe = _DEFAULT,
    *,
    mask: Path | None = None,
    pixel_size_A: float | None = None,
    output: Path = Path("sharpened.mrc"),
    overwrite: bool = False,
) -> SharpenedMap:
    """The mean of two half maps, weighted by their FSC and sharpened by a B factor.

    The map is written to ``output``, the masked map to ``…_masked.mrc``, and a STAR file, a figure
    and the settings beside them.

    Raises
    ------
    UserError
        A file is missing or unreadable, the grids differ, the halves do not agree, there are too
        few shells for the fit, or an output exists.
    """
    refuse_pixel_size(pixel_size_A)
    outputs = output_paths(output, ".mrc", _BESIDE, overwrite)
    masked = output.with_name(f"{output.stem}_masked.mrc") if mask else None
    refuse_existing([masked] if masked else [], overwrite)
    headers = (volume_header(half1), volume_header(half2))
    halves = correlate_halves(headers, recipe.fsc, mask=mask, pixel_size_A=pixel_size_A)
    fsc, voxel_A, masking = halves.fsc, halves.voxel_size_zyx_A, halves.mask
    sharpening = _sharpened((halves.first[0] + halves.second[0]) / 2, voxel_A, fsc, recipe)
    inputs = {"half1": half1, "half2": half2, "mask": mask, "voxel_size_zyx_A": voxel_A}
    made_with = {"sharpening": recipe.sharpening, "fit": recipe.fit, "fsc": recipe.fsc}
    write_text(outputs[3], as_json(provenance(made_with, inputs)) + "\n")
    labels, origin_A = _labels(headers, sharpening), headers[0].origin_zyx_A
    write_map(outputs[0], sharpening.volume.numpy(), voxel_A, origin_A, labels)
    if masked and masking is not None:
        write_map(masked, (sharpening.volume * masking).numpy(), voxel_A, origin_A, labels)
    star = fsc_star(fsc, str(half1), str(half2), str(mask) if mask else None)
    write_star(outputs[1], with_sharpening(star, sharpening))
    save_png(sharpening_figure(sharpening, fsc, output.name), outputs[2])
    files = (outputs[0], *([masked] if masked else []), *outputs[1:3])
    return SharpenedMap(sharpening, fsc, headers[0], voxel_A, files)


def _sharpened(
    mean: Float[Tensor, "z y x"], voxel_A: Voxel, fsc: FSC, recipe: SharpenRecipe
) -> Sharpening:
    bfactor_A2 = recipe.sharpening.bfactor
    if bfactor_A2 is not None and bfactor_A2 > 0:
        log.warning(
            "a B factor of %g Å² blurs: sharpening needs a negative one, as in RELION", bfactor_A2
        )
    try:
        return sharpen(mean, voxel_A, fsc, recipe.sharpening, recipe.fit)
    except UnresolvedError as error:
        do = "check that both are halves of one reconstruction"
        raise UserError(str(error), wanted="There is nothing to sharpen", do=do) from error
    except TooFewShellsError as error:
        do = "give a coarser `fit_from`, a finer `fit_to`, or a value for `bfactor`"
        raise UserError(
            f"there are {error}",
            wanted=("The line that gives the B factor needs three shells"),
            do=do,
        ) from error


def _labels(headers: Sequence[MapHeader], sharpening: Sharpening) -> list[str]:
    """The labels of the half maps, which say how these were made, and one for the sharpening."""
    lowpass = f", low-pass {sharpening.lowpass_A:.2f} A" if sharpening.lowpass_A else ""
    kept = dict.fromkeys(label for header in headers for label in header.labels)
    return [
        *list(kept)[:9],
        f"restore {__version__} sharpened: B {sharpening.bfactor_A2:.1f} A2{lowpass}",
    ]
