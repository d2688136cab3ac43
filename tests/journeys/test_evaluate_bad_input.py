"""What ``restore evaluate`` says to bad input and wrong use; nothing is written then."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from evaluation_world import write_model, write_session

from restore.cli.main import main
from restore.io.images.image import read_image, write_image
from restore.preprocessing import Recipe

MODEL = ("evaluate", "-m", "mics.star", "-p", "model.safetensors")
OTHERS = ("evaluate", "-m", "mics.star", "-r", "9", "--denoised_halves", "out")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two small micrographs, a model, and denoised halves of another program."""
    folder = write_session(tmp_path_factory.mktemp("world"), names="ab", shape=(96, 96))
    write_model(folder / "model.safetensors")
    for name in ("a_EVN", "a_ODD", "b_EVN", "b_ODD"):
        write_image(
            folder / f"out/{name}.mrc", 0.5 * read_image(folder / f"mics/{name}.mrc").data, 4.0
        )
    return folder


@pytest.fixture(autouse=True)
def here(world, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(world, tmp_path / "here"))
    yield tmp_path / "here"


def contents():
    return {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}


@pytest.fixture
def refused(capsys):
    """A function that runs a command, which must say all of the words, end with this status and
    change nothing.
    """

    def run(command, *words, status=1):
        before = contents()
        capsys.readouterr()
        assert main(list(command)) == status
        messages = capsys.readouterr().err
        assert "Traceback" not in messages
        for word in words:
            assert word in messages, messages
        assert contents() == before

    return run


def test_a_resolution_that_the_general_model_has_not_seen_is_rejected(refused):
    refused(
        ("evaluate", "-m", "mics.star", "-r", "3.2"),
        "3.2 Å, not 4.5 to 12 Å",
        "train a model",
    )


@pytest.mark.parametrize("more", [("--denoised_halves", "out"), ("--denoised_suffix=_nn",)])
def test_a_model_and_denoised_halves_are_wrong_use(refused, more):
    refused((*MODEL, *more), "both a model and denoised halves", status=2)


def test_a_scale_is_not_fitted_to_a_model(refused):
    refused((*MODEL, "--fit_scale"), "--fit_scale is given with a model", status=2)


def test_three_folders_are_wrong_use(refused):
    refused(
        (*OTHERS, "out", "out"),
        "3 folders of denoised halves",
        "Give one folder for both halves, or one for each",
        status=2,
    )


@pytest.mark.parametrize("option", [
    "--confidence=1.5", "--confidence=0", "--confidence=nan", "--resamples=0",
    "--resamples=1000000", "--support_window=0", "--support_window=-5", "--support_window=inf",
    "--patch_px=-64", "--tile_px=-8",
])  # fmt: skip
def test_settings_out_of_range_are_refused_by_name(refused, option):
    name, _, number = option.removeprefix("--").partition("=")
    refused((*MODEL, option), f"--{name} is {number}", "It must be ")


@pytest.mark.parametrize("patch_px", [16, 128])
def test_patches_that_do_not_fit_are_refused(refused, patch_px):
    refused(
        (*MODEL, f"--patch_px={patch_px}"),
        f"patches of {patch_px} pixels do not fit",
        "has 86",
        "--patch_px",
    )


def test_an_image_that_does_not_suit_the_resolution_is_named_and_the_others_measured(capsys):
    for half in ("EVN", "ODD"):
        write_image(
            Path(f"mics/b_{half}.mrc"),
            read_image(Path(f"mics/b_{half}.mrc")).data[:30, :30].copy(),
            4.0,
        )
    assert main(list(MODEL)) == 1
    messages = capsys.readouterr().err
    assert "1 of 2 micrographs were not evaluated" in messages
    assert "mics/b_DW.mrc: an image of 30×30 pixels has only 26×26 left at 9 Å" in messages
    (row,) = json.loads(Path("evaluation/evaluation.json").read_text())["micrographs"]
    assert row["name"] == "mics/a_DW.mrc"


def test_a_missing_denoised_half_is_named(refused):
    Path("out/b_ODD.mrc").unlink()
    refused(OTHERS, "out/b_ODD.mrc: there is no denoised version of b_ODD.mrc", "--denoised_suffix")


def test_the_raw_halves_themselves_are_not_taken_for_denoised_ones(refused):
    refused((*OTHERS[:-1], "."), "mics/a_EVN.mrc: this is the raw half itself")


