"""ResLog of raw and of denoised images, from the same subsets of the same particles."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

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
from restore.particles.reconstruction.halves import half_sets
from restore.particles.reconstruction.reslog import ResLogSource, resolutions_per_A, work
from restore.report.figures import save_png
from restore.report.reslog_figure import reslog_figure
from restore.report.structure_charts import LABELS
from restore.structure.combinations import Combination
from restore.structure.inputs import Bars
from restore.structure.reconstructions import making
from restore.structure.settings import StructureSettings
from restore.structure.stages import Stage, Stages

_LEAST_PARTICLES = 16


def reslog(
    combinations: Sequence[Combination],
    settings: StructureSettings,
    folder: Path,
    stages: Stages,
    bars: Bars,
) -> dict[str, Any]:
    """The points and lines of each combination, by its name; empty where there are too few
    particles, or no plot is wanted.
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
    return {name: _card(curve, fit) for name, (curve, fit) in fitted.items()}


def _source(combination: Combination, settings: StructureSettings) -> ResLogSource:
    """The images of a combination, compared without a mask: it would mix the shells of denoised
    maps, whose amplitudes decay steeply.
    """
    images = combination.particles
    return ResLogSource(images, half_sets(images.particles, settings.seed), making(settings))


def _curve(
    name: str,
    source: ResLogSource,
    subsets: ResLogSettings,
    stages: Stages,
    bars: Bars,
) -> ResLogCurve:
    """The resolution of each subset, computed or kept."""
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

    particles = source.images.particles
    made_with = [source.settings, subsets, sizes, particles.rotations.as_quat().tolist()]
    inputs = [*dict.fromkeys(source.images.paths)]
    rows = stages.run(Stage(f"reslog_{name}", made_with, inputs, []), compute)["frequency_per_A"]
    frequency = np.array([[math.inf if value is None else value for value in row] for row in rows])
    return ResLogCurve(np.array(sizes), frequency, 0.5 / source.images.pixel_size_A)


def _card(curve: ResLogCurve, fit: ResLogFit | None) -> dict[str, Any]:
    """A curve as JSON can say it: points over the repeats, those that tell something, and the
    line.
    """
    known = np.where(curve.fitted, curve.frequency_per_A, np.nan)
    columns = [column[np.isfinite(column)] for column in known.T]
    points = {
        name: [float(reduce(column)) if len(column) else None for column in columns]
        for name, reduce in (("value", np.mean), ("low", np.min), ("high", np.max))
    }
    sizes = curve.particles.tolist()
    line: dict[str, Any] = {name: [None] * len(sizes) for name in ("value", "low", "high")}
    if fit is not None:
        ends = fit.at(curve.particles.astype(float))
        line = {
            name: _finite(ends_per_A.tolist())
            for name, ends_per_A in zip(("value", "low", "high"), ends, strict=True)
        }
    card: dict[str, Any] = {
        "sizes": sizes,
        "points": points,
        "line": line,
        "words": _words(curve, fit),
    }
    if fit is not None:
        named = {
            "slope_per_A": fit.slope_per_A,
            "intercept_per_A": fit.intercept_per_A,
            "bfactor_A2": fit.bfactor_A2,
        }
        card |= {name: _estimate(estimate) for name, estimate in named.items()}
    return card


def _estimate(estimate: Estimate) -> dict[str, float | None]:
    return dict(
        zip(
            ("value", "low", "high"),
            _finite([estimate.value, estimate.low, estimate.high]),
            strict=True,
        )
    )


def _finite(values: Sequence[float]) -> list[float | None]:
    return [value if math.isfinite(value) else None for value in values]


def _words(curve: ResLogCurve, fit: ResLogFit | None) -> str:
    left_out = int((~curve.fitted).sum())
    rest = (
        f" {left_out} of {curve.fitted.size} points are not fitted: they fall under 0.143 at once "
        "or never."
        if left_out
        else ""
    )
    if fit is None:
        return f"no line could be fitted.{rest}"
    return (
        f"{fit.slope_per_A.value:.4f} 1/Å for ten times the particles, B factor "
        f"{fit.bfactor_A2.value:.0f} Å².{rest}"
    )
