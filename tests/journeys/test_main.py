"""The commands as a person types them, from nothing to denoised micrographs, with every stop on the
way.
"""

import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import chdir
from pathlib import Path

import h5py
import mrcfile
import numpy as np
import pytest
import torch

from restore.cli.main import COMMANDS, main
from restore.denoising.denoise import Exposure, denoise
from restore.denoising.settings import DenoisingSettings
from restore.io.images.image import read_image, write_image
from restore.io.micrographs import HALVES, Needs, check_files, read_micrographs
from restore.io.star import read_star
from restore.model.checkpoint import load_model
from restore.preprocessing import replace_hot_pixels
from restore.training.run_files import Journal

SMALL = "--filters=4 --blocks=1 --batch_size=2 --patch_px=32 --batches_per_epoch=1"
PAPER = "--filters=4 --blocks=1 --batch_size=2 --patch_px=32"
NAMES = ("mic_0001", "mic_0002", "mic_0003")
IMAGES = {f"{name}_DW_denoised.mrc" for name in NAMES}


def restore(line):
    """Run a command line as it is typed, without the word restore; the exit status comes back."""
    return main(line.split())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A simulated session, and a folder above it in which patches and a model were made from it."""
    folder = tmp_path_factory.mktemp("project")
    with chdir(folder):
        assert restore("simulate session --micrographs=3 --size_px=256 --pixel_size_A=1.5") == 0
        assert restore("prepare -m session/micrographs_ctf.star -r 9") == 0
        assert restore(f"train -m session/micrographs_ctf.star -r 9 --steps 6 {SMALL}") == 0
        plain = "train -m session/Micrographs/*_DW.mrc --pixel_size 1.5 -r 9 -f plain.hdf -x plain"
        assert restore(f"{plain} --steps 1 {SMALL} --dont_phaseflip") == 0
        assert (
            restore(
                "denoise -m session/micrographs_ctf.star -p Models/model.safetensors -o Reference"
            )
            == 0
        )
    (folder / "session/specimen.mrc").unlink()
    return folder


@pytest.fixture
def here(project, tmp_path, monkeypatch):
    """A copy of the project as working directory."""
    shutil.copytree(project, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "here"


def pixels(path):
    return read_image(Path(path)).data


def mtimes(folder):
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*") if path.is_file()}


def files(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


def same_weights(first, second):
    first, second = (load_model(Path(path)).network.state_dict() for path in (first, second))
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def ring_power(image, pixel_size_A, from_A, to_A):
    """The summed power of an image between two resolutions."""
    power = np.abs(np.fft.rfft2(image - image.mean())) ** 2
    ky, kx = (
        np.fft.fftfreq(image.shape[0], pixel_size_A)[:, None],
        np.fft.rfftfreq(image.shape[1], pixel_size_A),
    )
    frequency = np.hypot(ky, kx)
    return power[(frequency >= 1 / from_A) & (frequency < 1 / to_A)].sum()


# From nothing to a result


def test_simulate_prepare_and_train_leave_a_model_with_its_recipe_and_record(project):
    model = load_model(project / "Models/model.safetensors")
    assert (model.recipe.max_resolution_A, model.recipe.phase_flip) == (9.0, True)
    assert model.training["steps"] == 6
    assert len(model.training["trained_on"]) == 2 and len(model.training["held_out"]) == 1
    assert set(model.training["trained_on"] + model.training["held_out"]) == {
        f"Micrographs/{n}_DW.mrc" for n in NAMES
    }
    settings = json.loads((project / "Models/model.settings.json").read_text())
    assert settings["program"] == "restore" and settings["settings"]["steps"] == 6
    table = (project / "Models/model.csv").read_text().splitlines()
    assert (
        table[0].startswith("epoch,step,seconds,learning_rate,train_loss,held_out_loss")
        and len(table) == 7
    )
    assert any((project / "Models/model.tensorboard").iterdir())
    assert not [path for path in files(project) if path.endswith(".partial")]


@pytest.mark.parametrize("typed", ["float16", "float32"])
def test_patches_are_stored_in_the_typed_number_format(here, typed):
    line = "prepare -m session/micrographs_ctf.star -r 9 -f typed.hdf"
    assert restore(f"{line} --patch_dtype {typed}") == 0
    with h5py.File("typed.hdf") as file:
        assert file["000000"].dtype == typed


def test_astigmatism_and_thickness_of_the_ice_are_as_typed(tmp_path, monkeypatch):
    """The contrast of ice grows as the root of its thickness."""
    monkeypatch.chdir(tmp_path)
    line = "-n 1 --size_px=96 --pixel_size_A=3 --particles_per_um2=0 --hot_pixels=0"
    line += " --ice_gradient_per_um=0 --astigmatism_A 600 --astigmatism_spread_A 0"
    deviation = {}
    for thickness_A in (100, 400):
        assert restore(f"simulate {thickness_A} {line} --ice_thickness_A {thickness_A}") == 0
        deviation[thickness_A] = pixels(f"{thickness_A}/Micrographs/mic_0001_TRUTH.mrc").std()
    assert deviation[400] / deviation[100] == pytest.approx(2, rel=0.01)
    table = read_star(Path("100/micrographs_ctf.star")).block("micrographs")
    u_A, v_A = (float(table.column(f"rlnDefocus{axis}")[0]) for axis in "UV")
    assert u_A - v_A == pytest.approx(600, abs=0.05)


def test_train_takes_the_patch_file_that_is_there(here):
    before = Path("training_data.hdf").stat().st_mtime_ns
    assert restore(f"train -t training_data.hdf -x given --steps 6 {SMALL}") == 0
    assert (
        restore(
            f"train -m session/micrographs_ctf.star -r 9 -f other.hdf -x other --steps 6 {SMALL}"
        )
        == 0
    )
    written_ns = Path("other.hdf").stat().st_mtime_ns
    assert (
        restore(
            f"train -m session/micrographs_ctf.star -r 9 -f other.hdf -x third --steps 6 {SMALL}"
        )
        == 0
    )
    assert (Path("training_data.hdf").stat().st_mtime_ns, Path("other.hdf").stat().st_mtime_ns) == (
        before,
        written_ns,
    )
    for name in ("given", "other", "third"):
        assert same_weights(f"Models/{name}.safetensors", "Models/model.safetensors")


def test_a_model_file_may_be_read_by_whoever_the_umask_lets(project):
    umask = os.umask(0)
    os.umask(umask)
    assert (project / "Models/model.safetensors").stat().st_mode & 0o777 == 0o666 & ~umask


def test_denoised_images_keep_shape_pixel_size_and_grey_mean_and_end_at_the_resolution(project):
    for name in NAMES:
        raw, path = (
            pixels(project / f"session/Micrographs/{name}_DW.mrc"),
            project / f"Reference/Micrographs/{name}_DW.mrc",
        )
        with mrcfile.open(path) as file:
            assert file.data.shape == raw.shape and file.data.dtype == np.float32
            assert [float(file.voxel_size[axis]) for axis in "xy"] == pytest.approx([1.5, 1.5])
            labels = file.get_labels()
            denoised = file.data.copy()
        assert "restore" in labels[0] and "model.safetensors" in labels[0]
        assert denoised.mean() == pytest.approx(raw.mean(), rel=1e-3)
        assert 0 < denoised.std() < raw.std()
        assert ring_power(denoised, 1.5, 8.9, 3) < 1e-6 * ring_power(denoised, 1.5, 200, 9)
        assert ring_power(raw, 1.5, 9, 3) > 0.1 * ring_power(raw, 1.5, 200, 9)


def test_output_mirrors_the_input_tree_and_inputs_stay_as_they_were(project):
    images = {f"Micrographs/{name}_DW.mrc" for name in NAMES}
    assert files(project / "Reference") == images | {
        f"micrographs_ctf.{kind}" for kind in ("star", "settings.json", "png")
    }
    with chdir(project):
        names = [
            micrograph.name
            for micrograph in read_micrographs("Reference/micrographs_ctf.star").micrographs
        ]
    assert names == [f"Reference/Micrographs/{name}_DW.mrc" for name in NAMES]


EXTRA = "\n# version 30001\n\ndata_notes\n\n_rlnKept 'as it is' # really\n"


def test_the_output_star_differs_from_the_input_only_in_the_names_of_images(here):
    source = Path("session/micrographs_ctf.star")
    block = read_star(source).block("micrographs")
    text = source.read_text()
    head, rows = (
        text[: text.index("Micrographs/mic")],
        block.with_column("rlnMyOwn", ["x y", "2.50", "-"]).rows,
    )
    head = head.rstrip(" \n") + "\n_rlnMyOwn #7 \n"
    table = "".join(
        " ".join(f'"{value}"' if " " in value else value for value in row) + "\n" for row in rows
    )
    source.write_text(head + table + EXTRA)
    assert restore(f"denoise -m {source} -p Models/model.safetensors") == 0
    before, after = read_star(source), read_star(Path("session/micrographs_ctf_denoised.star"))
    assert [block.name for block in after.blocks] == ["optics", "micrographs", "notes"]
    assert after.block("optics").text() == before.block("optics").text()
    assert after.block("notes").text() == before.block("notes").text()
    old, new = before.block("micrographs"), after.block("micrographs")
    assert new.columns == old.columns
    for name in new.columns:
        wanted = old.column(name)
        if name == "rlnMicrographName":
            wanted = [value.replace("_DW.mrc", "_DW_denoised.mrc") for value in wanted]
        assert new.column(name) == wanted
    again = read_micrographs("session/micrographs_ctf_denoised.star")
    assert check_files(again.micrographs) == (list(again.micrographs), [])


def test_relion_reads_the_output_star_and_images(project):
    printer, handler = shutil.which("relion_star_printtable"), shutil.which("relion_image_handler")
    if printer is None or handler is None:
        pytest.skip("RELION is not installed")
    command = [
        printer,
        "Reference/micrographs_ctf.star",
        "data_micrographs",
        "rlnMicrographName",
        "rlnDefocusU",
    ]
    output = subprocess.run(
        command, cwd=project, capture_output=True, text=True, check=True
    ).stdout.split()
    assert output[::2] == [f"Reference/Micrographs/{name}_DW.mrc" for name in NAMES]
    output = subprocess.run(
        [handler, "--i", output[0], "--stats"],
        cwd=project,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "(x,y,z,n)= 256 x 256 x 1 x 1" in output.stdout
    mean = pixels(project / "Reference/Micrographs/mic_0001_DW.mrc").mean()
    assert f"{mean:.3f}"[:4] in output.stdout


# As the supporting information prints them


def test_the_supporting_informations_commands_run_as_printed(here):
    text = (
        Path("session/micrographs_ctf.star")
        .read_text()
        .replace("Micrographs/", "session/Micrographs/")
    )
    Path("mics_DW.star").write_text(text)
    Path("mics_DW_subset.star").write_text(
        "\n".join(line for line in text.split("\n") if "mic_0002" not in line)
    )
    train = (
        "train -m mics_DW_subset.star -s DW,EVN,ODD -r 3.4 -f training_data_noPP.hdf "
        "-x model_maxres3p4_noPP --dont_phaseflip"
    )
    assert restore(f"{train} --steps 2 {SMALL}") == 0
    model = load_model(Path("Models/model_maxres3p4_noPP.safetensors"))
    assert (model.recipe.max_resolution_A, model.recipe.phase_flip) == (3.4, False)
    assert Path("training_data_noPP.hdf").exists()
    denoise_ = (
        "denoise -m mics_DW.star -r 3.4 -s denoised_maxres3p4_noPP "
        "-p Models/model_maxres3p4_noPP.safetensors --dont_phaseflip --dont_flip_phases_back"
    )
    assert restore(denoise_) == 0
    written = {path.name for path in Path("session/Micrographs").glob("*noPP*")}
    assert written == {f"{name}_DWdenoised_maxres3p4_noPP.mrc" for name in NAMES}
    raw, denoised = (
        pixels(f"session/Micrographs/mic_0002_DW{end}.mrc")
        for end in ("", "denoised_maxres3p4_noPP")
    )
    assert ring_power(denoised, 1.5, 3.3, 3) < 1e-6 * ring_power(raw, 1.5, 3.3, 3)


# Denoising, option by option


def test_hyphens_and_underscores_spell_the_same_options(here):
    line = "denoise -m session/micrographs_ctf.star -p Models/model.safetensors"
    assert (
        restore(
            f"{line} --output-directory one --merge-noisy --merge-resolution=12 "
            "--dont-flip-phases-back"
        )
        == 0
    )
    assert (
        restore(
            f"{line} --output_directory two --merge_noisy --merge_resolution=12 "
            "--dont_flip_phases_back"
        )
        == 0
    )
    first, second = (
        Path(folder, "Micrographs/mic_0001_DW.mrc").read_bytes() for folder in ("one", "two")
    )
    assert first == second


def test_merging_puts_the_raw_image_above_the_band_and_flipping_back_restores_its_phases(here):
    line = (
        "denoise -m session/micrographs_ctf.star -p Models/model.safetensors --merge_noisy "
        "--merge_resolution 12"
    )
    assert restore(f"{line} -o flipped") == 0
    assert restore(f"{line} -o back --flip_phases_back") == 0
    raw, flipped, back = (
        pixels(f"{where}/Micrographs/mic_0001_DW.mrc") for where in ("session", "flipped", "back")
    )
    raw = replace_hot_pixels(torch.from_numpy(raw), 10)[0].numpy()
    assert ring_power(flipped, 1.5, 9, 3) == pytest.approx(ring_power(raw, 1.5, 9, 3), rel=1e-2)
    assert ring_power(back - raw, 1.5, 9, 3) < 0.01 * ring_power(raw, 1.5, 9, 3)
    assert ring_power(flipped - raw, 1.5, 9, 3) > 0.5 * ring_power(raw, 1.5, 9, 3)
    assert ring_power(back - raw, 1.5, 200, 20) > 0.01 * ring_power(raw, 1.5, 200, 20)


def test_average_halves_writes_the_mean_of_the_two_denoised_halves(here):
    assert (
        restore(
            "denoise -m session/micrographs_ctf.star -p Models/model.safetensors --average-halves "
            "-o mean --calibration model"
        )
        == 0
    )
    model = load_model(Path("Models/model.safetensors"))
    micrograph = read_micrographs("session/micrographs_ctf.star").micrographs[0]
    images = [
        torch.from_numpy(pixels(f"session/Micrographs/mic_0001_{half}.mrc"))
        for half in ("EVN", "ODD")
    ]
    settings = DenoisingSettings(calibration="model")
    wanted = sum(denoise(Exposure(image), micrograph, model, settings).numpy() for image in images)
    got, full = (
        pixels("mean/Micrographs/mic_0001_DW.mrc"),
        pixels("Reference/Micrographs/mic_0001_DW.mrc"),
    )
    assert np.corrcoef(got.ravel(), wanted.ravel())[0, 1] > 0.99999
    assert got.mean() == pytest.approx(full.mean(), rel=1e-5)
    assert np.abs(got - full).max() > 1e-3 * full.std()


def test_float16_output_that_would_be_too_coarse_is_written_as_float32(here, capsys):
    """The micrographs' mean is so large beside their contrast that float16 would have few grey
    levels.
    """
    assert (
        restore(
            "denoise -m session/micrographs_ctf.star -p Models/model.safetensors -o half "
            "--output_dtype float16"
        )
        == 0
    )
    assert "float16" in capsys.readouterr().err
    with mrcfile.open("half/Micrographs/mic_0001_DW.mrc") as file:
        assert file.header.mode == 2
    full = pixels("Reference/Micrographs/mic_0001_DW.mrc")
    assert np.array_equal(pixels("half/Micrographs/mic_0001_DW.mrc"), full)


def test_tiles_give_the_same_image_as_the_whole(here):
    line = "denoise -m session/micrographs_ctf.star -p Models/model.safetensors --precision float32"
    assert restore(f"{line} -o whole") == 0
    assert restore(f"{line} -o tiles --tile_px 24") == 0
    whole, tiles = (pixels(f"{where}/Micrographs/mic_0002_DW.mrc") for where in ("whole", "tiles"))
    assert np.abs(whole - tiles).max() < 1e-4 * whole.std()


def test_optics_groups_of_different_pixel_sizes_and_odd_shapes_go_through_together(here):
    for suffix in ("DW", "EVN", "ODD"):
        image = pixels(f"session/Micrographs/mic_0003_{suffix}.mrc")[:251, :203]
        write_image(Path(f"session/Micrographs/mic_0003_{suffix}.mrc"), image, 2.0)
    star = Path("session/micrographs_ctf.star")
    text = star.read_text()
    row = next(line for line in text.split("\n") if line.startswith("opticsGroup1"))
    second = (
        row.replace("opticsGroup1", "second")
        .replace(" 1 ", " 2 ", 1)
        .replace("1.500000", "2.000000")
    )
    text = text.replace(row, f"{row}\n{second.replace('300.0', '200.0')}")
    star.write_text(text.replace("mic_0003_DW.mrc            1 ", "mic_0003_DW.mrc            2 "))
    assert [micrograph.pixel_size_A for micrograph in read_micrographs(star).micrographs] == [
        1.5,
        1.5,
        2.0,
    ]
    assert restore(f"train -m {star} -r 9 -f both.hdf -x both --steps 2 {SMALL}") == 0
    assert restore(f"denoise -m {star} -p Models/both.safetensors -o out") == 0
    for name, shape, size_A in (("mic_0001", (256, 256), 1.5), ("mic_0003", (251, 203), 2.0)):
        with mrcfile.open(f"out/Micrographs/{name}_DW.mrc") as file:
            assert file.data.shape == shape and float(file.voxel_size.x) == pytest.approx(size_A)
            assert ring_power(file.data, size_A, 9, 5) < 1e-6 * ring_power(
                file.data, size_A, 200, 9
            )
    assert [
        micrograph.pixel_size_A
        for micrograph in read_micrographs("out/micrographs_ctf.star").micrographs
    ] == [1.5, 1.5, 2.0]


def test_a_pattern_in_the_place_of_a_star_gives_a_star_and_a_rerun_leaves_its_own_output_alone(
    here, capsys
):
    line = [
        "denoise",
        "-m",
        "session/Micrographs/*_DW*.mrc",
        "-p",
        "Models/plain.safetensors",
        "--pixel-size",
        "1.5",
    ]
    assert main(line) == 0
    star = Path("session/Micrographs/micrographs_denoised.star")
    again = read_micrographs(star, needs=Needs(ctf=False))
    assert {micrograph.image.name for micrograph in again.micrographs} == IMAGES
    assert {micrograph.pixel_size_A for micrograph in again.micrographs} == {1.5}
    before = mtimes("session")
    assert main(line) == 0
    assert mtimes("session") == before
    assert "3 of 3 micrographs are already denoised" in capsys.readouterr().err


def test_training_by_a_pattern_leaves_denoised_images_out(here, capsys):
    assert restore("denoise -m session/micrographs_ctf.star -p Models/model.safetensors") == 0
    line = (
        "train -m session/Micrographs/*_DW*.mrc --pixel_size 1.5 -r 9 -x again --steps 1 "
        f"{SMALL} --dont_phaseflip"
    )
    assert restore(f"{line} -f plain.hdf") == 1  # made of the same files, but in another folder
    assert restore(f"{line} -f again.hdf") == 0
    assert len(load_model(Path("Models/again.safetensors")).training["trained_on"]) == 2


def test_flipping_back_what_was_never_flipped_is_a_warning(here, capsys):
    line = "denoise -m session/micrographs_ctf.star -p Models/plain.safetensors"
    assert restore(f"{line} -o one") == 0
    assert "flip_phases_back" not in capsys.readouterr().err
    assert restore(f"{line} -o two --flip_phases_back") == 0
    assert (
        "--flip_phases_back changes nothing: the model was made with --dont_phaseflip"
        in capsys.readouterr().err
    )
    assert np.array_equal(
        *(pixels(f"{where}/Micrographs/mic_0001_DW.mrc") for where in ("one", "two"))
    )


def test_one_image_is_enough(here):
    assert (
        restore(
            "denoise -m session/Micrographs/mic_0002_DW.mrc -p Models/plain.safetensors "
            "--pixel_size 1.5 -o one"
        )
        == 0
    )
    assert pixels("one/session/Micrographs/mic_0002_DW.mrc").shape == (256, 256)


# What a rerun does


def written_by(line):
    """Which files of the session a command writes anew."""
    before = mtimes("session")
    assert restore(line) == 0
    return {path.name for path, when in mtimes("session").items() if before.get(path) != when}


PICTURE = {"micrographs_ctf_denoised.png"}
RECORD = PICTURE | {"micrographs_ctf_denoised.star", "micrographs_ctf_denoised.settings.json"}


def test_a_rerun_does_nothing_then_only_what_is_missing_or_stale(here, capsys):
    line, folder = (
        "denoise -m session/micrographs_ctf.star -p Models/model.safetensors",
        Path("session/Micrographs"),
    )
    assert written_by(line) == IMAGES | RECORD
    capsys.readouterr()
    assert written_by(line) == set()
    output = capsys.readouterr()
    assert (
        "3 of 3 micrographs are already denoised" in output.err and "denoising:" not in output.err
    )
    assert output.out == "session/micrographs_ctf_denoised.star\n"
    (folder / "mic_0001_DW_denoised.mrc").unlink()
    os.utime(folder / "mic_0003_DW.mrc")
    assert written_by(line) == {"mic_0001_DW_denoised.mrc", "mic_0003_DW_denoised.mrc"} | PICTURE
    star = Path("session/micrographs_ctf.star")
    defocus = read_star(star).block("micrographs").column("rlnDefocusU")[1]
    star.write_text(star.read_text().replace(defocus, "16000.00"))
    assert written_by(line) == {"mic_0002_DW_denoised.mrc"} | RECORD


def test_a_rerun_does_all_with_overwrite_another_setting_or_another_model(here):
    line = "denoise -m session/micrographs_ctf.star -p Models/model.safetensors"
    assert written_by(line) >= IMAGES
    assert written_by(f"{line} --tile_px 24") == set()
    assert written_by(f"{line} --overwrite") == IMAGES | PICTURE
    assert written_by(f"{line} --merge_noisy --merge_resolution 12") == IMAGES | PICTURE
    assert written_by(f"{line} --keep_low_frequencies") == IMAGES | PICTURE
    assert written_by(f"{line} --keep_low_frequencies") == set()
    assert restore(f"train -t training_data.hdf -x other --seed 5 --steps 1 {SMALL}") == 0
    assert written_by(line.replace("Models/model", "Models/other")) == IMAGES | PICTURE


# Training, option by option


def test_training_starts_from_an_initial_model(here):
    line = (
        "train -t training_data.hdf -x onward -i Models/model.safetensors --steps 1 "
        f"--learning_rate 1e-12 {SMALL}"
    )
    assert restore(line) == 0
    assert restore(line.replace("-x onward -i Models/model.safetensors", "-x fresh")) == 0
    first, onward, fresh = (
        load_model(Path(f"Models/{name}.safetensors")) for name in ("model", "onward", "fresh")
    )
    for name, value in first.network.state_dict().items():
        assert torch.allclose(onward.network.state_dict()[name], value, atol=1e-5)
    assert not all(torch.allclose(fresh.network.state_dict()[name], value, atol=1e-5)
                   for name, value in first.network.state_dict().items())  # fmt: skip
    assert onward.provenance["inputs"]["initial"] == "Models/model.safetensors"


def test_what_the_initial_model_was_trained_on_is_not_held_out_of_the_next(here):
    first = load_model(Path("Models/model.safetensors")).training
    seeds = iter(range(1, 20))
    while True:
        line = f"train -t training_data.hdf -x onward --seed {next(seeds)} {SMALL}"
        assert restore(f"{line} --steps 1 --overwrite") == 0
        own = load_model(Path("Models/onward.safetensors")).training
        if own["held_out"] != first["held_out"]:
            break
    assert restore(f"{line} --steps 1 --overwrite -i Models/model.safetensors") == 0
    for more in ("", "--resume --steps 2"):
        assert not more or restore(f"train -x onward {more}") == 0
        onward = load_model(Path("Models/onward.safetensors")).training
        assert set(onward["trained_on"]) == {*first["trained_on"], *own["trained_on"]}
        assert not set(onward["held_out"]) & set(first["trained_on"])


def test_the_papers_preset_is_recorded_and_what_is_typed_goes_before_it(here):
    assert restore(f"train -t training_data.hdf -x paper --preset paper --steps 1 {PAPER}") == 0
    settings = json.loads(Path("Models/paper.settings.json").read_text())["settings"]
    paper = {"learning_rate": 1e-4, "schedule": "staircase", "precision": "float32", "loss": "l2",
             "number_of_epochs": 100, "batches_per_epoch": 500}  # fmt: skip
    assert {name: settings[name] for name in paper} == paper
    assert settings["batch_size"] == 2
    assert load_model(Path("Models/paper.safetensors")).training["settings"] == settings


def test_a_run_of_so_many_minutes_ends_in_time(here):
    started = time.monotonic()
    assert restore(f"train -t training_data.hdf -x timed --minutes 0.02 {SMALL}") == 0
    assert time.monotonic() - started < 20
    assert load_model(Path("Models/timed.safetensors")).training["seconds"] >= 1.2


def test_an_interrupted_training_says_how_to_go_on_and_ends_with_the_same_weights(
    here, monkeypatch, capsys
):
    epoch = Journal.epoch

    def interrupted(self, state):
        epoch(self, state)
        if state.epoch == 3:
            signal.raise_signal(signal.SIGINT)

    line = f"train -m session/micrographs_ctf.star -r 9 -f again.hdf -x again --steps 6 {SMALL}"
    monkeypatch.setattr(Journal, "epoch", interrupted)
    assert restore(line) == 130
    messages = capsys.readouterr().err
    assert (
        "stopped after step 3; the same command with --resume continues from there" in messages
        and "Interrupted" in messages
    )
    assert not Path("Models/again.safetensors").exists()
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert restore(line) == 1  # not over what can be resumed
    assert "--resume to continue it" in capsys.readouterr().err
    assert restore(f"{line} --resume") == 0
    assert same_weights("Models/again.safetensors", "Models/model.safetensors")
    assert len(Path("Models/again.csv").read_text().splitlines()) == 7


def test_a_requeued_job_that_died_before_its_first_epoch_starts_from_the_beginning(here, capsys):
    line = f"train -m session/micrographs_ctf.star -r 9 -f again.hdf -x again --steps 6 {SMALL}"
    assert restore(f"{line} --resume") == 0
    assert "nothing to resume, so training starts from the beginning" in capsys.readouterr().err
    assert same_weights("Models/again.safetensors", "Models/model.safetensors")


@pytest.mark.parametrize("command", ["prepare", "denoise"])
def test_a_cluster_that_asks_a_command_to_end_gets_130_and_nothing_half_written(
    here, monkeypatch, capsys, command
):
    monkeypatch.setattr(
        "restore.cli.progress.Bar.to", lambda *_: signal.raise_signal(signal.SIGTERM)
    )
    before = signal.getsignal(signal.SIGTERM)
    assert restore(LINES[command]) == 130
    assert "Interrupted" in capsys.readouterr().err
    assert (
        not [name for name in files(here) if name.endswith(".partial")]
        and not Path("again.hdf").exists()
    )
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_run_is_not_resumed_on_other_patches(here, capsys):
    (here / "Models/model.safetensors").unlink()
    assert restore("train --resume -t plain.hdf") == 1
    messages = capsys.readouterr().err
    assert (
        "plain.hdf: these are not the patches that the run to resume was trained on" in messages
        and "training_data.hdf" in messages
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [("train", "Name a STAR file"), ("prepare", "Name a STAR file"),
     ("train -m session/micrographs_ctf.star -t training_data.hdf -x new", "Give one of them")],
)  # fmt: skip
def test_a_command_that_is_given_nothing_or_two_things_to_work_on_is_wrong_use(
    here, capsys, line, words
):
    assert restore(f"{line} --overwrite") == 2
    assert words in capsys.readouterr().err


# Real processes, stopped in the middle of a write

PAUSING = """
import os, sys, threading, time
from pathlib import Path
import torch
from tqdm import tqdm
from restore.cli.main import main
from restore.io import atomic

