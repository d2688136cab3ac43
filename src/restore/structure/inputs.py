"""Raw and denoised images of the same particles, from files, extracted from micrographs if
needed.
"""

import logging
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from restore.ctf import ctf
from restore.errors import UserError
from restore.io.cryosparc.datasets import ENDINGS as CRYOSPARC_ENDINGS
from restore.io.micrographs import Needs, read_micrographs
from restore.io.particle_images import ParticleImages, open_particle_images, signed_images
from restore.io.particles import Particles, read_particles
from restore.maps.phases import phase_agreement
from restore.micrograph import CTFParameters
from restore.particles.extraction.finding import as_named, counterparts, raw_images
from restore.particles.extraction.stacks import TABLE_NAME, Images, extract
from restore.particles.extraction.windows import ExtractionSettings
from restore.runtime.progress import Bars
from restore.structure.combinations import ComparisonSet, Which, comparison_set
from restore.structure.settings import StructureInputs, StructureSettings
from restore.structure.stages import Stage, Stages

log = logging.getLogger(__name__)

_COMPARED = 200
TABLE_ENDINGS = (".star", *CRYOSPARC_ENDINGS)
_NO_CTF = "the particles have no CTF"
_GIVE_CTF = "give the table of micrographs that has it as `raw_micrographs`, or `ctf=False`"


def read_comparison_set(
    inputs: StructureInputs, settings: StructureSettings, folder: Path, stages: Stages, bars: Bars
) -> ComparisonSet:
    """The particles that all files hold, with both kinds of images and one or two refinements.

    Raises
    ------
    UserError
        As :func:`extract`, :func:`open_particle_images`, :func:`refinement_of` and
        :func:`comparison_set`; or a box is needed and none was given; or, where their phases are
        compared, raw and denoised images have opposite contrast.
    """
    if inputs.denoised_micrographs is None:
        assert inputs.denoised_particles is not None  # StructureInputs sees to it
        raw, denoised = (
            open_particle_images(path) for path in (inputs.raw_particles, inputs.denoised_particles)
        )
        refined = denoised.particles
    else:
        refined = refinement_of(inputs.denoised_particles) if inputs.denoised_particles else None
        raw, denoised = _extracted(inputs, settings, folder, stages, bars)
    matched = comparison_set(raw, denoised, refined, settings.tolerance_px)
    images: dict[Which, ParticleImages] = {
        "raw": matched.images["raw"],
        "denoised": _with_phases(
            matched.images["denoised"], matched.images["raw"], settings.denoised_phases
        ),
    }
    log.info("%d particles are in all files, matched by %s", len(matched), matched.way)
    return replace(matched, images=images)


def refinement_of(path: Path) -> Particles:
    """A refinement of which only the orientations and shifts are used, not the images.

    Raises
    ------
    UserError
        As :func:`read_particles`; or shifts are in pixels of unknown size.
    """
    particles = read_particles(path)
    if particles.origins_px is not None and particles.origins_px.any():
        raise UserError(
            "its shifts are in pixels, and the pixel size of its images is not known",
            where=path,
            wanted="The shifts are applied to other images, which takes them in Å",
            do="add rlnImagePixelSize, or rlnDetectorPixelSize and rlnMagnification",
        )
    return particles


def _extracted(
    inputs: StructureInputs, settings: StructureSettings, folder: Path, stages: Stages, bars: Bars
) -> tuple[ParticleImages, ParticleImages]:
    """Both kinds of images, extracted at the coordinates of the raw refinement."""
    if settings.box_px is None:
        do = "give `box_px`, as large as that of the refinement or larger"
        raise UserError(
            "the size of the particle windows is not known",
            wanted="The particles have to be extracted",
            do=do,
        )
    particles = read_particles(inputs.raw_particles)
    if particles.micrograph_names is None:
        wanted = "Particles are extracted from micrographs"
        raise UserError(
            "the file names no micrographs",
            where=inputs.raw_particles,
            wanted=wanted,
            do="give another file",
        )
    names = list(dict.fromkeys(particles.micrograph_names))
    source = inputs.raw_micrographs
    raw = raw_images(names, source) if source else as_named(names, inputs.raw_particles)
    denoised = counterparts(names, str(inputs.denoised_micrographs), leave_out=raw.values())
    ctfs = None
    if settings.ctf and particles.ctfs is None:
        ctfs = _ctfs_of(inputs.raw_micrographs, raw) or _ctfs_of(
            inputs.denoised_micrographs, denoised
        )
        if ctfs is None:
            raise UserError(
                _NO_CTF, where=inputs.raw_particles, wanted="The CTF is corrected for", do=_GIVE_CTF
            )
    tables = [
        _extract(inputs.raw_particles, images, settings, place, stages=stages, bars=bars)
        for images, place in (
            (Images(raw, None, ctfs), folder / "raw"),
            (Images(denoised, raw, ctfs), folder / "denoised"),
        )
    ]
    return open_particle_images(tables[0]), open_particle_images(tables[1])


