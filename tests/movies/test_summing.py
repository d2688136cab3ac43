"""Frames to halves: what must come out exactly, and what theory says of the rest."""

import math

import numpy as np
import pytest
import torch

from restore.errors import UserError
from restore.fourier import crop, image_of, spectrum_of
from restore.io.relion.local_motion import LocalMotion, local_shifts_px
from restore.io.relion.motion import Motion
from restore.movies.defects import find_neighbours
from restore.movies.dose import critical_exposure_e_per_A2, dose_weight
from restore.movies.motion import local_shift_px, locally_aligned, shifted, warped
from restore.movies.summing import Dosing, Summing, sum_halves

SHAPE = (48, 61)


def frames(count=7, shape=SHAPE, seed=0):
    random = np.random.default_rng(seed)
    return [torch.from_numpy(random.poisson(3.0, shape).astype(np.float32)) for _ in range(count)]


def motion(shifts, local=None, shape=SHAPE):
    return Motion("a.mrcs", shape, len(shifts), dict(enumerate(shifts, 1)), local, 1.0)


def white(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


# Plain sums


def test_without_motion_and_weights_halves_are_the_plain_sums_exactly():
    given = frames()
    halves = sum_halves(given, Summing(SHAPE, SHAPE))
    assert torch.equal(halves.odd, given[0] + given[2] + given[4] + given[6])
    assert torch.equal(halves.even, given[1] + given[3] + given[5])
    assert torch.equal(halves.full, torch.stack(given).sum(0))
    assert halves.frames == (3, 4)


def test_the_frames_that_were_given_are_not_changed():
    given = frames(4)
    before = [frame.clone() for frame in given]
    bad = torch.zeros(SHAPE, dtype=torch.bool)
    bad[3, 4] = True
    sum_halves(given, Summing(SHAPE, SHAPE, gain=torch.full(SHAPE, 2.0), bad=bad))
    assert all(torch.equal(first, second) for first, second in zip(given, before, strict=True))


def test_the_gain_multiplies_every_frame():
    gain = 1 + 0.1 * white(SHAPE, 1)
    halves = sum_halves(frames(4), Summing(SHAPE, SHAPE, gain=gain))
    torch.testing.assert_close(halves.full, torch.stack(frames(4)).sum(0) * gain)


def test_binning_keeps_the_mean_and_what_is_coarse_enough():
    given = [image_of(_padded(white((24, 30), seed)), (48, 60)) + 5 for seed in range(4)]
    halves = sum_halves(given, Summing((48, 60), (24, 30)))
    expected = sum(white((24, 30), seed) + 5 for seed in (1, 3))
    torch.testing.assert_close(halves.even, expected, atol=1e-4, rtol=0)


def _padded(image):
    """A spectrum of 48 × 60 pixels that has the image's components below its Nyquist frequency, and
    only those.
    """
    from restore.fourier import pad

    return pad(spectrum_of(image), (24, 30), (48, 60))


def test_sums_cannot_be_finer_than_the_movie():
    with pytest.raises(
        UserError,
        match=r"62 x 48 pixels\. The movie has 61 x 48 pixels, and can only be made smaller",
    ):
        Summing(SHAPE, (48, 62))


def test_a_frame_of_another_shape_is_refused_by_its_number():
    with pytest.raises(UserError, match=r"frame 3 has 60 x 48 pixels"):
        sum_halves([*frames(2), torch.zeros(48, 60)], Summing(SHAPE, SHAPE))


def test_one_frame_is_no_movie():
    with pytest.raises(UserError, match="0 even and 1 odd frames"):
        sum_halves(frames(1), Summing(SHAPE, SHAPE))


# Motion


@pytest.mark.parametrize("shape", [(48, 60), (47, 61), (48, 61)])
def test_a_whole_number_of_pixels_is_a_roll(shape):
    image = white(shape, 0)
    moved = image_of(shifted(spectrum_of(image), shape, (3.0, -5.0)), shape)
    torch.testing.assert_close(moved, image.roll((3, -5), (0, 1)), atol=1e-5, rtol=0)


@pytest.mark.parametrize("shape", [(47, 61), (47, 75)])
def test_a_pure_global_shift_is_undone_to_rounding(shape):
    image, shifts = white(shape, 0), [(0.0, 0.0), (0.37, -1.81), (-2.25, 3.14), (-7.5, 0.5)]
    given = [image_of(shifted(spectrum_of(image), shape, (-y, -x)), shape) for y, x in shifts]
    halves = sum_halves(given, Summing(shape, shape, motion(shifts, shape=shape)))
    torch.testing.assert_close(halves.even, 2 * image, atol=2e-5, rtol=0)
    torch.testing.assert_close(halves.odd, 2 * image, atol=2e-5, rtol=0)


def test_shift_and_binning_together_are_the_one_after_the_other():
    shape, small, given = (48, 60), (24, 30), frames(2, (48, 60))
    halves = sum_halves(
        given, Summing(shape, small, motion([(0.0, 0.0), (1.3, -2.6)], shape=shape))
    )
    moved = shifted(spectrum_of(given[1]), shape, (1.3, -2.6))
    expected = crop(moved, shape, small)
    spectrum = spectrum_of(halves.even)
    inner = (
        slice(0, 11),
        slice(0, 14),
    )  # at the new Nyquist frequency folding and shifting do not commute
    torch.testing.assert_close(spectrum[inner], expected[inner], atol=1e-5, rtol=0)


def test_frames_without_a_shift_are_left_out_and_parity_goes_by_their_number():
    given = frames(5)
    some = Motion("a.mrcs", SHAPE, 5, {2: (0.0, 0.0), 3: (0.0, 0.0), 4: (0.0, 0.0)}, None, 1.0)
    halves = sum_halves(given, Summing(SHAPE, SHAPE, some))
    torch.testing.assert_close(halves.odd, given[2], atol=1e-5, rtol=0)
    torch.testing.assert_close(halves.even, given[1] + given[3], atol=1e-5, rtol=0)


def test_the_local_polynomial_is_what_brute_force_says():
    coefficients = np.random.default_rng(0).normal(0, 0.5, (2, 6, 3))
    height, width = shape = (6, 9)
    shift_px = local_shift_px(LocalMotion(coefficients), 3, shape, (2.0, 2.0), rows=range(height))
    for axis in (0, 1):
        for row in range(height):
            for column in range(width):
                y, x, total = row / height - 0.5, column / width - 0.5, 0.0
                for term, place in enumerate((1, x, x * x, y, y * y, x * y)):
                    for power in (1, 2, 3):
                        total += coefficients[axis, term, power - 1] * place * 3**power
                assert float(shift_px[axis][row, column]) == pytest.approx(total / 2, abs=1e-4)
    y, x = (grid.ravel() for grid in np.mgrid[:height, :width])
    at_points = local_shifts_px(coefficients, np.full(54, 3.0), y / height - 0.5, x / width - 0.5)
    np.testing.assert_allclose(at_points.reshape(2, *shape) / 2, np.stack(shift_px), atol=1e-4)


def test_an_image_that_is_not_moved_is_not_changed():
    image = white(SHAPE, 0)
    torch.testing.assert_close(
        warped(image, torch.zeros(SHAPE), torch.zeros(SHAPE)), image, atol=1e-4, rtol=0
    )


def test_warping_takes_each_value_from_where_the_shift_says():
    y, x = torch.meshgrid(torch.arange(96.0), torch.arange(128.0), indexing="ij")

    def wave(y, x):
        return torch.sin(0.31 * y + 0.2 * x) + torch.cos(0.23 * x - 0.11 * y)

    shift_y, shift_x = 2.5 * torch.sin(x / 40), 1.7 * torch.cos(y / 30) + 0.4
    inner = (slice(6, -6), slice(6, -6))
    moved = warped(wave(y, x), shift_y, shift_x)
    torch.testing.assert_close(
        moved[inner], wave(y - shift_y, x - shift_x)[inner], atol=4e-2, rtol=0
    )


def test_strips_are_the_whole_image():
    image, local = (
        white((300, 40), 0),
        LocalMotion(np.random.default_rng(0).normal(0, 0.05, (2, 6, 3))),
    )
    shifts = local_shift_px(local, 4, (300, 40), (1.0, 1.5), rows=range(300))
    torch.testing.assert_close(locally_aligned(image, local, 4, (1.0, 1.5)), warped(image, *shifts))


def test_half_way_between_pixels_nearly_all_of_a_wave_of_four_pixels_is_kept():
    x = torch.arange(128.0).expand(16, 128)
    moved = warped(torch.cos(math.pi / 2 * x), torch.zeros(16, 128), torch.full((16, 128), 0.5))
    expected = torch.cos(math.pi / 2 * (x - 0.5))
    inner = moved[:, 8:-8]
    kept = float((inner * expected[:, 8:-8]).mean() / expected[:, 8:-8].square().mean())
    assert kept == pytest.approx(0.97, abs=0.01)


# Dose


def test_critical_exposures_are_those_of_grant_and_grigorieff():
    exposures = critical_exposure_e_per_A2(torch.tensor([1 / 3, 0.1, 0.0]), 300)
    assert exposures[0].item() == pytest.approx(0.245 * 3**1.665 + 2.81, rel=1e-5)
    assert exposures[1].item() == pytest.approx(14.14, abs=0.01)
    assert exposures[2].item() == math.inf
    assert critical_exposure_e_per_A2(torch.tensor(0.2), 200.0).item() == pytest.approx(
        0.8 * (0.245 * 0.2**-1.665 + 2.81)
    )
    with pytest.raises(UserError, match=r"the voltage is 120 kV.*300, 200 and 100 kV"):
        critical_exposure_e_per_A2(torch.tensor(0.2), 120.0)


def test_after_the_critical_exposure_1_over_e_of_the_power_is_left():
    weights = dose_weight(torch.tensor([10.0, math.inf]), 10.0)
    assert weights[0].item() ** 2 == pytest.approx(1 / math.e)
    assert weights[1].item() == 1


def noise_halves(count, shape=(96, 128), seed=0, **dosing):
    given = [white(shape, 100 * seed + index) for index in range(count)]
    return sum_halves(
        given,
        Summing(
            shape,
            shape,
            dosing=Dosing(
                **{"per_frame_e_per_A2": 2.0, "voltage_kV": 300.0, "pixel_size_A": 1.0} | dosing
            ),
        ),
    )


@pytest.mark.parametrize("count", [8, 9])
def test_weighted_halves_have_white_noise_of_half_a_frames_power_each(count):
    radius = torch.hypot(torch.fft.fftfreq(96)[:, None], torch.fft.rfftfreq(128)[None, :])
    for half in ("even", "odd"):
        power = (
            sum(
                spectrum_of(getattr(noise_halves(count, seed=seed), half)).abs().square()
                for seed in range(6)
            )
            / 6
        )
        for low, high in ((0.02, 0.1), (0.1, 0.2), (0.2, 0.35), (0.35, 0.5)):
            ring = power[(radius >= low) & (radius < high)] * 96 * 128
            assert float(ring.mean()) == pytest.approx(
                0.5, abs=4 * 0.5 / math.sqrt(6 * len(ring)) + 0.005
            )


def test_noise_of_weighted_halves_is_independent():
    halves = noise_halves(10)
    correlation = float((halves.even * halves.odd).mean() / halves.even.std() / halves.odd.std())
    assert abs(correlation) < 4 / math.sqrt(96 * 128)


def test_weighted_halves_of_an_even_number_of_frames_hold_the_same_signal():
    still = [white(SHAPE, 0)] * 8
    halves = sum_halves(still, Summing(SHAPE, SHAPE, dosing=Dosing(1.5, 300.0, 0.8)))
    torch.testing.assert_close(halves.even, halves.odd, atol=1e-4, rtol=0)


def test_the_full_sum_is_the_halves_sum_and_nearly_the_image_that_weights_all_frames_at_once():
    given, dose = [white((64, 64), seed) for seed in range(10)], 1.2
    halves = sum_halves(given, Summing((64, 64), (64, 64), dosing=Dosing(dose, 300.0, 1.0)))
    assert torch.equal(halves.full, halves.even + halves.odd)
    frequency = torch.hypot(torch.fft.fftfreq(64)[:, None], torch.fft.rfftfreq(64)[None, :])
    critical = critical_exposure_e_per_A2(frequency, 300.0)
    weights = [dose_weight(critical, dose * index) for index in range(10)]
    total = sum(weight * spectrum_of(frame) for weight, frame in zip(weights, given, strict=True))
    at_once = image_of(total / torch.stack(weights).square().sum(0).sqrt(), (64, 64))
    correlation = float(
        (halves.full * at_once).mean()
        / halves.full.square().mean().sqrt()
        / at_once.square().mean().sqrt()
    )
    assert correlation > 0.997
    assert float(halves.full.std() / at_once.std()) == pytest.approx(1, abs=0.005)


@pytest.mark.parametrize("binning", [1, 2])
@pytest.mark.parametrize(("voltage_kV", "factor"), [(300.0, 1.0), (200.0, 0.8)])
@pytest.mark.parametrize("pixel_size_A", [0.5, 1.7])
def test_weighted_halves_are_sums_over_their_frames_with_grant_and_grigorieffs_weights(
    pixel_size_A, voltage_kV, factor, binning
):
    """Each half is Σ w F / √(2 Σ w²), where w = exp(−N / (2 Ne)) and Ne = 0.245 k^−1.665 + 2.81 at
    300 kV; dose is counted from the first frame.
    """
    dose, given, small = 1.3, frames(5, (48, 60)), (48 // binning, 60 // binning)
    halves = sum_halves(
        given, Summing((48, 60), small, dosing=Dosing(dose, voltage_kV, pixel_size_A))
    )
    ky, kx = (
        np.fft.fftfreq(small[0], pixel_size_A * binning),
        np.fft.rfftfreq(small[1], pixel_size_A * binning),
    )
    with np.errstate(divide="ignore"):  # the mean is not damaged
        critical = factor * (0.245 * np.hypot(ky[:, None], kx) ** -1.665 + 2.81)
    for half, numbers in ((halves.odd, (0, 2, 4)), (halves.even, (1, 3))):
        weights = [np.exp(-0.5 * dose * number / critical) for number in numbers]
        spectra = [spectrum_of(given[number]) for number in numbers]
        if binning == 2:
            spectra = [crop(spectrum, (48, 60), small) for spectrum in spectra]
        total = sum(w * s.numpy() for w, s in zip(weights, spectra, strict=True))
        expected = total / np.sqrt(2 * sum(w**2 for w in weights))
        expected = np.fft.irfft2(expected, s=small, norm="forward").astype(np.float32)
        torch.testing.assert_close(half, torch.from_numpy(expected), atol=1e-4, rtol=0)


def test_what_came_before_the_first_frame_does_not_matter():
    critical = torch.tensor([5.0, 20.0])
    late = [dose_weight(critical, 30 + 2.0 * index) for index in range(4)]
    early = [dose_weight(critical, 2.0 * index) for index in range(4)]
    ratios = [(one[0] / torch.stack(one).square().sum(0).sqrt()) for one in (late, early)]
    torch.testing.assert_close(*ratios)


# Bad pixels


def test_bad_pixels_get_the_mean_of_the_good_ones_around_them_frame_by_frame():
    image = white((20, 30), 0)
    bad = torch.zeros(20, 30, dtype=torch.bool)
    bad[0, 0] = bad[10, 15] = bad[10, 16] = True
    mended = find_neighbours(bad).mended(torch.where(bad, 1e6, image))
    assert torch.equal(mended[~bad], image[~bad])
    around = [image[y, x] for y in range(7, 14) for x in range(12, 19) if not bad[y, x]]
    assert float(mended[10, 15]) == pytest.approx(float(torch.stack(around).mean()), abs=1e-5)
    corner = [image[y, x] for y in range(4) for x in range(4) if not bad[y, x]]
    assert float(mended[0, 0]) == pytest.approx(float(torch.stack(corner).mean()), abs=1e-5)


def test_a_pixel_among_none_but_bad_ones_gets_the_mean_of_the_good():
    image = torch.ones(20, 30)
    bad = torch.zeros(20, 30, dtype=torch.bool)
    bad[5:15, 5:15] = True
    mended = find_neighbours(bad).mended(torch.where(bad, 1e6, image))
    torch.testing.assert_close(mended, image, atol=1e-5, rtol=0)


def test_hot_and_dead_pixels_do_not_reach_the_sums():
    bad = torch.zeros(SHAPE, dtype=torch.bool)
    bad[7, 9] = bad[30, 40] = True
    halves = sum_halves(
        [torch.where(bad, 5000.0, frame) for frame in frames()], Summing(SHAPE, SHAPE, bad=bad)
    )
    assert float(halves.full.max()) < 60
