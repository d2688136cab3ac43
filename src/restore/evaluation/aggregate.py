"""From the measurements of a set to its evaluation: groups, numbers with intervals, and curves."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import PurePath
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from restore.evaluation.batch import Subject
from restore.evaluation.estimators.comparison import ring_numbers, whole_numbers, with_baselines
from restore.evaluation.estimators.decomposition import Numbers
from restore.evaluation.estimators.patterns import spikes
from restore.evaluation.estimators.resampling import (
    Estimate,
    enough_resamples,
    estimate,
    has_interval,
    reciprocal,
    resampling_weights,
)
from restore.evaluation.estimators.spectra import RingAxis
from restore.evaluation.measure import Measurement, load_measurement
from restore.evaluation.outliers import is_outlier, outlier_scores
from restore.evaluation.patterns import common_lattices, is_same
from restore.evaluation.records import Evaluation, Facts, Group, Lattice, Making, MicrographResult
from restore.model.calibration import CALIBRATION_KINDS, CalibrationKind
from restore.model.inference.ensemble import ORIENTATIONS
from restore.quantities import Curve, Number, rounded, rounded_values
from restore.report.evaluation_words import remarks, summary, unlike_the_others, warnings
from restore.runtime.precision import PRECISIONS
from restore.settings import require, setting

HELD_OUT, TRAINED_ON = "held out", "trained on"
_FEW = 5  # with fewer micrographs, patches are resampled at any confidence
_RESAMPLES_OF_ONE = 200
_FEWEST_RESAMPLES, _MOST_RESAMPLES = 20, 20_000  # fewer leave no tails; more need gigabytes


@dataclass(frozen=True)
class EvaluationSettings:
    """How ``restore evaluate`` measures micrographs, and with which confidence intervals."""

    patch_px: int = setting(
        0,
        "side of the windowed patches, in pixels of the cropped image (0: 256, or less for small "
        "images)",
    )
    support_window: float = setting(
        300.0, "window of the local agreement map, Å: one to two particle diameters"
    )
    confidence: float = setting(0.9, "confidence level of the intervals, between 0 and 1")
    resamples: int = setting(1000, "number of bootstrap samples behind each interval, 20 to 20000")
    seed: int = setting(0, "seed of the resampling")
    precision: str = setting(
        "auto",
        "precision of the network's arithmetic; auto is bf16 where it is fast",
        choices=PRECISIONS,
    )
    calibration: CalibrationKind = setting(
        "rings",
        "calibration of the network's output, ring by ring: rings (by each micrograph's own "
        "halves, each half of the Fourier components by the other), model (as measured on the "
        "validation micrographs of the training), or none",
        choices=CALIBRATION_KINDS,
    )
    self_ensemble: int = setting(
        1,
        "number of orientations of each image that the network denoises and that are averaged, as "
        "in restore denoise",
        choices=ORIENTATIONS,
    )
    tile_px: int = setting(
        0,
        "side of the tiles that the network processes, in pixels of the cropped image (0: chosen "
        "automatically)",
    )

    def __post_init__(self) -> None:
        require(self, "patch_px", self.patch_px >= 0, "0 or more")
        require(self, "support_window", 0 < self.support_window < math.inf, "above 0")
        require(self, "confidence", 0 < self.confidence < 1, "above 0 and below 1")
        is_enough = _FEWEST_RESAMPLES <= self.resamples <= _MOST_RESAMPLES
        require(self, "resamples", is_enough, f"{_FEWEST_RESAMPLES} to {_MOST_RESAMPLES}")
        is_known = self.calibration in CALIBRATION_KINDS
        require(self, "calibration", is_known, "rings, model or none")
        orientations = f"one of {', '.join(map(str, ORIENTATIONS))}"
        require(self, "self_ensemble", self.self_ensemble in ORIENTATIONS, orientations)
        require(self, "tile_px", self.tile_px >= 0, "0 or more")

    @property
    def measuring(self) -> tuple[float, str, CalibrationKind, int]:
        """The settings that determine the measurements; the others affect only their statistics."""
        return self.support_window, self.precision, self.calibration, self.self_ensemble


def roles(names: Sequence[str], training: Mapping[str, Any] | None) -> list[str]:
    """Whether each micrograph was trained on, judged by its name in the model's record, or by its
    file name if no name matches; "all" if there is no model.

    A micrograph of which only a part was held out counts as trained on.
    """
    if training is None:
        return ["all"] * len(names)
    trained = set(training.get("trained_on", ()))
    if not trained & set(names):
        files = {PurePath(name).name for name in trained}
        return [TRAINED_ON if PurePath(name).name in files else HELD_OUT for name in names]
    return [TRAINED_ON if name in trained else HELD_OUT for name in names]


@dataclass(frozen=True)
class _Measured:
    """A measured micrograph: its subject, role, facts and numbers."""

    subject: Subject
    role: str
    facts: Facts
    numbers: dict[str, Number]


def aggregate(
    subjects: Sequence[Subject],
    micrograph_roles: Sequence[str],
    axis: RingAxis,
    settings: EvaluationSettings,
    making: Making,
    *,
    progress: Callable[[int], None] = lambda _: None,
) -> Evaluation:
    """The evaluation of measured subjects; ``making``, which describes what was run, is copied.

    Raises
    ------
    UserError
        A measurement cannot be read.
    """
    measured: list[_Measured] = []
    stacks: dict[str, list[Float[Tensor, "blocks stack rings"]]] = {}
    few = {
        role: _are_few(micrograph_roles.count(role) or len(subjects), settings)
        for role in {*micrograph_roles, "all"}
    }
    for count, (subject, role) in enumerate(zip(subjects, micrograph_roles, strict=True), 1):
        measurement = load_measurement(subject.path)
        stack = _stack(measurement)
        alone = micrograph_roles.count(role) == 1  # its numbers are then those of its group
        resamples = settings.resamples if alone else min(settings.resamples, _RESAMPLES_OF_ONE)
        numbers = _numbers_of(stack, axis, replace(settings, resamples=resamples))
        measured.append(_Measured(subject, role, measurement.facts, numbers))
        summed = stack.sum(dim=0, keepdim=True)
        for name in {role, "all"}:
            stacks.setdefault(name, []).append(stack if few[name] else summed)
        progress(count)
    groups = tuple(
        _with_patterns(group, measured, axis) for group in _groups(stacks, few, axis, settings)
    )
    return Evaluation(
        provenance=making.provenance,
        recipe=making.recipe,
        model=making.model,
        method=making.method,
        frequency_per_A=tuple(axis.frequency_per_A.tolist()),
        groups=groups,
        micrographs=tuple(_results(measured, groups[-1].lattices)),
        warnings=tuple(
            warnings(
                groups,
                has_model="all" not in micrograph_roles,
                remarked=[result.facts.remarks for result in measured],
            )
        ),
        summary=tuple(summary(groups)),
    )


def _with_patterns(group: Group, measured: Sequence[_Measured], axis: RingAxis) -> Group:
    """The group with the lattices that its micrographs share and the spikes of its FRC."""
    members = [result.facts.lattices for result in measured if group.name in (result.role, "all")]
    frequency_per_A = axis.frequency_per_A.tolist()
    in_frc = [
        spike
        for halves in ("raw", "denoised")
        for spike in spikes(halves, group.curves[f"frc_{halves}"], frequency_per_A)
    ]
    return replace(group, lattices=common_lattices(members), spikes=tuple(in_frc))


def _are_few(micrographs: int, settings: EvaluationSettings) -> bool:
    """Whether so few micrographs have no interval, or a poor one, so that patches are resampled."""
    resamples = _resamples_of(micrographs, settings)
    return micrographs < _FEW or not has_interval(micrographs, settings.confidence, resamples)


def _stack(measurement: Measurement) -> Float[Tensor, "blocks stack rings"]:
    """A measurement's blocks with both filters' tables."""
    return with_baselines(measurement.blocks, measurement.blocks.sum(dim=0))


def _without_gaps(units: Float[Tensor, "units stack rings"]) -> Float[Tensor, "units stack rings"]:
    """The tables in which values that only some units lack (for want of an unrelated neighbour) are
    replaced by the others' mean; values that all lack stay NaN.
    """
    return torch.where(units.isnan(), units.nanmean(dim=0), units)


def _groups(
    stacks: Mapping[str, Sequence[Tensor]],
    few: Mapping[str, bool],
    axis: RingAxis,
    settings: EvaluationSettings,
) -> Iterator[Group]:
    for name in (HELD_OUT, TRAINED_ON, "all"):
        if name not in stacks:
            continue
        units = _without_gaps(torch.cat(list(stacks[name]))) / len(stacks[name])
        rings = _estimates(units, ring_numbers, settings)
        yield Group(
            name=name,
            micrographs=len(stacks[name]),
            resampled="patches" if few[name] else "micrographs",
            numbers=_numbers_of(units, axis, settings),
            curves={key: _curve(curve) for key, curve in _with_sbr(rings).items()},
            has_signal=rings_with_signal(rings["frc_raw"]),
        )


def rings_with_signal(frc: Estimate) -> tuple[bool, ...]:
    """The rings in which the raw halves share a signal: the interval of their correlation is above
    zero in the ring and in a neighbouring one. (Of rings without signal, one in twenty is above
    zero by chance, but rarely two side by side.) Shapes: (rings,). Empty without intervals.
    """
    if frc.low.isnan().all():
        return ()
    above = (frc.low > 0).tolist()
    beside = zip([False, *above[:-1]], [*above[1:], False], strict=True)
    return tuple(ring and any(pair) for ring, pair in zip(above, beside, strict=True))


def _estimates(
    units: Tensor, quantities: Callable[[Tensor], Numbers], settings: EvaluationSettings
) -> dict[str, Estimate]:
    weights = resampling_weights(len(units), _resamples_of(len(units), settings), settings.seed)
    return estimate(units, quantities, settings.confidence, weights)


def _resamples_of(units: int, settings: EvaluationSettings) -> int:
    return enough_resamples(units, settings.confidence, settings.resamples, _MOST_RESAMPLES)


def _numbers_of(units: Tensor, axis: RingAxis, settings: EvaluationSettings) -> dict[str, Number]:
    whole = partial(whole_numbers, frequency_per_A=axis.frequency_per_A)
    estimates = _estimates(units, whole, settings)
    return {key: _number(number) for key, number in _with_sbr(estimates).items()}


def _with_sbr(estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
    return {**estimates, "sbr": reciprocal(estimates["bias_share"])}


def _number(estimated: Estimate) -> Number:
    ends = (estimated.value, estimated.low, estimated.high)
    return Number(*(rounded(float(end)) for end in ends))


def _curve(estimated: Estimate) -> Curve:
    ends = (estimated.value, estimated.low, estimated.high)
    return Curve(*(rounded_values(end.tolist()) for end in ends))


def _results(
    measured: Sequence[_Measured], common: Sequence[Lattice]
) -> Iterator[MicrographResult]:
    scores = outlier_scores([result.numbers for result in measured])
    for result, score in zip(measured, scores, strict=True):
        micrograph, facts = result.subject.micrograph, result.facts
        ctf = micrograph.ctf
        own = [
            lattice for lattice in facts.lattices if not any(is_same(lattice, of) for of in common)
        ]
        remarked = remarks(result.numbers, replace(facts, lattices=tuple(own)))
        if is_outlier(score):
            remarked.append(unlike_the_others(score))
        yield MicrographResult(
            name=micrograph.name,
            row=micrograph.row,
            role=result.role if result.role != "all" else "",
            hot_pixels=facts.hot_pixels,
            confirmed=facts.confirmed,
            refuted=facts.refuted,
            defocus_A=round((ctf.defocus_u_A + ctf.defocus_v_A) / 2, 1) if ctf else None,
            numbers=result.numbers,
            outlier=round(score, 3),
            remarks=tuple(remarked),
            previews=facts.preview,
        )
