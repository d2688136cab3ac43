"""Records of a micrograph and of its contrast transfer function, in named units."""

import math
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class CTFParameters:
    """What the contrast transfer function of one micrograph depends on.

    Defocus is positive when the image is underfocused. ``defocus_angle_deg`` is the angle from the
    x axis (columns) to the direction of ``defocus_u_A``, positive towards the y axis (rows, as
    stored). Either of the two defoci may be the larger.
    """

    defocus_u_A: float
    defocus_v_A: float
    defocus_angle_deg: float
    voltage_kV: float
    spherical_aberration_mm: float
    amplitude_contrast: float
    phase_shift_deg: float = 0.0

    def __post_init__(self) -> None:
        for quantity in fields(self):
            if not math.isfinite(getattr(self, quantity.name)):
                raise ValueError(f"{quantity.name} is {getattr(self, quantity.name)}")
        if self.voltage_kV <= 0:
            raise ValueError(f"voltage_kV is {self.voltage_kV}")
        if not 0 <= self.amplitude_contrast <= 1:
            raise ValueError(f"amplitude_contrast is {self.amplitude_contrast}")


@dataclass(frozen=True)
class Micrograph:
    """One micrograph of a session: the full sum, and where there are any, its two halves.

    ``name`` is what the STAR file (or the command line) calls it; ``image``, ``even`` and ``odd``
    are paths that can be opened. ``row`` counts from zero in the table that it came from. ``ctf``
    is None where none is known. ``series`` is the tilt series that it is an image of, empty where
    it is of none.
    """

    name: str
    image: Path
    pixel_size_A: float
    row: int
    ctf: CTFParameters | None = None
    even: Path | None = None
    odd: Path | None = None
    series: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.pixel_size_A) and self.pixel_size_A > 0):
            raise ValueError(f"pixel_size_A is {self.pixel_size_A}")
