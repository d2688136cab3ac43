"""What bad input gets: words that say what, where and what to do, and a disk on which nothing has
been touched.
"""

import errno
import io
import json
import os
import pickle
import resource
import shutil
import signal
import subprocess
from contextlib import chdir, contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from restore.cli.main import main
from restore.denoising import batch as production
from restore.face import patches
from restore.io import atomic, outputs
from restore.io.images.image import read_image, write_image
from restore.training.patches import PatchWriter

STAR = """
# version 30001

data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographPixelSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
group1 1 4.0 300.0 2.7 0.1

# version 30001

data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
_rlnDefocusU #3
_rlnDefocusV #4
_rlnDefocusAngle #5
mics/a_DW.mrc 1 10000.0 9900.0 10.0
mics/b_DW.mrc 1 11000.0 10900.0 20.0
mics/c_DW.mrc 1 12000.0 11900.0 30.0
"""
NO_CTF_STAR = (
    "data_\nloop_\n_rlnMicrographName\n_rlnMicrographPixelSize\nmics/a_DW.mrc 4.0\nmics/b_DW.mrc "
    "4.0\n"
)
SMALL = ("--steps=1", "--filters=4", "--blocks=1", "--batch_size=2", "--patch_px=32")
TRAIN = ("train", "-m", "mics.star", "-r", "9", "-f", "new.hdf", "-d", "NewModels", *SMALL)
PREPARE = ("prepare", "-m", "mics.star", "-r", "9", "-f", "new.hdf")
DENOISE = ("denoise", "-m", "mics.star", "-p", "Models/model.safetensors")
ALL_THREE = pytest.mark.parametrize(
    "command", [TRAIN, PREPARE, DENOISE], ids=lambda command: command[0]
)


