"""From the measurements of a set to its evaluation: groups, numbers with intervals, curves,
sentences (evaluation.json).
"""

import csv
import io
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from restore.errors import UserError
from restore.evaluation.batch import Subject
from restore.evaluation.estimators.comparison import ring_numbers, whole_numbers, with_baselines
from restore.evaluation.estimators.resampling import (
    Estimate,
    estimate,
    reciprocal,
    resampling_weights,
)
from restore.evaluation.estimators.spectra import RingAxis
from restore.evaluation.measure import Measurement, load_measurement
from restore.evaluation.verdict import is_strange, remarks, strangeness, summary, warnings
from restore.io.star import Block, StarFile
from restore.settings import setting

FORMAT_VERSION = 1
HELD_OUT, TRAINED_ON = "held out", "trained on"
_FEW = 5  # micrographs, fewer than which patches are resampled in their place
_RESAMPLES_OF_ONE = 200
_FEWEST_RESAMPLES, _MOST_RESAMPLES = 20, 20_000  # fewer have no tails; more need gigabytes


@dataclass(frozen=True)
class EvaluationSettings:
    """How micrographs are measured, and how sure the numbers are."""

    patch_px: int = setting(
        0,
        "side of the windowed patches, pixels of the cropped image (0: 256, less for small images)",
    )
    support_window: float = setting(
        300.0, "window of the local support map, Å: one to two particle diameters"
    )
    confidence: float = setting(0.9, "of the intervals, between 0 and 1")
    resamples: int = setting(1000, "bootstrap samples behind each interval, 20 to 20000")
    seed: int = setting(0, "of the resampling")
    precision: str = setting(
        "auto", "of the network; auto is bf16 where it is fast", choices=("auto", "float32", "bf16")
    )
    tile_px: int = setting(
        0, "side of the tiles that the network takes, pixels of the cropped image (0: by itself)"
    )

    def __post_init__(self) -> None:
        wrong = {
            "patch_px": self.patch_px < 0,
            "support_window": not 0 < self.support_window < math.inf,
            "confidence": not 0 < self.confidence < 1,
            "resamples": not _FEWEST_RESAMPLES <= self.resamples <= _MOST_RESAMPLES,
            "tile_px": self.tile_px < 0,
        }
        for name in (name for name, is_wrong in wrong.items() if is_wrong):
            raise UserError(f"{name} is {getattr(self, name)}", do="see restore evaluate --help")

    @property
    def measuring(self) -> tuple[float, str]:
        """The settings that decide what is measured; the others decide only what is made of it."""
        return self.support_window, self.precision


def roles(names: Sequence[str], training: Mapping[str, Any]) -> list[str]:
    """Whether each micrograph was trained on: by its name in the model's record, or by its file's
    name where no name fits.

    One of which only a part was held out was trained on.
    """
    trained = set(training.get("trained_on", ()))
    if not trained & set(names):
        files = {PurePath(name).name for name in trained}
        return [TRAINED_ON if PurePath(name).name in files else HELD_OUT for name in names]
    return [TRAINED_ON if name in trained else HELD_OUT for name in names]


@dataclass(frozen=True)
class _Row:
    """One measured micrograph: its subject, role, facts and numbers."""

    subject: Subject
    role: str
    facts: Mapping[str, Any]
    numbers: dict[str, dict[str, float | None]]


def appraise(
    subjects: Sequence[Subject],
    micrograph_roles: Sequence[str],
    axis: RingAxis,
    settings: EvaluationSettings,
    progress: Callable[[int], None] = lambda _: None,
) -> dict[str, Any]:
    """Groups, micrographs, warnings and summary of the subjects that have been measured, as plain
    values.
    """
    rows: list[_Row] = []
    stacks: dict[str, list[Float[Tensor, "blocks stack rings"]]] = {}
    few = {role: micrograph_roles.count(role) < _FEW for role in set(micrograph_roles)} | {
        "all": len(subjects) < _FEW
    }
    for count, (subject, role) in enumerate(zip(subjects, micrograph_roles, strict=True), 1):
        found = load_measurement(subject.path)
        stack = _stack(found)
        rows.append(_Row(subject, role, found.facts, _numbers_of_one(stack, axis, settings)))
        whole = stack.sum(dim=0, keepdim=True)
        for name in {role, "all"}:
            stacks.setdefault(name, []).append(stack if few[name] else whole)
        progress(count)
    groups = list(_groups(stacks, few, axis, settings))
    return {
        "frequency_per_A": [float(each) for each in axis.frequency_per_A],
        "groups": groups,
        "micrographs": _described(rows),
        "warnings": warnings(groups, has_model="all" not in micrograph_roles),
        "summary": summary(groups),
    }


def _stack(found: Measurement) -> Float[Tensor, "blocks stack rings"]:
    """A measurement's blocks with both filters' tables."""
    return with_baselines(found.blocks, found.blocks.sum(dim=0))


def _without_gaps(units: Float[Tensor, "units stack rings"]) -> Float[Tensor, "units stack rings"]:
    """The tables with the others' mean for what only some units lack (an unrelated neighbour), NaN
    for what all lack.
    """
    return torch.where(units.isnan(), units.nanmean(dim=0), units)


