"""The contrast transfer function against an independent formula, RELION, and torch-ctf's own
habits.
"""

import shutil
import subprocess

import mrcfile
import numpy as np
import pytest
import torch
from torch_ctf import apply_astigmatism_to_defocus, calculate_ctf_2d, calculate_total_phase_shift

from restore.ctf import ctf, ctf_sign
from restore.micrograph import CTFParameters

BASE = {
    "defocus_u_A": 15000.0,
    "defocus_v_A": 10000.0,
    "defocus_angle_deg": 30.0,
    "voltage_kV": 300.0,
    "spherical_aberration_mm": 2.7,
    "amplitude_contrast": 0.07,
    "phase_shift_deg": 0.0,
}
CASES = {
    "plain": {"defocus_v_A": 15000.0},
    **{
        f"astigmatic at {angle}°": {"defocus_angle_deg": float(angle)}
        for angle in (0, 30, 45, 90, 117, -60, 200)
    },
    "V the larger": {"defocus_u_A": 9000.0, "defocus_v_A": 16000.0, "defocus_angle_deg": 20.0},
    "phase plate": {"phase_shift_deg": 90.0},
    "phase shift and V the larger": {
        "phase_shift_deg": 20.0,
        "defocus_u_A": 9000.0,
        "defocus_v_A": 11000.0,
    },
    "200 kV": {"voltage_kV": 200.0, "amplitude_contrast": 0.1},
    "120 kV": {"voltage_kV": 120.0, "spherical_aberration_mm": 2.0},
    "80 kV": {"voltage_kV": 80.0},
    "no aberration": {"spherical_aberration_mm": 0.0},
    "amplitude only": {"amplitude_contrast": 1.0},
    "overfocus": {"defocus_u_A": -8000.0, "defocus_v_A": -12000.0},
    "U and V of opposite sign": {"defocus_u_A": -500.0, "defocus_v_A": 700.0},
}


