"""``restore view``: the surfaces of maps beside each other, and residues of a model in their
density.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from restore.cli.maps import mask_for, refuse_voxel, sides, volume_header, voxel_size_zyx_A
from restore.cli.options import add_settings, settings_from
from restore.cli.results import refuse_existing
from restore.errors import UsageError, UserError
from restore.io.atomic import require_writable, write_text
from restore.io.images.maps import MapHeader, read_map
from restore.io.residues import Residues, read_residues, stretch_from
from restore.maps.contour import Contour, ContourError, ContourSettings, contours
from restore.maps.fsc import Voxel
from restore.provenance import as_json, provenance
from restore.report.frame import VIEWS
from restore.report.panels import save_picture
from restore.report.views import COLOURS, Shown, views_picture
from restore.runtime.memory import keep_heap

_SMALLEST_PX, _LARGEST_PX = 100, 2000


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore view``."""
    group = parser.add_argument_group("input (MRC volumes)")
    group.add_argument(
        "maps", type=Path, nargs="+", metavar="MAP", help="map, a column of the picture"
    )
    group.add_argument(
        "--sharpened",
        type=Path,
        nargs="+",
        metavar="MAP",
        help="each map sharpened, in the same order: a second row",
    )
    group.add_argument(
        "--names", nargs="+", metavar="NAME", help="a title for each map (default: the file's name)"
    )
    group.add_argument(
        "--mask", type=Path, metavar="MASK", help="draw only what lies in this mask, from 0 to 1"
    )
    group.add_argument(
        "--pixel_size", type=float, metavar="X", help="voxel size in Å, whatever the headers say"
    )
    add_settings(parser, "level (default: 35 % of the first map's peak, the same volume enclosed by the others)",
                 ContourSettings)  # fmt: skip
    group = parser.add_argument_group("residues")
    group.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help="PDB or mmCIF model that lies in the maps: draw residues of it too",
    )
    group.add_argument(
        "--region",
        nargs="+",
        metavar="RESIDUES",
        help=(
            "residues to draw, in the sharpened maps where given, such as A/45-60 (default: the "
            "middle of the model's longest helix and longest strand)"
        ),
    )
    output = parser.add_argument_group("output")
    output.add_argument("--output", "-o", type=Path, default=Path("view.png"), metavar="PNG", help="picture"
                        " (default: view.png); the settings go beside it")  # fmt: skip
    output.add_argument(
        "--views",
        nargs="*",
        choices=tuple(VIEWS),
        default=["side", "top"],
        metavar="VIEW",
        help=f"sides to show: {', '.join(VIEWS)} (default: side top); none: residues only",
    )
    output.add_argument(
        "--size_px",
        type=int,
        default=480,
        metavar="N",
        help="side of a view, pixels (default: 480)",
    )
    output.add_argument(
        "--overwrite", action="store_true", help="replace files that are already there"
    )


def run(namespace: argparse.Namespace) -> int:
    """Find the levels, draw, write the picture; the exit status comes back."""
    settings = settings_from(namespace, ContourSettings)
    keep_heap()
    _refuse_wrong_use(namespace, settings)
    picture, record = namespace.output, namespace.output.with_suffix(".settings.json")
    require_writable(picture.parent)
    refuse_existing([picture, record], namespace.overwrite)
    residues = _residues(namespace)
    headers = [volume_header(path) for path in (*namespace.maps, *(namespace.sharpened or []))]
    voxels_A = [voxel_size_zyx_A([header], namespace.pixel_size) for header in headers]
    for header, voxel_A in zip(headers, voxels_A, strict=True):
        _refuse_outside(header, voxel_A, residues, namespace.model)
    drawn = _contours(headers, voxels_A, settings, namespace)
    shown = _shown(namespace, headers, drawn)
    image = views_picture(shown, namespace.views, residues, namespace.size_px)
    inputs = {
        name: getattr(namespace, name)
        for name in (
            "maps",
            "sharpened",
            "names",
            "mask",
            "pixel_size",
            "model",
            "views",
            "size_px",
        )
    }
    made = [{"level": each.level, "volume_A3": each.volume_A3} for each in drawn]
    stretches = [str(each.stretch) for each in residues]
    write_text(
        record, as_json(provenance(settings, {**inputs, "region": stretches, "drawn": made})) + "\n"
    )
    save_picture(image, picture)
    print(_summary(headers, drawn, residues))
    print(picture)
    return 0