os.chdir(folder)
torch.set_num_threads(threads)  # the last bits of a sum depend on how it is divided
sys.stdout = sys.stderr = open("said.txt", "w", buffering=1)
tqdm.set_lock(threading.RLock())  # the usual one is shared by processes, and outlives a killed one
flush = atomic._flush_to_disk

def pausing(path):
    global count
    if word in path.name:
        count -= 1
        if count == 0:
            Path("paused").touch()
            while Path("paused").exists():
                time.sleep(0.01)
    flush(path)

atomic._flush_to_disk = pausing
sys.exit(main(line.split()))
"""
LINES = {
    "train": f"train -t training_data.hdf -x again --steps 6 {SMALL}",
    "denoise": "denoise -m session/micrographs_ctf.star -p Models/model.safetensors -o out",
    "prepare": "prepare -m session/micrographs_ctf.star -r 9 -f again.hdf",
}
PAUSES = {"train": ("again.state", 3), "denoise": ("mic_0002", 1), "prepare": ("again.hdf", 1)}
LEFT = {
    "train": {
        "Models/again.state.safetensors",
        "Models/again.settings.json",
        "Models/again.csv",
        "Models/again.preview.png",
    },
    "denoise": {"out/Micrographs/mic_0001_DW.mrc"},
    "prepare": set(),
}


@pytest.fixture(scope="module")
def running(project, tmp_path_factory):
    """Two processes of each command, each in a folder of its own, which pause in the middle of a
    write.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"restore.cli.{command}" for command in LINES])
    started = {}
    for command, line in LINES.items():
        for number in (signal.SIGINT, signal.SIGKILL):
            folder = shutil.copytree(project, tmp_path_factory.mktemp(command) / "here")
            word, count = PAUSES[command]
            known = {
                "folder": folder,
                "line": line,
                "word": word,
                "count": count,
                "threads": torch.get_num_threads(),
            }
            process = context.Process(target=exec, args=(PAUSING, known))
            process.start()
            started[command, number] = folder, process
    yield started
    for _, process in started.values():
        process.kill()
        process.join()