def _groups(
    stacks: Mapping[str, Sequence[Tensor]],
    few: Mapping[str, bool],
    axis: RingAxis,
    settings: EvaluationSettings,
) -> Iterator[dict[str, Any]]:
    for name in (HELD_OUT, TRAINED_ON, "all"):
        if name not in stacks:
            continue
        units = _without_gaps(torch.cat(list(stacks[name]))) / len(stacks[name])
        weights = resampling_weights(len(units), settings.resamples, settings.seed)
        whole = estimate(
            units,
            lambda stack: whole_numbers(stack, axis.frequency_per_A),
            settings.confidence,
            weights,
        )
        rings = estimate(units, ring_numbers, settings.confidence, weights)
        yield {
            "name": name,
            "micrographs": len(stacks[name]),
            "resampled": "patches" if few[name] else "micrographs",
            "numbers": {key: _plain(each) for key, each in _with_sbr(whole).items()},
            "curves": {key: _plain(each) for key, each in _with_sbr(rings).items()},
        }


def _numbers_of_one(
    stack: Tensor, axis: RingAxis, settings: EvaluationSettings
) -> dict[str, dict[str, Any]]:
    weights = resampling_weights(
        len(stack), min(settings.resamples, _RESAMPLES_OF_ONE), settings.seed
    )
    found = estimate(
        stack, lambda each: whole_numbers(each, axis.frequency_per_A), settings.confidence, weights
    )
    return {key: _plain(each) for key, each in _with_sbr(found).items()}


def _with_sbr(estimates: Mapping[str, Estimate]) -> dict[str, Estimate]:
    return {**estimates, "sbr": reciprocal(estimates["bias_share"])}


def _plain(found: Estimate) -> dict[str, Any]:
    """An estimate as JSON can say it: null for what is not a finite number."""
    return {name: _finite(getattr(found, name).tolist()) for name in ("value", "low", "high")}


def _finite(value: Any) -> Any:
    if isinstance(value, list):
        return [_finite(each) for each in value]
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _described(rows: Sequence[_Row]) -> list[dict[str, Any]]:
    scores = strangeness([row.numbers for row in rows])
    found: list[dict[str, Any]] = []
    for row, score in zip(rows, scores, strict=True):
        micrograph = row.subject.micrograph
        said = remarks(row.numbers, row.facts)
        if is_strange(score):
            said.append(f"Unlike the others: {score:.1f} robust standard deviations from them.")
        ctf = micrograph.ctf
        found.append({
            "name": micrograph.name,
            "row": micrograph.row,
            "role": row.role if row.role != "all" else "",
            "hot_pixels": row.facts.get("hot_pixels", 0),
            "confirmed": row.facts.get("confirmed"),
            "refuted": row.facts.get("refuted"),
            "defocus_A": round((ctf.defocus_u_A + ctf.defocus_v_A) / 2, 1) if ctf else None,
            "numbers": row.numbers,
            "outlier": round(score, 3),
            "remarks": said,
            "previews": row.facts.get("preview"),
        })  # fmt: skip
    return found


TABLE_COLUMNS: tuple[str, ...] = (
    "var_signal", "var_noise_raw", "var_noise_denoised", "var_bias", "snr_raw", "snr_denoised", "snr_raw_full",
    "snr_denoised_full", "sbr", "bias_share", "gain", "var_invented", "invented_share", "signal_to_error_denoised",
    "signal_to_error_wiener", "signal_to_error_lowpass", "advantage_over_wiener", "calibration", "correlation_raw", "correlation_lowpass", "correlation_wiener",
    "correlation_denoised", "lowpass_A",
)  # fmt: skip
"""The numbers that a table has for each micrograph, each with the two ends of its interval."""


def table(micrographs: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """One row a micrograph: name, role, remarkable facts, then every number with its interval;
    "nan" where there is none.
    """
    columns = ["micrograph", "role", "outlier", "hot_pixels", "confirmed", "refuted"]
    columns += [name for key in TABLE_COLUMNS for name in (key, f"{key}_low", f"{key}_high")]
    rows: list[list[str]] = []
    for each in micrographs:
        cells = [
            each["name"],
            each["role"].replace(" ", "_") or "none",
            f"{each['outlier']:g}",
            str(each["hot_pixels"]),
        ]
        cells += [_cell(each["confirmed"]), _cell(each["refuted"])]
        cells += [
            _cell(each["numbers"][key][end])
            for key in TABLE_COLUMNS
            for end in ("value", "low", "high")
        ]
        rows.append(cells)
    return columns, rows


def _cell(value: float | None) -> str:
    return "nan" if value is None else f"{value:.6g}"


def as_star(micrographs: Sequence[Mapping[str, Any]]) -> StarFile:
    """The table as a STAR file: rlnMicrographName, then columns of restore's own (``restoreSnrRaw``
    …).
    """
    columns, rows = table(micrographs)
    names = (
        "rlnMicrographName",
        *("restore" + name.title().replace("_", "") for name in columns[1:]),
    )
    return StarFile((Block("micrographs", names, tuple(tuple(row) for row in rows)),))


def as_csv(micrographs: Sequence[Mapping[str, Any]]) -> str:
    """The table as CSV text."""
    columns, rows = table(micrographs)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([columns, *rows])
    return text.getvalue()
