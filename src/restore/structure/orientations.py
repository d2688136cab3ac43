"""Angular distances between the two refinements, and between each refinement and the truth."""

import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from restore.io.particles import Particles, match, read_particles
from restore.particles.angles import angular_distances, summary
from restore.records import decoded
from restore.report.figures import save_png
from restore.report.histograms import histogram
from restore.structure.combinations import ComparisonSet
from restore.structure.records import Angles
from restore.structure.settings import StructureInputs, StructureSettings
from restore.structure.stages import REDO, Stage, Stages
from restore.symmetry import point_group

log = logging.getLogger(__name__)

_TITLES = {
    "refinements": "Refined on raw images and on denoised ones",
    "raw": "Refined on raw images, from the truth",
    "denoised": "Refined on denoised images, from the truth",
}


def orientations(
    particles: ComparisonSet,
    inputs: StructureInputs,
    settings: StructureSettings,
    folder: Path,
    stages: Stages,
) -> tuple[Angles, ...]:
    """The statistics of each comparison, and the name of its histogram in the folder."""
    files = {
        "raw": inputs.raw_particles,
        "denoised": inputs.denoised_particles,
        "truth": inputs.truth_particles,
    }
    files = {role: path for role, path in files.items() if path}
    pictures = {name: folder / "angles" / f"{name}.png" for name in _names(particles, inputs)}

    def work() -> Mapping[str, Any]:
        truth = read_particles(inputs.truth_particles) if inputs.truth_particles else None
        pairs = {name: _pair(name, particles, truth, settings.tolerance_px) for name in pictures}
        group = point_group(settings.sym)
        cards: list[dict[str, Any]] = []
        for name, (first, second) in pairs.items():
            distances = angular_distances(first.rotations, second.rotations, group)
            result = summary(distances, group)
            words = (_TITLES[name], "angular distance, degrees")
            figure = histogram(
                distances.total_deg, result.median_deg, result.quartiles_deg, words, "°"
            )
            save_png(figure, pictures[name])
            picture = str(pictures[name].relative_to(folder))
            cards.append(
                {"compared": name, "title": _TITLES[name], "picture": picture, **asdict(result)}
            )
        return {"angles": cards}

    made_with = [settings.sym, settings.tolerance_px, len(particles)]
    stage = Stage("angles", made_with, [], list(pictures.values()), files)
    kept = stages.run(stage, work).get("angles")
    return decoded(tuple[Angles, ...], kept, stages.path_of(stage), "stage", REDO)


def _names(particles: ComparisonSet, inputs: StructureInputs) -> list[str]:
    """The comparisons: of the refinements with each other, and of each with the truth."""
    between = ["refinements"] if "denoised" in particles.refinements else []
    return between + (list(particles.refinements) if inputs.truth_particles else [])


def _pair(
    name: str, particles: ComparisonSet, truth: Particles | None, tolerance_px: float
) -> tuple[Particles, Particles]:
    """The particles of one comparison, row by row."""
    refined = particles.refinements
    if name == "refinements" or truth is None:
        return refined["raw"], refined["denoised"]
    return _matched(refined["raw" if name == "raw" else "denoised"], truth, tolerance_px)


def _matched(
    first: Particles, truth: Particles, tolerance_px: float
) -> tuple[Particles, Particles]:
    rows = match(first, truth, tolerance_px)
    if len(rows.first) < len(first):
        log.warning(
            "%s holds %d of the %d particles of %s",
            truth.source,
            len(rows.first),
            len(first),
            first.source,
        )
    return first.selected(rows.first), truth.selected(rows.second)
