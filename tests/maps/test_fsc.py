"""Fourier shell correlation: identities, known signal and noise, the mask's part, and RELION's own
numbers.
"""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restore.evaluation.estimators.spectra import ring_covariances
from restore.io.star import read_star
from restore.maps.fsc import (
    FSC,
    FSCSettings,
    ShellAxis,
    corrected_for_mask,
    first_below,
    half_map_fsc,
    randomise_phases,
    shell_correlation,
)

SHAPES = st.tuples(st.sampled_from([1, 8, 9, 12]), st.integers(8, 14), st.integers(8, 14))
GRID = (-3, -2, -1)


def noise(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def axis_of(maps, voxel_A=1.5):
    return ShellAxis(tuple(maps.shape[1:]), (voxel_A,) * 3)


def correlated(first, second, counting="half", voxel_A=1.5):
    return shell_correlation(first, second, axis_of(first, voxel_A), counting)


def ball(side, radius_px, edge_px=6):
    centred = torch.arange(side) - side // 2
    radius = (centred[:, None, None] ** 2 + centred[:, None] ** 2 + centred**2).sqrt()
    ramp = ((radius_px + edge_px - radius) / edge_px).clamp(0, 1)
    return 0.5 - 0.5 * torch.cos(math.pi * ramp)


def filtered(maps, gain):
    """The maps with each Fourier component multiplied by ``gain`` of its distance from the centre,
    0.5 at Nyquist.
    """
    shape = maps.shape[1:]
    parts = torch.meshgrid(
        *(torch.fft.fftfreq(side) for side in shape[:2]),
        torch.fft.rfftfreq(shape[2]),
        indexing="ij",
    )
    radius = sum(part**2 for part in parts).sqrt()
    return torch.fft.irfftn(
        torch.fft.rfftn(maps, dim=GRID) * gain(radius), s=tuple(shape), dim=GRID
    )


# Identities


@given(SHAPES, st.integers(1, 3), st.sampled_from(["half", "whole"]))
def test_a_map_agrees_with_itself_and_disagrees_with_its_negative_in_every_shell(
    shape, count, counting
):
    maps = noise((count, *shape))
    assert torch.allclose(correlated(maps, maps, counting), torch.ones(1).double(), atol=1e-6)
    assert torch.allclose(correlated(maps, -maps, counting)[1:], -torch.ones(1).double(), atol=1e-6)


@given(SHAPES, st.floats(0.01, 1000), st.floats(-1000, 1000))
def test_scale_and_offset_change_nothing(shape, scale, offset):
    first, second = noise((1, *shape)), noise((1, *shape), 1) + noise((1, *shape))
    changed = correlated(scale * first.double() + offset, second.double())
    assert torch.allclose(changed, correlated(first.double(), second.double()), atol=1e-6)


@given(SHAPES)
def test_the_order_of_the_two_does_not_matter(shape):
    first, second = noise((2, *shape)), noise((2, *shape), 1)
    assert torch.allclose(correlated(first, second), correlated(second, first), atol=1e-12)


@given(SHAPES, st.integers(1, 5), st.integers(0, 99))
def test_random_phases_keep_amplitudes_and_the_shells_before_and_make_a_real_map(
    shape, start, seed
):
    image = noise(shape, seed).double()
    axis = ShellAxis(shape, (2.0,) * 3)
    spectrum = torch.fft.rfftn(image)
    random = randomise_phases(spectrum, axis, start, torch.Generator().manual_seed(seed))
    assert torch.allclose(random.abs(), spectrum.abs(), atol=1e-5)
    before = torch.stack(list(axis.radii())) < start
    assert torch.equal(random[before], spectrum[before])
    assert not torch.allclose(random[~before], spectrum[~before], atol=1e-2)
    back = torch.fft.rfftn(torch.fft.irfftn(random, s=shape))
    assert torch.allclose(back, random, atol=1e-5)  # what is not Hermitian would be lost on the way


@given(st.integers(0, 20))
def test_the_same_seed_makes_the_same_phases_and_another_makes_others(seed):
    maps = noise((1, 12, 12, 12)), noise((1, 12, 12, 12), 1)
    mask = ball(12, 3, 2)
    first, again, other = (
        half_map_fsc(*maps, (1.0,) * 3, FSCSettings(seed=s), mask) for s in (seed, seed, seed + 1)
    )
    assert torch.equal(first.randomised, again.randomised) and not torch.equal(
        first.randomised, other.randomised
    )


# Shells


@pytest.mark.parametrize("side", [16, 17])
def test_the_shells_of_a_cube_are_those_of_relion(side):
    axis = ShellAxis((side,) * 3, (1.3,) * 3)
    assert axis.count == side // 2 + 1
    assert axis.frequency_per_A[3] == pytest.approx(3 / (side * 1.3))
    k = [torch.fft.fftfreq(side)[:, None, None] * side, torch.fft.fftfreq(side)[:, None] * side]
    k.append(torch.arange(side // 2 + 1.0))
    nearest = torch.floor(sum(component.double() ** 2 for component in k).sqrt() + 0.5).clamp(
        max=axis.count
    )
    assert torch.equal(torch.stack(list(axis.shells())).double(), nearest.double())


def test_a_wave_along_any_axis_of_an_oblong_map_lands_in_the_shell_of_its_frequency():
    shape, voxel_A = (8, 12, 24), 2.0
    axis = ShellAxis(shape, (voxel_A,) * 3)
    for number, side in enumerate(shape):
        ramp = 2 * math.pi * 2 * torch.arange(side) / side
        wave = (
            torch.cos(ramp)
            .reshape([-1 if axis == number else 1 for axis in range(3)])
            .expand(shape)
        )
        mixed = wave[None] + 1e-3 * noise((1, *shape)), wave[None] + 1e-3 * noise((1, *shape), 1)
        curve = shell_correlation(*mixed, axis)
        strongest = int((axis.frequency_per_A - 2 / (side * voxel_A)).abs().argmin())
        assert curve[strongest] > 0.99
        assert (curve[1:] > 0.99).sum() == 1


def test_shells_end_at_the_nyquist_frequency_of_the_coarsest_axis():
    axis = ShellAxis((1, 32, 32), (9.0, 2.0, 1.0))
    assert axis.width_per_A == 1 / 64 and axis.frequency_per_A[-1] == pytest.approx(1 / 4)


def test_one_image_has_the_rings_of_ring_covariances():
    images = noise((2, 31, 40)) + noise((31, 40), 5)
    ours = correlated(images[:1, None], images[1:, None], "whole", 2.0)
    rings = ring_covariances(images, (2.0, 2.0)).correlation(0, 1)
    assert len(ours) == len(rings)
    assert torch.allclose(ours[1:], rings[1:], atol=1e-5)


def test_a_stack_is_summed_over_its_images_not_averaged_over_their_curves():
    first, second = noise((2, 1, 24, 24)), noise((2, 1, 24, 24), 1)
    second[0] = first[0]
    weak, strong = (torch.tensor([scale, 1.0])[:, None, None, None] for scale in (1e-3, 1e3))
    assert torch.allclose(
        correlated(weak * first, weak * second), correlated(first[1:], second[1:]), atol=1e-3
    )
    assert correlated(strong * first, strong * second)[1:].min() > 0.999


def test_a_shell_without_power_is_zero_and_not_nan():
    smooth = filtered(noise((1, 16, 16, 16)).double(), lambda radius: (radius < 0.2).double())
    curve = correlated(smooth, torch.zeros_like(smooth))
    assert torch.equal(curve[1:], torch.zeros_like(curve[1:]))


def test_one_component_of_each_pair_is_summed_or_both():
    """Waves along x and y in one shell: the plane kx = 0 holds both of its pair, in half as in
    whole.
    """
    y, x = (
        (2 * math.pi * 3 * torch.arange(16) / 16).reshape(-1, 1),
        2 * math.pi * 3 * torch.arange(16) / 16,
    )
    first, second = torch.cos(x) + torch.cos(y), torch.cos(x) - torch.cos(y)
    half, whole = (
        correlated(first[None, None], second[None, None], counting)[3]
        for counting in ("half", "whole")
    )
    assert whole == pytest.approx(0, abs=1e-6)
    assert half == pytest.approx((1 - 2) / 3, abs=1e-6)


# Truth


def test_white_noise_correlates_by_one_over_the_root_of_the_number_of_components():
    axis = ShellAxis((32,) * 3, (1.0,) * 3)
    shells = torch.stack(list(axis.shells()))
    twice = torch.full(shells.shape, 2.0)
    twice[..., [0, -1]] = 1
    components = torch.bincount(shells.flatten(), twice.flatten())[: axis.count]
    curves = [
        shell_correlation(noise((1, 32, 32, 32), s), noise((1, 32, 32, 32), 100 + s), axis, "whole")
        for s in range(40)
    ]
    ratio = (torch.stack(curves) * components.sqrt())[:, 1:]
    assert abs(float(ratio.mean())) < 0.12  # 16 x 40 normal numbers: 3 sigma
    assert float(ratio.std()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("snr", [0.1, 1.0, 10.0])
def test_a_known_signal_to_noise_ratio_gives_snr_over_one_plus_snr(snr):
    shape = (1, 48, 48, 48)
    signal = noise(shape) * math.sqrt(snr)
    curve = correlated(signal + noise(shape, 1), signal + noise(shape, 2))
    assert float(curve[8:].mean()) == pytest.approx(snr / (1 + snr), abs=0.02)


def test_the_correction_takes_away_what_a_tight_mask_adds_to_pure_noise():
    maps = noise((1, 48, 48, 48)), noise((1, 48, 48, 48), 1)
    smooth = [filtered(map, lambda radius: torch.exp(-20 * radius**2)) for map in maps]
    common = filtered(noise((1, 48, 48, 48), 2), lambda radius: 6 * torch.exp(-400 * radius**2))
    mask = ball(48, 5, 2)
    fsc = half_map_fsc(smooth[0] + common, smooth[1] + common, (1.0,) * 3, FSCSettings(), mask)
    start = fsc.randomised_from
    assert float(fsc.unmasked[start]) < 0.8 <= float(fsc.unmasked[start - 1])
    leaked = slice(start + 2, start + 5)
    assert fsc.masked[leaked].mean() > fsc.unmasked[leaked].mean()
    assert fsc.corrected[leaked].mean() < fsc.masked[leaked].mean()
    assert abs(float(fsc.corrected[start + 5 :].mean())) < 0.1


def test_without_a_shell_to_begin_at_nothing_is_corrected():
    maps = noise((1, 16, 16, 16))
    fsc = half_map_fsc(maps, maps, (1.0,) * 3, FSCSettings(), ball(16, 4, 2))
    assert (
        fsc.randomised_from is None
        and fsc.corrected is None
        and set(fsc.curves) == {"unmasked", "masked"}
    )
    assert fsc.best is fsc.unmasked


def test_the_grey_level_of_an_image_does_not_correlate_under_a_mask():
    mask = ball(33, 8)[16:17]
    images = [noise((4, 1, 33, 33), seed) for seed in (0, 1)]
    plain, grey = (
        half_map_fsc(*[image + level for image in images], (1.0,) * 3, FSCSettings(), mask)
        for level in (0, 500)
    )
    assert torch.allclose(plain.masked, grey.masked, atol=1e-3)
    assert abs(float(grey.masked[1:].mean())) < 0.3


# Reading a curve


def curve_of(*values):
    curve = torch.tensor(values, dtype=torch.float64)
    return FSC(torch.arange(len(values)) / 100.0, curve), curve


def test_a_crossing_lies_between_shells_by_linear_interpolation():
    fsc, curve = curve_of(1, 0.9, 0.6, 0.2, 0.7, 0.0)
    assert fsc.crossing_A(curve, 0.5) == pytest.approx(1 / 0.0225)
    assert fsc.crossing_A(curve, 0.143) == pytest.approx(100 / (4 + 0.557 / 0.7))
    assert fsc.last_shell_above(0.5) == 2 and fsc.last_shell_above() == 4


def test_no_crossing_is_none_and_one_before_the_first_shell_is_infinite():
    fsc, curve = curve_of(1, 0.9, 0.8)
    assert fsc.crossing_A(curve, 0.5) is None and fsc.last_shell_above(0.5) == 2
    fsc, curve = curve_of(1, 0.4, 0.8)
    assert fsc.crossing_A(curve, 0.5) == math.inf and fsc.last_shell_above(0.5) == 0


def test_a_value_on_the_threshold_is_not_under_it():
    assert first_below(torch.tensor([0.0, 0.5, 0.4]), 0.5) == 2


# RELION's own numbers


def test_the_corrected_column_of_relion_follows_from_its_others(shared_data):
    star = read_star(shared_data / "star/betagal_postprocess_job030.star")
    table, general = star.block("fsc"), star.block("general")
    column = {
        name: torch.tensor(
            [float(value) for value in table.column(f"rln{words}")], dtype=torch.float64
        )
        for name, words in {
            "resolution_per_A": "Resolution",
            "unmasked": "FourierShellCorrelationUnmaskedMaps",
            "masked": "FourierShellCorrelationMaskedMaps",
            "randomised": "CorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps",
            "corrected": "FourierShellCorrelationCorrected",
        }.items()
    }
    start = first_below(column["unmasked"], 0.8)
    assert 1 / float(column["resolution_per_A"][start]) == pytest.approx(
        float(general.column("rlnRandomiseFrom")[0]), rel=1e-4
    )
    corrected = corrected_for_mask(column["masked"], column["randomised"], start)
    assert torch.allclose(
        corrected, column["corrected"], atol=1e-5, rtol=0
    )  # negative numbers have five decimals
    fsc = FSC(column["resolution_per_A"], column["unmasked"], corrected=corrected)
    resolution_A = 1 / float(column["resolution_per_A"][fsc.last_shell_above()])
    assert resolution_A == pytest.approx(float(general.column("rlnFinalResolution")[0]), rel=1e-4)
