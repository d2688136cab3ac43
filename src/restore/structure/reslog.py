"""ResLog of raw and of denoised images, from the same subsets of the same particles."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from restore.io.relion.image_star import image_star
from restore.maps.reslog import (
    Estimate,
    FittedReslog,
    ResLogCurve,
    ResLogFit,
    ResLogSettings,
    fit_reslog,
    subset_orders,
    subset_sizes,
)
from restore.particles.reconstruction.engines import warn_of_aberrations
from restore.particles.reconstruction.halves import ReconstructionSettings, half_sets
from restore.particles.reconstruction.reslog import ResLogSource, resolutions_per_A, work
from restore.quantities import Curve, Number
from restore.records import decoded
from restore.report.figures import save_png
from restore.report.reslog_figure import reslog_figure
from restore.report.structure_charts import LABELS
from restore.structure.combinations import Combination
from restore.structure.inputs import Bars
from restore.structure.reconstructions import contrast
from restore.structure.records import ResLog
from restore.structure.settings import StructureSettings
from restore.structure.stages import REDO, Stage, Stages

_LEAST_PARTICLES = 16


@dataclass(frozen=True)
class _Frequencies:
    """The stored result of a curve's stage: the resolution (1/Å) of each repeat at each size, None
    if it is infinite.
    """

    frequency_per_A: tuple[tuple[float | None, ...], ...]


def reslog(
    combinations: Sequence[Combination],
    settings: StructureSettings,
    folder: Path,
    stages: Stages,
    bars: Bars,
) -> dict[str, ResLog]:
    """The points and lines of each combination, by name; empty if there are too few particles, or
    no plot is wanted.
    """
    count = len(combinations[0].particles)
    if not settings.reslog_sizes or count < _LEAST_PARTICLES:
        return {}
    subsets = ResLogSettings(settings.reslog_sizes, None, settings.reslog_repeats, settings.seed)
    curves: dict[str, ResLogCurve] = {}
    for combination in combinations:
        source = _source(combination, settings)
        curves[combination.name] = _curve(combination.name, source, subsets, stages, bars)
    fitted = {name: FittedReslog(curve, fit_reslog(curve)) for name, curve in curves.items()}
    named = {LABELS[name]: fitted_curve for name, fitted_curve in fitted.items()}
    save_png(
        reslog_figure(named, f"{count} particles, symmetry {settings.sym.upper()}"),
        folder / "reslog.png",
    )
    return {name: _record(curve, fit) for name, (curve, fit) in fitted.items()}


def _source(combination: Combination, settings: StructureSettings) -> ResLogSource:
    """The images of a combination, compared without a mask: it would mix the shells of denoised
    maps, whose amplitudes decay steeply. Whichever engine makes the maps, the library reconstructs
    the subsets.
    """
    images = combination.particles
    how = ReconstructionSettings(settings.sym, settings.ctf, engine="torch", seed=settings.seed)
    warn_of_aberrations(images, how.engine, "ResLog")
    return ResLogSource(images, half_sets(images.particles, settings.seed), how)


def _curve(
    name: str,
    source: ResLogSource,
    subsets: ResLogSettings,
    stages: Stages,
    bars: Bars,
) -> ResLogCurve:
    """The resolution of each subset, computed now or in an earlier run."""
    sizes = subset_sizes(len(source.images), subsets)
    orders = subset_orders(source.half_sets, subsets)

    def compute() -> Mapping[str, Any]:
        with bars(work(subsets.repeats, sizes), "images", f"ResLog of {name}") as bar:
            per_A = resolutions_per_A(source, orders, sizes, bar.to)
        return {
            "frequency_per_A": [
                [None if math.isinf(value) else value for value in row] for row in per_A.tolist()
            ]
        }

    star = image_star(source.images).text()
    made_with = [source.settings, subsets, sizes, star, *contrast(source.images)]
    inputs = [*dict.fromkeys(source.images.paths)]
    stage = Stage(f"reslog_{name}", made_with, inputs, [])
    kept = decoded(_Frequencies, stages.run(stage, compute), stages.path_of(stage), "stage", REDO)
    frequency = np.array(
        [[math.inf if value is None else value for value in row] for row in kept.frequency_per_A]
    )
    return ResLogCurve(np.array(sizes), frequency, 0.5 / source.images.pixel_size_A)


def _record(curve: ResLogCurve, fit: ResLogFit | None) -> ResLog:
    """A curve's fitted points, summarised over the repeats, and its line."""
    fitted = np.where(curve.fitted, curve.frequency_per_A, np.nan)
    columns = [column[np.isfinite(column)] for column in fitted.T]
    points = Curve(
        *(
            tuple(float(reduce(column)) if len(column) else None for column in columns)
            for reduce in (np.mean, np.min, np.max)
        )
    )
    sizes = tuple(curve.particles.tolist())
    if fit is None:
        return ResLog(sizes, points, Curve((None,) * len(sizes)), _words(curve, fit))
    ends = fit.at(curve.particles.astype(float))
    line = Curve(*(tuple(_finite(end.tolist())) for end in ends))
    estimates = (fit.slope_per_A, fit.intercept_per_A, fit.bfactor_A2)
    return ResLog(
        sizes, points, line, _words(curve, fit), *(_number(estimate) for estimate in estimates)
    )


def _number(estimate: Estimate) -> Number:
    return Number(*_finite([estimate.value, estimate.low, estimate.high]))


def _finite(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _words(curve: ResLogCurve, fit: ResLogFit | None) -> str:
    left_out = int((~curve.fitted).sum())
    rest = (
        f" {left_out} of {curve.fitted.size} points are not fitted, because their FSC falls below "
        "0.143 in the first shell or never."
        if left_out
        else ""
    )
    if fit is None:
        return f"no line could be fitted.{rest}"
    return (
        f"{fit.slope_per_A.value:.4f} 1/Å per tenfold number of particles, B factor "
        f"{fit.bfactor_A2.value:.0f} Å².{rest}"
    )