def restore(*arguments):
    return main([str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Three noisy micrographs with their halves, a STAR file, a patch file and a model; tests work
    on copies.
    """
    folder = tmp_path_factory.mktemp("world")
    random = np.random.default_rng(1)
    for name in "abc":
        signal_ = np.cumsum(random.normal(size=(96, 96)), axis=1).astype(np.float32)
        even, odd = (
            signal_ + 3 * random.normal(size=(96, 96)).astype(np.float32) + 20 for _ in range(2)
        )
        for suffix, image in (("DW", even + odd), ("EVN", even), ("ODD", odd)):
            write_image(folder / f"mics/{name}_{suffix}.mrc", image, 4.0)
    (folder / "mics.star").write_text(STAR)
    with chdir(folder):
        assert restore("train", "-m", "mics.star", "-r", "9", *SMALL) == 0
    return folder


@pytest.fixture(autouse=True)
def here(world, tmp_path, monkeypatch):
    """A copy of the world to spoil, the working directory of the test."""
    folder = tmp_path / "here"
    shutil.copytree(world, folder)
    monkeypatch.chdir(folder)
    yield folder


def contents(folder=Path()):
    """Every path below the folder with its bytes (None for a folder)."""
    return {
        path: None if path.is_dir() else path.read_bytes() for path in sorted(folder.rglob("*"))
    }


@pytest.fixture
def refused(capsys):
    """A function that runs a command, which must end with 1, say all of the words and change
    nothing on the disk.
    """

    def run(command, *words, status=1):
        before = contents()
        capsys.readouterr()
        assert restore(*command) == status
        messages = capsys.readouterr().err
        assert "Traceback" not in messages
        for word in words:
            assert word in messages, messages
        assert contents() == before
        return messages

    return run


@pytest.fixture
def skipped(capsys):
    """A function that runs denoise, which must skip micrograph b and do the others."""

    def run(*words, command=DENOISE):
        inputs = contents()
        assert restore(*command) == 1
        messages = capsys.readouterr().err
        assert (
            "Traceback" not in messages
            and "1 of 3 micrographs were not denoised:\n  mics/b_DW.mrc: " in messages
        )
        for word in words:
            assert word in messages, messages
        after = contents()
        assert {path: after[path] for path in inputs} == inputs
        new = {str(path) for path in after} - {str(path) for path in inputs}
        star = {"mics_denoised.star", "mics_denoised.settings.json", "mics_denoised.png"}
        assert new == star | {"mics/a_DW_denoised.mrc", "mics/c_DW_denoised.mrc"}
        rows = Path("mics_denoised.star").read_text()
        assert "a_DW_denoised.mrc" in rows and "c_DW_denoised.mrc" in rows and "b_DW" not in rows

    return run


def edit(name, *pairs):
    text = Path(name).read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    Path(name).write_text(text)


def replaced(command, old, new):
    return tuple(new if word == old else word for word in command)


# STAR files


@ALL_THREE
def test_a_missing_star_is_named(refused, command):
    refused(replaced(command, "mics.star", "gone.star"), "gone.star: ", "no such file")


@ALL_THREE
def test_a_star_without_ctf_columns_is_refused_while_phases_are_flipped(refused, command):
    Path("mics.star").write_text(NO_CTF_STAR)
    message = refused(
        command,
        "mics.star, data_, row 1: rlnDefocusU, rlnDefocusV",
        "are missing",
        "Phase flipping needs",
    )
    assert (
        "a model made with --dont_phaseflip" if command == DENOISE else "or give --dont_phaseflip"
    ) in message


def test_a_star_without_ctf_columns_is_enough_with_dont_phaseflip():
    Path("mics.star").write_text(NO_CTF_STAR)
    assert restore(*TRAIN, "--dont_phaseflip") == 0
    assert (
        restore(*replaced(DENOISE, "Models/model.safetensors", "NewModels/model.safetensors")) == 0
    )
    assert Path("mics/b_DW_denoised.mrc").exists()


@ALL_THREE
@pytest.mark.parametrize("text", ["nan", "wide", "inf"])
def test_text_in_a_number_column_is_named_with_row_and_column(refused, skipped, command, text):
    edit("mics.star", ("10900.0", text))
    words = f'mics.star, data_micrographs, row 2: rlnDefocusV is "{text}". Phase flipping needs it'
    if command == DENOISE:
        skipped(words)  # and the others are done
    else:
        refused(command, words)


@ALL_THREE
def test_a_pixel_size_that_is_no_number_is_named_with_its_optics_row(refused, command):
    edit("mics.star", ("group1 1 4.0", "group1 1 four"))
    refused(
        command,
        'mics.star, data_optics, row 1: rlnMicrographPixelSize is "four"',
        "positive pixel size",
    )


@ALL_THREE
def test_a_star_without_rows_is_refused(refused, command):
    Path("mics.star").write_text(STAR[: STAR.index("mics/a_DW")])
    refused(
        command,
        ("mics.star, data_micrographs: the table has no rows"),
        "At least one micrograph is needed",
    )


@ALL_THREE
def test_a_micrograph_named_twice_is_refused_with_both_rows(refused, command):
    edit("mics.star", ("mics/c_DW", "mics/a_DW"))
    refused(command, "mics.star, data_micrographs: rows 1 and 3 both name mics/a_DW.mrc", "remove")


@ALL_THREE
def test_an_optics_group_that_is_not_defined_is_refused(refused, command):
    edit("mics.star", ("b_DW.mrc 1 ", "b_DW.mrc 7 "))
    refused(
        command,
        'mics.star, data_micrographs, row 2: rlnOpticsGroup is "7"',
        "The groups in data_optics are 1",
    )


# Images


def test_a_missing_image_is_skipped_and_named(skipped):
    Path("mics/b_DW.mrc").unlink()
    skipped("mics/b_DW.mrc: there is no such file")


@pytest.mark.parametrize("command", [TRAIN, PREPARE])
def test_a_missing_half_stops_training_before_it_begins(refused, command):
    Path("mics/b_ODD.mrc").unlink()
    refused(
        command,
        "1 of the 3 micrographs cannot be used",
        "mics/b_ODD.mrc: there is no such file",
        "--even_odd_suffix",
    )


def test_a_missing_half_is_skipped_where_halves_are_averaged(skipped):
    Path("mics/b_ODD.mrc").unlink()
    skipped("mics/b_ODD.mrc: there is no such file", command=(*DENOISE, "--average_halves"))


@pytest.mark.parametrize("command", [TRAIN, PREPARE])
def test_halves_of_different_shape_are_refused_with_both_shapes(refused, command):
    write_image(Path("mics/b_ODD.mrc"), read_image(Path("mics/b_ODD.mrc")).data[:90], 4.0)
    refused(command, "the shapes differ", "b_EVN.mrc has 96 x 96", "b_ODD.mrc has 96 x 90")


def test_halves_of_different_shape_are_skipped_where_they_are_averaged(skipped):
    write_image(Path("mics/b_ODD.mrc"), read_image(Path("mics/b_ODD.mrc")).data[:90], 4.0)
    skipped("the shapes differ", command=(*DENOISE, "--average_halves"))


@pytest.mark.parametrize("command", [TRAIN, PREPARE])
def test_a_truncated_half_stops_training_before_it_begins(refused, command):
    os.truncate("mics/b_EVN.mrc", 5000)
    refused(
        command,
        "mics/b_EVN.mrc: the file is cut short: it has 5000 bytes of 37888",
        "copy it again",
    )


def test_a_truncated_image_is_skipped_and_named(skipped):
    os.truncate("mics/b_DW.mrc", 5000)
    skipped("mics/b_DW.mrc: the file is cut short: it has 5000 bytes of 37888")


def test_extra_bytes_after_an_image_are_a_warning_and_change_nothing(capsys):
    assert restore(*DENOISE, "-o", "clean") == 0
    with Path("mics/b_DW.mrc").open("ab") as file:
        file.write(b"extra")
    capsys.readouterr()
    assert restore(*DENOISE, "-o", "extra") == 0
    assert (
        "mics/b_DW.mrc: there are 5 bytes after the image; they are not used"
        in capsys.readouterr().err
    )
    clean, extra = (Path(f"{out}/mics/b_DW.mrc").read_bytes() for out in ("clean", "extra"))
    assert clean[:224] == extra[:224] and clean[1024:] == extra[1024:]  # all but the labels


BAD_PIXELS = pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.nan, "1 of its 9216 pixels are NaN or infinite, first at row 3, column 5"),
        (np.inf, "1 of its 9216 pixels are NaN or infinite, first at row 3, column 5"),
        (None, "all of its pixels are 7"),
    ],
    ids=["nan", "infinity", "constant"],
)


def spoil(name, value):
    """Put a value at row 3, column 5 of an image, or seven everywhere; no writer of restore's
    would.
    """
    stored = bytearray(Path(name).read_bytes())
    pixels = np.frombuffer(stored, np.float32, offset=1024)
    if value is None:
        pixels[:] = 7
    else:
        pixels[3 * 96 + 5] = value
    Path(name).write_bytes(stored)


@BAD_PIXELS
@pytest.mark.parametrize("command", [TRAIN, PREPARE])
def test_bad_pixels_end_training_with_the_name_of_the_half(refused, command, value, words):
    spoil("mics/b_ODD.mrc", value)
    refused(command, f"mics/b_ODD.mrc: {words}")


@BAD_PIXELS
def test_an_image_with_bad_pixels_is_skipped_and_named(skipped, value, words):
    spoil("mics/b_DW.mrc", value)
    skipped(f"mics/b_DW.mrc: {words}")


def test_a_set_without_one_good_image_leaves_nothing(refused):
    for name in "abc":
        spoil(f"mics/{name}_DW.mrc", np.nan)
    refused(
        DENOISE,
        "3 of 3 micrographs were not denoised",
        "mics/a_DW.mrc",
        "mics/b_DW.mrc",
        "mics/c_DW.mrc",
    )


def test_images_smaller_than_a_patch_are_refused_before_the_patch_file_is_made(refused):
    command = replaced(TRAIN, "--patch_px=32", "--patch_px=96")
    refused(
        command,
        "3 micrographs are smaller than a patch of 96 pixels",
        "mics/a_DW.mrc has 86×86",
        "--patch_px",
    )


def test_a_patch_file_of_images_smaller_than_a_patch_is_refused(refused):
    command = (
        "train",
        "-t",
        "training_data.hdf",
        "-d",
        "NewModels",
        *replaced(SMALL, "--patch_px=32", "--patch_px=96"),
    )
    refused(command, "smaller than a patch of 96 pixels")


def test_an_image_too_small_for_the_resolution_is_skipped_and_named(skipped):
    write_image(Path("mics/b_DW.mrc"), read_image(Path("mics/b_DW.mrc")).data[:30, :30], 4.0)
    skipped("has only 26×26 left at 9 Å", "At least 32 pixels a side")


@pytest.mark.parametrize("command", [TRAIN, PREPARE])
def test_a_resolution_finer_than_nyquist_is_refused_with_the_finest_possible(refused, command):
    words = "mics/a_DW.mrc: max_resolution 7.9 Å is finer than the image's Nyquist limit, 8 Å"
    refused(replaced(command, "9", "7.9"), words, "--max_resolution 8 or more")


def test_a_micrograph_coarser_than_the_model_is_skipped_and_named(skipped):
    edit("mics.star", ("0.1\n", "0.1\ngroup2 2 5.0 300.0 2.7 0.1\n"), ("b_DW.mrc 1", "b_DW.mrc 2"))
    skipped("is finer than the image's Nyquist limit, 10 Å")


# Models


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("-r", "4.5"), "--max_resolution is 4.5 Å, and the model was made for 9 Å"),
        (
            ("--dont_phaseflip",),
            "--dont_phaseflip is given, and the model was made with --phaseflip",
        ),
    ],
    ids=["resolution", "phaseflip"],
)
def test_a_recipe_other_than_the_models_is_refused_with_both_values(refused, option, words):
    refused((*DENOISE, *option), words)


def test_a_recipe_other_than_the_patch_files_is_refused_with_both_values(refused):
    command = ("train", "-t", "training_data.hdf", "-d", "NewModels", *SMALL)
    refused(
        (*command, "-r", "12"), "--max_resolution is 12 Å, and training_data.hdf was made for 9 Å"
    )
    refused(
        (*command, "--dont_phaseflip"),
        "--dont_phaseflip is given, and training_data.hdf was made with --phaseflip",
    )


def test_an_initial_model_of_another_recipe_is_refused(refused):
    assert restore(*replaced(PREPARE, "9", "12")) == 0
    command = (
        "train",
        "-t",
        "new.hdf",
        "-d",
        "NewModels",
        *SMALL,
        "-i",
        "Models/model.safetensors",
    )
    refused(
        command, "the initial model was made with", "max_resolution_A=9.0", "max_resolution_A=12.0"
    )


def test_an_initial_model_of_another_size_is_refused(refused):
    command = (
        "train",
        "-t",
        "training_data.hdf",
        "-d",
        "NewModels",
        *replaced(SMALL, "--filters=4", "--filters=8"),
    )
    refused(
        (*command, "-i", "Models/model.safetensors"),
        "the initial model is",
        "filters=4",
        "filters=8",
    )


def test_a_model_of_a_newer_version_is_refused(refused):
    with safe_open("Models/model.safetensors", framework="pt") as file:
        card = json.loads(file.metadata()["restore"]) | {"format_version": 99}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, "newer.safetensors", metadata={"restore": json.dumps(card)})
    command = replaced(DENOISE, "Models/model.safetensors", "newer.safetensors")
    refused(command, "newer.safetensors: a model of format 99", "reads format 1", "update restore")


class Bomb:
    """A pickle of it makes a folder when it is loaded."""

    def __reduce__(self):
        return os.mkdir, ("exploded",)


@pytest.mark.parametrize("kind", ["pickle", "torch", "old torch"])
def test_a_pickle_offered_as_a_model_is_refused_by_name_and_never_loaded(refused, kind):
    file = io.BytesIO()
    if kind == "pickle":
        pickle.dump(Bomb(), file)
    else:
        torch.save(Bomb(), file, _use_new_zipfile_serialization=kind == "torch")
    Path("model.pt").write_bytes(file.getvalue())
    refused(
        replaced(DENOISE, "Models/model.safetensors", "model.pt"),
        "model.pt: a pickle",
        "could run any code",
    )
    refused((*TRAIN, "-i", "model.pt"), "model.pt: a pickle")
    assert not Path("exploded").exists()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("gone.safetensors", "there is no such model file"),
        ("Models", "a folder, not a model"),
        ("mics.star", "a STAR file, not a model"),
        ("training_data.hdf", "an HDF5 file (of patches, or from Keras)"),
        ("Models/model.state.safetensors", "it is a safetensors file that holds a training state"),
        ("cut.safetensors", "not a readable safetensors file"),
        ("empty.safetensors", "not a readable safetensors file"),
    ],
)
def test_what_is_no_model_is_refused(refused, name, words):
    Path("cut.safetensors").write_bytes(Path("Models/model.safetensors").read_bytes()[:9000])
    Path("empty.safetensors").write_bytes(b"")
    refused(replaced(DENOISE, "Models/model.safetensors", name), f"{name}: {words}")


def test_a_training_state_that_is_a_model_is_not_resumed(refused):
    shutil.copy("Models/model.safetensors", "Models/model.state.safetensors")
    refused(
        ("train", "-m", "mics.star", "-r", "9", "--resume"),
        "it is a safetensors file that holds a model",
        "training state written by restore train",
    )


def test_resuming_what_is_not_there_or_with_other_settings_is_refused(refused):
    command = ("train", "-t", "training_data.hdf", "--resume")
    shutil.copy("Models/model.safetensors", "Models/gone.safetensors")
    refused(
        (*command, "-x", "gone"),
        "Models/gone.state.safetensors: there is no training state to resume, but there is a model",
    )
    refused(("train", "--resume", "-x", "new"), "nothing to train on")
    refused((*command, "--batch_size=3"), "--batch_size is 3, but the run to resume has 2")


def test_an_existing_model_is_replaced_only_with_overwrite(refused):
    command = ("train", "-m", "mics.star", "-r", "9", *SMALL)
    refused(
        command,
        "Models/model.safetensors: there is already a run called model",
        "--model_prefix",
        "--overwrite",
    )
    before = Path("Models/model.safetensors").read_bytes()
    assert restore(*command, "--overwrite", "--seed=7") == 0
    assert Path("Models/model.safetensors").read_bytes() != before


# Patch files


@pytest.mark.parametrize("how", ["cut", "text", "empty", "other HDF5", "unfinished"])
def test_a_corrupt_or_half_written_patch_file_is_refused(refused, how):
    path = Path("training_data.hdf")
    if how == "other HDF5":
        h5py.File(path, "w").close()
    elif how == "unfinished":
        with h5py.File(path, "r+") as file:
            file.attrs["complete"] = False
    else:
        path.write_bytes(
            {"cut": path.read_bytes()[:20000], "text": b"not HDF5 at all", "empty": b""}[how]
        )
    words = {"other HDF5": "not a patch file", "unfinished": "the patch file is incomplete"}.get(
        how, "not a readable HDF5 file"
    )
    refused(("train", "-t", path, "-d", "NewModels", *SMALL), "training_data.hdf: ", words)
    refused(("prepare", "-m", "mics.star", "-r", "9"), words, "he patch file again")
    assert restore("prepare", "-m", "mics.star", "-r", "9", "--overwrite") == 0


def test_a_missing_patch_file_is_named(refused):
    refused(
        ("train", "-t", "gone.hdf", "-d", "NewModels", *SMALL),
        "gone.hdf: there is no such patch file",
    )


def test_a_patch_file_of_a_newer_version_is_refused(refused):
    with h5py.File("training_data.hdf", "r+") as file:
        file.attrs["format_version"] = 99
    refused(
        ("train", "-t", "training_data.hdf", "-d", "NewModels", *SMALL),
        "a newer version of restore. Update restore",
    )


@pytest.mark.parametrize("what", ["recipe", "micrographs", "ctf", "folder", "newer halves"])
def test_a_patch_file_of_anything_else_is_neither_taken_nor_replaced(refused, what, here):
    command = ["prepare", "-m", "mics.star", "-r", "9", "-f", "new.hdf"]
    assert restore(*command) == 0
    assert restore(*command) == 0
    if what == "recipe":
        command[4] = "10"
    elif what == "micrographs":
        edit("mics.star", ("mics/c_DW.mrc 1 12000.0 11900.0 30.0\n", ""))
    elif what == "ctf":
        edit("mics.star", ("10900.0", "10950.0"))
    elif what == "folder":
        shutil.copytree(here / "mics", here / "elsewhere/mics")
        shutil.copy("mics.star", "elsewhere/mics.star")
        Path("mics").rename("away")
        command[2] = "elsewhere/mics.star"
    else:
        os.utime("mics/b_ODD.mrc", (4e9, 4e9))
    refused(
        command,
        "new.hdf: the existing patch file was made from other micrographs",
        "--training_filename",
    )


# Outputs


def test_an_output_over_an_input_is_refused(refused):
    refused(
        (*DENOISE, "-s", ""),
        "mics/a_DW.mrc: the output for mics/a_DW.mrc would replace an input image",
    )
    refused(
        (*DENOISE, "-o", "."),
        "would replace an input image",
        "--output_suffix or --output_directory",
    )
    refused((*DENOISE, "-o", ".", "--overwrite"), "would replace an input image")


def test_an_output_over_the_input_star_is_refused(refused):
    edit("mics.star", ("mics/", "../here/mics/"))
    Path("here").mkdir()
    refused(
        (*DENOISE, "-o", ".", "--overwrite"), "mics.star: the output STAR would replace the input's"
    )


def test_a_patch_file_over_an_input_is_refused_even_with_overwrite(refused):
    for name in ("mics.star", "mics/a_EVN.mrc"):
        command = (*replaced(PREPARE, "new.hdf", name), "--overwrite")
        refused(command, f"{name}: the patch file would replace an input", "--training_filename")


def test_two_outputs_of_one_name_are_refused(refused):
    edit("mics.star", ("mics/b_DW.mrc", "./mics/a_DW.mrc"))
    refused(
        (*DENOISE, "-o", "out"),
        ("mics/a_DW.mrc and ./mics/a_DW.mrc would both be written to this file"),
    )


def test_a_foreign_file_at_the_output_is_refused_and_replaced_only_with_overwrite(refused):
    shutil.copy("mics/b_DW.mrc", "mics/b_DW_denoised.mrc")
    refused(
        DENOISE,
        "mics/b_DW_denoised.mrc: there is a file here that restore did not write",
        "--overwrite",
    )
    assert restore(*DENOISE, "--overwrite") == 0
    assert Path("mics/b_DW_denoised.mrc").read_bytes() != Path("mics/b_DW.mrc").read_bytes()


def test_a_foreign_star_at_the_output_is_refused(refused):
    Path("mics_denoised.star").write_text("data_\n_mine 1\n")
    refused(
        DENOISE,
        "mics_denoised.star: a STAR file stands here that restore did not write",
        "--output_suffix",
    )


def test_a_pattern_that_matches_only_denoised_images_is_refused(refused):
    assert restore(*TRAIN, "--dont_phaseflip") == 0
    model = "NewModels/model.safetensors"
    assert restore("denoise", "-m", "mics/a_DW.mrc", "-p", model, "--pixel_size=4") == 0
    command = ("denoise", "-m", "mics/*_denoised.mrc", "-p", model, "--pixel_size=4")
    refused(command, "mics/*_denoised.mrc: only images that are denoised already match it")


def test_a_merge_band_beyond_the_models_resolution_is_refused(refused):
    command = (*DENOISE, "--merge_noisy", "--merge_resolution", "9.5", "--merge_width", "2")
    refused(command, "the merge band is 10.5 to 8.5 Å", "end at 9 Å", "--merge_resolution")


@pytest.mark.parametrize("name", ["warp", "cuda:99"])
@ALL_THREE
def test_a_device_that_is_not_there_is_refused_before_anything_is_done(refused, command, name):
    if command == PREPARE:
        refused((*command, "--device", name), "has no option --device", status=2)
    else:
        refused((*command, "--device", name), f"the device '{name}' cannot be used", "--device cpu")


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ("--batch_size=0", "batch_size is 0"),
        ("--patch_px=33", "patch_px is 33"),
        ("--held_out=1", "held_out is 1"),
        ("--learning_rate=-1", "learning_rate is -1"),
        ("--steps=0", "steps is 0"),
        ("-r=300", "max_resolution is 300"),
        ("-s=EVN,ODD", 'the suffixes are "EVN,ODD"'),
        ("--pixel_size=5", "the pixel size is 4 Å, and 5 Å was given"),
    ],
)
def test_settings_that_cannot_be_are_refused(refused, option, words):
    refused((*TRAIN, *option.split("=", 1)), words)


# The disk


@contextmanager
def small_files(size_bytes):
    """No file may grow beyond this size, as on a disk that is nearly full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def tiny_disk(here):
    """A disk of 36 kB, mounted; only root may."""
    folder = here.parent / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=36k", "tmpfs", folder]
    if (
        shutil.which("mount") is None
        or subprocess.run(command, check=False, capture_output=True).returncode != 0
    ):
        pytest.skip("no file system may be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def left_on(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("size_bytes", [2_000, 20_000, 60_000])
def test_a_patch_file_that_finds_no_room_leaves_nothing(refused, size_bytes):
    with small_files(size_bytes):
        refused(
            PREPARE,
            "new.hdf: the file is larger than this file system or account allows",
            "write elsewhere",
        )


def test_a_full_disk_is_noticed_before_micrographs_are_prepared(tiny_disk, capsys):
    assert restore(*replaced(PREPARE, "new.hdf", tiny_disk / "new.hdf")) == 1
    messages = capsys.readouterr().err
    assert (
        f"{tiny_disk}: 3.69e-05 GB are free" in messages
        and "free some space or write elsewhere" in messages
    )
    assert left_on(tiny_disk) == set()


def test_a_disk_that_fills_while_patches_are_written_leaves_nothing(tiny_disk, capsys, monkeypatch):
    monkeypatch.setattr(patches, "require_writable", lambda *_: None)
    assert restore(*replaced(PREPARE, "new.hdf", tiny_disk / "new.hdf")) == 1
    messages = capsys.readouterr().err
    assert (
        f"{tiny_disk}/new.hdf: the disk is full. The file was not written" in messages
        and "Traceback" not in messages
    )
    assert left_on(tiny_disk) == set()


def test_a_disk_that_fills_ends_denoising_and_a_rerun_finishes(tiny_disk, capsys):
    assert restore(*DENOISE, "-o", tiny_disk) == 1
    messages = capsys.readouterr().err
    assert f"{tiny_disk}/mics/a_DW.mrc: the disk is full" in messages and "skipped" not in messages
    assert left_on(tiny_disk) == set()
    subprocess.run(["mount", "-o", "remount,size=1m", tiny_disk], check=True)
    assert restore(*DENOISE, "-o", tiny_disk) == 0
    images = {f"mics/{name}_DW.mrc" for name in "abc"}
    assert left_on(tiny_disk) == images | {"mics.star", "mics.settings.json", "mics.png"}


def test_a_disk_that_fills_ends_training_without_a_half_written_state(tiny_disk, capsys):
    command = ("train", "-t", "training_data.hdf", "-d", tiny_disk, *SMALL)
    assert restore(*command) == 1
    messages = capsys.readouterr().err
    assert (
        f"{tiny_disk}/model.state.safetensors: the disk is full" in messages
        and "Traceback" not in messages
    )
    assert not any(
        name.endswith((".safetensors", ".partial", ".csv")) for name in left_on(tiny_disk)
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
@ALL_THREE
def test_a_write_that_fails_leaves_nothing_half_written(command, number, monkeypatch, capsys):
    def fail(path):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(atomic, "_flush_to_disk", fail)
    before = contents()
    assert restore(*command) == 1
    messages = capsys.readouterr().err
    assert "The file was not written" in messages and "Traceback" not in messages
    after = {path: data for path, data in contents().items() if data is not None}
    assert after == {path: data for path, data in before.items() if data is not None}


@pytest.fixture
def read_only(here):
    """A folder in which nothing may be written: by its permissions, or for root by its mount."""
    folder = here.parent / "read_only"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=36k,ro", "tmpfs", folder]
    if os.geteuid() != 0:
        folder.chmod(0o555)
    elif (
        shutil.which("mount") is None
        or subprocess.run(command, check=False, capture_output=True).returncode != 0
    ):
        pytest.skip("permissions do not bind root, and no file system may be mounted here")
    yield folder
    if os.geteuid() == 0:
        subprocess.run(["umount", folder], check=True)
    else:
        folder.chmod(0o755)


@pytest.mark.parametrize("below", ["", "new/folder"])
def test_a_read_only_folder_is_refused_before_anything_is_done(read_only, refused, below):
    target = read_only / below
    for command in (
        replaced(PREPARE, "new.hdf", target / "new.hdf"),
        replaced(TRAIN, "NewModels", target),
        (*DENOISE, "-o", target),
    ):
        refused(
            command,
            f"{read_only}: the folder or the file may not be written",
            "change its permissions",
        )


@ALL_THREE
def test_a_file_where_a_folder_is_wanted_is_refused(refused, command):
    Path("file").write_text("in the way")
    command = {
        TRAIN: replaced(TRAIN, "NewModels", "file"),
        PREPARE: replaced(PREPARE, "new.hdf", "file/new.hdf"),
        DENOISE: (*DENOISE, "-o", "file/out"),
    }[command]
    refused(command, "file: a file stands where a folder is wanted")


# Interruptions in the same process; tests/test_journeys.py kills real ones


def test_an_interrupted_prepare_leaves_nothing(refused, monkeypatch):
    add = PatchWriter.add

    def interrupted(self, *pair):
        add(self, *pair)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(PatchWriter, "add", interrupted)
    refused(PREPARE, "Interrupted.", status=130)


def test_an_interrupted_denoising_keeps_what_is_whole_and_a_rerun_finishes(monkeypatch, capsys):
    denoise, calls = production.denoise_with, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
        return denoise(*arguments)

    monkeypatch.setattr(production, "denoise_with", interrupted)
    assert restore(*DENOISE, "-o", "out") == 130
    assert "Interrupted. Finished results are kept." in capsys.readouterr().err
    assert left_on(Path("out")) <= {"mics/a_DW.mrc"}
    assert restore(*DENOISE, "-o", "out") == 0
    assert restore(*DENOISE, "-o", "reference") == 0
    for name in "abc":
        assert (
            Path(f"out/mics/{name}_DW.mrc").read_bytes()
            == Path(f"reference/mics/{name}_DW.mrc").read_bytes()
        )


def test_a_run_that_ends_before_its_star_is_written_does_not_stand_in_its_own_way(
    monkeypatch, here
):
    def killed(path, star):
        raise KeyboardInterrupt

    monkeypatch.setattr(outputs, "write_bytes", killed)
    assert restore(*DENOISE) == 130
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert restore(*DENOISE) == 0
    Path("mics_denoised.star").write_text("changed by hand")
    assert restore(*DENOISE) == 0
    assert "mics/b_DW_denoised.mrc" in Path("mics_denoised.star").read_text()


def test_debug_shows_the_traceback_and_the_message(capsys):
    assert restore(*replaced(DENOISE, "mics.star", "gone.star"), "--debug") == 1
    messages = capsys.readouterr().err
    assert "Traceback" in messages and "gone.star: " in messages
