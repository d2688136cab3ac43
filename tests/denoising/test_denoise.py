"""A micrograph denoised: with a network that changes nothing, the image that comes out is known."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from restore import fourier
from restore.cli.main import main
from restore.ctf import ctf_sign
from restore.denoising import denoise as denoising
from restore.denoising.denoise import Exposure, denoise
from restore.denoising.merge import MergeBand, merge
from restore.denoising.settings import DenoisingSettings, merge_band
from restore.errors import UserError
from restore.micrograph import CTFParameters, Micrograph
from restore.model.checkpoint import Model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe

PIXEL_A = 2.0
CTF = CTFParameters(12000.0, 12000.0, 0.0, 300.0, 2.7, 0.07)
SETTINGS = DenoisingSettings(precision="float32")
PLAIN = Recipe(max_resolution_A=5.0, phase_flip=False, background_order=0)
FLIPPED = replace(PLAIN, phase_flip=True)
SHAPES = [(120, 128), (121, 128), (120, 133), (127, 111)]


def noise(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def model(recipe):
    network = build_network(
        NetworkSettings("waunet", filters=2, blocks=1), torch.Generator().manual_seed(0)
    ).eval()
    return Model(network, recipe)


@pytest.fixture
def nothing_is_changed(monkeypatch):
    """A network that returns its input."""
    monkeypatch.setattr(
        denoising, "apply_self_ensemble", lambda engine, image, tile_px, orientations: image
    )


def micrograph(ctf=CTF):
    return Micrograph("a.mrc", Path("a.mrc"), PIXEL_A, 0, ctf)


def run(image, recipe, settings=SETTINGS, ctf=CTF, halves=None):
    return denoise(Exposure(image, halves), micrograph(ctf), model(recipe), settings)


def band_limited(image, recipe=PLAIN):
    """The image inside the recipe's band, its mean kept: what a network that changes nothing must
    leave.
    """
    frequency = fourier.frequency_per_A(tuple(image.shape), (PIXEL_A, PIXEL_A))
    sides = (2 * round(side * 2 * PIXEL_A / recipe.max_resolution_A / 2) for side in image.shape)
    nyquist = min(new / (2 * old * PIXEL_A) for new, old in zip(sides, image.shape, strict=True))
    kept = fourier.bandpass(frequency, recipe.highpass_A, recipe.max_resolution_A)
    kept = kept * fourier.soft_lowpass(frequency, 0.97 * nyquist, nyquist)
    kept[0, 0] = 1
    return fourier.image_of(fourier.spectrum_of(image) * kept, tuple(image.shape))


@pytest.mark.usefixtures("nothing_is_changed")
def test_the_log_has_the_number_of_hot_pixels_if_there_are_any(caplog):
    caplog.set_level("DEBUG", logger="restore")  # a command run before may have set it
    image = noise((120, 128)) + 10
    run(image, PLAIN)
    assert "hot pixels" not in caplog.text
    image[30, 40], image[80, 90] = 100, -100
    run(image, PLAIN)
    (record,) = (record for record in caplog.records if "hot pixels" in record.message)
    assert record.message == "a.mrc: 2 hot pixels replaced" and record.levelname == "DEBUG"


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.usefixtures("nothing_is_changed")
def test_an_unchanged_image_comes_back_band_limited_in_its_own_grey_values_and_shape(shape):
    image = noise(shape) * 12 + 55
    result = run(image, PLAIN)
    assert result.shape == shape and result.dtype == torch.float32
    torch.testing.assert_close(result, band_limited(image), atol=0.05, rtol=0)
    assert float(result.mean()) == pytest.approx(float(image.mean()), rel=1e-5)


def test_a_real_network_gives_the_images_shape_and_mean_and_nothing_beyond_the_resolution():
    image = noise((121, 128)) * 12 + 55
    result = run(image, FLIPPED)
    assert result.shape == image.shape
    assert float(result.mean()) == pytest.approx(float(image.mean()), rel=1e-4)
    frequency = fourier.frequency_per_A(tuple(image.shape), (PIXEL_A, PIXEL_A))
    beyond = fourier.spectrum_of(result)[frequency > 1.01 / 5.0].abs().max()
    assert beyond < 1e-5 < fourier.spectrum_of(result)[1:5, 1:5].abs().max()


@pytest.mark.usefixtures("nothing_is_changed")
def test_phases_come_out_flipped_and_can_be_flipped_back():
    image = noise((120, 133)) * 3 + 20
    unflipped, flipped = run(image, PLAIN), run(image, FLIPPED)
    back = run(image, FLIPPED, replace(SETTINGS, flip_phases_back=True))
    assert (flipped - unflipped).std() > 0.5
    torch.testing.assert_close(
        back, unflipped, atol=0.1, rtol=0
    )  # the sign jumps at its zeros, grid by grid
    assert (back - unflipped).std() < 0.02 * unflipped.std()
    sign = ctf_sign(CTF, (120, 133), (PIXEL_A, PIXEL_A))
    expected = fourier.image_of(fourier.spectrum_of(unflipped) * sign, (120, 133))
    assert (flipped - expected).std() < 0.02 * unflipped.std()


@pytest.mark.parametrize("merge_noisy", [False, True])
@pytest.mark.usefixtures("nothing_is_changed")
def test_flipping_back_keeps_the_mean_where_a_phase_plate_makes_the_ctf_negative_at_zero(
    merge_noisy,
):
    ctf = replace(CTF, phase_shift_deg=176.0, amplitude_contrast=0.1)
    assert ctf_sign(ctf, (120, 133), (PIXEL_A, PIXEL_A))[0, 0] == -1
    image = noise((120, 133)) * 3 + 20
    settings = replace(SETTINGS, flip_phases_back=True, merge_noisy=merge_noisy)
    back, unflipped = (
        run(image, recipe, settings, given) for recipe, given in ((FLIPPED, ctf), (PLAIN, None))
    )
    assert float(back.mean()) == pytest.approx(20, abs=0.1)
    assert (back - unflipped).std() < 0.02 * unflipped.std()


@pytest.mark.usefixtures("nothing_is_changed")
def test_flipping_back_does_nothing_to_a_model_that_never_flipped():
    image = noise((96, 96))
    torch.testing.assert_close(
        run(image, PLAIN, replace(SETTINGS, flip_phases_back=True), None), run(image, PLAIN)
    )


@pytest.mark.usefixtures("nothing_is_changed")
@pytest.mark.parametrize(
    "share", [1.0, 0.5], ids=["halves that sum to the full", "halves that average to it"]
)
def test_averaged_halves_have_the_grey_values_of_the_full_sum(share):
    halves = tuple(noise((121, 128), seed) * 4 + 30 for seed in (1, 2))
    full = share * (halves[0] + halves[1])
    settings = replace(SETTINGS, average_halves=True, calibration="none")
    result = run(full, PLAIN, settings, halves=halves)
    torch.testing.assert_close(result, band_limited(full), atol=0.05, rtol=0)


def test_the_two_halves_are_denoised_apart(monkeypatch):
    seen = []
    monkeypatch.setattr(
        denoising,
        "apply_self_ensemble",
        lambda engine, image, tile_px, orientations: seen.append(image) or image,
    )
    halves = (noise((96, 96), 1), noise((96, 96), 2))
    run(halves[0] + halves[1], PLAIN, replace(SETTINGS, average_halves=True), halves=halves)
    assert len(seen) == 2 and not torch.allclose(seen[0], seen[1], atol=0.5)


def spectrum(shape=(64, 65), seed=0):
    return fourier.spectrum_of(noise(shape, seed) + 3)


FREQUENCY = fourier.frequency_per_A((64, 65), (1.5, 1.5))
BAND = MergeBand(0.1, 0.2)


def test_an_image_merged_with_itself_is_itself_for_the_two_filters_sum_to_one():
    raw = spectrum()
    torch.testing.assert_close(merge(raw, raw, FREQUENCY, BAND), raw)


def test_the_merge_has_the_denoised_below_the_band_the_raw_above_and_their_complex_sum_within():
    raw, denoised = spectrum(seed=1), spectrum(seed=2)
    inside = (FREQUENCY >= 0.1) & (FREQUENCY <= 0.2)
    scale = raw[inside].abs().std() / denoised[inside].abs().std()
    merged = merge(denoised, raw, FREQUENCY, BAND)
    below = (FREQUENCY < 0.1) & (FREQUENCY > 0)
    torch.testing.assert_close(merged[below], scale * denoised[below])
    torch.testing.assert_close(merged[FREQUENCY > 0.2], raw[FREQUENCY > 0.2])
    weight = fourier.smoothstep((FREQUENCY[inside] - 0.1) / 0.1)
    torch.testing.assert_close(
        merged[inside], (1 - weight) * scale * denoised[inside] + weight * raw[inside]
    )
    assert merged[0, 0] == denoised[0, 0]


def test_the_deviation_of_the_denoised_amplitudes_in_the_band_becomes_that_of_the_raw():
    raw = spectrum(seed=1)
    weak = 0.2 * raw
    weak[0, 0] = raw[0, 0]
    torch.testing.assert_close(merge(weak, raw, FREQUENCY, BAND), raw)


def test_nothing_in_the_merge_band_is_said():
    with pytest.raises(UserError, match="empty in the merge band"):
        merge(torch.zeros_like(spectrum()), spectrum(), FREQUENCY, BAND)


@pytest.mark.usefixtures("nothing_is_changed")
def test_a_merged_micrograph_keeps_what_the_raw_one_has_beyond_the_band():
    image = noise((121, 128)) * 5 + 40
    settings = replace(SETTINGS, merge_noisy=True, merge_resolution=6.5, merge_width=2.0)
    result = run(image, PLAIN, settings)
    frequency = fourier.frequency_per_A(tuple(image.shape), (PIXEL_A, PIXEL_A))
    beyond = frequency > 1 / 5.4
    raw = fourier.spectrum_of(image)
    torch.testing.assert_close(
        fourier.spectrum_of(result)[beyond], raw[beyond], atol=1e-5, rtol=1e-4
    )
    assert torch.corrcoef(torch.stack([result.flatten(), image.flatten()]))[0, 1] > 0.99
    assert float(result.mean()) == pytest.approx(float(image.mean()), rel=1e-5)


@pytest.mark.usefixtures("nothing_is_changed")
def test_a_merged_micrograph_of_a_flipping_model_can_be_flipped_back_whole():
    image = noise((120, 128)) * 5 + 40
    settings = replace(
        SETTINGS, merge_noisy=True, merge_resolution=6.5, merge_width=2.0, flip_phases_back=True
    )
    result = run(image, FLIPPED, settings)
    assert torch.corrcoef(torch.stack([result.flatten(), image.flatten()]))[0, 1] > 0.99


@pytest.mark.parametrize("resolution_A", [2.0, 2.4, 3.0, 3.4, 4.5, 9.0, 20.0])
def test_the_merge_band_by_default_never_reaches_beyond_the_models_resolution(resolution_A):
    band = merge_band(DenoisingSettings(merge_noisy=True), resolution_A)
    assert band is not None
    assert 0 < band.start_per_A < band.stop_per_A <= 1 / resolution_A * (1 + 1e-6)


def test_a_fine_model_gets_the_papers_band():
    band = merge_band(
        DenoisingSettings(merge_noisy=True, merge_resolution=3.0, merge_width=2.0), 2.0
    )
    assert band is not None and (1 / band.start_per_A, 1 / band.stop_per_A) == pytest.approx(
        (4.0, 2.0)
    )


def test_a_band_beyond_the_models_resolution_is_refused_with_both_numbers():
    settings = DenoisingSettings(merge_noisy=True, merge_resolution=3.0, merge_width=2.0)
    with pytest.raises(UserError) as caught:
        merge_band(settings, 4.5)
    assert str(caught.value) == (
        "the merge band is 4 to 2 Å. The model's images end at 4.5 Å, and the merge band must not "
        "reach beyond that resolution: "
        "give a coarser `merge_resolution` or a narrower `merge_width`."
    )


def test_without_a_merge_there_is_no_band():
    assert merge_band(DenoisingSettings(), 4.5) is None


@pytest.mark.parametrize("field", ["merge_resolution", "merge_width"])
def test_a_merge_band_without_a_merge_is_refused(field):
    with pytest.raises(UserError, match=f"{field} is 6, but nothing is merged") as refused:
        DenoisingSettings(**{field: 6.0})
    assert refused.value.field == field


@pytest.mark.parametrize(("option", "name"), [("-x", "resolution"), ("-w", "width")])
def test_denoise_refuses_a_merge_band_without_a_merge(option, name, capsys):
    assert main(["denoise", "a.mrc", option, "6"]) == 1
    message = capsys.readouterr().err
    assert f"--merge_{name} is 6, but nothing is merged. Give --merge_noisy as well" in message


def test_a_flipping_model_needs_a_ctf():
    with pytest.raises(UserError, match="the CTF is not known"):
        run(noise((96, 96)), FLIPPED, ctf=None)


def test_the_images_are_left_alone():
    halves = noise((96, 96), 1), noise((96, 96), 2)
    image = halves[0] + halves[1]
    before = [tensor.clone() for tensor in (image, *halves)]
    settings = replace(
        SETTINGS,
        average_halves=True,
        merge_noisy=True,
        merge_resolution=7.0,
        merge_width=2.0,
        flip_phases_back=True,
    )
    run(image, FLIPPED, settings, halves=halves)
    assert all(torch.equal(a, b) for a, b in zip(before, (image, *halves), strict=True))


@pytest.mark.parametrize("average_halves", [False, True])
@pytest.mark.usefixtures("nothing_is_changed")
def test_pixels_without_data_are_left_as_they_were_and_the_rest_is_denoised_as_without_them(
    average_halves,
):
    settings = replace(SETTINGS, average_halves=average_halves, calibration="none")
    fields = [20 + noise((320, 352), seed) for seed in (0, 1)]
    bordered = [field.clone() for field in fields]
    for field in bordered:
        field[:2] = 0
        field[:, -8:] = 3
    images = {
        name: run(sum(halves), PLAIN, settings, halves=halves if average_halves else None)
        for name, halves in (("whole", tuple(fields)), ("bordered", tuple(bordered)))
    }
    assert (images["bordered"][:2, :-8] == 0).all() and (images["bordered"][:, -8:] == 6).all()
    interior = (slice(48, -48), slice(48, -48))
    difference = (images["bordered"] - images["whole"])[interior]
    assert float(difference.std() / images["whole"][interior].std()) < 0.01
    assert abs(float(difference.mean())) < 0.01


@pytest.mark.usefixtures("nothing_is_changed")
def test_a_border_does_not_reach_the_merge_band():
    field = 200 + 10 * noise((320, 352))
    bordered = field.clone()
    bordered[:, :8] = 0
    settings = replace(SETTINGS, merge_noisy=True, merge_resolution=7.0, merge_width=2.0)
    interior = (slice(48, -48), slice(48, -48))
    whole, around = (run(image, PLAIN, settings)[interior] for image in (field, bordered))
    assert float((whole - around).std() / whole.std()) < 0.02


@pytest.mark.usefixtures("nothing_is_changed")
def test_a_slope_of_the_background_does_not_reach_the_merge_band():
    field = 200 + 10 * noise((320, 352))
    sloping = field + 200 * torch.linspace(-0.5, 0.5, 352)
    settings = replace(SETTINGS, merge_noisy=True, merge_resolution=7.0, merge_width=2.0)
    recipe = replace(PLAIN, background_order=2)
    level, slope = (run(image, recipe, settings) for image in (field, sloping))
    assert float((slope - level).std() / level.std()) < 0.02
    for name, columns in (("left", slice(4)), ("right", slice(-4, None)), ("rest", slice(48, -48))):
        deviations = [float(image[:, columns].std()) for image in (level, slope)]
        assert deviations[1] == pytest.approx(deviations[0], rel=0.02), name
    assert float(slope.mean()) == pytest.approx(float(sloping.mean()), rel=1e-5)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("self_ensemble", 3),
        ("precision", "fp8"),
        ("tile_px", -1),
    ],
)
def test_a_setting_that_cannot_be_is_rejected_with_its_name(name, value):
    settings = DenoisingSettings()
    object.__setattr__(settings, name, value)  # past the type checks, which only the tests have on
    with pytest.raises(UserError) as caught:
        settings.__post_init__()
    assert caught.value.field == name
    assert str(value) in str(caught.value)
