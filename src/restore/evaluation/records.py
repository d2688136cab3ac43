"""Records of the results of an evaluation, which are computed, stored in ``evaluation.json``, and
drawn.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from restore.errors import UserError
from restore.quantities import Curve, Number
from restore.records import RecordFile, decoded, read_record

FILE_NAME = "evaluation.json"
FILE = RecordFile("evaluation", 1, "restore evaluate")


@dataclass(frozen=True)
class Previews:
    """Small pictures of a micrograph, by paths relative to the evaluation's folder; ``support`` may
    be missing.
    """

    raw: str
    denoised: str
    support: str | None
    width_px: int
    height_px: int
    pixel_size_A: float

    def __post_init__(self) -> None:
        if min(self.width_px, self.height_px) < 1:
            raise ValueError(f"a preview of {self.width_px} × {self.height_px} pixels")


@dataclass(frozen=True)
class Lattice:
    """A sharp line in the spectrum of the "raw" or "denoised" ``image``, given by its period (Å,
    and pixels of the cropped image); ``share`` is its share of the image's variance.
    """

    image: str
    period_A: float
    period_px: float
    share: float


@dataclass(frozen=True)
class Spike:
    """A ring at ``resolution_A`` whose correlation between the halves, "raw" or "denoised", stands
    above all rings ``around`` it.
    """

    halves: str
    resolution_A: float
    value: float
    around: float


@dataclass(frozen=True)
class Facts:
    """The contents of a measurement other than the covariances. ``confirmed`` and ``refuted`` are
    shares of the area, ``blank_share`` is that of pixels without data, ``fingerprint`` that of
    everything the measurement depends on. ``remarks`` are what the checks of the halves found,
    in sentences.
    """

    hot_pixels: int = 0
    confirmed: float | None = None
    refuted: float | None = None
    preview: Previews | None = None
    blank_share: float = 0.0
    fingerprint: str = ""
    lattices: tuple[Lattice, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class MicrographResult:
    """The result of one micrograph; ``outlier`` is larger the further it is from the others,
    ``role`` is empty if there is no model.
    """

    name: str
    row: int | None = None
    role: str = ""
    hot_pixels: int | None = None
    confirmed: float | None = None
    refuted: float | None = None
    defocus_A: float | None = None
    numbers: Mapping[str, Number] = field(default_factory=dict[str, Number])
    outlier: float | None = None
    remarks: tuple[str, ...] = ()
    previews: Previews | None = None


@dataclass(frozen=True, kw_only=True)
class Group:
    """The numbers and curves of several micrographs together; ``resampled`` names the units that
    were resampled for the intervals, ``has_signal`` marks the rings in which the raw halves share a
    significant signal (empty if not known). ``lattices`` are those of at least half of the
    micrographs, ``spikes`` those in the correlations of the halves.
    """

    name: str
    micrographs: int
    resampled: str = ""
    numbers: Mapping[str, Number] = field(default_factory=dict[str, Number])
    curves: Mapping[str, Curve] = field(default_factory=dict[str, Curve])
    has_signal: tuple[bool, ...] = ()
    lattices: tuple[Lattice, ...] = ()
    spikes: tuple[Spike, ...] = ()


@dataclass(frozen=True)
class ModelSummary:
    """The model that was evaluated; ``training`` and ``provenance`` are copied from its file."""

    name: str = ""
    parameters: int | None = None
    training: Mapping[str, Any] = field(default_factory=dict[str, Any])
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class MethodSummary:
    """The settings behind the numbers and their intervals."""

    patch_px: int | None = None
    rings: int | None = None
    window: str = ""
    confidence: float | None = None
    resamples: int | None = None
    support_window_A: float | None = None


@dataclass(frozen=True, kw_only=True)
class Making:
    """The description of a run: the part of an evaluation that is known before anything is
    measured.
    """

    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    model: ModelSummary | None = None
    method: MethodSummary = MethodSummary()


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Everything measured in an evaluation, and the method.

    Attributes
    ----------
    provenance
        Program, version, command, settings, inputs and time.
    recipe
        How the images were prepared, as given by `Recipe.card`.
    model
        The model that was evaluated; None for another program's images.
    method
        How the measurements were made.
    frequency_per_A
        Spatial frequency of each ring, in 1/Å.
    groups
        Numbers and curves for each group of micrographs: those held out from training, those
        trained on, and all.
    micrographs
        Numbers for each micrograph.
    warnings, summary
        The findings in sentences.

    Raises
    ------
    ValueError
        A curve does not have one value for each ring.
    """

    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])
    recipe: Mapping[str, Any] = field(default_factory=dict[str, Any])
    model: ModelSummary | None = None
    method: MethodSummary = MethodSummary()
    frequency_per_A: tuple[float, ...]
    groups: tuple[Group, ...]
    micrographs: tuple[MicrographResult, ...]
    warnings: tuple[str, ...] = ()
    summary: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        rings = len(self.frequency_per_A)
        for group in self.groups:
            if len(group.has_signal) not in (0, rings):
                raise ValueError(f"{len(group.has_signal)} values of has_signal for {rings} rings")
            for name, curve in group.curves.items():
                if len(curve.value) != rings:
                    raise ValueError(
                        f"the curve {name} of {group.name} has {len(curve.value)} values for "
                        f"{rings} rings"
                    )


def read_evaluation(folder: Path) -> Evaluation:
    """The evaluation in a folder that ``restore evaluate`` wrote.

    Raises
    ------
    UserError
        There is no evaluation, it is damaged, or another version of the program wrote it.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        do = "name the folder that restore evaluate wrote"
        if folder.is_file():
            raise UserError("a file, not a folder", where=folder, do=do)
        is_folder = folder.is_dir()
        raise UserError(
            f"there is no such {'file' if is_folder else 'folder'}",
            where=path if is_folder else folder,
            do=do,
        )
    return read_record(path, Evaluation, FILE)


def evaluation_from(card: Mapping[str, Any]) -> Evaluation:
    """The evaluation from the plain values of its JSON. Raises UserError if they are damaged."""
    return decoded(Evaluation, card, FILE_NAME, FILE.noun)