def _ctfs_of(source: str | None, images: Mapping[str, Path]) -> dict[str, CTFParameters] | None:
    """The CTF of each of these micrographs from a table that lists them; None if the source is not
    a table, or lacks one of them.
    """
    if source is None or Path(source).suffix.lower() not in TABLE_ENDINGS:
        return None
    by_path = {
        micrograph.image: micrograph.ctf
        for micrograph in read_micrographs(source, needs=Needs(ctf=False)).micrographs
    }
    ctfs = {name: ctf for name, path in images.items() if (ctf := by_path.get(path)) is not None}
    return ctfs if len(ctfs) == len(images) else None


def _extract(
    particles: Path,
    images: Images,
    settings: StructureSettings,
    folder: Path,
    *,
    stages: Stages,
    bars: Bars,
) -> Path:
    """The table of the images of one kind; those of denoised micrographs are on the scale of the
    raw ones.
    """
    how = ExtractionSettings(
        box_px=settings.box_px or 0,
        scale_px=settings.scale_px,
        normalise="raw" if images.raw else "own",
        invert_contrast=settings.dark_protein,
        engine={"torch": "own"}.get(settings.engine, settings.engine),
    )
    table = folder / TABLE_NAME

    def work() -> Mapping[str, Any]:
        with bars(len(images.paths), "micrographs", f"extracting {folder.name}") as bar:
            extract(particles, images, folder, how, lambda done, _: bar.to(done))
        return {
            "files": sorted({stages.name_of(path) for path in open_particle_images(table).paths})
        }

    sources = [particles, *images.paths.values(), *(images.raw or {}).values()]
    stages.run(Stage(f"extract_{folder.name}", [how, images.ctfs], sources, [table]), work)
    return table


def _with_phases(denoised: ParticleImages, raw: ParticleImages, phases: str) -> ParticleImages:
    """The denoised images, marked as phase-flipped or not: by the settings, by their file, or by
    comparison.
    """
    particles = denoised.particles
    if phases == "auto" and (particles.phases_flipped is not None or particles.ctfs is None):
        return denoised
    flipped = _found_flipped(denoised, raw) if phases == "auto" else phases == "flipped"
    return replace(
        denoised, particles=replace(particles, phases_flipped=np.full(len(denoised), flipped))
    )


def _found_flipped(denoised: ParticleImages, raw: ParticleImages) -> bool:
    """Whether the phases of the denoised images are flipped, by comparison with the raw ones; not,
    with a warning, where that is not clear. Raises UserError if their contrast is opposite.
    """
    ctfs = denoised.particles.ctfs
    assert ctfs is not None  # its caller sees to it
    rows = np.linspace(0, len(raw) - 1, min(len(raw), _COMPARED)).round().astype(int)
    first, second = (torch.from_numpy(signed_images(images, rows)) for images in (raw, denoised))
    shape, pixel_A = (raw.box_px, raw.box_px), (raw.pixel_size_A, raw.pixel_size_A)
    values = torch.stack([ctf(ctfs[row], shape, pixel_A) for row in rows.tolist()])
    agreement = phase_agreement(first, second, values)
    if agreement.is_opposite:
        raise UserError(
            f"the two sets of images have opposite contrast: their correlation is "
            f"{agreement.where_positive:.3f} where the CTF is positive",
            where=denoised.particles.source,
            wanted=f"Protein must be dark, or bright, here and in {raw.particles.source} alike",
            do="extract one of them again with the other contrast, or give `denoised_phases` "
            "if the comparison is wrong",
        )
    flipped = agreement.flipped
    if flipped is None:
        words = (
            "it is not clear whether the phases of the denoised images are flipped (their "
            "correlation with the raw images is %.3f where the CTF is negative, and %.3f where it "
            "is positive); they are treated as not flipped: give `denoised_phases`"
        )
        log.warning(words, agreement.where_negative, agreement.where_positive)
    else:
        log.info(
            "the denoised images' phases are %s, as a comparison with the raw images shows",
            "flipped" if flipped else "kept",
        )
    return bool(flipped)
