"""The settings of denoising, with their defaults."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

from restore.denoising.merge import MergeBand, band_between
from restore.errors import UserError
from restore.model.calibration import CALIBRATION_KINDS, CalibrationKind
from restore.model.inference.ensemble import ORIENTATIONS
from restore.runtime.precision import PRECISIONS
from restore.settings import require, setting

OutputType = Literal["float32", "float16"]
ProteinKind = Literal["auto", "bright", "dark"]

_CHOICES = {
    "calibration": CALIBRATION_KINDS,
    "output_dtype": get_args(OutputType),
    "precision": PRECISIONS,
    "self_ensemble": ORIENTATIONS,
}
"""The settings with a fixed set of values."""


@dataclass(frozen=True)
class DenoisingSettings:
    """What is done with the network's output. Each field is an option of ``restore denoise``."""

    merge_noisy: bool = setting(
        False,
        "take the raw image at resolutions finer than the merge band",
        off="--dont_merge_noisy",
    )
    merge_resolution: float | None = setting(
        None,
        (
            "centre of the merge band, Å (default: 3, or 1.25 × the model's resolution where that "
            "is coarser)"
        ),
        "-x",
    )
    merge_width: float | None = setting(
        None,
        "width of the merge band, Å (default: 2, or 0.4 × the centre where that is narrower)",
        "-w",
    )
    keep_low_frequencies: bool = setting(
        False,
        "keep the raw image's low frequencies (wavelengths beyond 200 Å), without its background: "
        "for automatic picking",
    )
    flip_phases_back: bool = setting(
        False,
        "undo the phase flip, for programs that expect uncorrected images",
        off="--dont_flip_phases_back",
    )
    average_halves: bool = setting(
        False, "denoise the two halves and average them, instead of the full sum"
    )
    calibration: CalibrationKind = setting(
        "rings",
        "calibration of the network's output, ring by ring: rings (by each micrograph's own "
        "halves; without any, as model), model (by the validation micrographs of the training), "
        "or none",
        choices=_CHOICES["calibration"],
    )
    output_dtype: OutputType = setting(
        "float32",
        "number format of the written images",
        choices=_CHOICES["output_dtype"],
    )
    precision: str = setting(
        "auto",
        "precision of the network; auto: bf16 where it is fast",
        choices=_CHOICES["precision"],
    )
    self_ensemble: int = setting(
        1,
        "number of orientations of each image that are denoised and averaged: a better image for "
        "as many times the network's time",
        choices=_CHOICES["self_ensemble"],
    )
    tile_px: int = setting(
        0,
        (
            "side of the tiles that the network processes, in pixels of the cropped image (0: "
            "chosen automatically)"
        ),
    )

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            choices = ", ".join(str(choice) for choice in allowed)
            require(self, name, getattr(self, name) in allowed, f"one of {choices}")
        require(self, "tile_px", self.tile_px >= 0, "0 or more")
        for name in ("merge_resolution", "merge_width"):
            if getattr(self, name) is not None and not self.merge_noisy:
                raise UserError(
                    f"{name} is {getattr(self, name):g}, but nothing is merged",
                    field=name,
                    do="give `merge_noisy=True` as well, or leave it out",
                )


def merge_band(settings: DenoisingSettings, max_resolution_A: float) -> MergeBand | None:
    """The merge band of the settings, or None without merging.

    It must end at or before the model's resolution, beyond which nothing is denoised; otherwise
    UserError is raised.
    """
    if not settings.merge_noisy:
        return None
    return band_between(settings.merge_resolution, settings.merge_width, max_resolution_A)


@dataclass(frozen=True)
class ParticleSettings:
    """How particle images are presented to the network, which was trained on whole micrographs."""

    protein: ProteinKind = setting(
        "auto",
        "in particle images; auto: as the micrographs show, else cryoSPARC's sign, else bright",
        choices=("auto", "bright", "dark"),
    )
    margin_A: float = setting(
        100.0,
        "what the network sees of the micrograph around each particle, at most its field, Å",
    )

    def __post_init__(self) -> None:
        require(self, "margin_A", 0 <= self.margin_A < math.inf, "0 or more")
