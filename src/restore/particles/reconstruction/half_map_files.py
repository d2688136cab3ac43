"""Half maps from a file of refined particles: reconstructed, written, and compared."""

import logging
from dataclasses import dataclass
from pathlib import Path

from restore.io.atomic import require_writable, write_text
from restore.io.denoised_mark import denoised_label, shows_denoised
from restore.io.images.maps import write_map
from restore.io.outputs import refuse_existing
from restore.io.particle_images import ParticleImages, open_particle_images
from restore.maps.fsc import FSC, FSCSettings, half_map_fsc
from restore.particles.reconstruction.engines import chosen_engine, half_maps
from restore.particles.reconstruction.halves import HalfMaps, ReconstructionSettings, treatment
from restore.provenance import as_json, provenance
from restore.runtime.progress import Bars, no_bars
from restore.symmetry import point_group
from restore.version import __version__

log = logging.getLogger(__name__)

_PROGRAMS = {"relion": "relion_reconstruct", "torch": "torch-fourier-slice"}
_ENDINGS = ("_half1.mrc", "_half2.mrc", ".mrc", ".settings.json")
_DEFAULT = ReconstructionSettings()


@dataclass(frozen=True)
class Reconstruction:
    """The half maps of some particles, their FSC without a mask, and the maps written: both halves
    and their mean.
    """

    images: ParticleImages
    maps: HalfMaps
    fsc: FSC
    files: tuple[Path, ...]


def reconstruct_half_maps(
    particles: Path,
    settings: ReconstructionSettings = _DEFAULT,
    *,
    output: Path = Path("map"),
    overwrite: bool = False,
    bars: Bars = no_bars,
) -> Reconstruction:
    """Reconstruct both half maps of a RELION or cryoSPARC refinement.

    ``output`` is the stem of ``…_half1.mrc``, ``…_half2.mrc``, their mean ``….mrc`` and
    ``….settings.json``.

    Raises
    ------
    UserError
        The file is missing or unreadable, something that the reconstruction needs is missing, or
        an output exists.
    """
    point_group(settings.symmetry)  # an unknown group is rejected before any work
    paths = _output_paths(output, overwrite)
    images = open_particle_images(particles)
    denoised = shows_denoised(images)
    if denoised and settings.ctf and treatment(images, settings)[1] == "raw":
        log.warning(
            "the images of %s were denoised by restore: their phases are flipped, unless "
            "restore denoise flipped them back. If they are, give `phases_flipped=True`",
            particles,
        )
    program = _PROGRAMS[chosen_engine(images, settings)]
    with bars(len(images), "particles", f"reconstructing by {program}") as bar:
        maps = half_maps(images, settings, bar.to)
    inputs = {"particles": particles, "engine": maps.engine, "denoised": denoised}
    write_text(paths[-1], as_json(provenance(settings, inputs)) + "\n")
    group = settings.symmetry.strip().upper()
    label = f"restore {__version__} made by {program}, {group}"
    if denoised:
        label = denoised_label(f"particles by {program}, {group}")
    for path, density in zip(paths, (maps.first, maps.second, maps.mean), strict=False):
        write_map(path, density.numpy(), maps.voxel_size_A, labels=[label])
    voxel_A = (maps.voxel_size_A, maps.voxel_size_A, maps.voxel_size_A)
    fsc = half_map_fsc(maps.first[None], maps.second[None], voxel_A, FSCSettings())
    return Reconstruction(images, maps, fsc, tuple(paths[:-1]))


def _output_paths(output: Path, overwrite: bool) -> list[Path]:
    """The half maps, their mean and the record, none of which exists unless it may be replaced."""
    stem = output.with_suffix("") if output.suffix.lower() in (".mrc", ".map") else output
    paths = [stem.with_name(f"{stem.name}{ending}") for ending in _ENDINGS]
    require_writable(stem.parent)
    refuse_existing(paths, overwrite)
    return paths
