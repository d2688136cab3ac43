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
    _warn_of_aberrations(Path(images.particles.source), engine)
    if engine == "relion":
        return reconstruct_halves_by_relion(images, settings, watch)
    return reconstruct_halves(images, settings, watch)


def _warn_of_aberrations(source: Path, engine: str) -> None:
    names = uncorrected_aberrations(source, engine)
    who = "which are not corrected" if is_cryosparc(source) else "which only RELION corrects"
    if names:
        log.warning("%s has aberrations beyond the CTF (%s), %s", source, ", ".join(names), who)


def uncorrected_aberrations(source: Path, engine: str) -> list[str]:
    """The columns of a particle file with aberrations that stay in the maps of an engine. RELION
    corrects only those in an optics table, which a ``.cs`` file does not have.

    Raises
    ------
    UserError
        The file cannot be read.
    """
    if is_cryosparc(source):
        return cryosparc_aberrations(read_dataset(source))
    return [] if engine == "relion" else aberrations(source)


def chosen_engine(images: ParticleImages, settings: ReconstructionSettings) -> str:
    """The engine that will be used, "relion" or "torch"."""
    if settings.engine not in ("auto", "relion", "torch"):
        raise UserError(
            f"the engine is {settings.engine}", wanted="it must be auto, relion or torch"
        )
    if settings.engine != "auto":
        return settings.engine
    signs = images.particles.contrast_signs
    one_contrast = signs is None or len({sign < 0 for sign in signs.tolist()}) == 1
    known = not settings.symmetry.strip().upper().startswith("DY")
    return "relion" if relion_is_there() and one_contrast and known else "torch"