def _refuse_wrong_use(namespace: argparse.Namespace, settings: ContourSettings) -> None:
    refuse_voxel(namespace.pixel_size)
    rows = 2 if namespace.sharpened else 1
    for name, given in (("--sharpened", namespace.sharpened), ("--names", namespace.names)):
        if given is not None and len(given) != len(namespace.maps):
            found = f"{len(namespace.maps)} maps, and {name} with {len(given)}"
            raise UsageError(found, wanted="One for each map is needed, in the same order")
    if settings.level is not None and len(settings.level) not in {1, rows * len(namespace.maps)}:
        found = f"--level has {len(settings.level)} numbers"
        raise UsageError(
            found, wanted=f"One is needed, or {rows * len(namespace.maps)}: one for each map drawn"
        )
    given = [name for name in ("level", "sigma", "mass_kDa") if getattr(settings, name) is not None]
    if len(given) > 1:
        raise UsageError(f"--{given[0]} and --{given[1]} both say the level", do="leave one out")
    if settings.mass_kDa is not None and not settings.mass_kDa > 0:
        raise UsageError(
            f"--mass_kDa is {settings.mass_kDa:g}", wanted="A mass above 0 kDa is needed"
        )
    if not 0 <= settings.dust <= 1:
        raise UsageError(f"--dust is {settings.dust:g}", wanted="A share from 0 to 1 is needed")
    _refuse_wrong_picture(namespace)


def _refuse_wrong_picture(namespace: argparse.Namespace) -> None:
    if namespace.region and namespace.model is None:
        raise UsageError("--region names residues, but of no model", do="give --model")
    if not namespace.views and namespace.model is None:
        raise UsageError(
            "there is nothing to draw: no view and no model", do="give --views or --model"
        )
    if not _SMALLEST_PX <= namespace.size_px <= _LARGEST_PX:
        wanted = f"{_SMALLEST_PX} to {_LARGEST_PX} pixels can be drawn"
        raise UsageError(f"--size_px is {namespace.size_px}", wanted=wanted)
    if namespace.output.suffix.lower() != ".png":
        raise UsageError(
            f'"{namespace.output}" is no name of a picture', wanted="The name must end in .png"
        )


def _residues(namespace: argparse.Namespace) -> list[Residues]:
    if namespace.model is None:
        return []
    return read_residues(namespace.model, [stretch_from(words) for words in namespace.region or []])


def _refuse_outside(
    header: MapHeader, voxel_A: Voxel, residues: Sequence[Residues], model: Path
) -> None:
    """UserError where residues do not lie in the box of the map."""
    first_A = np.array(header.origin_zyx_A[::-1])
    last_A = first_A + (np.array(header.shape[:0:-1]) - 1) * np.array(voxel_A[::-1])
    for each in residues:
        low_A, high_A = each.position_A.min(0), each.position_A.max(0)
        if (low_A < first_A).any() or (high_A > last_A).any():
            spans = [
                ", ".join(
                    f"{axis} {low:.0f} to {high:.0f}"
                    for axis, low, high in zip("xyz", *ends, strict=True)
                )
                for ends in ((low_A, high_A), (first_A, last_A))
            ]
            found = (
                f"its residues {each.stretch} lie at {spans[0]} Å, outside {header.path} "
                f"({spans[1]} Å)"
            )
            raise UserError(
                found, where=model, wanted="The model must lie in the map", do="fit it into the map"
            )


def _contours(
    headers: Sequence[MapHeader],
    voxels_A: Sequence[Voxel],
    settings: ContourSettings,
    namespace: argparse.Namespace,
) -> list[Contour]:
    """The maps' surfaces, then those of the sharpened maps; a level that is not given is found for
    each row by itself.
    """
    drawn: list[Contour] = []
    count = len(namespace.maps)
    for start in range(0, len(headers), count):
        row = slice(start, start + count)
        levels = (
            settings.level
            if settings.level is None or len(settings.level) == 1
            else settings.level[row]
        )
        maps = [
            (_density(header, namespace.mask), voxel_A)
            for header, voxel_A in zip(headers[row], voxels_A[row], strict=True)
        ]
        try:
            drawn += contours(maps, replace(settings, level=levels))
        except ContourError as error:
            where = headers[start + error.number].path
            raise UserError(
                str(error), where=where, do="give another --level, --sigma or --mass_kDa"
            ) from error
    return drawn


def _density(header: MapHeader, mask: Path | None) -> Float[Tensor, "z y x"]:
    density, kept = torch.from_numpy(read_map(header))[0], mask_for(mask, header)
    return density if kept is None else density * kept


def _shown(
    namespace: argparse.Namespace, headers: Sequence[MapHeader], drawn: Sequence[Contour]
) -> list[Shown]:
    count = len(namespace.maps)
    titles = namespace.names or [path.name for path in namespace.maps]
    shown: list[Shown] = []
    for number, title in enumerate(titles):
        z_A, y_A, x_A = headers[number].origin_zyx_A
        shown.append(
            Shown(
                title, tuple(drawn[number::count]), (x_A, y_A, z_A), COLOURS[number % len(COLOURS)]
            )
        )
    return shown


def _summary(
    headers: Sequence[MapHeader], drawn: Sequence[Contour], residues: Sequence[Residues]
) -> str:
    """The level and volume of each surface, and the residues."""
    lines = [
        f"{header.path}: {sides(header)}; drawn at {each.level:.4g}, which encloses "
        f"{each.volume_A3 / 1000:.4g} nm³"
        for header, each in zip(headers, drawn, strict=True)
    ]
    return "\n".join(
        [*lines, *(f"residues {each.stretch}: {len(each.elements)} atoms" for each in residues)]
    )
