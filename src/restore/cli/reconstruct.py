"""``restore reconstruct``: half maps from particle images, raw or denoised, whose orientations are
known.
"""

import argparse
import logging
from pathlib import Path

from restore.cli.options import add_settings, group_of, settings_from
from restore.cli.progress import Bar
from restore.cli.results import refuse_existing
from restore.io.atomic import require_writable, write_text
from restore.io.denoised_mark import denoised_label, shows_denoised
from restore.io.images.maps import write_map
from restore.io.particle_images import ParticleImages, open_particle_images
from restore.maps.fsc import FSCSettings, half_map_fsc
from restore.particles.reconstruction.engines import chosen_engine, half_maps
from restore.particles.reconstruction.halves import HalfMaps, ReconstructionSettings, treatment
from restore.provenance import as_json, provenance
from restore.runtime.memory import keep_heap
from restore.version import __version__

log = logging.getLogger(__name__)

_MADE_BY = {"relion": "relion_reconstruct", "torch": "torch-fourier-slice"}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore reconstruct``."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "particles",
        type=Path,
        metavar="PARTICLES",
        help="refined particles: RELION STAR, cryoSPARC .cs or .csg file",
    )
    output = parser.add_argument_group("output")
    output.add_argument(
        "--output",
        "-o",
        type=Path,
        default=Path("map"),
        metavar="NAME",
        help=(
            "NAME_half1.mrc, NAME_half2.mrc, their mean NAME.mrc and NAME.settings.json are "
            "written (default: map)"
        ),
    )
    output.add_argument(
        "--overwrite", action="store_true", help="replace files that are already there"
    )
    add_settings(parser, "reconstruction", ReconstructionSettings)


def run(namespace: argparse.Namespace) -> int:
    """Make the half maps, write them, say how far they agree; the exit status comes back."""
    settings = settings_from(namespace, ReconstructionSettings)
    group_of(settings.symmetry)
    paths = _output_paths(namespace.output, namespace.overwrite)
    keep_heap()
    images = open_particle_images(namespace.particles)
    images_are = treatment(images, settings)[1]
    denoised = shows_denoised(images)
    if denoised and settings.ctf and images_are == "raw":
        words = (
            "%s has images that restore denoised: their phases are flipped, unless "
            "--flip_phases_back was given. If so, give --phases_flipped"
        )
        log.warning(words, namespace.particles)
    engine = _MADE_BY[chosen_engine(images, settings)]
    with Bar(len(images), "particles", f"reconstructing by {engine}") as bar:
        maps = half_maps(images, settings, bar.to)
    made = provenance(
        settings, {"particles": namespace.particles, "engine": maps.engine, "denoised": denoised}
    )
    write_text(paths[-1], as_json(made) + "\n")
    words = (
        f"{'particles' if denoised else 'made'} by {engine}, {settings.symmetry.strip().upper()}"
    )
    label = denoised_label(words) if denoised else f"restore {__version__} {words}"
    for path, density in zip(paths, (maps.first, maps.second, maps.mean), strict=False):
        write_map(path, density.numpy(), maps.voxel_size_A, labels=[label])
    print(_summary(images, maps))
    print(*paths[:-1], sep="\n")
    return 0


def _output_paths(output: Path, overwrite: bool) -> list[Path]:
    """The half maps, their mean and the record; none of them there yet, unless they may be
    replaced.
    """
    name = output.with_suffix("") if output.suffix.lower() in (".mrc", ".map") else output
    endings = ("_half1.mrc", "_half2.mrc", ".mrc", ".settings.json")
    paths = [name.with_name(f"{name.name}{ending}") for ending in endings]
    require_writable(name.parent)
    refuse_existing(paths, overwrite)
    return paths


def _summary(images: ParticleImages, maps: HalfMaps) -> str:
    """What was made, and where the half maps part."""
    side_A = maps.voxel_size_A
    fsc = half_map_fsc(maps.first[None], maps.second[None], (side_A, side_A, side_A), FSCSettings())
    at_A = fsc.crossing_A(fsc.unmasked, 0.143)
    falls = f"falls under 0.143 at {at_A:.2f} Å" if at_A else "nowhere falls under 0.143"
    first, second = maps.counts
    return (
        f"{len(images)} particles of {images.box_px} x {images.box_px} pixels, "
        f"{images.pixel_size_A:.5g} Å each:"
        f" {first} and {second} in the halves\n"
        f"the half maps' correlation, without a mask, {falls}"
    )
