"""Real RELION 3.1 programs before and after ours: jobs of its pipeline, and what it makes of our
STAR files and images.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import chdir
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from relion_project import CTF_STAR, EXTRACT, TINY, Project, make_project, needs

import restore as restore_package
from restore.cli.main import main
from restore.io.images.image import write_image
from restore.io.star import read_star

SIDE = 32
COORDINATES = ((100, 110), (150, 60))
DENOISED_STAR = "micrographs_ctf.star"


def pick(project, names):
    """Coordinates as a picking job leaves them; returns the file for an Extract job."""
    job = project.folder / "AutoPick/job010"
    rows = "".join(f"{x:.1f} {y:.1f}\n" for x, y in COORDINATES)
    for name in names:
        path = job / Path(name).parent / f"{Path(name).stem}_autopick.star"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            f"\n# version 30001\n\ndata_\n\nloop_\n_rlnCoordinateX #1\n_rlnCoordinateY #2\n{rows}"
        )
    (job / "coords_suffix_autopick.star").write_text(f"{CTF_STAR}\n")
    return "AutoPick/job010/coords_suffix_autopick.star"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project in which relion_pipeliner has run a training and a denoising job of ours."""
    needs("relion_pipeliner", "relion_preprocess")
    folder = tmp_path_factory.mktemp("project")
    make_project(folder)
    project = Project(folder)
    project.training = project.add_restore("train", TINY | {"steps": "2"})
    project.training_ended = project.run(project.training)
    model = f"{project.training}model.safetensors"
    project.denoising = project.add_restore("denoise", {"model": model, "device": "cpu"})
    project.denoising_ended = project.run(project.denoising)
    project.coordinates = pick(project, ["Movies/mic_0001_DW.mrc", "Movies/mic_0002_DW.mrc"])
    return project


# In RELION's pipeline


def test_a_training_job_ends_as_finished_with_its_model_in_its_folder(project):
    assert project.training_ended == "finished", project.messages(project.training)
    assert (project.folder / project.training / "model.safetensors").exists()
    assert (project.folder / project.training / "training_data.hdf").exists()
    assert project.outputs(project.training) == {}


def test_a_denoising_job_ends_as_finished_with_micrographs_that_the_pipeline_knows(project):
    assert project.denoising_ended == "finished", project.messages(project.denoising)
    assert project.outputs(project.denoising) == {f"{project.denoising}{DENOISED_STAR}": "1"}
    edges = project.pipeline.block("pipeline_input_edges").rows
    assert (CTF_STAR, project.denoising) in edges and (CTF_STAR, project.training) in edges


def test_relion_extracts_the_same_particles_from_the_raw_and_from_the_denoised_micrographs(project):
    tables = {}
    for kind, star in (("raw", CTF_STAR), ("denoised", f"{project.denoising}{DENOISED_STAR}")):
        job = project.add(EXTRACT, star_mics=star, coords_suffix=project.coordinates,
                          extract_size=str(SIDE),
                          do_norm="No", do_invert="No", do_rescale="No", nr_mpi="1")  # fmt: skip
        assert project.run(job) == "finished", project.messages(job)
        assert (star, job) in project.pipeline.block("pipeline_input_edges").rows
        tables[kind] = read_star(project.folder / job / "particles.star")
    raw, denoised = tables["raw"], tables["denoised"]
    assert raw.block("optics") == denoised.block("optics")
    assert raw.block("optics").column("rlnImagePixelSize") == ["1.500000"]
    raw, denoised = raw.block("particles"), denoised.block("particles")
    assert raw.columns == denoised.columns and len(raw.rows) == len(denoised.rows) == 4
    for column in set(raw.columns) - {"rlnMicrographName", "rlnImageName"}:
        assert raw.column(column) == denoised.column(column), column
    assert {
        "rlnDefocusU",
        "rlnDefocusV",
        "rlnDefocusAngle",
        "rlnPhaseShift",
        "rlnOpticsGroup",
    } <= set(raw.columns)
    assert [
        name.replace("MotionCorr/job002/", project.denoising)
        for name in raw.column("rlnMicrographName")
    ] == (denoised.column("rlnMicrographName"))
    for table in (raw, denoised):
        for image, micrograph, x, y in zip(*(table.column(name) for name in PARTICLE), strict=True):
            whole = read_mrc(project.folder / micrograph)
            assert np.allclose(
                particle(project.folder, image),
                crop(whole, int(float(x)), int(float(y))),
                atol=1e-3,
            )


