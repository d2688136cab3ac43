"""The general model that comes with the package: its file, its range of recipes, and its worth."""

from dataclasses import replace
from functools import cache

import pytest
import torch

from restore.errors import UserError
from restore.evaluation.estimators.baselines import wiener_filter
from restore.evaluation.estimators.spectra import ring_covariances
from restore.fourier import frequency_per_A, image_of, ring_index, spectrum_of
from restore.model.checkpoint import save_model
from restore.model.general import GENERAL_MODEL_PATH, RecipeRange, load_general_model
from restore.preprocessing import Recipe, prepare_alike
from restore.simulation.microscope import expose
from restore.simulation.settings import SimulationSettings
from restore.simulation.specimen import barrel_phantom, transform


@cache
def general():
    return load_general_model()


def test_it_is_small_enough_to_ship():
    assert GENERAL_MODEL_PATH.stat().st_size < 8_000_000


def test_its_card_says_what_it_saw_and_what_it_did_not():
    training = general().training
    assert training["steps"] > 1000
    assert {"barrel", "3j9i", "6z6u"} <= set(training["left_out"])
    assert not [
        name for name in training["specimens"] if name.split(".")[0] in training["left_out"]
    ]
    assert training["hours"] > 0 and training["seed"] == 1


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(6.0), Recipe(12.0, phase_flip=False)])
def test_recipes_in_its_range_are_served(recipe):
    assert load_general_model(recipe).recipe == recipe


@pytest.mark.parametrize(
    ("recipe", "word"),
    [
        (Recipe(3.0), "max_resolution is 3 Å, not 4.5 to 12 Å"),
        (Recipe(20.0), "max_resolution is 20 Å"),
        (replace(Recipe(), highpass_A=500.0), "highpass_A is 500, not 200"),
    ],
)
def test_recipes_outside_its_range_are_rejected_with_both_values(recipe, word):
    with pytest.raises(UserError, match=word):
        load_general_model(recipe)


def test_a_model_of_one_data_set_is_no_general_model(tmp_path):
    save_model(tmp_path / "own.safetensors", replace(general(), training={}))
    with pytest.raises(UserError, match="no range of recipes"):
        load_general_model(path=tmp_path / "own.safetensors")


def test_its_range_holds_what_its_check_lets_pass():
    learned = RecipeRange.of_model(general())
    assert learned.holds(Recipe(5.0))
    assert not learned.holds(Recipe(3.0))


def correlation(first, second):
    return float(torch.corrcoef(torch.stack([first.flatten(), second.flatten()]))[0, 1])


@cache
def exposures():
    """Two micrographs of a specimen that it has never seen."""
    barrel = transform(barrel_phantom(1.5))
    settings = SimulationSettings(size_px=(512, 512), pixel_size_A=1.5, defocus_um=(1.5, 1.5))
    return [expose(replace(settings, seed=seed), barrel, 0) for seed in (0, 1)]


def filtered(image, gains):
    return image_of(spectrum_of(image) * gains, (image.shape[0], image.shape[1]))


@pytest.mark.parametrize("phase_flip", [True, False])
@pytest.mark.parametrize("number", [0, 1])
def test_it_comes_nearer_to_the_truth_than_filters_do_on_what_it_has_never_seen(phase_flip, number):
    exposure = exposures()[number]
    model = load_general_model(Recipe(4.5, phase_flip=phase_flip))
    arrays = (exposure.full, exposure.even, exposure.odd, exposure.truth)
    images = [torch.from_numpy(array) for array in arrays]
    prepared = prepare_alike(images, 1.5, exposure.ctf, model.recipe)
    full, even, odd, truth = (one.image for one in prepared)
    with torch.no_grad():
        denoised = model.network(full[None, None, :336, :336])[0, 0]
    pixels = prepared[0].grid.pixel_size_yx_A
    frequency = frequency_per_A((full.shape[0], full.shape[1]), pixels)
    frc = ring_covariances(torch.stack([even, odd]), pixels, 1 / 600).correlation(0, 1)
    rings = ring_index(frequency, 1 / 600)
    gains = torch.cat([wiener_filter(frc, images=2).float(), torch.zeros(int(rings.max()))])
    wiener = correlation(filtered(full, gains[rings]), truth)
    cutoffs = [number / 200 for number in range(4, 44, 2)]
    lowpass = max(correlation(filtered(full, frequency < cutoff), truth) for cutoff in cutoffs)
    ours = correlation(denoised, truth[:336, :336])
    assert ours > wiener
    assert ours > lowpass + 0.03
