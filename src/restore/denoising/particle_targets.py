"""The output stacks of denoised particle images, and everything that determines them."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from restore.denoising.particle_windows import margin_px
from restore.denoising.settings import DenoisingSettings, ParticleSettings
from restore.denoising.targets import ELSEWHERE, OutputSettings, common_to_all
from restore.io.endings import split_ending
from restore.io.labels import fingerprint_of, refuse_denoised, sections_of
from restore.io.particle_images import ParticleImages
from restore.io.particle_listings import StoredImage
from restore.io.particle_micrographs import micrograph_finder, micrograph_pixel_sizes_A
from restore.io.paths import mirrored
from restore.io.relion.job import names_within_job
from restore.micrograph import CTFParameters
from restore.model.checkpoint import Model
from restore.model.network import receptive_field_px
from restore.particles.extraction.windows import corners_px, wholly_outside
from restore.runtime.jobs import Job, fingerprint, refuse_clashes

_COORDINATES_TOLERANCE = 1e-3


@dataclass(frozen=True)
class Source:
    """The origin of a particle: its section in the stack, its micrograph if available, the corner
    (column, row) and side of its window there, its CTF, and the sign of its contrast;
    ``margin_px`` is the margin around its image, in the image's pixels.
    """

    section: int
    row: int
    micrograph: Path | None
    corner_px: tuple[int, int]
    window_px: int
    margin_px: int
    ctf: CTFParameters | None
    sign: float | None


@dataclass(frozen=True)
class StackTarget:
    """A stack of particle images: the distinct particles that the table lists, in the order of
    their sections; the path of their denoised images, and its name for a STAR file; the rows of the
    table by section; and a digest of the stack's path and the sections that are listed.
    """

    stack: Path
    particles: tuple[Source, ...]
    path: Path
    written_name: str
    rows: Mapping[int, tuple[int, ...]]
    sections: str

    @property
    def is_beside_another(self) -> bool:
        """Whether the plain name belongs to other particles of the same stack."""
        return self.path.stem.endswith(_code(self.sections))

    def stored(self) -> dict[int, StoredImage]:
        """The place of the new image of each row of the table."""
        return {
            row: StoredImage(self.path, index, self.written_name)
            for index, particle in enumerate(self.particles)
            for row in self.rows[particle.section]
        }


def plan_stacks(
    images: ParticleImages,
    model: Model,
    output: OutputSettings,
    settings: DenoisingSettings,
    particles: ParticleSettings,
) -> list[Job[StackTarget]]:
    """A job for each stack.

    Raises
    ------
    UserError
        An output would replace an input or another output, or an image is denoised already.
    """
    sources = _sources(images, model, particles)
    by_stack: dict[Path, list[int]] = {}
    for row, path in enumerate(images.paths):
        by_stack.setdefault(path, []).append(row)
    refuse_denoised(by_stack)
    refuse_denoised({source.micrograph for source in sources if source.micrograph})
    shared = [*common_to_all(model, settings), particles]
    names = [_stack_name(images, rows[0]) for rows in by_stack.values()]
    places = names_within_job(names) if output.within_job else names
    jobs: list[Job[StackTarget]] = []
    for (path, rows), name, place in zip(by_stack.items(), names, places, strict=True):
        of_section: dict[int, list[int]] = {}
        for row in rows:
            of_section.setdefault(int(images.sections[row]), []).append(row)
        listed = tuple(sources[of_section[section][0]] for section in sorted(of_section))
        plain = _place(path, name, Path(place), output)
        digest = _sections_digest(path, sorted(of_section), plain.path.parent)
        own = _place(path, name, Path(place), output, _code(digest))
        micrographs = [particle.micrograph for particle in listed if particle.micrograph]
        made_with = [
            *shared,
            images.pixel_size_A,
            [replace(particle, row=0) for particle in listed],
        ]
        mark = fingerprint(made_with, [path, *micrographs], plain.path.parent)
        stored = own if own.path.exists() or _holds_others(plain.path, digest, mark) else plain
        target = StackTarget(
            path, listed, stored.path, stored.name,
            {section: tuple(rows) for section, rows in of_section.items()}, digest,
        )  # fmt: skip
        jobs.append(Job(target, name, (stored.path,), mark))
    refuse_clashes(jobs, by_stack, "output for", ELSEWHERE)
    return jobs


def _sections_digest(stack: Path, sections: Sequence[int], folder: Path) -> str:
    """A digest of sections of a stack, whose path is taken relative to ``folder``."""
    name = os.path.relpath(os.path.realpath(stack), os.path.realpath(folder))
    text = json.dumps([name, list(sections)])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _code(digest: str) -> str:
    """What is put after the name of a stack whose plain name belongs to other particles."""
    return f"_{digest[:8]}"


def _holds_others(path: Path, sections: str, mark: str) -> bool:
    """Whether a stack that restore wrote holds other particles than those of these sections: those
    of another table, which must remain. ``mark`` is the fingerprint of the right stack.
    """
    return fingerprint_of(path) not in ("", mark) and sections_of(path) != sections


def _sources(images: ParticleImages, model: Model, settings: ParticleSettings) -> list[Source]:
    """The origin of each particle, row by row."""
    particles = images.particles
    signs, ctfs = particles.contrast_signs, particles.ctfs
    coordinates = particles.coordinates_px if particles.micrograph_names is not None else None
    windows_px = _windows_px(images)
    margins_px = {
        window_px: _margin_px(images, model, settings, window_px) for window_px in set(windows_px)
    }
    find = micrograph_finder(particles) if coordinates is not None else None
    corners = np.zeros((len(particles), 2), np.int64)
    if coordinates is not None:
        corners = corners_px(coordinates, 0) - np.array(windows_px)[:, None] // 2
    names = particles.micrograph_names or ("",) * len(particles)
    files = {name: find(name) if find else None for name in dict.fromkeys(names)}
    return [
        Source(
            section=int(images.sections[row]),
            row=row,
            micrograph=files[names[row]],
            corner_px=(int(corners[row, 0]), int(corners[row, 1])),
            window_px=windows_px[row],
            margin_px=margins_px[windows_px[row]],
            ctf=ctfs[row] if ctfs and model.recipe.phase_flip else None,
            sign=None if signs is None else float(signs[row]),
        )
        for row in range(len(particles))
    ]


def _windows_px(images: ParticleImages) -> list[int]:
    """The side of the window that was cut out of a micrograph for each image, which may have been
    scaled down since; the side of the image itself where the micrograph's pixel size is not known.
    """
    sizes_A = micrograph_pixel_sizes_A(images.particles)
    if sizes_A is None:
        return [images.box_px] * len(images)
    exact_px = np.zeros(len(images))
    exact_px[sizes_A > 0] = images.box_px * images.pixel_size_A / sizes_A[sizes_A > 0]
    return [max(2 * round(window_px / 2), images.box_px) for window_px in exact_px.tolist()]


def _margin_px(
    images: ParticleImages, model: Model, particles: ParticleSettings, window_px: int
) -> int:
    """The margin around a particle image, in its pixels."""
    field_A = receptive_field_px(model.network.settings) * model.recipe.max_resolution_A / 2
    wanted_px = min(particles.margin_A, field_A) / images.pixel_size_A
    return margin_px(wanted_px, images.box_px, window_px)


def _stack_name(images: ParticleImages, row: int) -> str:
    """The name of a row's stack in the table."""
    names = images.particles.image_names
    assert names is not None  # the stacks were opened by these names
    return names[row].rpartition("@")[2]


@dataclass(frozen=True)
class _Place:
    """The path of a denoised stack, and its name for a STAR file."""

    path: Path
    name: str


def _place(stack: Path, name: str, place: Path, output: OutputSettings, ending: str = "") -> _Place:
    """The place of the denoised stack; ``ending`` is put after its name."""
    new_name = f"{split_ending(place.name)[0]}{output.suffix}{ending}.mrcs"
    if output.output_directory is None:
        path = stack.with_name(new_name)
        return _Place(
            path, str(path if Path(name).is_absolute() else Path(name).with_name(new_name))
        )
    path = mirrored(output.output_directory, place.with_name(new_name))
    return _Place(path, str(path))


def outside(source: Source, shape: tuple[int, int]) -> bool:
    """Whether a particle's window is completely outside a micrograph of this shape (y, x)."""
    return bool(wholly_outside(np.array([source.corner_px]), source.window_px, shape)[0])


def stored_images(jobs: Sequence[Job[StackTarget]]) -> dict[int, StoredImage]:
    """The place of the new image of each row of the table that these jobs cover."""
    return {row: image for job in jobs for row, image in job.subject.stored().items()}