def formula(p, shape, pixel_size_yx_A):
    """As in CTFFIND and RELION: positive at low frequency in underfocus, angle from x towards y."""
    ky = np.fft.fftfreq(shape[0], pixel_size_yx_A[0])[:, None]
    kx = np.fft.rfftfreq(shape[1], pixel_size_yx_A[1])[None]
    volts = p.voltage_kV * 1e3
    wavelength = 12.2642598 / np.sqrt(volts * (1 + 0.978475598e-6 * volts))
    squared = kx**2 + ky**2
    towards = np.cos(2 * (np.arctan2(ky, kx) - np.deg2rad(p.defocus_angle_deg)))
    defocus = (p.defocus_u_A + p.defocus_v_A) / 2 + (p.defocus_u_A - p.defocus_v_A) / 2 * towards
    aberration = np.pi / 2 * p.spherical_aberration_mm * 1e7 * wavelength**3 * squared**2
    amplitude = np.arcsin(p.amplitude_contrast)
    return np.sin(
        np.pi * wavelength * defocus * squared
        - aberration
        + amplitude
        + np.deg2rad(p.phase_shift_deg)
    )


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("shape, pixels", [((128, 128), (2.0, 2.0)), ((63, 90), (2.0, 2.3))])
def test_the_ctf_is_that_of_the_written_formula(case, shape, pixels):
    parameters = CTFParameters(**(BASE | CASES[case]))
    expected = formula(parameters, shape, pixels)
    values = ctf(parameters, shape, pixels)
    assert values.shape == (shape[0], shape[1] // 2 + 1)
    np.testing.assert_allclose(values, expected, atol=2e-3)
    certain = np.abs(expected) > 5e-3
    assert np.array_equal(
        ctf_sign(parameters, shape, pixels).numpy()[certain], np.sign(expected)[certain]
    )


@pytest.mark.skipif(
    not shutil.which("relion_ctf_toolbox"), reason="RELION's relion_ctf_toolbox is not installed"
)
@pytest.mark.parametrize(
    "changes",
    [
        {"phase_shift_deg": 20.0},
        {"defocus_u_A": 10000.0, "defocus_v_A": 15000.0, "phase_shift_deg": 20.0},
        {"defocus_angle_deg": 100.0, "voltage_kV": 200.0, "amplitude_contrast": 0.1},
    ],
)
def test_the_ctf_is_that_of_relion(tmp_path, changes):
    parameters = CTFParameters(**(BASE | changes))
    options = {
        "kV": parameters.voltage_kV,
        "Q0": parameters.amplitude_contrast,
        "Cs": parameters.spherical_aberration_mm,
        "defU": parameters.defocus_u_A,
        "defV": parameters.defocus_v_A,
        "defAng": parameters.defocus_angle_deg,
        "phase_shift": parameters.phase_shift_deg,
    }
    command = ["relion_ctf_toolbox", "--simulate", "out.mrc", "--angpix", "2", "--box", "256"]
    command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with mrcfile.open(tmp_path / "out.mrc") as file:
        relion = np.fft.ifftshift(np.squeeze(file.data))[:, :128]
    np.testing.assert_allclose(ctf(parameters, (256, 256), (2.0, 2.0))[:, :128], relion, atol=3e-3)


def test_underfocus_is_positive_at_low_frequency_and_overfocus_negative():
    weak = BASE | {"amplitude_contrast": 0.0, "defocus_v_A": 15000.0}
    near = (0, 3)  # 1/85 Å
    assert ctf(CTFParameters(**weak), (128, 128), (2.0, 2.0))[near] > 0
    over = weak | {"defocus_u_A": -15000.0, "defocus_v_A": -15000.0}
    assert ctf(CTFParameters(**over), (128, 128), (2.0, 2.0))[near] < 0


def test_the_angle_turns_from_the_columns_towards_the_rows():
    p = CTFParameters(**(BASE | {"defocus_angle_deg": 90.0, "defocus_u_A": 30000.0}))
    values = ctf(p, (256, 256), (2.0, 2.0))
    along_y, along_x = values[:128, 0], values[0, :128]
    first_zero = [int((line < 0).nonzero()[0]) for line in (along_y, along_x)]
    assert (
        first_zero[0] < first_zero[1]
    )  # more defocus along y, so the first zero comes sooner there


def test_the_sign_of_zero_is_plus_one():
    flat = CTFParameters(**(BASE | {"amplitude_contrast": 0.0}))
    assert ctf(flat, (32, 32), (2.0, 2.0))[0, 0] == 0
    signs = ctf_sign(flat, (32, 32), (2.0, 2.0))
    assert signs[0, 0] == 1
    assert set(signs.unique().tolist()) == {-1.0, 1.0}


def torch_ctf_value(astigmatism_um):
    return calculate_ctf_2d(
        1.5, astigmatism_um, 0.0, 300.0, 2.7, 0.07, 0.0, 2.0, (64, 64), rfft=True, fftshift=False
    )


def test_torch_ctf_still_has_no_answer_where_v_is_the_larger():
    assert torch_ctf_value(-0.2).isnan().any()
    assert not torch_ctf_value(0.2).isnan().any()


def test_torch_ctf_still_gives_the_phase_of_minus_the_sine():
    parts = [
        torch.tensor(value) for value in (1.5, 300.0, 2.7, 0.0, 0.07, 0.0)
    ]  # the last: squared frequency
    assert calculate_total_phase_shift(*parts) == pytest.approx(-np.arcsin(0.07), abs=1e-5)
    assert torch_ctf_value(0.0)[0, 0] == pytest.approx(
        0.07, abs=1e-5
    )  # and its CTF has the sign that we want


def test_torch_ctf_still_measures_its_angle_from_x():
    grid = torch.tensor([[[0.0, 0.1], [0.1, 0.0]]])  # (y, x): first along x, then along y
    defocus = apply_astigmatism_to_defocus(
        torch.tensor([[1.0]]), torch.tensor(0.2), torch.tensor(0.0), grid, grid.square().sum(-1)
    )
    torch.testing.assert_close(defocus.flatten(), torch.tensor([1.2, 0.8]), atol=1e-4, rtol=0)


def test_parameters_that_are_no_numbers_or_impossible_are_refused():
    for name, value in (
        ("defocus_u_A", float("nan")),
        ("voltage_kV", 0.0),
        ("amplitude_contrast", 1.5),
    ):
        with pytest.raises(ValueError, match=name):
            CTFParameters(**(BASE | {name: value}))
