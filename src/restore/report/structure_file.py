"""``structure.json``, what ``restore structure`` found, as records: read once, checked once."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from restore.errors import UserError
from restore.quantities import Curve, Number, Values, finite

FILE_NAME = "structure.json"
FORMAT_VERSION = 1

COMBINATIONS = ("raw_by_raw", "denoised_by_raw", "denoised_by_denoised", "raw_by_denoised")
"""The four reconstructions: of which images, by the orientations that were refined on which."""

_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Crossing:
    """Where a curve first falls under a threshold (Å), in words too; None where that is nowhere, or
    in the first shell.
    """

    value_A: float | None
    words: str


@dataclass(frozen=True)
class Correlation:
    """Curves over the shells by name, the one to judge by, and where that falls under each
    threshold ("0.143", "0.5").
    """

    curves: Mapping[str, Values]
    best: Values
    crossings: Mapping[str, Crossing]


@dataclass(frozen=True)
class Reconstruction:
    """A map of all particles, and its halves: ``images`` and ``orientations`` are "raw" or
    "denoised".

    ``reference`` is C_ref, what ``fsc`` predicts of the map's correlation with the truth; ``truth``
    and ``model`` are the correlations that were measured, where there was something to measure them
    with.
    """

    images: str
    orientations: str
    particles: int
    files: Mapping[str, str]
    fsc: Correlation
    reference: Values
    amplitude: Values
    bfactor_A2: Number
    model: Correlation | None
    truth: Correlation | None


@dataclass(frozen=True)
class Bias:
    """What the denoised half maps' FSC claims with these orientations, and what the raw half maps
    support of it.
    """

    claimed: Values
    supported: Values
    supported_error: Values
    excess: Values
    excess_error: Values
    mean_excess: Number
    is_found: bool
    known_to_A: float | None
    claimed_crossing: Crossing
    supported_crossing: Crossing


@dataclass(frozen=True)
class ResLog:
    """Resolution (1/Å) at each number of particles: mean, lowest and highest of the repeats, and
    the line fitted to them.

    ``sizes`` are particles in both half sets together.
    """

    sizes: tuple[float, ...]
    points: Curve
    line: Curve
    words: str


@dataclass(frozen=True)
class Angles:
    """Angular distances between two sets of orientations of the same particles, in degrees, with
    their figure's path.
    """

    title: str
    count: int
    median_deg: float
    quartiles_deg: tuple[float, float]
    chance_median_deg: float
    picture: str


@dataclass(frozen=True)
class Picture:
    """A picture in the result's folder, with its title and its words."""

    title: str
    words: str
    path: str


@dataclass(frozen=True)
class Structure:
    """All that the page shows. What was run (``provenance``) stays as the JSON has it; ``commands``
    make one row alone each.
    """

    provenance: Mapping[str, Any]
    particles: Mapping[str, Any]
    symmetry: str
    box_px: int
    pixel_size_A: float
    frequency_per_A: tuple[float, ...]
    reconstructions: Mapping[str, Reconstruction]
    bias: Mapping[str, Bias]
    reslog: Mapping[str, ResLog]
    angles: tuple[Angles, ...]
    views: tuple[Picture, ...]
    regions: tuple[Picture, ...]
    commands: Mapping[str, str]
    cautions: tuple[str, ...]
    warnings: tuple[str, ...]
    summary: tuple[str, ...]