def test_particles_are_picked_on_the_denoised_and_extracted_from_the_raw_micrographs(project):
    """As docs/relion.md says it without the GUI."""
    needs("relion_autopick", "relion_preprocess")
    star = f"{project.denoising}{DENOISED_STAR}"
    (project.folder / "AutoPick/job030").mkdir()
    picking = project.start(
        *f"relion_autopick --i {star} --odir AutoPick/job030/ --pickname autopick --LoG "
        "--LoG_diam_min 60 --LoG_diam_max 120".split()
    )
    output, _ = picking.communicate(timeout=50)  # it complains where there is no Ghostscript
    assert picking.returncode == 0, output
    picked = project.folder / "AutoPick/job030/Movies/mic_0001_DW_autopick.star"
    assert len(read_star(picked).block("").rows) > 0
    project.relion(
        *f"relion_preprocess --i {CTF_STAR} --coord_dir AutoPick/job030/ "
        "--coord_suffix _autopick.star --part_dir Extract/job031/ "
        "--part_star Extract/job031/particles.star --extract --extract_size 32".split()
    )
    block = read_star(project.folder / "Extract/job031/particles.star").block("particles")
    assert len(block.rows) > 0
    for image, micrograph, x, y in zip(*(block.column(name) for name in PARTICLE), strict=True):
        assert micrograph.startswith("MotionCorr/job002/")
        raw = crop(read_mrc(project.folder / micrograph), int(float(x)), int(float(y)))
        if raw.shape == (SIDE, SIDE):
            assert np.allclose(particle(project.folder, image), raw, atol=1e-3)


PARTICLE = ("rlnImageName", "rlnMicrographName", "rlnCoordinateX", "rlnCoordinateY")


def read_mrc(path):
    with mrcfile.open(path) as file:
        return file.data.astype(np.float32)


def particle(folder, name):
    number, _, path = name.partition("@")
    with mrcfile.open(folder / path) as file:
        stack = file.data if file.data.ndim == 3 else file.data[None]
        return stack[int(number) - 1].astype(np.float32)


