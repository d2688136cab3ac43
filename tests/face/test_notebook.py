"""What a person in a notebook types."""

import subprocess
import sys
from contextlib import chdir

import numpy as np
import pytest
import torch

import restore
from restore.errors import UserError

QUICK = {"steps": 2, "batch_size": 2, "patch_px": 32}


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A folder with a simulated session of two micrographs."""
    folder = tmp_path_factory.mktemp("notebook")
    settings = restore.SimulationSettings(
        micrographs=2, size_px=(256, 256), pixel_size_A=2.0, frames=4
    )
    restore.simulate(folder / "session", settings)
    return folder


@pytest.fixture(scope="module")
def results(world):
    """The model and the evaluation that two lines give."""
    with chdir(world):
        star = "session/micrographs_ctf.star"
        model = restore.train(star, QUICK, recipe=restore.Recipe(9))
        evaluated = restore.evaluate(star, "Models/model.safetensors")
    return model, evaluated


def test_two_lines_train_and_evaluate(world, results):
    model, evaluated = results
    assert model.training["steps"] == 2 and model.recipe.max_resolution_A == 9
    assert (world / "Models/model.safetensors").is_file()
    assert len(evaluated.evaluation.micrographs) == 2 and evaluated.failed == ()
    assert (world / "evaluation/evaluation.json").is_file()


def test_three_lines_denoise_an_array(world, results, monkeypatch):
    monkeypatch.chdir(world)
    ctf = restore.read_micrographs("session/micrographs_ctf.star").micrographs[0].ctf
    # The three lines:
    image = restore.read_image("session/Micrographs/mic_0001_DW.mrc").data
    model = restore.load_model("Models/model.safetensors")
    denoised = restore.denoise(image, model, pixel_size_A=2.0, ctf=ctf)
    assert isinstance(denoised, np.ndarray)
    assert (denoised.shape, denoised.dtype) == (image.shape, np.float32)
    assert np.isfinite(denoised).all() and 0 < denoised.std() < image.std()
    assert denoised.mean() == pytest.approx(image.mean(), rel=1e-3)


def test_each_kind_of_image_comes_back_as_its_kind_with_the_same_numbers(
    world, results, monkeypatch
):
    monkeypatch.chdir(world)
    model = restore.load_model(world / "Models/model.safetensors")
    micrograph = restore.read_micrographs("session/micrographs_ctf.star").micrographs[0]
    image = restore.read_image(micrograph.image)
    whole = restore.denoise(image, model, ctf=micrograph.ctf)
    before = image.data.copy()
    for given in (
        image.data,
        torch.from_numpy(image.data),
        image.data.astype(np.float64),
        np.asfortranarray(image.data),
    ):
        result = restore.denoise(given, model, pixel_size_A=2.0, ctf=micrograph.ctf)
        assert type(result) is type(given)
        assert np.array_equal(np.asarray(result), whole.data)
    assert np.array_equal(image.data, before)
    assert (whole.pixel_size_A, whole.path) == (2.0, micrograph.image)


def test_a_model_may_be_given_as_its_file(world, results, monkeypatch):
    monkeypatch.chdir(world)
    micrograph = restore.read_micrographs("session/micrographs_ctf.star").micrographs[0]
    image = restore.read_image(str(micrograph.image))
    by_text, by_path, by_record = (
        restore.denoise(image, model, ctf=micrograph.ctf).data
        for model in (
            "Models/model.safetensors",
            world / "Models/model.safetensors",
            results[0],
        )
    )
    assert np.array_equal(by_text, by_path) and np.array_equal(by_text, by_record)


@pytest.fixture(scope="module")
def exposure(world):
    """A listed micrograph, and the pixels of its full sum and halves."""
    with chdir(world):
        listed = restore.read_micrographs("session/micrographs_ctf.star", halves=True)
        micrograph = listed.micrographs[0]
        paths = (micrograph.image, micrograph.even, micrograph.odd)
        return micrograph, tuple(restore.read_image(path).data for path in paths)


WAYS = {
    "calibrated by the halves": restore.DenoisingSettings(),
    "halves averaged": restore.DenoisingSettings(average_halves=True),
    "halves averaged alone": restore.DenoisingSettings(average_halves=True, calibration="none"),
    "halves not used": restore.DenoisingSettings(calibration="none"),
}


def test_an_image_with_halves_is_denoised_as_a_set_with_halves(
    world, results, exposure, monkeypatch
):
    monkeypatch.chdir(world)
    micrograph, (full, *halves) = exposure
    images = {}
    for way, settings in WAYS.items():
        images[way] = restore.denoise(
            full,
            results[0],
            pixel_size_A=2.0,
            ctf=micrograph.ctf,
            halves=tuple(halves),
            settings=settings,
        )
        output = restore.OutputSettings(output_directory=world / way)
        restore.denoise_set(
            "session/micrographs_ctf.star", results[0], output=output, settings=settings
        )
        (written,) = (world / way).rglob("mic_0001*.mrc")
        np.testing.assert_allclose(
            images[way], restore.read_image(written).data, rtol=1e-5, atol=1e-4 * full.std()
        )
    alone = restore.denoise(full, results[0], pixel_size_A=2.0, ctf=micrograph.ctf)
    kinds = [*images.values(), alone]
    for index, image in enumerate(kinds):
        for other in kinds[:index]:
            assert np.abs(image - other).max() > 0.01 * full.std()


def test_halves_that_are_not_used_do_not_matter(results, exposure):
    micrograph, (full, *halves) = exposure[0], [data.copy() for data in exposure[1]]
    for half in halves:
        half[:20] = 0
    settings = restore.DenoisingSettings(calibration="model")
    one, other = (
        restore.denoise(
            full, results[0], pixel_size_A=2.0, ctf=micrograph.ctf, halves=given, settings=settings
        )
        for given in (None, tuple(halves))
    )
    assert np.array_equal(one, other)


def test_prepare_takes_arrays_and_a_models_recipe(world, results):
    image = np.random.default_rng(0).normal(100, 5, (128, 160)).astype(np.float32)
    recipe = restore.Recipe(9, phase_flip=False)
    seen = restore.prepare(image, recipe, pixel_size_A=2.0)
    assert float(seen.image.std()) == pytest.approx(1, abs=1e-3)
    with pytest.raises(UserError, match="the CTF is not known"):
        restore.prepare(image, results[0], pixel_size_A=2.0)


def test_an_image_goes_to_disk_and_back(tmp_path):
    array = np.arange(64.0 * 48).reshape(64, 48)
    restore.write_image(str(tmp_path / "a.mrc"), array, 1.5)
    restore.write_image(tmp_path / "b.mrc", torch.from_numpy(array), 1.5)
    image = restore.read_image(tmp_path / "a.mrc")
    restore.write_image(tmp_path / "c.mrc", image)
    for name in "abc":
        again = restore.read_image(tmp_path / f"{name}.mrc")
        assert np.array_equal(again.data, array) and again.pixel_size_A == 1.5


def test_a_model_goes_to_disk_and_back(results, tmp_path):
    restore.save_model(str(tmp_path / "copy.safetensors"), results[0])
    again = restore.load_model(str(tmp_path / "copy.safetensors"))
    assert again.digest() == results[0].digest()


def test_progress_comes_by_a_callback(world, monkeypatch):
    monkeypatch.chdir(world)
    seen = []
    restore.train(
        patch_file="training_data.hdf",
        settings=QUICK,
        model_prefix="watched",
        progress=seen.append,
    )
    assert [progress.step for progress in seen] == [1, 2]
    assert [progress.fraction for progress in seen] == [0.5, 1.0]
    assert [progress.patches for progress in seen] == [2, 4]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda model: restore.denoise(np.zeros((4, 64, 64)), model), r"shape \(4, 64, 64\)"),
        (lambda model: restore.denoise(np.eye(64), model), "Give `pixel_size_A`"),
        (lambda model: restore.denoise(np.eye(64), model, pixel_size_A=0.0), "pixel_size_A is 0"),
        (lambda model: restore.denoise(np.eye(64), "no.safetensors"), "no such model file"),
        (
            lambda model: restore.denoise(
                np.eye(64), model, pixel_size_A=2.0, halves=(np.eye(64), np.eye(32))
            ),
            "`halves`: a half has 32x32 pixels, and the image 64x64",
        ),
        (
            lambda model: restore.denoise(
                np.eye(64),
                model,
                pixel_size_A=2.0,
                settings=restore.DenoisingSettings(average_halves=True),
            ),
            "are to be averaged, but are not given",
        ),
        (lambda model: restore.train("no.star"), "no.star"),
        (lambda model: restore.train("a.star", {"stepz": 3}), "no training setting called stepz"),
        (lambda model: restore.train("a.star", preset="fast"), "no preset called fast"),
        (
            lambda model: restore.train("a.star", restore.TrainingSettings(), steps=2),
            "record of settings and steps",
        ),
        (lambda model: restore.write_report("nowhere"), "nowhere"),
    ],
)
def test_mistakes_are_answered_in_the_words_of_the_library(
    results, tmp_path, monkeypatch, call, words
):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words) as refused:
        call(results[0])
    assert "--" not in str(refused.value)


@pytest.mark.parametrize("kind", [np.asarray, torch.from_numpy])
def test_pixels_that_are_not_numbers_are_counted(kind):
    pixels = np.random.default_rng(0).normal(size=(64, 64))
    pixels[3, 4:6] = np.nan, np.inf
    words, bad = "2 of 4096 pixels are NaN or infinite", kind(pixels)
    with pytest.raises(UserError, match=f"`image`: {words}"):
        restore.denoise(bad, pixel_size_A=2.0)
    with pytest.raises(UserError, match=f"`image`: {words}"):
        restore.prepare(bad, restore.Recipe(9, phase_flip=False), pixel_size_A=2.0)
    good = kind(np.eye(64))
    with pytest.raises(UserError, match=f"`halves`: {words}"):
        restore.denoise(good, pixel_size_A=2.0, halves=(good, bad))


def test_importing_the_package_imports_neither_torch_nor_numpy():
    program = "import sys, restore; print({'torch', 'numpy', 'h5py'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stdout.strip() == "set()"


def test_reading_an_image_imports_no_torch(tmp_path):
    restore.write_image(tmp_path / "a.mrc", np.eye(64), 1.0)
    program = (
        f"import sys, restore; restore.read_image({str(tmp_path / 'a.mrc')!r}); "
        "print('torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=50
    )
    assert done.stdout.strip() == "False"


def test_every_function_of_the_face_is_documented_with_an_example():
    functions = [
        getattr(restore, name)
        for name in restore.__all__
        if name[0].islower() and callable(getattr(restore, name))
    ]
    assert len(functions) > 8
    for function in functions:
        for section in ("Parameters\n", "Raises\n", "Examples\n", ">>> "):
            assert section in function.__doc__, f"{function.__name__}: {section.strip()}"