def read_structure(folder: Path) -> Structure:
    """What ``restore structure`` wrote into a folder.

    Raises
    ------
    UserError
        There is nothing, it is damaged, or a newer version of the program made it.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise UserError(
            "there is no such file", where=path, do="name the folder that restore structure wrote"
        )
    try:
        card = json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda _: None)
        version = card["format_version"]
        if version == FORMAT_VERSION:
            return structure_from(card)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        found = f"a damaged file ({type(error).__name__}: {error})"
        raise UserError(found, where=path, do="run restore structure again") from None
    wanted = f"This version of restore reads version {FORMAT_VERSION}"
    raise UserError(
        f"format version {version}", where=path, wanted=wanted, do="use the version that made it"
    )


def structure_from(card: Mapping[str, Any]) -> Structure:
    """The records of a result's JSON. KeyError, TypeError, ValueError or AttributeError where it is
    damaged.
    """
    frequency = tuple(float(each) for each in card["frequency_per_A"])
    shells = len(frequency)
    return Structure(
        provenance=dict(card.get("provenance") or {}),
        particles=dict(card.get("particles") or {}),
        symmetry=str(card["symmetry"]),
        box_px=int(card["box_px"]),
        pixel_size_A=float(card["pixel_size_A"]),
        frequency_per_A=frequency,
        reconstructions={
            name: _reconstruction(card["reconstructions"][name], shells)
            for name in COMBINATIONS
            if name in card["reconstructions"]
        },
        bias={str(name): _bias(each, shells) for name, each in (card.get("bias") or {}).items()},
        reslog={str(name): _reslog(each) for name, each in (card.get("reslog") or {}).items()},
        angles=_several(card.get("angles"), _angles),
        views=_several(card.get("views"), _picture),
        regions=_several(card.get("regions"), _picture),
        commands={str(name): str(each) for name, each in (card.get("commands") or {}).items()},
        cautions=sentences(card.get("cautions")),
        warnings=sentences(card.get("warnings")),
        summary=sentences(card.get("summary")),
    )


def _several(cards: Sequence[Any] | None, record: Callable[[Any], _Record]) -> tuple[_Record, ...]:
    return tuple(record(each) for each in cards or ())


def _values(found: Sequence[Any] | None, count: int) -> Values:
    values = tuple(finite(each) for each in found or ())
    if len(values) != count:
        raise ValueError(f"{len(values)} values where there should be {count}")
    return values


def _crossing(card: Mapping[str, Any]) -> Crossing:
    return Crossing(finite(card.get("value_A")), str(card["words"]))


def _correlation(card: Mapping[str, Any], shells: int) -> Correlation:
    curves = {str(name): _values(each, shells) for name, each in card["curves"].items()}
    crossings = {str(name): _crossing(each) for name, each in card["crossings"].items()}
    return Correlation(curves, curves[card["best"]], crossings)


def _reconstruction(card: Mapping[str, Any], shells: int) -> Reconstruction:
    return Reconstruction(
        images=str(card["images"]),
        orientations=str(card["orientations"]),
        particles=int(card["particles"]),
        files={str(name): str(each) for name, each in card["files"].items()},
        fsc=_correlation(card["fsc"], shells),
        reference=_values(card["reference"], shells),
        amplitude=_values(card["amplitude"], shells),
        bfactor_A2=number(card.get("bfactor_A2")),
        model=_correlation(card["model"], shells) if card.get("model") else None,
        truth=_correlation(card["truth"], shells) if card.get("truth") else None,
    )


def _bias(card: Mapping[str, Any], shells: int) -> Bias:
    names = ("claimed", "supported", "supported_error", "excess", "excess_error")
    return Bias(
        *(_values(card[name], shells) for name in names),
        mean_excess=number(card.get("mean_excess")),
        is_found=bool(card["is_found"]),
        known_to_A=finite(card.get("known_to_A")),
        claimed_crossing=_crossing(card["claimed_crossing"]),
        supported_crossing=_crossing(card["supported_crossing"]),
    )


def _reslog(card: Mapping[str, Any]) -> ResLog:
    sizes = tuple(float(each) for each in card["sizes"])
    points, line = (_curve(card[name], len(sizes)) for name in ("points", "line"))
    return ResLog(sizes, points, line, str(card.get("words") or ""))


def _curve(card: Mapping[str, Any], count: int) -> Curve:
    return Curve(
        *(_values(card.get(part) or [None] * count, count) for part in ("value", "low", "high"))
    )


def _angles(card: Mapping[str, Any]) -> Angles:
    low, high = card["quartiles_deg"]
    numbers = float(card["median_deg"]), (float(low), float(high)), float(card["chance_median_deg"])
    return Angles(str(card["title"]), int(card["count"]), *numbers, str(card["picture"]))


def _picture(card: Mapping[str, Any]) -> Picture:
    return Picture(str(card["title"]), str(card.get("words") or ""), str(card["path"]))
