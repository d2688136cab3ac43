"""What a comparison of structures finds: the records that are computed, kept in ``structure.json``
and drawn.
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
"""The four reconstructions: of which images, by the orientations that were refined on which."""
THRESHOLDS = ("0.143", "0.5")
"""The correlations at which curves are read."""

Kind = Literal["raw", "denoised"]


@dataclass(frozen=True)
class Crossing:
    """Where a curve first falls below a threshold (Å), in words too; None where that is nowhere, or
    in the first shell.
    """

    value_A: float | None
    words: str


@dataclass(frozen=True)
class Correlation:
    """Curves over the shells by name, the name of the one to judge by, and where that falls below
    each threshold ("0.143", "0.5").

    ``is_doubtful`` says that the map and what it is compared with hardly agree even at low
    resolution. ValueError where the curve to judge by, or a threshold, is missing.
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
        """The curve to judge by."""
        return self.curves[self.best]


@dataclass(frozen=True, kw_only=True)
class MapResult:
    """What was measured of one map, without what it is a map of: one stage's result.

    ``reference`` is C_ref, what ``fsc`` predicts of the map's correlation with the truth; ``truth``
    and ``model`` are the correlations that were measured, where there was something to measure them
    with. ``files`` are those that the stage wrote, by their names in the folder.
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
    "denoised"; the rest as in `MapResult`. ``amplitude`` is drawn: 1 in the raw map's first shell.
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
    """The band in which too much is claimed, and how much on average over its shells."""

    from_A: float
    to_A: float
    mean_excess: float


@dataclass(frozen=True, kw_only=True)
class Bias:
    """What the denoised half maps' FSC claims with these orientations, and what the raw half maps
    support of it.
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

    ``sizes`` are particles in both half sets together. ValueError where these are not positive, or
    a curve has another length.
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
    their figure's path; ``compared`` is "refinements", or which of them is compared with the truth.
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
    """A picture (PNG) or scenes of maps (JSON) in the result's folder, with title and words."""

    title: str
    words: str = ""
    path: str


@dataclass(frozen=True)
class Comparison:
    """How much higher one correlation curve is than another on average, its error (1 σ), the shells
    that this rests on, and whether the difference is more than chance makes.
    """

    mean: float
    error: float | None
    shells: int
    verdict: Literal["better", "worse", "alike"]


@dataclass(frozen=True)
class ParticleSet:
    """How many particles there are, and how those of two refinements were matched."""

    count: int | None = None
    matched_by: str = ""


@dataclass(frozen=True, kw_only=True)
class Structure:
    """All that a comparison found, and how it was made. ``commands`` make one row of the page each.

    ValueError where a curve has not one value for each shell, or a map has an unknown name.
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
    """What ``restore structure`` wrote into a folder.

    Raises
    ------
    UserError
        There is nothing, it is damaged, or another version of the program made it.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise UserError(
            "there is no such file", where=path, do="name the folder that restore structure wrote"
        )
    return read_record(path, Structure, FILE)


def structure_from(card: Mapping[str, Any]) -> Structure:
    """The structure of its JSON's plain values. Raises UserError where they are damaged."""
    return decoded(Structure, card, FILE_NAME, FILE.noun)