def crop(image, x, y):
    return image[y - SIDE // 2 : y + SIDE // 2, x - SIDE // 2 : x + SIDE // 2]


def test_a_job_with_a_flag_and_no_model_is_shown_as_failed_and_goes_on_when_there_is_one(project):
    job = project.add_restore(
        "denoise", {"model": "later.safetensors", "average_halves": "", "device": "cpu"}
    )
    assert project.run(job) == "failed"
    assert "later.safetensors" in project.messages(job) and project.outputs(job) == {}
    shutil.copy(
        project.folder / project.training / "model.safetensors",
        project.folder / "later.safetensors",
    )
    assert project.run(job) == "finished", project.messages(job)
    assert "--average_halves  --device cpu --j 1" in (project.folder / job / "note.txt").read_text()
    assert project.outputs(job) == {f"{job}{DENOISED_STAR}": "1"}


def test_a_training_that_is_aborted_is_shown_as_aborted_and_is_gone_on_with(project):
    job = project.add_restore("train", TINY | {"steps": "100000", "batches_per_epoch": "5"})
    folder = project.folder / job
    pipeliner = project.start(*project.running(job))
    deadline = time.monotonic() + 40
    while not (folder / "model.csv").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    (folder / "RELION_JOB_ABORT_NOW").touch()  # as the GUI does
    pipeliner.communicate(timeout=40)
    assert project.status(job) == "aborted", project.messages(job)
    step = int(re.search(r"stopped after step (\d+)", project.messages(job))[1])
    settings = (folder / "job.star").read_text()
    (folder / "job.star").write_text(settings.replace("100000", str(step + 1)))
    assert project.run(job) == "finished", project.messages(job)
    last = (folder / "model.csv").read_text().splitlines()[-1].split(",")
    assert int(last[1]) == step + 1


# RELION's own programs on what we write


def test_relions_programs_read_the_denoised_images_and_their_star_file(project):
    needs("relion_image_handler", "relion_star_handler", "relion_import")
    star = f"{project.denoising}{DENOISED_STAR}"
    image = f"{project.denoising}Movies/mic_0001_DW.mrc"
    output = project.relion("relion_image_handler", "--i", image, "--stats")
    mean = float(re.search(r"avg= *(\S+)", output)[1])
    assert mean == pytest.approx(read_mrc(project.folder / image).mean(), rel=1e-4)
    assert "(x,y,z,n)= 256 x 256 x 1 x 1" in output and "angpix = 1.5" in output
    project.relion(
        "relion_star_handler",
        "--i",
        star,
        "--o",
        "chosen.star",
        "--select",
        "rlnDefocusU",
        "--minval",
        "12000",
    )
    chosen, ours = (read_star(project.folder / name) for name in ("chosen.star", star))
    block = ours.block("micrographs")
    wanted = [row for row in block.rows if float(row[block.columns.index("rlnDefocusU")]) >= 12000]
    assert list(chosen.block("micrographs").rows) == wanted and 0 < len(wanted) < 2
    assert chosen.block("optics").rows == ours.block("optics").rows
    (project.folder / "Import/job020").mkdir(parents=True)
    project.relion("relion_import", "--do_micrographs", "--i", f"{project.denoising}Movies/*.mrc",
                   "--odir", "Import/job020/",
                   "--ofile", "micrographs.star", "--angpix", "1.5")  # fmt: skip
    names = (
        read_star(project.folder / "Import/job020/micrographs.star")
        .block("micrographs")
        .column("rlnMicrographName")
    )
    assert sorted(names) == sorted(block.column("rlnMicrographName"))
    (project.folder / "Import/job021").mkdir(parents=True)
    project.relion(
        "relion_import",
        "--do_other",
        "--i",
        star,
        "--odir",
        "Import/job021/",
        "--ofile",
        DENOISED_STAR,
    )
    assert read_star(project.folder / "Import/job021" / DENOISED_STAR).block("micrographs") == block


# Optics groups of different pixel sizes


SIZES_A = (1.0, 1.4)
MIXED = """
data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographPixelSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
first 1 1.0 300.0 2.7 0.1
second 2 1.4 200.0 2.7 0.1

data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
_rlnDefocusU #3
_rlnDefocusV #4
_rlnDefocusAngle #5
"""
ROWS = ("Mixed/1.mrc 1 11000.0 10900.0 20.0\n", "Mixed/2.mrc 2 15000.0 14800.0 70.0\n")


@pytest.fixture(scope="module")
def mixed(project):
    """In the same project: one micrograph of 1.0 Å and one of 1.4 Å, each in its optics group,
    denoised together.
    """
    image = read_mrc(project.folder / "MotionCorr/job002/Movies/mic_0001_DW.mrc")
    model = f"{project.training}model.safetensors"
    with chdir(project.folder):
        for group, size_A in enumerate(SIZES_A, 1):
            write_image(Path(f"Mixed/{group}.mrc"), image, size_A)
        for name, rows in (("mixed", ROWS), ("alone1", ROWS[:1]), ("alone2", ROWS[1:])):
            Path(f"{name}.star").write_text(MIXED + "".join(rows))
            line = [
                "denoise",
                "-m",
                f"{name}.star",
                "-p",
                model,
                "-o",
                f"Out_{name}",
                "--device",
                "cpu",
            ]
            assert main(line) == 0
    return project


def test_each_optics_group_is_denoised_on_its_own_grid(mixed):
    for group, size_A in enumerate(SIZES_A, 1):
        name = f"Mixed/{group}.mrc"
        with mrcfile.open(mixed.folder / "Out_mixed" / name) as file:
            assert [float(file.voxel_size[axis]) for axis in "xy"] == pytest.approx(
                [size_A, size_A]
            )
            together = file.data.copy()
        assert np.array_equal(together, read_mrc(mixed.folder / f"Out_alone{group}" / name))
        assert finest_A(together, size_A) == pytest.approx(9, rel=0.15)


def finest_A(image, pixel_size_A):
    """The resolution beyond which nothing is left of an image."""
    power = np.abs(np.fft.fft2(image - image.mean())) ** 2
    frequency = np.hypot(
        *np.meshgrid(*(np.fft.fftfreq(side, pixel_size_A) for side in image.shape), indexing="ij")
    )
    # An image of little contrast about a large mean has rounding of float32 at every frequency.
    return 1 / frequency[power > 1e-7 * power.max()].max()


def test_relion_extracts_from_each_optics_group_with_its_pixel_size(mixed):
    sizes = []
    for star, part in (("mixed.star", "ExtractRaw/"), ("Out_mixed/mixed.star", "ExtractDenoised/")):
        folder = "" if star == "mixed.star" else "Out_mixed/"
        pick(mixed, [f"{folder}Mixed/{group}.mrc" for group in (1, 2)])
        mixed.relion("relion_preprocess", "--i", star, "--coord_dir", "AutoPick/job010/",
                     "--coord_suffix", "_autopick.star",
                     "--part_dir", part, "--part_star", f"{part}particles.star", "--extract",
                     "--extract_size", str(SIDE))  # fmt: skip
        sizes.append(read_star(mixed.folder / part / "particles.star"))
    raw, denoised = sizes
    assert raw.block("optics") == denoised.block("optics")
    assert [float(size) for size in raw.block("optics").column("rlnImagePixelSize")] == list(
        SIZES_A
    )
    assert raw.block("optics").column("rlnVoltage") == ["300.000000", "200.000000"]
    raw, denoised = raw.block("particles"), denoised.block("particles")
    assert denoised.column("rlnOpticsGroup") == ["1", "1", "2", "2"]
    for column in set(raw.columns) - {"rlnMicrographName", "rlnImageName"}:
        assert raw.column(column) == denoised.column(column), column
    for image, size_A in zip(denoised.column("rlnImageName"), (1.0, 1.0, 1.4, 1.4), strict=True):
        with mrcfile.open(mixed.folder / image.partition("@")[2]) as file:
            assert float(file.voxel_size.x) == pytest.approx(size_A)


# docs/relion.md, as printed


def section(title):
    """The code blocks of a section of the page, in order, as kind and text."""
    page = Path(restore_package.__file__).parents[2] / "docs/relion.md"
    text = page.read_text(encoding="utf-8").partition(f"## {title}\n")[2].partition("\n## ")[0]
    return re.findall(r"```(\w+)\n(.*?)```", text, re.DOTALL)


@pytest.mark.timeout(180)
def test_the_pages_commands_work_as_printed_from_an_empty_folder(tmp_path):
    needs(*["relion_pipeliner", "relion_autopick", "relion_preprocess", "relion_image_handler"])
    program = tmp_path / "bin/restore"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m restore "$@"\n')
    program.chmod(0o755)
    folder = tmp_path / "project"
    folder.mkdir()
    lines = ["set -e"]
    for kind, text in section("Without the GUI"):
        if kind == "text":
            (folder / "train.star").write_text(text)
        else:
            lines.append(text)
    environment = os.environ | {
        "PATH": f"{program.parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(Path(restore_package.__file__).parents[1]),
    }
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], cwd=folder, env=environment, check=False,
        capture_output=True, text=True, timeout=170,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    project = Project(folder)
    for job in ("External/job001/", "External/job002/"):
        assert project.status(job) == "finished", project.messages(job)
    assert project.outputs("External/job002/") == {"External/job002/micrographs_ctf.star": "1"}
    assert (folder / "Denoised/micrographs_ctf.star").is_file()
    record = json.loads((folder / "External/job002/micrographs_ctf.settings.json").read_text())
    assert record["settings"]["keep_low_frequencies"] is True
    particles = read_star(folder / "Particles/particles.star").block("particles")
    assert len(particles.rows) > 0
    assert all(name.startswith("Micrographs/") for name in particles.column("rlnMicrographName"))