def stop(running, command, number):
    """Send a signal to the process in its pause, and let it go on; its exit status and its last
    words come back.
    """
    folder, process = running[command, number]
    while process.is_alive() and not (folder / "paused").exists():
        time.sleep(0.01)
    assert process.is_alive(), (folder / "said.txt").read_text()
    assert any(name.endswith(".partial") for name in files(folder))
    os.kill(process.pid, number)
    time.sleep(0.2)
    (folder / "paused").unlink()
    process.join(timeout=30)
    return process.exitcode, (folder / "said.txt").read_text()


def finish(command):
    """Type the command again (training: with --resume), and compare with what was never stopped."""
    kept = {path: time for path, time in mtimes("out").items() if not path.name.startswith(".")}
    assert restore(LINES[command] + " --resume" * (command == "train")) == 0
    if command == "denoise":
        for path in (f"Micrographs/{name}_DW.mrc" for name in NAMES):
            assert np.array_equal(pixels(Path("out", path)), pixels(Path("Reference", path)))
        assert kept.items() <= mtimes("out").items()
        return
    if command == "prepare":
        assert restore(f"train -t again.hdf -x again --steps 6 {SMALL}") == 0
    assert same_weights("Models/again.safetensors", "Models/model.safetensors")


def new_files(folder, project):
    names = files(folder) - files(project) - {"said.txt"}
    return {name for name in names if "tensorboard" not in name and not name.endswith(".lock")}


