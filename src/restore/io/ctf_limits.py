"""Limits of the parameters of a CTF; values beyond them are in a wrong unit or column.

A micrograph's defocus is checked when its phases are flipped
(:func:`restore.ctf.require_plausible_defocus`), so that one bad row is one skipped micrograph.
"""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from restore.micrograph import CTFParameters

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """The least and the largest possible value of a parameter, and a text that states them."""

    least: float
    most: float
    words: str

    def hold(self, value: float) -> bool:
        """Whether the value is within the limits; NaN is not."""
        return self.least <= value <= self.most


_VOLTAGE = Limits(10.0, 4000.0, "in kV, from 10 to 4000")
_ABERRATION = Limits(-20.0, 200.0, "in mm, from -20 to 200")
_CONTRAST = Limits(0.0, 1.0, "from 0 to 1")

RELION_LIMITS: Mapping[str, Limits] = {
    "rlnVoltage": _VOLTAGE,
    "rlnSphericalAberration": _ABERRATION,
    "rlnAmplitudeContrast": _CONTRAST,
}
"""Limits by column name. Angles and phase shifts, which are periodic, have none."""

CRYOSPARC_LIMITS: Mapping[str, Limits] = {
    "accel_kv": _VOLTAGE,
    "cs_mm": _ABERRATION,
    "amp_contrast": _CONTRAST,
}
"""Limits by the name of the column in the slot ``ctf``."""

_FEWEST_ANGLES = 5
_LARGEST_ANGLE_DEG = 400.0
_NEAR_FOCUS_A = 3000.0
_LENS_IN_METRES = (0.0015, 0.0055)


def warn_of_units(ctfs: Iterable[CTFParameters | None], where: object) -> None:
    """Warn, once per set, if its values are possible but seem to be in another unit: radians in a
    column of degrees or vice versa, nm in a column of Å, m in a column of mm.
    """
    known = [ctf for ctf in ctfs if ctf is not None]
    for words in _suspicions(known) if known else ():
        log.warning("%s: %s", where, words)


def _suspicions(ctfs: Sequence[CTFParameters]) -> list[str]:
    angles = {ctf.defocus_angle_deg for ctf in ctfs if ctf.defocus_u_A != ctf.defocus_v_A} - {0.0}
    shifts = {ctf.phase_shift_deg for ctf in ctfs} - {0.0}
    defocus_A = median((ctf.defocus_u_A + ctf.defocus_v_A) / 2 for ctf in ctfs)
    lens_mm = median(ctf.spherical_aberration_mm for ctf in ctfs)
    suspicions: list[str] = []
    if len(angles) >= _FEWEST_ANGLES and _within_pi(angles):
        suspicions.append("no angle of the astigmatism is above 3.15°. Are they in radians?")
    if shifts and _within_pi(shifts):
        suspicions.append("no phase shift is above 3.15°. Are they in radians?")
    if any(abs(angle) > _LARGEST_ANGLE_DEG for angle in angles | shifts):
        suspicions.append("an angle or a phase shift is above 400°. Is it in a column of radians?")
    if not shifts and defocus_A < _NEAR_FOCUS_A:
        suspicions.append(f"the median defocus is only {defocus_A:.0f} Å. Is it in nm?")
    if _LENS_IN_METRES[0] <= lens_mm <= _LENS_IN_METRES[1]:
        suspicions.append(f"the spherical aberration is only {lens_mm:g} mm. Is it in m?")
    return [f"{suspicion} The numbers are used as they are" for suspicion in suspicions]


def _within_pi(angles_deg: Iterable[float]) -> bool:
    return all(abs(angle) <= math.pi + 1e-6 for angle in angles_deg)
