"""What ``restore inspect`` proposes next works as it is printed, for every kind of file."""

import gzip
import re
import shlex
import shutil
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from eer_example import random_electrons, write_eer
from half_byte_movie import half_bytes

from restore.cli.main import as_typed, main
from restore.inspection.dispatch import inspect
from restore.io.images.maps import write_map
from restore.io.images.mrc import write_mrc
from restore.preprocessing import Recipe

SMALL = ["--filters=2", "--blocks=1", "--patch_px=96", "--batch_size=1", "--steps=1"]
"""What makes a training run short enough for a test, after the line as it was printed."""

PLACEHOLDER = re.compile(r"[<>…]|^(X|N|[A-Z][A-Z_]{2,})$")


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A simulated session, trained on and evaluated, with movies, maps and a RELION result."""
    folder = tmp_path_factory.mktemp("next steps")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert main(["simulate", ".", "--micrographs=2", "--size_px=256"]) == 0
        train = ["train", "-m", "micrographs_ctf.star", *SMALL]
        patch.setattr(sys, "argv", ["restore", *train])
        assert main(train) == 0
        model = ["-p", "Models/model.safetensors"]
        assert main(["evaluate", "-m", "micrographs_ctf.star", *model, "-o", "Evaluation"]) == 0
    rng = np.random.default_rng(0)
    write_movies(folder, rng)
    write_maps(folder, rng)
    (folder / "bare.mrc").write_bytes((folder / "Micrographs/mic_0001_DW.mrc").read_bytes())
    with mrcfile.open(folder / "bare.mrc", "r+") as file:
        file.voxel_size = 0
    (folder / "sized.mrc").write_bytes((folder / "Micrographs/mic_0001_DW.mrc").read_bytes())
    with mrcfile.open(folder / "sized.mrc", "r+") as file:
        file.voxel_size = 1.1
    shutil.copytree(folder / "Micrographs", folder / "alone/Micrographs")
    for half in (folder / "alone/Micrographs").glob("*_EVN.mrc"):
        half.unlink()
    text = (folder / "micrographs_ctf.star").read_text()
    (folder / "alone.star").write_text(text.replace("Micrographs/", "alone/Micrographs/"))
    return folder


def write_movies(folder, rng):
    frames = rng.poisson(1.0, (4, 96, 80)).astype(np.int16)
    for name, size_A in (("movie.mrcs", 0.9), ("sizeless.mrcs", 0)):
        with mrcfile.new(folder / name) as file:
            file.set_data(frames)
            file.set_image_stack()
            file.voxel_size = size_A
    half_bytes(folder / "four_bits.mrcs", frames.clip(0, 15).astype("u1"))
    hardware = [random_electrons(rng, (64, 64), 200) for _ in range(80)]
    write_eer(folder / "movie.eer", hardware, (64, 64))


def write_maps(folder, rng):
    common = rng.normal(size=(32, 32, 32))
    for half in (1, 2):
        noisy = common + rng.normal(size=common.shape)
        write_map(folder / f"run_half{half}_class001_unfil.mrc", noisy, 2.0)
    write_map(folder / "map.mrc", common, 2.0)
    (folder / "map.mrc.gz").write_bytes(gzip.compress((folder / "map.mrc").read_bytes()))
    (folder / "postprocess.star").write_text(
        "data_general\n\n_rlnFinalResolution 4.5\n"
        "_rlnUnfilteredMapHalf1 run_half1_class001_unfil.mrc\n"
        "_rlnUnfilteredMapHalf2 run_half2_class001_unfil.mrc\n"
    )
    (folder / "default_pipeline.star").write_text(
        "data_pipeline_general\n\n_rlnPipeLineJobCounter 3\n\ndata_pipeline_nodes\n\nloop_\n"
        "_rlnPipeLineNodeName\n_rlnPipeLineNodeType\nmicrographs_ctf.star 1\ngone.star 1\n"
    )


def run(line):
    """Run a line as it was printed; a training run is cut short."""
    words = shlex.split(line)
    assert words[0] == "restore"
    short = SMALL if words[1] == "train" and "--resume" not in words else []
    return main([*words[1:], *short])


@pytest.mark.parametrize(
    ("name", "commands"),
    [
        ("", ["inspect"] * 5),
        ("micrographs_ctf.star", ["train", "denoise", "evaluate"]),
        ("alone.star", ["denoise", "halves"]),
        ("sized.mrc", ["denoise", "halves"]),
        ("Micrographs/mic_0001_DW.mrc", ["denoise"]),
        ("Micrographs/mic_0001_TRUTH.mrc", ["denoise"]),
        ("bare.mrc", []),
        ("movie.mrcs", ["halves"]),
        ("four_bits.mrcs", ["halves"]),
        ("sizeless.mrcs", []),
        ("movie.eer", []),
        ("map.mrc", ["amplitudes"]),
        ("map.mrc.gz", ["amplitudes"]),
        ("run_half1_class001_unfil.mrc", ["fsc"]),
        ("postprocess.star", ["fsc"]),
        ("default_pipeline.star", ["inspect"]),
        ("particles.star", []),
        ("training_data.hdf", ["train"]),
        ("Models/model.safetensors", ["denoise", "evaluate"]),
        ("Models/model.state.safetensors", ["train"]),
        ("Evaluation/evaluation.json", ["report"]),
    ],
)
def test_the_next_lines_work_as_printed(project, tmp_path, monkeypatch, name, commands, capsys):
    shutil.copytree(project, tmp_path / "a copy")
    monkeypatch.chdir(tmp_path / "a copy")
    findings = inspect(Path(name), Recipe())
    assert [line.command for line in findings.commands] == commands
    assert findings.problems == ()
    assert commands or findings.needs, "what is missing is said"
    for line in map(as_typed, findings.commands):
        assert not [word for word in shlex.split(line) if PLACEHOLDER.search(word)]
        if line.startswith("restore train -t") or line.startswith("restore train -m"):
            shutil.rmtree("Models")
            if " -m " in line:
                Path("training_data.hdf").unlink()
        assert run(line) == 0, line + capsys.readouterr().err


@pytest.mark.parametrize("resolution_A", [5.0, 4.3])
def test_the_next_lines_keep_the_resolution_and_the_suffixes(
    project, tmp_path, monkeypatch, capsys, resolution_A
):
    shutil.copytree(project, tmp_path / "copy")
    monkeypatch.chdir(tmp_path / "copy")
    shutil.rmtree("Models")
    Path("training_data.hdf").unlink()
    for half, name in (("EVN", "A"), ("ODD", "B")):
        for path in Path("Micrographs").glob(f"*_{half}.mrc"):
            path.rename(path.with_name(path.name.replace(half, name)))
    typed = ["-s", "DW,A,B", "-r", f"{resolution_A:g}"]
    assert main(["inspect", "micrographs_ctf.star", *typed]) == 0
    lines = re.findall(r"restore (?:train|denoise|evaluate) .*", capsys.readouterr().out)
    assert [line.split()[1] for line in lines] == ["train", "denoise", "evaluate"]
    assert all("DW,A,B" in line for line in lines)
    for line in lines:
        assert run(line) == 0, line + capsys.readouterr().err
    model = dict(inspect(Path("Models/model.safetensors"), Recipe()).facts)
    assert model["recipe"].startswith(f"{resolution_A:g} Å, phases flipped")
    # The general model was trained at 4.5 Å and coarser.
    assert ("-p Models" in lines[1]) == (resolution_A < 4.5)


def test_an_image_is_denoised_at_the_resolution_of_the_inspection(project, monkeypatch):
    monkeypatch.chdir(project)
    denoise, _ = inspect(Path("sized.mrc"), Recipe(6)).commands
    assert "-r 6" in as_typed(denoise) and run(as_typed(denoise)) == 0
    beyond = inspect(Path("sized.mrc"), Recipe(3.4))
    assert [line.command for line in beyond.commands] == ["halves"]
    assert any("the general model was not trained" in need for need in beyond.needs)


def test_an_eer_movie_is_said_to_have_its_hardware_frames(project):
    facts = dict(inspect(project / "movie.eer", Recipe()).facts)
    assert facts["size"] == "80 hardware frames (2 groups of 40) of 64 × 64 pixels"


def test_an_image_whose_name_has_a_space_is_quoted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    image = np.random.default_rng(0).normal(size=(256, 256)).astype(np.float32)
    write_mrc(Path("my image.mrc"), image, 1.5)
    (line,) = inspect(Path("my image.mrc"), Recipe()).commands
    assert run(as_typed(line)) == 0


def test_a_wrong_pixel_size_and_absent_halves_get_advice_in_options(project, tmp_path, capsys):
    shutil.copytree(project, tmp_path / "copy")
    table = tmp_path / "copy/alone.star"
    assert main(["train", "-m", str(table), *SMALL]) == 1
    assert "restore halves, or denoise without training: restore denoise" in capsys.readouterr().err
    text = table.read_text().replace("1.000000 \n", "30.000000 \n", 1)
    table.write_text(text)
    assert main(["denoise", "-m", str(table), "-o", str(tmp_path / "out")]) == 1
    message = capsys.readouterr().err
    assert "check the pixel size" in message and "--pixel_size" in message and "`" not in message


def test_nothing_is_proposed_for_what_is_denoised_already(project, monkeypatch, capsys):
    monkeypatch.chdir(project)
    output = ["-o", "Denoised", "-p", "Models/model.safetensors"]
    assert main(["denoise", "-m", "micrographs_ctf.star", *output]) == 0
    Path("Denoised/.gui_externaljob.star").write_text("data_job\n\n_rlnJobType 99\n")
    for name in ("micrographs_ctf.star", "Micrographs/mic_0001_DW.mrc"):
        findings = inspect(Path("Denoised") / name, Recipe())
        assert "restore has denoised" in findings.what and not findings.commands
    assert "gui" not in " ".join(map(as_typed, inspect(Path("Denoised"), Recipe()).commands))