@pytest.mark.parametrize("command", LINES)
def test_a_killed_process_leaves_nothing_half_written_under_a_final_name_and_a_rerun_finishes(
    running, project, command, here, monkeypatch
):
    status, _ = stop(running, command, signal.SIGKILL)
    folder = running[command, signal.SIGKILL][0]
    assert status == -signal.SIGKILL
    hidden = {name for name in new_files(folder, project) if name.endswith(".partial")}
    assert len(hidden) == 1 and Path(*hidden).name.startswith(".")
    assert new_files(folder, project) - hidden == LEFT[command]
    monkeypatch.chdir(folder)
    finish(command)
    assert not [name for name in files(folder) if name.endswith((".partial", ".lock"))]


@pytest.mark.parametrize("command", LINES)
def test_an_interrupted_process_ends_with_130_and_a_message_and_a_rerun_finishes(
    running, project, command, here, monkeypatch
):
    status, messages = stop(running, command, signal.SIGINT)
    folder = running[command, signal.SIGINT][0]
    assert status == 130
    assert (
        messages.endswith("Interrupted. Finished results are kept.\n")
        and "Traceback" not in messages
    )
    in_hand = {"out/Micrographs/mic_0002_DW.mrc"} if command == "denoise" else set()
    assert new_files(folder, project) - in_hand == LEFT[command]
    monkeypatch.chdir(folder)
    finish(command)


