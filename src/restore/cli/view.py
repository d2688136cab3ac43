"""``restore view``: show the surfaces of maps side by side, and residues of a model in their
density.
"""

import argparse
from pathlib import Path

from restore.cli.maps import add_mask_option, add_output_options, add_voxel_option
from restore.cli.options import add_settings, settings_from
from restore.errors import UsageError
from restore.maps.contour import ContourSettings
from restore.postprocessing.map_files import describe_shape
from restore.postprocessing.view import DrawnMaps, DrawnResidues, MapView, draw_maps
from restore.runtime.memory import tune_malloc

_LEVEL = (
    "level (default: 35 % of the first map's peak; the other maps enclose the same volume as the "
    "first)"
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore view``."""
    group = parser.add_argument_group("input (MRC volumes)")
    group.add_argument("maps", type=Path, nargs="+", metavar="MAP", help="maps, one per column")
    group.add_argument(
        "--sharpened",
        type=Path,
        nargs="+",
        default=[],
        metavar="MAP",
        help="sharpened version of each map, in the same order, shown in a second row",
    )
    group.add_argument(
        "--names",
        nargs="+",
        default=[],
        metavar="NAME",
        help="titles of the maps (default: the files' names)",
    )
    add_mask_option(group, "mask, from 0 to 1, outside which nothing is drawn")
    add_voxel_option(group)
    add_settings(parser, _LEVEL, ContourSettings)
    _add_residues(parser.add_argument_group("residues"))
    add_output_options(
        parser,
        "HTML",
        (
            "page to write, with surfaces that can be turned (default: view.html); the settings "
            "are written beside it"
        ),
        Path("view.html"),
    )


def _add_residues(group: "argparse._ArgumentGroup") -> None:  # pyright: ignore[reportPrivateUsage]
    group.add_argument(
        "--model",
        type=Path,
        metavar="MODEL",
        help="PDB or mmCIF model fitted into the maps, some of whose residues are drawn",
    )
    group.add_argument(
        "--region",
        nargs="+",
        default=[],
        metavar="RESIDUES",
        help=(
            "residues to draw, such as A/45-60, in the sharpened maps if there are any (default: "
            "the middle of the model's longest helix and of its longest strand)"
        ),
    )


def run(namespace: argparse.Namespace) -> int:
    """Find the levels, write the page, print a summary; returns the exit status."""
    settings = settings_from(namespace, ContourSettings)
    tune_malloc()
    if namespace.region and namespace.model is None:
        raise UsageError("--region is given without a model", do="give --model")
    maps = DrawnMaps(
        tuple(namespace.maps),
        tuple(namespace.sharpened),
        tuple(namespace.names),
        namespace.mask,
        namespace.pixel_size,
    )
    residues = namespace.model and DrawnResidues(namespace.model, tuple(namespace.region))
    view = draw_maps(
        maps,
        settings,
        residues,
        output=namespace.output,
        overwrite=namespace.overwrite,
    )
    print(_words(view), view.page, sep="\n")
    return 0


def _words(view: MapView) -> str:
    """The level and volume of each surface, and the residues."""
    lines = [
        f"{header.path}: {describe_shape(header)}; drawn at {surface.level:.4g}, which encloses "
        f"{surface.volume_A3 / 1000:.4g} nm³"
        for header, surface in zip(view.maps, view.surfaces, strict=True)
    ]
    lines += [
        f"residues {residues.stretch}: {len(residues.elements)} atoms" for residues in view.residues
    ]
    return "\n".join(lines)
