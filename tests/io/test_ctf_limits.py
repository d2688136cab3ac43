"""Numbers of a CTF that are possible, and look like those of another unit."""

from dataclasses import replace

import pytest

from restore.io.ctf_limits import warn_of_units
from restore.micrograph import CTFParameters

CTF = CTFParameters(12000.0, 11800.0, 40.0, 300.0, 2.7, 0.1)
ANGLES_RAD = (0.3, -1.2, 2.9, 1.1, 0.8, -2.2)


def test_usual_numbers_give_no_warning(caplog):
    corrected = replace(CTF, spherical_aberration_mm=0.001)
    plate = replace(CTF, phase_shift_deg=90.0, defocus_u_A=600.0, defocus_v_A=500.0)
    for ctfs in ([], [None], [CTF], [CTF] * 9, [corrected], [plate]):
        warn_of_units(ctfs, "a.star")
    warn_of_units([replace(CTF, defocus_angle_deg=angle) for angle in (1.0, 2.0, 80.0)], "a.star")
    assert caplog.text == ""


def test_angles_in_radians_are_named_once_there_are_enough(caplog):
    turned = [replace(CTF, defocus_angle_deg=angle) for angle in ANGLES_RAD]
    warn_of_units(turned[:4], "a.star")
    assert caplog.text == ""
    warn_of_units(turned, "a.star")
    assert caplog.text.count("no angle of the astigmatism is above 3.15°") == 1


def test_angles_without_astigmatism_say_nothing(caplog):
    warn_of_units([replace(CTF, defocus_u_A=11800.0, defocus_angle_deg=a) for a in ANGLES_RAD], "a")
    assert caplog.text == ""


@pytest.mark.parametrize("shift_deg", [1.57, -2.0, 3.14159265])
def test_phase_shifts_in_radians_are_named(caplog, shift_deg):
    warn_of_units([CTF, replace(CTF, phase_shift_deg=shift_deg)], "a.star")
    assert "a.star: no phase shift is above 3.15°. Are they in radians?" in caplog.text