# Help, and wrong use


@pytest.mark.parametrize(
    "line", ["--help", "-h", "", *(f"{command} --help" for command in COMMANDS)]
)
def test_help_is_a_screen_or_two(line, capsys):
    assert restore(line) == 0
    lines = capsys.readouterr().out.splitlines()
    assert 10 < len(lines) <= 90 and max(len(line) for line in lines) <= 100
    assert lines[0].startswith("usage: restore")


TRAIN_OPTIONS = (
    "--training_mics -m --training_data -t --even_odd_suffix -s --max_resolution -r "
    "--training_filename -f "
    "--initial_model -i --batch_size -b --learning_rate -lr --number_of_epochs --batches_per_epoch "
    "--model_prefix -x "
    "--model_directory -d --phaseflip --dont_phaseflip --steps --minutes --resume --seed --preset"
)
DENOISE_OPTIONS = (
    "--input_micrographs -m --model -p --output_suffix -s --output_directory -o -r --merge_noisy "
    "--dont_merge_noisy "
    "--merge_resolution -x --merge_width -w --phaseflip --dont_phaseflip --flip_phases_back "
    "--dont_flip_phases_back "
    "--average_halves --overwrite"
)


@pytest.mark.parametrize(
    ("command", "options"), [("train", TRAIN_OPTIONS), ("denoise", DENOISE_OPTIONS)]
)
def test_help_tells_every_option_that_users_know_with_units_and_defaults(command, options, capsys):
    assert restore(f"{command} --help") == 0
    output = capsys.readouterr().out
    words = set(output.replace(",", " ").split())
    assert set(options.split()) <= words
    assert "Å" in output and output.count("(default: ") >= 4 and "pixels" in output


