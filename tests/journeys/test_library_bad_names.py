"""Callers of the library: names of files that cannot be, rows without a pixel size, and results of
another way to prepare images.
"""

from pathlib import Path

import pytest

import restore
from restore.errors import UserError
from restore.inspection.dispatch import inspect

RECIPE = restore.Recipe(max_resolution_A=9.0)
TINY = {"steps": 1, "batch_size": 2, "patch_px": 32, "filters": 4, "blocks": 1}


pytestmark = pytest.mark.usefixtures("in_three_micrographs")


def circle(name):
    """A symbolic link to another that leads back to it."""
    Path(name).symlink_to("back_" + name)
    Path("back_" + name).symlink_to(name)
    return name


def denoised(source="mics.star", model="model.safetensors", folder="out"):
    output = restore.OutputSettings(output_directory=Path(folder))
    return restore.denoise_set(source, model, output=output)


CALLS = {
    "denoise": lambda: restore.denoise(circle("a.mrc"), "model.safetensors"),
    "load_model": lambda: restore.load_model(circle("m.safetensors")),
    "denoise_set, table": lambda: denoised(circle("a.star")),
    "denoise_set, image": lambda: denoised(circle("a.mrc")),
    "denoise_set, model": lambda: denoised(model=circle("m.safetensors")),
    "denoise_set, folder": lambda: denoised(folder=circle("there")),
    "make_patches, table": lambda: restore.make_patches(circle("a.star"), "p.hdf", RECIPE),
    "make_patches, folder": lambda: restore.make_patches(
        "mics.star", circle("there") + "/p.hdf", RECIPE
    ),
    "train, patches": lambda: restore.train(None, TINY, patch_file=circle("p.hdf")),
    "train, folder": lambda: restore.train(
        "mics.star", TINY, recipe=RECIPE, model_directory=circle("there")
    ),
    "evaluate, table": lambda: restore.evaluate(circle("a.star"), "model.safetensors"),
    "evaluate, model": lambda: restore.evaluate("mics.star", circle("m.safetensors")),
    "evaluate, folder": lambda: restore.evaluate(
        "mics.star", "model.safetensors", output_directory=circle("there")
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_links_that_lead_in_a_circle_are_a_users_error(call):
    with pytest.raises(UserError) as error:
        CALLS[call]()
    assert str(error.value).endswith(".") and "\n" not in str(error.value)


@pytest.mark.parametrize("name", ["a.star", "a.mrc", "a.json", "a.hdf", "a.safetensors", "folder"])
def test_inspect_describes_a_circle_of_links_as_a_problem(name):
    assert inspect(Path(circle(name)), RECIPE).problems


def test_a_row_without_a_pixel_size_is_skipped_and_named():
    text = (
        Path("mics.star")
        .read_text()
        .replace("1 4.0 300.0 2.7 0.1\n", "1 4.0 300.0 2.7 0.1\n2 nan 300.0 2.7 0.1\n")
    )
    Path("mics.star").write_text(text.replace("b_DW.mrc 1", "b_DW.mrc 2"))
    results = denoised()
    assert list(results.failed) == ["mics/b_DW.mrc"]
    assert 'rlnMicrographPixelSize is "nan"' in results.failed["mics/b_DW.mrc"]
    evaluated = restore.evaluate("mics.star", "model.safetensors")
    assert [name for name, _ in evaluated.failed] == ["mics/b_DW.mrc"]
    with pytest.raises(UserError, match=r'row 2: rlnMicrographPixelSize is "nan"'):
        restore.make_patches("mics.star", "p.hdf", RECIPE)
    assert not Path("p.hdf").exists()


def times(pattern):
    return {str(path): path.stat().st_mtime_ns for path in Path().rglob(pattern)}


def test_denoised_images_of_another_way_to_prepare_are_made_again(monkeypatch):
    denoised()
    before = times("out/mics/*.mrc")
    denoised()
    assert times("out/mics/*.mrc") == before
    monkeypatch.setattr("restore.denoising.targets.PREPARATION_VERSION", 99)
    denoised()
    assert all(time != before[name] for name, time in times("out/mics/*.mrc").items())


def test_measurements_of_another_way_to_prepare_are_made_again(monkeypatch):
    def measured():
        restore.evaluate("mics.star", "model.safetensors", output_directory="evaluation")
        return times("evaluation/measured/*.npz")

    before = measured()
    assert len(before) == 3 and measured() == before
    monkeypatch.setattr("restore.evaluation.source.PREPARATION_VERSION", 99)
    assert all(time != before[name] for name, time in measured().items())


def test_patches_of_another_way_to_prepare_are_refused(monkeypatch):
    restore.make_patches("mics.star", "p.hdf", RECIPE)
    restore.make_patches("mics.star", "p.hdf", RECIPE)
    monkeypatch.setattr("restore.training.preparation.PREPARATION_VERSION", 99)
    with pytest.raises(
        UserError, match="made from other micrographs, with another recipe or CTF, or by"
    ):
        restore.make_patches("mics.star", "p.hdf", RECIPE)
