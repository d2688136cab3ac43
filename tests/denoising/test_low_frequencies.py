"""The raw image's low frequencies in the denoised one: exactly those, and nothing else changes."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from restore import fourier
from restore.ctf import ctf_sign
from restore.denoising.denoise import Exposure, denoise
from restore.denoising.settings import DenoisingSettings
from restore.micrograph import CTFParameters, Micrograph
from restore.model.checkpoint import Model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe, completed

PIXEL_A = 2.0
OFF = DenoisingSettings(precision="float32")
ON = replace(OFF, keep_low_frequencies=True)
HIGHPASS_A = 60.0
PLAIN = Recipe(max_resolution_A=5.0, phase_flip=False, highpass_A=HIGHPASS_A)
FLIPPED = replace(PLAIN, phase_flip=True)
FAR_UM = 60
CTF = CTFParameters(1e4 * FAR_UM, 1e4 * FAR_UM, 0.0, 300.0, 2.7, 0.07)
"""So far from focus that the CTF changes its sign where the high-pass does not pass."""
SHAPE = (161, 178)


def noise(seed=0, shape=SHAPE):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def tilted(seed=0, shape=SHAPE):
    """Noise that rises on a curved ground."""
    y, x = (torch.linspace(-1, 1, side) for side in shape)
    return 40 * noise(seed, shape) + 1000 + 300 * y[:, None] + 200 * x * x


def run(image, recipe, settings, halves=None):
    network = build_network(
        NetworkSettings("waunet", filters=2, blocks=1), torch.Generator().manual_seed(0)
    ).eval()
    micrograph = Micrograph("a.mrc", Path("a.mrc"), PIXEL_A, 0, CTF)
    return denoise(Exposure(image, halves), micrograph, Model(network, recipe), settings)


def frequencies(shape=SHAPE):
    return fourier.frequency_per_A(shape, (PIXEL_A, PIXEL_A))


def without_its_surface(image):
    """The image less the second-degree surface that fits its whole 16×16 blocks best: brute
    force.
    """
    rows, columns = (side // 16 for side in image.shape)
    means = image[: 16 * rows, : 16 * columns].reshape(rows, 16, columns, 16).mean(dim=(1, 3))
    centres = [torch.arange(count) * 16 + 7.5 for count in (rows, columns)]

    def terms(y, x):
        y, x = torch.meshgrid(y.double() / 100, x.double() / 100, indexing="ij")
        return torch.stack([y**0, y, x, y * y, x * y, x * x], dim=-1)

    wanted, design = means.double().reshape(-1, 1), terms(*centres).reshape(-1, 6)
    fitted = torch.linalg.lstsq(design, wanted).solution
    everywhere = terms(*(torch.arange(side) for side in image.shape))
    return image - (everywhere @ fitted)[..., 0].float()


def removed_by_the_highpass(image):
    """What is expected: the flat image under the complement of the high-pass, without a mean."""
    kept = 1 / (1 + (frequencies(tuple(image.shape)) * HIGHPASS_A) ** 10)
    kept[0, 0] = 0
    return fourier.spectrum_of(without_its_surface(image)) * kept


def added(image, recipe, halves=None, **more):
    """What the setting adds to the image's spectrum, other settings alike."""
    on, off = (run(image, recipe, replace(s, **more), halves) for s in (ON, OFF))
    return fourier.spectrum_of(on - off)


MERGE = {"merge_noisy": True, "merge_resolution": 7.0, "merge_width": 2.0}


@pytest.mark.parametrize(
    "more",
    [{}, MERGE, {"tile_px": 64}, {"self_ensemble": 4}, {"calibration": "none"}],
    ids=["alone", "merged", "in tiles", "orientations", "not calibrated"],
)
def test_what_is_added_is_what_the_highpass_removed_from_the_flat_raw_image(more):
    image = tilted()
    expected = removed_by_the_highpass(image)
    torch.testing.assert_close(added(image, PLAIN, **more), expected, atol=2e-4, rtol=1e-3)
    low = frequencies() < 0.5 / HIGHPASS_A
    assert expected[low].abs().mean() > 0.05  # there is something to add
    assert added(image, PLAIN, **more)[frequencies() > 3 / HIGHPASS_A].abs().max() < 1e-3