def test_help_gives_the_defaults_that_the_paper_had_where_they_are_kept(capsys):
    restore("train --help")
    output = " ".join(capsys.readouterr().out.split())
    for words in (
        "Å (default: 4.5)",
        "(default: DW,EVN,ODD)",
        "(default: training_data.hdf)",
        "(default: Models)",
        "(default: model)",
        "(default: 10)",
        "(100 in the paper)",
        "(default: 500)",
    ):
        assert words in output


def test_restore_help_imports_neither_torch_nor_numpy():
    command = [sys.executable, "-X", "importtime", "-m", "restore", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.split("|")[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "restore" in imported and "argparse" in imported
    assert not imported & {"torch", "numpy", "h5py", "tqdm", "scipy", "mrcfile"}
    assert "restore train" in done.stdout


def test_denoise_starts_without_what_micrographs_do_not_need():
    heavy = ["h5py", "matplotlib", "openvino", "pandas", "scipy", "starfile", "torch_ctf"]
    program = f"import sys, restore.cli.denoise; print(set({heavy}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"set()\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [("dance", 'there is no command "dance"'),
     ("train --fast", "restore train has no option --fast"),
     ("train -r high", "--max_resolution/-r: invalid float value: 'high'"),
     ("train --schedule=linear", "invalid choice: 'linear'"),
     ("train --steps", "expected one argument"),
     ("denoise -p a.safetensors", "there is no input"),
     ("simulate", "the following arguments are required: folder"),
     ("train --model_pre x", "has no option --model_pre. Did you mean --model_prefix")],
)  # fmt: skip
def test_wrong_use_ends_with_2_and_says_what_is_wrong(line, words, capsys):
    assert restore(line) == 2
    messages = capsys.readouterr().err
    assert words in messages and len(messages.splitlines()) == 1


def test_the_version_is_told(capsys):
    assert restore("--version") == 0
    assert capsys.readouterr().out.startswith("restore ")


def test_a_second_simulation_does_not_replace_the_first(here, capsys):
    before = mtimes("session")
    assert restore("simulate session --micrographs=1 --size_px=64") == 1
    assert "session: there is a session in it already" in capsys.readouterr().err
    assert mtimes("session") == before


def test_halves_are_found_under_names_and_suffixes_of_ones_own(here):
    star = read_star(Path("session/micrographs_ctf.star"))
    Path("DW_day").mkdir()
    for name in NAMES:
        for suffix, new in (("DW", "sum"), ("EVN", "half1"), ("ODD", "half2")):
            shutil.copy(f"session/Micrographs/{name}_{suffix}.mrc", f"DW_day/{name}_{new}.mrc")
    block = star.block("micrographs").with_column(
        "rlnMicrographName", [f"DW_day/{name}_sum.mrc" for name in NAMES]
    )
    Path("own.star").write_text(star.with_block(block).text())
    chosen = read_micrographs("own.star")
    assert check_files(chosen.micrographs, HALVES)[1]
    assert (
        restore(f"train -m own.star -s sum,half1,half2 -r 9 -f own.hdf -x own --steps 6 {SMALL}")
        == 0
    )
    assert same_weights("Models/own.safetensors", "Models/model.safetensors")
