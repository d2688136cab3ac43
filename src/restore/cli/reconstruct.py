"""``restore reconstruct``: reconstruct half maps from particle images, raw or denoised, with known
orientations.
"""

import argparse
from pathlib import Path

from restore.cli.maps import add_output_options, fall_words
from restore.cli.options import add_settings, settings_from
from restore.cli.progress import Bar
from restore.particles.reconstruction.half_map_files import Reconstruction, reconstruct_half_maps
from restore.particles.reconstruction.halves import ReconstructionSettings
from restore.runtime.memory import tune_malloc


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore reconstruct``."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "particles",
        type=Path,
        metavar="PARTICLES",
        help="refined particles: RELION STAR, cryoSPARC .cs or .csg file",
    )
    add_output_options(
        parser,
        "NAME",
        "name of the results: NAME_half1.mrc, NAME_half2.mrc, their mean NAME.mrc and "
        "NAME.settings.json (default: map)",
        Path("map"),
    )
    add_settings(parser, "reconstruction", ReconstructionSettings)


def run(namespace: argparse.Namespace) -> int:
    """Reconstruct and write the half maps, print a summary; returns the exit status."""
    settings = settings_from(namespace, ReconstructionSettings)
    tune_malloc()
    reconstruction = reconstruct_half_maps(
        namespace.particles,
        settings,
        output=namespace.output,
        overwrite=namespace.overwrite,
        bars=Bar,
    )
    print(_words(reconstruction), *reconstruction.files, sep="\n")
    return 0


def _words(reconstruction: Reconstruction) -> str:
    """A summary of the particles, and the resolution of the half maps."""
    images, fsc = reconstruction.images, reconstruction.fsc
    first, second = reconstruction.maps.counts
    return (
        f"{len(images)} particles of {images.box_px} x {images.box_px} pixels, "
        f"{images.pixel_size_A:.5g} Å each: {first} and {second} in the halves\n"
        f"the FSC of the half maps, without a mask, {fall_words(fsc, 'unmasked', 0.143)}"
    )
