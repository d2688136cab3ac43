"""``restore denoise image.mrc``: images without a table, as a person types them."""

import shutil
from contextlib import chdir
from dataclasses import replace
from functools import partial
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from evaluation_world import model, write_full_sums, write_session

from restore.cli.main import main
from restore.io.images.image import read_image
from restore.io.micrographs import Needs, read_micrographs
from restore.io.star import read_star
from restore.model.checkpoint import save_model
from restore.model.general import load_general_model

CTF = ("--voltage", "300", "--spherical_aberration", "2.7", "--amplitude_contrast", "0.1")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Two images in a folder, a model that flips phases, and one that does not."""
    folder = write_session(tmp_path_factory.mktemp("world"), names="ab", power=100.0)
    write_full_sums(folder, "ab")
    with chdir(folder):
        recipe = model().recipe
        for name, flip in (("flipping", True), ("plain", False)):
            save_model(
                Path(f"{name}.safetensors"),
                replace(model(), recipe=replace(recipe, phase_flip=flip)),
            )
    return folder


@pytest.fixture(autouse=True)
def here(world, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(world, tmp_path / "here"))


def pixels(name):
    return read_image(Path(name)).data


def test_one_image_is_denoised_beside_itself_without_a_table(capsys):
    before = set(Path().rglob("*"))
    assert main(["denoise", "mics/a_DW.mrc", "-p", "plain.safetensors"]) == 0
    assert capsys.readouterr().out.split() == ["mics/a_DW_denoised.mrc"]
    assert set(Path().rglob("*")) - before == {Path("mics/a_DW_denoised.mrc")}
    with mrcfile.open("mics/a_DW_denoised.mrc") as file:
        assert file.voxel_size.x == pytest.approx(4.0)


def test_a_picture_is_drawn_on_request():
    assert main(["denoise", "mics/a_DW.mrc", "-p", "plain.safetensors", "--picture"]) == 0
    assert Path("mics/a_DW_denoised.png").is_file()


def test_several_images_as_the_shell_expands_a_pattern_are_listed():
    line = ["denoise", "mics/a_DW.mrc", "mics/b_DW.mrc", "-p", "plain.safetensors"]
    assert main(line) == 0
    assert Path("mics/b_DW_denoised.mrc").is_file()
    assert Path("mics/micrographs_denoised.star").is_file()


@pytest.mark.parametrize("given", [(), ("--pixel_size", "4")])
@pytest.mark.parametrize("fault", ["cut", "no pixel size"])
def test_one_bad_header_among_several_images_is_skipped_and_named(capsys, given, fault):
    for name in "xyz":
        shutil.copy("mics/a_DW.mrc", f"mics/{name}.mrc")
    if fault == "cut":
        Path("mics/y.mrc").write_bytes(Path("mics/a_DW.mrc").read_bytes()[:700])
    else:
        with mrcfile.open("mics/y.mrc", "r+") as file:
            file.voxel_size = 0.0
    names = [f"mics/{name}.mrc" for name in "xyz"]
    bad = fault == "cut" or not given
    assert main(["denoise", *names, "-p", "plain.safetensors", "-o", "out", *given]) == bad
    messages = capsys.readouterr().err
    assert ("1 of 3 micrographs were not denoised:\n  mics/y.mrc" in messages) == bad
    listed = (
        read_star(Path("out/micrographs.star")).block("micrographs").column("rlnMicrographName")
    )
    assert list(listed) == [f"out/{name}" for name in names if not (bad and "y" in name)]


def test_images_of_other_pixel_sizes_get_optics_groups_of_their_own():
    with mrcfile.open("mics/b_DW.mrc", "r+") as file:
        file.voxel_size = 4.4
    line = ["denoise", "mics/a_DW.mrc", "mics/b_DW.mrc", "-p", "plain.safetensors", "-o", "out"]
    assert main(line) == 0
    listed = read_micrographs("out/micrographs.star", needs=Needs(ctf=False)).micrographs
    assert [micrograph.pixel_size_A for micrograph in listed] == [4.0, pytest.approx(4.4)]


def test_a_pattern_that_also_matches_the_output_names_the_bad_image(capsys):
    shutil.copy("mics/a_DW.mrc", "mics/z.mrc")
    line = ["denoise", "mics/*.mrc", "-p", "plain.safetensors", "-s", "_denoised"]
    assert main(line) == 0
    Path("mics/z.mrc").write_bytes(Path("mics/z.mrc").read_bytes()[:5000])
    assert main(line) == 1
    assert "micrographs were not denoised:\n  mics/z.mrc" in capsys.readouterr().err


def test_a_model_that_flips_phases_needs_a_ctf_and_one_defocus_stands_for_two(capsys):
    line = ["denoise", "mics/a_DW.mrc", "-p", "flipping.safetensors"]
    assert main(line) == 1
    message = capsys.readouterr().err
    assert "--defocus" in message and "--spherical_aberration" in message
    assert main([*line, "--defocus", "12000", *CTF]) == 0
    one = pixels("mics/a_DW_denoised.mrc")
    assert main([*line, "--defocus", "12000", "12000", "30", *CTF, "-o", "same"]) == 0
    assert np.allclose(one, pixels("same/mics/a_DW.mrc"), atol=1e-5 * one.std())
    assert main([*line, "--defocus", "25000", *CTF, "-o", "other"]) == 0
    assert not np.allclose(one, pixels("other/mics/a_DW.mrc"), atol=1e-2 * one.std())


@pytest.mark.parametrize("phase_shift", [None, "60"])
def test_a_typed_ctf_gives_what_the_table_gives(phase_shift):
    typed = "--defocus 12000 9000 30 --voltage 200 --spherical_aberration 1.4"
    typed = [*typed.split(), "--amplitude_contrast", "0.25"]
    star = Path("mics.star").read_text().replace("300.0 2.7 0.1\n", "200.0 1.4 0.25\n")
    star = star.replace("a_DW.mrc 1 12000.0 11800.0 10.0", "a_DW.mrc 1 12000.0 9000.0 30.0")
    if phase_shift is not None:
        typed += ["--phase_shift", phase_shift]
        star = star.replace("_rlnDefocusAngle\n", "_rlnDefocusAngle\n_rlnPhaseShift\n")
        star = star.replace("0.0\n", f"0.0 {phase_shift}\n")
    Path("mics.star").write_text(star)
    model = ["-p", "flipping.safetensors", "--even_odd_suffix", "DW,EVN,ODD"]
    assert main(["denoise", "mics.star", *model, "-o", "listed"]) == 0
    assert main(["denoise", "mics/a_DW.mrc", *model, *typed, "-o", "typed"]) == 0
    listed, alone = (pixels(f"{folder}/mics/a_DW.mrc") for folder in ("listed", "typed"))
    np.testing.assert_allclose(alone, listed, rtol=0, atol=1e-5 * listed.std())


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        ("mics/a_DW.mrc -m mics/b_DW.mrc", 2, "both with and without -m"),
        ("mics/a_DW.mrc --defocus 12000", 2, "give --voltage, --spherical_aberration"),
        ("mics/a_DW.mrc --defocus 12000 13000", 2, "2 values"),
        ("mics.star mics/a_DW.mrc", 1, "together with other inputs"),
    ],
)
def test_inputs_that_contradict_each_other_are_refused(capsys, line, status, words):
    assert main(["denoise", *line.split(), "-p", "plain.safetensors"]) == status
    assert words.lower() in capsys.readouterr().err.lower()


def test_a_header_without_pixel_size_needs_one(capsys):
    with mrcfile.open("mics/a_DW.mrc", "r+") as file:
        file.voxel_size = 0.0
    line = ["denoise", "mics/a_DW.mrc", "-p", "plain.safetensors"]
    assert main(line) == 1
    assert "--pixel_size" in capsys.readouterr().err
    assert main([*line, "--pixel_size", "4"]) == 0


def test_without_the_general_models_file_one_message_names_it(capsys, monkeypatch):
    absent = partial(load_general_model, path=Path("absent.safetensors"))
    monkeypatch.setattr("restore.cli.model.load_general_model", absent)
    assert main(["denoise", "mics/a_DW.mrc"]) == 1
    assert "absent.safetensors: there is no such model file" in capsys.readouterr().err


def test_a_star_file_given_as_model_is_called_one(capsys):
    assert main(["denoise", "mics/a_DW.mrc", "-p", "mics.star"]) == 1
    assert "a STAR file, not a model" in capsys.readouterr().err


def test_a_picture_of_anothers_is_not_replaced_and_restores_own_is(capsys):
    line = ["denoise", "mics/a_DW.mrc", "-p", "plain.safetensors", "--picture"]
    Path("mics/a_DW_denoised.png").write_bytes(b"mine")
    assert main(line) == 1
    messages = capsys.readouterr().err
    assert "a_DW_denoised.png: a PNG file stands here that restore did not write" in messages
    assert not Path("mics/a_DW_denoised.mrc").exists()
    assert main([*line, "--overwrite"]) == 0
    assert Path("mics/a_DW_denoised.png").read_bytes() != b"mine"
    assert main([*line, "--flip_phases_back"]) == 0


def test_an_image_of_anothers_is_not_replaced(capsys):
    Path("mics/a_DW_denoised.mrc").write_bytes(Path("mics/a_DW.mrc").read_bytes())
    before = Path("mics/a_DW_denoised.mrc").read_bytes()
    assert main(["denoise", "mics/a_DW.mrc", "-p", "plain.safetensors"]) == 1
    assert "restore did not write" in capsys.readouterr().err
    assert Path("mics/a_DW_denoised.mrc").read_bytes() == before


def test_replace_raw_without_a_table_of_cryosparcs_is_said_to_change_nothing(capsys):
    line = ["denoise", "mics/a_DW.mrc", "-p", "plain.safetensors", "--replace_raw"]
    assert main(line) == 0
    assert "--replace_raw changes nothing" in capsys.readouterr().err


def test_a_calibration_that_the_model_does_not_hold_is_said_to_change_nothing(capsys):
    line = ["denoise", "mics/a_DW.mrc", "mics/b_DW.mrc", "-p", "plain.safetensors"]
    words = "--calibration model changes nothing: the model holds no calibration"
    assert main([*line, "-o", "asked", "--calibration", "model"]) == 0
    assert capsys.readouterr().err.count(words) == 1
    for kind in ("none", "rings"):
        assert main([*line, "-o", kind, "--calibration", kind]) == 0
        assert words not in capsys.readouterr().err


def test_a_model_given_as_micrographs_is_called_one(capsys):
    assert main(["denoise", "plain.safetensors", "-p", "plain.safetensors"]) == 1
    assert "plain.safetensors: a model, not micrographs." in capsys.readouterr().err


def test_halves_are_asked_for_where_none_are_known_and_counted_where_they_are(capsys):
    line = ["denoise", "mics/a_DW.mrc", "-p", "plain.safetensors"]
    assert main([*line, "-o", "without"]) == 0
    assert "no halves are known" in capsys.readouterr().err
    assert main([*line, "-o", "with", "--even_odd_suffix", "DW,EVN,ODD"]) == 0
    assert "the micrograph has halves, with which its denoised image" in capsys.readouterr().err
