"""Between which values the parameters of a CTF lie; others stand in a wrong unit or column.

A micrograph's defocus is checked where its phases are flipped
(:func:`restore.ctf.require_plausible_defocus`), so that one bad row is one skipped micrograph.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The least and the largest value of a parameter, both possible, and the words for them."""

    least: float
    most: float
    words: str

    def hold(self, value: float) -> bool:
        """Whether the value lies between them; NaN does not."""
        return self.least <= value <= self.most


_VOLTAGE = Limits(10.0, 4000.0, "in kV, from 10 to 4000")
_ABERRATION = Limits(-20.0, 200.0, "in mm, from -20 to 200")
_CONTRAST = Limits(0.0, 1.0, "from 0 to 1")

RELION_LIMITS: Mapping[str, Limits] = {
    "rlnVoltage": _VOLTAGE,
    "rlnSphericalAberration": _ABERRATION,
    "rlnAmplitudeContrast": _CONTRAST,
}
"""By the name of the column. Angles and phase shifts, which are periodic, have none."""

CRYOSPARC_LIMITS: Mapping[str, Limits] = {
    "accel_kv": _VOLTAGE,
    "cs_mm": _ABERRATION,
    "amp_contrast": _CONTRAST,
}
"""By the name of the column in the slot ``ctf``."""
