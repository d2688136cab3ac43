"""``evaluation.json``, what an evaluation leaves for a report to show, as records: read once,
checked once.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.errors import UserError

FILE_NAME = "evaluation.json"
FORMAT_VERSION = 1

Values = tuple[float | None, ...]


@dataclass(frozen=True)
class Number:
    """A number with the two ends of its confidence interval; None where there is none."""

    value: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Curve:
    """A number in each ring (or step), with the two ends of its confidence interval; None where
    there is none.
    """

    value: Values
    low: Values
    high: Values


@dataclass(frozen=True)
class Group:
    """The numbers and curves of several micrographs together; ``resampled`` names what the
    intervals were made from.
    """

    name: str
    micrographs: int
    resampled: str
    numbers: Mapping[str, Number]
    curves: Mapping[str, Curve]


@dataclass(frozen=True)
class Preview:
    """Small pictures of a micrograph, by paths relative to the evaluation's folder; ``support`` may
    be missing.
    """

    raw: str
    denoised: str
    support: str | None
    width_px: int
    height_px: int
    pixel_size_A: float


@dataclass(frozen=True)
class Row:
    """One micrograph; ``outlier`` is larger the stranger it is, ``role`` is empty where there is no
    model.
    """

    name: str
    role: str
    numbers: Mapping[str, Number]
    outlier: float | None
    remarks: tuple[str, ...]
    hot_pixels: int | None
    defocus_A: float | None
    preview: Preview | None


@dataclass(frozen=True)
class Evaluation:
    """All that a report shows. What was run (``provenance`` … ``method``) stays as the JSON has it."""

    provenance: Mapping[str, Any]
    recipe: Mapping[str, Any]
    model: Mapping[str, Any] | None
    method: Mapping[str, Any]
    frequency_per_A: tuple[float, ...]
    groups: tuple[Group, ...]
    micrographs: tuple[Row, ...]
    warnings: tuple[str, ...]
    summary: tuple[str, ...]


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation in a folder that ``restore evaluate`` wrote.

    Raises
    ------
    UserError
        There is none, it is damaged, or a newer version of the program made it.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        found = "there is no such file" if folder.is_dir() else "there is no such folder"
        raise UserError(
            found,
            where=path if folder.is_dir() else folder,
            do="name the folder that restore evaluate wrote",
        )
    try:
        card = json.loads(path.read_text(encoding="utf-8"), parse_constant=_nothing)
        version = card["format_version"]
        if version == FORMAT_VERSION:
            return evaluation_from(card)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"a damaged evaluation ({type(error).__name__}: {error})"
        raise UserError(found, where=path, do="run restore evaluate again") from None
    raise UserError(
        f"format version {version}",
        where=path,
        wanted=f"This version of restore reads version {FORMAT_VERSION}",
        do="use the version of restore that made it, or a newer one",
    )


def evaluation_from(card: Mapping[str, Any]) -> Evaluation:
    """The records of an evaluation's JSON. KeyError, TypeError, ValueError or AttributeError where
    it is damaged.
    """
    frequency = tuple(float(each) for each in card["frequency_per_A"])
    model = card.get("model")
    return Evaluation(
        provenance=dict(card.get("provenance") or {}),
        recipe=dict(card.get("recipe") or {}),
        model=None if model is None else dict(model),
        method=dict(card.get("method") or {}),
        frequency_per_A=frequency,
        groups=tuple(_group(each, len(frequency)) for each in card["groups"]),
        micrographs=tuple(_row(each) for each in card["micrographs"]),
        warnings=sentences(card.get("warnings")),
        summary=sentences(card.get("summary")),
    )


def finite(value: object) -> float | None:
    """The number, or None where it is none, or not finite."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _nothing(_: str) -> None:
    """What stands for NaN and Infinity, which are no JSON."""


def sentences(found: Any) -> tuple[str, ...]:
    """A list as texts; none where there is none."""
    return tuple(str(each) for each in found or ())


def number(card: Mapping[str, Any] | None) -> Number:
    """A value and the ends of its interval, None what is not there or not finite."""
    return Number(*(finite((card or {}).get(part)) for part in ("value", "low", "high")))


def _numbers(card: Mapping[str, Any] | None) -> dict[str, Number]:
    return {str(name): number(each) for name, each in (card or {}).items()}


def _curve(name: str, card: Mapping[str, Any], rings: int) -> Curve:
    parts = [
        tuple(finite(each) for each in card.get(part) or [None] * rings)
        for part in ("value", "low", "high")
    ]
    if any(len(part) != rings for part in parts):
        raise ValueError(f"the curve {name} has not one value for each of the {rings} rings")
    return Curve(*parts)


def _group(card: Mapping[str, Any], rings: int) -> Group:
    return Group(
        name=str(card["name"]),
        micrographs=int(card["micrographs"]),
        resampled=str(card.get("resampled") or ""),
        numbers=_numbers(card.get("numbers")),
        curves={
            str(name): _curve(name, each, rings)
            for name, each in (card.get("curves") or {}).items()
        },
    )


def _row(card: Mapping[str, Any]) -> Row:
    hot_pixels = finite(card.get("hot_pixels"))
    return Row(
        name=str(card["name"]),
        role=str(card.get("role") or ""),
        numbers=_numbers(card.get("numbers")),
        outlier=finite(card.get("outlier")),
        remarks=sentences(card.get("remarks")),
        hot_pixels=None if hot_pixels is None else int(hot_pixels),
        defocus_A=finite(card.get("defocus_A")),
        preview=_preview(card.get("previews")),
    )


def _preview(card: Mapping[str, Any] | None) -> Preview | None:
    if card is None:
        return None
    support = card.get("support")
    size = int(card["width_px"]), int(card["height_px"])
    if min(size) < 1:
        raise ValueError(f"a preview of {size[0]}×{size[1]} pixels")
    support = None if support is None else str(support)
    return Preview(
        str(card["raw"]), str(card["denoised"]), support, *size, float(card["pixel_size_A"])
    )
