"""Records of the results of a comparison of structures, which are computed, stored in
``structure.json`` and drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from restore.errors import UserError
from restore.quantities import Curve, Number, Values
from restore.records import RecordFile, decoded, read_record

FILE_NAME = "structure.json"
FILE = RecordFile("file", 1, "restore structure")

COMBINATIONS = ("raw_by_raw", "denoised_by_raw", "denoised_by_denoised", "raw_by_denoised")
"""The four reconstructions: the kind of images, and the kind on which their orientations were
refined.
"""
THRESHOLDS = ("0.143", "0.5")
"""The thresholds of correlation at which resolutions are read."""

Kind = Literal["raw", "denoised"]


@dataclass(frozen=True)
class Crossing:
    """The resolution (Å) at which a curve first falls below a threshold, also in words; None if it
    never does, or does so in the first shell.
    """

    value_A: float | None
    words: str


@dataclass(frozen=True)
class Correlation:
    """Curves over the shells by name, the name of the decisive one, and where that falls below each
    threshold ("0.143", "0.5").

    ``is_doubtful`` says that the map and its reference hardly agree even at low resolution. Raises
    ValueError if the decisive curve, or a threshold, is missing.
    """

    curves: Mapping[str, Values]
    best: str
    crossings: Mapping[str, Crossing]
    is_doubtful: bool = False

    def __post_init__(self) -> None:
        if self.best not in self.curves:
            raise ValueError(f"the curve to judge by, {self.best[:20]}, is not there")
        if not set(THRESHOLDS) <= set(self.crossings):
            raise ValueError(f"crossings are needed at {' and '.join(THRESHOLDS)}")

    @property
    def judged(self) -> Values:
        """The decisive curve."""
        return self.curves[self.best]


@dataclass(frozen=True, kw_only=True)
class MapResult:
    """The measurements of one map, without its description: the result of one stage.

    ``reference`` is C_ref, the map's correlation with the truth as predicted from ``fsc``;
    ``truth`` and ``model`` are the measured correlations, if there was a reference. ``files`` are
    those that the stage wrote, by their names in the folder.
    """

    fsc: Correlation
    reference: Values
    model: Correlation | None = None
    truth: Correlation | None = None
    mean_amplitude: Values
    bfactor_A2: Number
    sharpened_by_A2: float | None
    files: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """A map of all particles, and its halves: ``images`` and ``orientations`` are "raw" or
    "denoised"; the rest is as in `MapResult`. ``amplitude`` is for the chart: it is 1 in the raw
    map's first shell.
    """

    fsc: Correlation
    reference: Values
    model: Correlation | None = None
    truth: Correlation | None = None
    mean_amplitude: Values = ()
    bfactor_A2: Number = Number()
    sharpened_by_A2: float | None = None
    images: Kind
    orientations: Kind
    particles: int
    files: Mapping[str, str]
    amplitude: Values


@dataclass(frozen=True)
class Band:
    """The band in which too much is claimed, and the mean excess over its shells."""

    from_A: float
    to_A: float
    mean_excess: float


@dataclass(frozen=True, kw_only=True)
class Bias:
    """The FSC that the denoised half maps claim with these orientations, and the part that the raw
    half maps support.
    """

    claimed: Values
    supported: Values
    supported_error: Values
    excess: Values
    excess_error: Values
    correlation: Values = ()
    claimed_correlation: Values = ()
    mean_excess: Number = Number()
    is_found: bool
    band: Band | None = None
    known_to_A: float | None = None
    claimed_crossing: Crossing
    supported_crossing: Crossing

    def __post_init__(self) -> None:
        if self.is_found and self.band is None:
            raise ValueError("bias was found, but no band of it")


@dataclass(frozen=True)
class ResLog:
    """Resolution (1/Å) at each number of particles: mean, lowest and highest of the repeats, and
    the line fitted to them.

    ``sizes`` are particles in both half sets together. Raises ValueError if they are not positive,
    or a curve has another length.
    """

    sizes: tuple[int, ...]
    points: Curve
    line: Curve
    words: str = ""
    slope_per_A: Number | None = None
    intercept_per_A: Number | None = None
    bfactor_A2: Number | None = None

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError("ResLog needs subsets of one particle or more")
        if not len(self.sizes) == len(self.points.value) == len(self.line.value):
            raise ValueError("ResLog needs one point for each subset size")


@dataclass(frozen=True, kw_only=True)
class Angles:
    """Angular distances between two sets of orientations of the same particles, in degrees, with
    their figure's path; ``compared`` is "refinements", or the name of the one that is compared with
    the truth.
    """

    compared: str = ""
    title: str
    picture: str
    count: int
    median_deg: float
    quartiles_deg: tuple[float, float]
    chance_median_deg: float


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture (PNG) or scenes of maps (JSON) in the result's folder, with a title and a text."""

    title: str
    words: str = ""
    path: str


@dataclass(frozen=True)
class Comparison:
    """The mean difference between two correlation curves, its error (1 σ), the number of shells it
    is based on, and whether it is significant.
    """

    mean: float
    error: float | None
    shells: int
    verdict: Literal["better", "worse", "alike"]


@dataclass(frozen=True)
class ParticleSet:
    """The number of particles, and how those of two refinements were matched."""

    count: int | None = None
    matched_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Structure:
    """All results of a comparison, and how they were made. Each of the ``commands`` makes one row
    of the page. Raises ValueError if a curve does not have one value for each shell, or a map has
    an unknown name.
    """

    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    particles: ParticleSet = ParticleSet()
    symmetry: str
    box_px: int
    pixel_size_A: float
    frequency_per_A: tuple[float, ...]
    reconstructions: Mapping[str, Reconstruction]
    bias: Mapping[str, Bias] = field(default_factory=dict[str, Bias])
    reslog: Mapping[str, ResLog] = field(default_factory=dict[str, ResLog])
    angles: tuple[Angles, ...] = ()
    views: tuple[Picture, ...] = ()
    regions: tuple[Picture, ...] = ()
    commands: Mapping[str, str] = field(default_factory=dict[str, str])
    cautions: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    summary: tuple[str, ...] = ()
    differences: Mapping[str, Comparison] = field(default_factory=dict[str, Comparison])

    def __post_init__(self) -> None:
        unknown = [name for name in self.reconstructions if name not in COMBINATIONS]
        if unknown:
            raise ValueError(f"there is no reconstruction called {unknown[0][:20]}")
        shells = len(self.frequency_per_A)
        for curve in self._curves():
            if len(curve) != shells:
                raise ValueError(f"{len(curve)} values where there should be {shells}")

    def _curves(self) -> list[Values]:
        """Every curve over the shells."""
        curves: list[Values] = []
        for result in self.reconstructions.values():
            correlations = (result.fsc, result.model, result.truth)
            curves += [result.reference, result.amplitude]
            curves += [
                curve
                for correlation in correlations
                if correlation is not None
                for curve in correlation.curves.values()
            ]
        for bias in self.bias.values():
            curves += [bias.claimed, bias.supported, bias.supported_error]
            curves += [bias.excess, bias.excess_error]
        return curves


def read_structure(folder: Path) -> Structure:
    """The results that ``restore structure`` wrote into a folder.

    Raises
    ------
    UserError
        There are no results, they are damaged, or another version of the program wrote them.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise UserError(
            "there is no such file", where=path, do="name the folder that restore structure wrote"
        )
    return read_record(path, Structure, FILE)


def structure_from(card: Mapping[str, Any]) -> Structure:
    """The structure from the plain values of its JSON. Raises UserError if they are damaged."""
    return decoded(Structure, card, FILE_NAME, FILE.noun)
