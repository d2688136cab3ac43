"""Records of a micrograph and of its contrast transfer function, in named units."""

import math
from dataclasses import dataclass, fields
from pathlib import Path

MANY_HOT_PIXELS = 1000
"""A micrograph with more hot pixels than this is worth a remark."""


@dataclass(frozen=True)
class CTFParameters:
    """The parameters of one micrograph's contrast transfer function.

    Attributes
    ----------
    defocus_u_A, defocus_v_A
        Defocus along the two principal directions of the astigmatism, in Å; positive values mean
        underfocus. Either may be the larger.
    defocus_angle_deg
        Angle in degrees from the x axis (columns) to the direction of ``defocus_u_A``, positive
        towards the y axis (rows, as stored).
    voltage_kV
        Acceleration voltage in kV.
    spherical_aberration_mm
        Spherical aberration of the objective lens in mm.
    amplitude_contrast
        Fraction of amplitude contrast, from 0 to 1.
    phase_shift_deg
        Phase shift of a phase plate in degrees; 0 without one.

    Raises
    ------
    ValueError
        A value is not finite, the voltage is not positive, or the amplitude contrast does not lie
        between 0 and 1.

    Examples
    --------
    >>> ctf = CTFParameters(15_000.0, 14_500.0, 30.0, 300.0, 2.7, 0.1)
    >>> ctf.defocus_u_A - ctf.defocus_v_A
    500.0
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
    """One micrograph of a session: its full sum and, if there are any, its two halves.

    Attributes
    ----------
    name
        The name in the STAR file, or as it was typed on the command line.
    image
        Path of the full sum, as it can be opened.
    pixel_size_A
        Pixel size in Å.
    row
        Row of the table that lists the micrograph, counted from 0.
    ctf
        The parameters of its CTF; None if they are not known.
    even, odd
        Paths of the sums of the even and of the odd frames; None if there are none.
    series
        The tilt series to which the image belongs; empty if there is none.

    Raises
    ------
    ValueError
        The pixel size is not a positive number.

    Examples
    --------
    >>> Micrograph("mic_0001.mrc", Path("Micrographs/mic_0001.mrc"), 1.5, row=0).pixel_size_A
    1.5
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
