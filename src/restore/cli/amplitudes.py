"""``restore amplitudes``: the Fourier amplitudes of maps by resolution, and their B factors."""

import argparse
from pathlib import Path

from restore.cli.maps import add_output_options, add_voxel_option, fit_words, grid_words
from restore.cli.options import add_settings, settings_from
from restore.maps.guinier import SCALE_BAND_A, GuinierSettings
from restore.postprocessing.amplitudes import MapAmplitudes, measure_amplitudes
from restore.runtime.memory import tune_malloc


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore amplitudes``."""
    group = parser.add_argument_group("input (MRC volumes; their boxes and voxels may differ)")
    group.add_argument("maps", type=Path, nargs="+", metavar="MAP", help="map")
    group.add_argument(
        "--names", nargs="+", metavar="NAME", help="names of the maps (default: the files' names)"
    )
    add_voxel_option(group)
    group.add_argument(
        "--fsc",
        type=Path,
        metavar="STAR",
        help="FSC table of restore fsc or relion_postprocess, at whose resolution the fit ends",
    )
    coarse_A, fine_A = SCALE_BAND_A
    group.add_argument(
        "--scale",
        action="store_true",
        help=f"multiply each map by a factor that makes its mean amplitude from {coarse_A:g} to "
        f"{fine_A:g} Å equal to that of the first map",
    )
    add_output_options(
        parser, "STAR", "table of the curves and fits; a figure (.png) is written beside it"
    )
    add_settings(parser, "fit (ln of the mean amplitude against 1/d², slope B/4)", GuinierSettings)


def run(namespace: argparse.Namespace) -> int:
    """Average, fit, write if requested, print a summary; returns the exit status."""
    settings = settings_from(namespace, GuinierSettings)
    tune_malloc()
    amplitudes = measure_amplitudes(
        namespace.maps,
        settings,
        names=namespace.names,
        pixel_size_A=namespace.pixel_size,
        fsc=namespace.fsc,
        scale=namespace.scale,
        output=namespace.output,
        overwrite=namespace.overwrite,
    )
    print(_words(amplitudes))
    if amplitudes.resolution_A is None and settings.fit_to is None:
        print(
            "The lines are fitted up to Nyquist. If noise or a low-pass filter sets in earlier, "
            "give --fsc or --fit_to."
        )
    for path in amplitudes.files:
        print(path)
    return 0


def _words(amplitudes: MapAmplitudes) -> str:
    """A line for each map."""
    width = max(len(name) for name in amplitudes.maps)
    lines: list[str] = []
    for name, header in amplitudes.maps.items():
        fit = amplitudes.fits.get(name)
        grid = grid_words(header, amplitudes.voxel_sizes_zyx_A[name])
        lines.append(f"{name:<{width}}  {grid}; {fit_words(fit) if fit else 'no fit'}")
    return "\n".join(lines)
