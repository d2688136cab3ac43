"""Records of a micrograph: what they refuse."""

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from restore.micrograph import CTFParameters, Micrograph

GOOD = CTFParameters(12000.0, 11000.0, 30.0, 300.0, 2.7, 0.07)


@pytest.mark.parametrize("name", [field.name for field in fields(CTFParameters)])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_parameter_of_a_ctf_may_be_nan_or_infinite(name, value):
    given = {field.name: getattr(GOOD, field.name) for field in fields(GOOD)} | {name: value}
    with pytest.raises(ValueError, match=f"{name} is {value}"):
        CTFParameters(**given)


@pytest.mark.parametrize("pixel_size_A", [0.0, -1.0, float("nan"), float("inf")])
def test_a_pixel_size_is_a_positive_number(pixel_size_A):
    with pytest.raises(ValueError, match="pixel_size_A is"):
        Micrograph("a", Path("a"), pixel_size_A, 0)


def test_records_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        GOOD.voltage_kV = 200.0
