"""The choice of engine for half maps: RELION's program, or the library."""

import logging
from pathlib import Path

from restore.errors import UserError
from restore.io.cryosparc.ctf import aberrations as cryosparc_aberrations
from restore.io.cryosparc.datasets import is_cryosparc, read_dataset
from restore.io.particle_images import ParticleImages
from restore.io.relion.optics import aberrations
from restore.particles.reconstruction.halves import (
    HalfMaps,
    ReconstructionSettings,
    Watch,
    reconstruct_halves,
)
from restore.particles.reconstruction.relion import reconstruct_halves_by_relion, relion_is_there

log = logging.getLogger(__name__)


def half_maps(
    images: ParticleImages, settings: ReconstructionSettings, watch: Watch = lambda _: None
) -> HalfMaps:
    """Both half maps by ``settings.engine``; "auto" is RELION if it is installed and suits the
    particles, else the library.

    Raises
    ------
    UserError
        As :func:`reconstruct_halves` and :func:`reconstruct_halves_by_relion`.
    """
    engine = chosen_engine(images, settings)
    warn_of_aberrations(images, engine)
    if engine == "relion":
        return reconstruct_halves_by_relion(images, settings, watch)
    return reconstruct_halves(images, settings, watch)


def warn_of_aberrations(images: ParticleImages, engine: str, result: str = "") -> None:
    """Warn of the columns of a particle file with aberrations that stay in the maps of an engine:
    RELION corrects only those in an optics table, which a ``.cs`` file does not have. ``result`` is
    what they stay in, if RELION could not make it.

    Raises
    ------
    UserError
        The file cannot be read.
    """
    source = Path(images.particles.source)
    if is_cryosparc(source):
        names, who = cryosparc_aberrations(read_dataset(source)), "which are not corrected"
    else:
        names, who = [] if engine == "relion" else aberrations(source), "which only RELION corrects"
    if names:
        who = f"which {result} does not correct" if result else who
        log.warning("%s has aberrations beyond the CTF (%s), %s", source, ", ".join(names), who)


def chosen_engine(images: ParticleImages, settings: ReconstructionSettings) -> str:
    """The engine that will be used, "relion" or "torch"."""
    if settings.engine not in ("auto", "relion", "torch"):
        raise UserError(
            f"the engine is {settings.engine}", wanted="it must be auto, relion or torch"
        )
    if settings.engine != "auto":
        return settings.engine
    one_contrast = images.particles.contrast_sign is not None
    known = not settings.symmetry.strip().upper().startswith("DY")
    return "relion" if relion_is_there() and one_contrast and known else "torch"
