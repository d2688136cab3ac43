"""Tilt series of RELION 5 through the commands: trained on, denoised, evaluated image by image."""

import json
import shutil
from contextlib import chdir
from pathlib import Path

import pytest
from tilt_series_project import JOB, TABLE, write_project

from restore.cli.main import main
from restore.io.images.image import read_image
from restore.io.micrographs import check_files, read_micrographs
from restore.model.checkpoint import load_model
from restore.training.patches import PatchFile

SMALL = "--filters=4 --blocks=1 --batch_size=2 --patch_px=32"
DENOISED = Path("Denoised/tilt_series_ctf.star")
SERIES = Path("Denoised/tilt_series_ctf_tilts")


def restore(line):
    """Run a command line as it is typed, without the word restore; the exit status comes back."""
    return main(line.split())


def image_of(name, tilt):
    return f"session/Micrographs/mic_{3 * (name == 'TS_02') + tilt + 1:04d}_DW"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Six simulated images as two series of three tilts, and a model that was trained on them."""
    folder = tmp_path_factory.mktemp("tilts")
    with chdir(folder):
        assert restore("simulate session --micrographs=6 --size_px=128 --pixel_size_A=1.5") == 0
        for half in Path("session/Micrographs").glob("*_[EO][VD][ND].mrc"):
            half.rename(
                half.with_name(half.name.replace("_EVN", "_DW_EVN").replace("_ODD", "_DW_ODD"))
            )
        write_project(folder, size_A="1.500000", image=image_of)
        assert restore(f"train -m {TABLE} -r 9 --steps 2 {SMALL}") == 0
    return folder


@pytest.fixture
def here(project, tmp_path, monkeypatch):
    """A copy of the project as working directory."""
    shutil.copytree(project, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "here"


def test_train_takes_the_halves_of_every_tilt_and_notes_the_series(project):
    data = PatchFile(project / "training_data.hdf")
    assert [pair.series for pair in data.pairs] == ["TS_01"] * 3 + ["TS_02"] * 3
    data.close()
    training = load_model(project / "Models/model.safetensors").training
    assert (len(training["trained_on"]), len(training["held_out"])) == (5, 1)


def test_denoise_writes_every_image_and_the_same_structure_of_files(here):
    assert restore(f"denoise -m {TABLE} -p Models/model.safetensors -o Denoised") == 0
    chosen = read_micrographs(DENOISED)
    assert check_files(chosen.micrographs) == (list(chosen.micrographs), [])
    assert [micrograph.name for micrograph in chosen.micrographs[::3]] == [
        f"Denoised/{image_of(name, 0)}.mrc" for name in ("TS_01", "TS_02")
    ]
    assert [micrograph.series for micrograph in chosen.micrographs] == ["TS_01"] * 3 + ["TS_02"] * 3
    raw, denoised = (
        read_image(Path(folder, f"{image_of('TS_02', 1)}.mrc")).data for folder in ("", "Denoised")
    )
    assert denoised.shape == raw.shape and 0 < denoised.std() < raw.std()
    assert f" {SERIES}/TS_02.star " in DENOISED.read_text()
    files = {
        path: path.stat().st_mtime_ns for path in Path("Denoised").rglob("*.*") if path.is_file()
    }
    assert restore(f"denoise -m {TABLE} -p Models/model.safetensors -o Denoised") == 0
    assert {path: path.stat().st_mtime_ns for path in files} == files


def test_beside_the_input_the_new_files_have_names_of_their_own(here):
    before = {path: path.read_bytes() for path in Path(JOB).rglob("*.star")}
    assert restore(f"denoise -m {TABLE} -p Models/model.safetensors") == 0
    assert {path: path.read_bytes() for path in before} == before
    new = {str(path.relative_to(JOB)) for path in Path(JOB).rglob("*.star")} - {
        str(path.relative_to(JOB)) for path in before
    }
    assert new == {
        f"tilt_series_ctf_denoised{end}.star" for end in ("", "_tilts/TS_01", "_tilts/TS_02")
    }
    third = read_micrographs(f"{JOB}/tilt_series_ctf_denoised.star").micrographs[2]
    assert third.image == Path(f"{image_of('TS_01', 2)}_denoised.mrc") and third.image.is_file()


def test_images_that_fail_and_series_without_any_are_left_out_until_they_are_mended(here, capsys):
    for name, tilt in (("TS_01", 1), ("TS_02", 0), ("TS_02", 1), ("TS_02", 2)):
        Path(f"{image_of(name, tilt)}.mrc").rename(f"{name}{tilt}")
    assert restore(f"denoise -m {TABLE} -p Models/model.safetensors -o Denoised") == 1
    assert "4 of 6 micrographs were not denoised" in capsys.readouterr().err
    assert [micrograph.name for micrograph in read_micrographs(DENOISED).micrographs] == [
        f"Denoised/{image_of('TS_01', tilt)}.mrc" for tilt in (0, 2)
    ]
    assert not (SERIES / "TS_02.star").exists()
    for name, tilt in (("TS_01", 1), ("TS_02", 0), ("TS_02", 1), ("TS_02", 2)):
        Path(f"{name}{tilt}").rename(f"{image_of(name, tilt)}.mrc")
    assert restore(f"denoise -m {TABLE} -p Models/model.safetensors -o Denoised") == 0
    assert len(read_micrographs(DENOISED).micrographs) == 6


def test_a_foreign_file_in_a_series_place_is_refused_before_anything_is_computed(here, capsys):
    SERIES.mkdir(parents=True)
    (SERIES / "TS_02.star").write_text("mine")
    assert restore(f"denoise -m {TABLE} -p Models/model.safetensors -o Denoised") == 1
    messages = capsys.readouterr().err
    assert f"{SERIES}/TS_02.star: a STAR file stands here that restore did not write" in messages
    assert (SERIES / "TS_02.star").read_text() == "mine" and len(
        list(Path("Denoised").rglob("*.*"))
    ) == 1
    assert restore(f"denoise -m {TABLE} -p Models/model.safetensors -o Denoised --overwrite") == 0
    assert "data_TS_02" in (SERIES / "TS_02.star").read_text()


def test_one_series_by_itself_is_denoised_with_a_model_that_flips_no_phases(here, capsys):
    series = f"{JOB}/tilt_series/TS_02.star"
    assert (
        restore(f"denoise -m {series} -p Models/model.safetensors --pixel_size 1.5 -o Denoised")
        == 1
    )
    assert (
        "rlnVoltage is missing. Phase flipping needs it: give the table of series"
        in capsys.readouterr().err
    )
    options = f"--dont_phaseflip -r 9 -f one.hdf -x one --steps 1 {SMALL} --pixel_size 1.5"
    assert restore(f"train -m {series} {options}") == 0
    assert (
        restore(f"denoise -m {series} -p Models/one.safetensors --pixel_size 1.5 -o Denoised") == 0
    )
    assert Path("Denoised/TS_02.star").read_text().count(" Denoised/session") == 3


def test_evaluate_measures_every_tilt_image(here):
    assert restore(f"evaluate -m {TABLE} -p Models/model.safetensors --resamples=20") == 0
    micrographs = json.loads(Path("evaluation/evaluation.json").read_text())["micrographs"]
    assert [micrograph["name"] for micrograph in micrographs] == [
        f"{image_of(name, tilt)}.mrc" for name in ("TS_01", "TS_02") for tilt in range(3)
    ]
    assert (
        sorted(micrograph["role"] for micrograph in micrographs)
        == ["held out"] + ["trained on"] * 5
    )


def test_a_relion_job_leaves_the_table_as_a_node_of_tilt_series(here):
    Path("default_pipeline.star").write_text(
        "# version "
        "50001\n\ndata_pipeline_nodes\n\nloop_\n_rlnPipeLineNodeName\n_rlnPipeLineNodeTypeLabel\n"
        f"{TABLE} TomogramGroupMetadata.star.relion.tomo.ctffind\n"
    )
    assert restore(f"denoise -m {TABLE} -p Models/model.safetensors --o External/job004/") == 0
    node = "External/job004/tilt_series_ctf.star TomogramGroupMetadata.star.relion.tomo.ctffind"
    assert node in " ".join(Path("External/job004/RELION_OUTPUT_NODES.star").read_text().split())
    assert (
        " External/job004/tilt_series_ctf_tilts/TS_01.star "
        in Path("External/job004/tilt_series_ctf.star").read_text()
    )
    chosen = read_micrographs("External/job004/tilt_series_ctf.star")
    assert check_files(chosen.micrographs) == (list(chosen.micrographs), [])
