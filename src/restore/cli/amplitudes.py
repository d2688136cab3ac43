"""``restore amplitudes``: how the Fourier amplitudes of maps fall with resolution, and their B
factors.
"""

import argparse
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch

from restore.cli.maps import refuse_voxel, sides, volume_header, voxel_size_zyx_A, voxel_words
from restore.cli.options import add_settings, settings_from
from restore.cli.results import output_paths
from restore.errors import UsageError, UserError
from restore.io.atomic import write_text
from restore.io.images.maps import MapHeader, read_map
from restore.io.star import read_star, write_star
from restore.maps.fsc import Voxel
from restore.maps.guinier import (
    SCALE_BAND_A,
    Falloff,
    GuinierFit,
    GuinierSettings,
    TooFewShellsError,
    guinier_fit,
    on_one_scale,
    rotational_amplitudes,
)
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.guinier_figure import amplitude_figure
from restore.report.guinier_file import amplitudes_star
from restore.runtime.memory import keep_heap

log = logging.getLogger(__name__)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore amplitudes``."""
    group = parser.add_argument_group("input (MRC volumes; their boxes and voxels may differ)")
    group.add_argument("maps", type=Path, nargs="+", metavar="MAP", help="map")
    group.add_argument(
        "--names", nargs="+", metavar="NAME", help="a name for each map (default: that of its file)"
    )
    group.add_argument(
        "--pixel_size", type=float, metavar="X", help="voxel size in Å, whatever the headers say"
    )
    group.add_argument(
        "--fsc",
        type=Path,
        metavar="STAR",
        help="FSC by restore fsc or relion_postprocess: the fit ends at the resolution that it states",
    )
    coarse_A, fine_A = SCALE_BAND_A
    group.add_argument(
        "--scale",
        action="store_true",
        help=f"multiply each map but the first by one factor, so that the mean amplitudes from {coarse_A:g} to"
        f" {fine_A:g} Å agree with those of the first",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output",
        "-o",
        type=Path,
        metavar="STAR",
        help="curves and fits as a table; a figure (.png) goes beside it",
    )
    output.add_argument(
        "--overwrite", action="store_true", help="replace files that are already there"
    )
    add_settings(parser, "fit (ln of the mean amplitude over 1/d², slope B/4)", GuinierSettings)


def run(namespace: argparse.Namespace) -> int:
    """Average, fit, print a summary, write table and figure where asked for; the exit status comes
    back.
    """
    settings = settings_from(namespace, GuinierSettings)
    keep_heap()
    refuse_voxel(namespace.pixel_size)
    refuse_fit_range(settings)
    names = _names(namespace.maps, namespace.names)
    written = output_paths(
        namespace.output, ".star", [".png", ".settings.json"], namespace.overwrite
    )
    resolution_A = _resolution_A(namespace.fsc) if namespace.fsc else None
    headers = [volume_header(path) for path in namespace.maps]
    voxels_A = [voxel_size_zyx_A([header], namespace.pixel_size) for header in headers]
    falloffs = _falloffs(names, headers, voxels_A)
    if namespace.scale:
        falloffs = _scaled(falloffs)
    fits = _fits(falloffs, settings, resolution_A)
    print(_summary(headers, voxels_A, fits, names))
    if resolution_A is None and settings.fit_to is None:
        print(
            "The lines go to Nyquist. Where noise or a low-pass sets in before, give --fsc or --fit_to."
        )
    if written:
        star, figure, record = written
        inputs = {
            "maps": namespace.maps,
            "voxel_sizes_zyx_A": voxels_A,
            "fsc": namespace.fsc,
            "scale": namespace.scale,
        }
        write_text(record, as_json(provenance(settings, inputs)) + "\n")
        write_star(star, amplitudes_star(falloffs, fits))
        save_png(amplitude_figure(falloffs, fits), figure)
        print(star, figure, sep="\n")
    return 0


def refuse_fit_range(settings: GuinierSettings) -> None:
    """UsageError where the fit would end before it begins."""
    if not settings.fit_from > 0 or (
        settings.fit_to is not None and not 0 < settings.fit_to < settings.fit_from
    ):
        found = f"the fit is to go from {settings.fit_from:g} to {settings.fit_to or 0:g} Å"
        raise UsageError(
            found,
            wanted="It goes from coarse to fine: --fit_from must be the larger, both above 0 Å",
        )


def _names(paths: Sequence[Path], given: Sequence[str] | None) -> list[str]:
    """A name for each map: those given, else the names of the files, or their paths where two have
    one name.
    """
    if given is not None:
        if len(given) != len(paths) or len(set(given)) != len(given):
            raise UsageError(
                f"{len(paths)} maps have {len(set(given))} names", wanted="Each must have its own"
            )
        return list(given)
    names = [path.name for path in paths]
    names = names if len(set(names)) == len(names) else [str(path) for path in paths]
    if len(set(names)) < len(names):
        raise UsageError(
            "a map is given twice",
            wanted="Each must be another",
            do="leave one out, or give --names",
        )
    return names


def _resolution_A(path: Path) -> float:
    """The resolution that the STAR file of an FSC states."""
    block = read_star(path).block("general")
    if block is None or "rlnFinalResolution" not in block.columns:
        found = "it has no rlnFinalResolution in data_general"
        raise UserError(
            found, where=path, wanted="An FSC by restore fsc or relion_postprocess is needed"
        )
    return float(block.column("rlnFinalResolution")[0])


def _falloffs(
    names: list[str], headers: list[MapHeader], voxels_A: list[Voxel]
) -> dict[str, Falloff]:
    return {
        name: rotational_amplitudes(torch.from_numpy(read_map(header))[0], voxel_A)
        for name, header, voxel_A in zip(names, headers, voxels_A, strict=True)
    }


def _scaled(falloffs: Mapping[str, Falloff]) -> dict[str, Falloff]:
    reference = next(iter(falloffs.values()))
    try:
        return {name: on_one_scale(each, reference) for name, each in falloffs.items()}
    except TooFewShellsError as error:
        raise UserError(
            str(error), wanted="--scale compares the maps there", do="leave --scale out"
        ) from error


def _fits(
    falloffs: Mapping[str, Falloff], settings: GuinierSettings, resolution_A: float | None
) -> dict[str, GuinierFit]:
    """The fit of each map that has shells enough; the others are named in a warning."""
    fits: dict[str, GuinierFit] = {}
    for name, falloff in falloffs.items():
        to_A = settings.fit_to or resolution_A or 1 / float(falloff.frequency_per_A[-1])
        try:
            fits[name] = guinier_fit(falloff, settings.fit_from, to_A)
        except TooFewShellsError as error:
            log.warning(
                "%s: no line is fitted: %s. Give another --fit_from or --fit_to", name, error
            )
    return fits


def _summary(
    headers: list[MapHeader],
    voxels_A: list[Voxel],
    fits: Mapping[str, GuinierFit],
    names: Sequence[str],
) -> str:
    """A line for each map."""
    width = max(len(name) for name in names)
    lines: list[str] = []
    for name, header, voxel_A in zip(names, headers, voxels_A, strict=True):
        words = f"{sides(header)}, {voxel_words(voxel_A)} Å each"
        lines.append(
            f"{name:<{width}}  {words}; {fit_words(fits[name]) if name in fits else 'no fit'}"
        )
    return "\n".join(lines)


def fit_words(fit: GuinierFit) -> str:
    """A fit in words."""
    return (
        f"B = {fit.bfactor_A2:.1f} ± {fit.bfactor_error_A2:.1f} Å² from {fit.from_A:g} to {fit.to_A:.3g} Å"
        f" ({fit.shells} shells, r² = {fit.r_squared:.3f})"
    )