def test_one_denoised_image_is_not_taken_for_two_halves(refused):
    Path("mics.star").write_text(Path("mics.star").read_text().replace("mics/b_DW", "grid2/a_DW"))
    shutil.copytree("mics", "grid2")
    refused(
        OTHERS,
        "out/a_EVN.mrc: this would be the denoised version of mics/a_EVN.mrc and of "
        "grid2/a_EVN.mrc",
    )


def exchanged(even, odd):
    return odd, even


def of_one_image(even, odd):
    return (even + odd, even + odd)


def inverted(even, odd):
    return -even, -odd


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (exchanged, "look exchanged: each denoised half has the noise of the other raw half"),
        (of_one_image, "look made from one image: the noise in which the raw halves differ is not"),
        (inverted, "look inverted: their contrast is opposite to that of the raw halves"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--fit_scale",)], ids=["", "fit_scale"])
def test_denoised_halves_of_other_images_get_no_numbers_and_no_verdict(
    capsys, wrong, words, options
):
    for name in "ab":
        paths = [Path(f"out/{name}_{half}.mrc") for half in ("EVN", "ODD")]
        halves = wrong(*(read_image(path).data for path in paths))
        for path, half in zip(paths, halves, strict=True):
            write_image(path, half, 4.0)
    assert main([*OTHERS, *options]) == 1
    output = capsys.readouterr()
    for name in "ab":
        assert f"mics/{name}_DW.mrc: the denoised halves {words}" in output.err, output.err
    assert output.out == "" and not Path("evaluation/evaluation.json").exists()


def test_denoised_halves_of_another_shape_are_reported_and_the_others_measured(capsys):
    for half in ("EVN", "ODD"):
        write_image(
            Path(f"out/b_{half}.mrc"),
            read_image(Path(f"out/b_{half}.mrc")).data[:, :80].copy(),
            4.0,
        )
    assert main(list(OTHERS)) == 1
    messages = capsys.readouterr().err
    assert (
        "1 of 2 micrographs were not evaluated" in messages
        and "a denoised half of 96×80 pixels, and a raw one of 96×96" in messages
    )
    assert Path("evaluation/evaluation.json").exists()


@pytest.mark.parametrize("options, words", [
    (("-r", "5"), "--max_resolution is 5 Å, and the model was made for 9 Å"),
    (("--dont_phaseflip",), "--dont_phaseflip is given, and the model was made with --phaseflip"),
])  # fmt: skip
def test_another_recipe_than_the_models_is_refused(refused, options, words):
    refused((*MODEL, *options), words)


def test_a_resolution_finer_than_the_images_is_refused_with_the_micrograph(refused):
    write_model(Path("fine.safetensors"), recipe=Recipe(max_resolution_A=4.5))
    refused((*MODEL[:-1], "fine.safetensors"), "mics/a_DW.mrc: max_resolution 4.5 Å is finer")
    refused((*OTHERS, "-r", "4.5"), "mics/a_DW.mrc: max_resolution 4.5 Å is finer")


def test_micrographs_without_any_halves_are_refused(refused):
    for path in Path("mics").iterdir():
        path.unlink()
    refused(MODEL, "none of the 2 micrographs could be evaluated", "a_EVN.mrc")


def test_a_foreign_file_in_the_records_place_is_kept(refused):
    Path("evaluation").mkdir()
    Path("evaluation/evaluation.json").write_text('{"mine": 1}')
    refused(
        MODEL,
        "evaluation/evaluation.json: there is a file here that restore did not write",
        "--output_directory",
    )


def test_a_folder_in_which_nothing_may_be_written_is_refused(refused, monkeypatch):
    Path("evaluation").mkdir()
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    refused(MODEL, "may not be written")


def test_a_file_in_the_folders_place_is_refused(refused):
    Path("evaluation").write_text("")
    refused(MODEL, "evaluation: a file stands where a folder is wanted")


@pytest.mark.parametrize("seed", range(5, 10))  # of ten, 6, 7 and 9 correlate by chance
def test_halves_of_noise_alone_are_said_to_have_no_signal(capsys, seed):
    generator = np.random.default_rng(seed)
    for name in "ab":
        for half in ("EVN", "ODD"):
            noise = generator.normal(size=(96, 96)).astype(np.float32)
            write_image(Path(f"mics/{name}_{half}.mrc"), noise, 4.0)
    assert main(list(MODEL)) == 0
    output = capsys.readouterr()
    assert "Warning: The halves have no measurable signal in common" in output.err
    assert output.err.count("Warning: ") == 1 and "no measurable signal in common" in output.out
    assert "NaN" not in Path("evaluation/evaluation.json").read_text()