def test_ring_by_ring_the_flat_raw_image_is_there_and_the_denoised_one_is_untouched():
    image = tilted()
    on, off = (fourier.spectrum_of(run(image, PLAIN, settings)) for settings in (ON, OFF))
    flat = fourier.spectrum_of(without_its_surface(image))
    rings = fourier.ring_index(frequencies(), 1 / (SHAPE[0] * PIXEL_A))
    for ring in range(1, 4):  # coarser than 80 Å
        inside = rings == ring
        power = [part[inside].abs().square().sum() for part in (on - off, flat)]
        assert float(power[0] / power[1]) == pytest.approx(1, abs=0.15)
    for ring in range(20, 60):  # finer than 16 Å
        torch.testing.assert_close(on[rings == ring], off[rings == ring], atol=1e-4, rtol=1e-3)


def test_the_mean_and_the_background_stay_as_they_are():
    image = tilted()
    on, off = (run(image, PLAIN, settings) for settings in (ON, OFF))
    assert float(on.mean()) == pytest.approx(float(off.mean()), rel=1e-6)
    left, right = (on[:, half].mean() for half in (slice(None, 80), slice(98, None)))
    top, bottom = (on[half].mean() for half in (slice(None, 70), slice(91, None)))
    assert (
        abs(float(left - right)) < 10 and abs(float(top - bottom)) < 10
    )  # of 300 in the raw image


@pytest.mark.parametrize("more", [{}, MERGE], ids=["alone", "merged"])
def test_low_frequencies_have_the_phases_of_the_rest_flipped_or_flipped_back(more):
    image = tilted()
    expected = removed_by_the_highpass(image)
    sign = ctf_sign(CTF, SHAPE, (PIXEL_A, PIXEL_A))
    assert (sign[frequencies() < 1 / HIGHPASS_A] < 0).any()
    flipped = added(image, FLIPPED, **more)
    torch.testing.assert_close(flipped, expected * sign, atol=2e-2, rtol=1e-2)
    back = added(image, FLIPPED, flip_phases_back=True, **more)
    torch.testing.assert_close(back, expected, atol=2e-2, rtol=1e-2)
    assert (flipped - expected).abs().max() > 0.05


def test_an_average_of_halves_gets_the_low_frequencies_of_the_full_sum():
    halves = tilted(1), tilted(2)
    image = halves[0] + halves[1]
    difference = added(image, PLAIN, halves, average_halves=True)
    torch.testing.assert_close(difference, removed_by_the_highpass(image), atol=5e-4, rtol=1e-3)


def test_hot_pixels_and_pixels_without_data_add_nothing():
    shape = (320, 352)
    whole = tilted(shape=shape)
    spoilt = whole.clone()
    spoilt[:, :8] = 0
    spoilt[200, 210] = 400_000
    on, off = (run(spoilt, PLAIN, settings) for settings in (ON, OFF))
    assert (on[:, :8] == 0).all() and (off[:, :8] == 0).all()
    clean, _ = completed(spoilt, spoilt == 0, PLAIN)
    shown, truth = (
        fourier.image_of(removed_by_the_highpass(image), shape) for image in (clean, whole)
    )
    torch.testing.assert_close((on - off)[:, 8:], shown[:, 8:], atol=2e-2, rtol=0)
    inside = (slice(48, -48), slice(48, -48))
    assert float((shown - truth)[inside].std() / truth[inside].std()) < 0.1
    assert float((on - off - truth)[inside].std() / truth[inside].std()) < 0.1


def test_the_raw_images_are_left_alone():
    image = tilted()
    before = image.clone()
    run(image, FLIPPED, replace(ON, flip_phases_back=True, **MERGE))
    assert torch.equal(image, before)


def test_an_edge_keeps_its_two_sides_level_up_to_the_borders():
    step = 400.0 * (torch.arange(SHAPE[1]) < SHAPE[1] // 2)
    image = noise() + step
    for recipe in (PLAIN, FLIPPED):
        on, off = (run(image, recipe, settings) for settings in (ON, OFF))
        kept, flat = (on - off).mean(dim=0), without_its_surface(image).mean(dim=0)
        for side in (slice(0, 4), slice(-4, None), slice(40, 50), slice(-50, -40)):
            assert abs(float((kept - flat)[side].mean())) < 40
