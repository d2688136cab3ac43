"""A whole set: what goes where, what is up to date, what fails alone."""

import errno
import gzip
import os
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch
from seen_bars import SeenBars
from written_images import as_written

from restore.denoising.batch import denoise_jobs, read_exposure
from restore.denoising.denoise import denoiser_for
from restore.denoising.settings import DenoisingSettings
from restore.denoising.targets import (
    OutputSettings,
    Target,
    fingerprint_in,
    labels,
    made_with,
    plan,
    written_images,
)
from restore.errors import UserError
from restore.io.images.mrc import mrc_labels, write_mrc
from restore.io.reading import reading
from restore.micrograph import CTFParameters, Micrograph
from restore.model.checkpoint import Model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe
from restore.runtime import jobs as engine
from restore.runtime.jobs import Job, JobResults, fingerprint

SETTINGS = DenoisingSettings(precision="float32")
CTF = CTFParameters(12000.0, 12000.0, 0.0, 300.0, 2.7, 0.07)


def model(seed=0, recipe=Recipe(max_resolution_A=5.0, phase_flip=False)):  # noqa: B008
    network = build_network(
        NetworkSettings("waunet", filters=2, blocks=1), torch.Generator().manual_seed(seed)
    ).eval()
    return Model(network, recipe)


def denoiser(settings):
    return denoiser_for(model(), settings, torch.device("cpu"))


def micrograph(name="a.mrc", folder=Path(), row=0, **more):
    return Micrograph(name, folder / name, 2.0, row, **more)


def fingerprints(model, settings):
    """The fingerprint of a micrograph whose files do not matter."""
    return lambda micrograph: fingerprint(made_with(model, settings)(micrograph))


def is_current(job):
    return engine.is_current(job, fingerprint_in)


def job_of(given, path, fingerprint="abc"):
    return Job(Target(given, path, path.name), given.name, (path,), fingerprint)


def written(path, seed=0, shape=(96, 101)):
    data = np.random.default_rng(seed).normal(20, 4, shape).astype(np.float32)
    write_mrc(path, data, 2.0)
    return path


def places(micrographs, **output):
    return [
        (str(job.subject.path), job.subject.written_name)
        for job in plan(micrographs, OutputSettings(**output), lambda micrograph: "f")
    ]


def test_beside_the_input_the_name_gets_a_suffix():
    given = [micrograph("Movies/a.mrc", Path("/data")), micrograph("b.mrc", Path("/data"))]
    assert places(given) == [
        ("/data/Movies/a_denoised.mrc", "Movies/a_denoised.mrc"),
        ("/data/b_denoised.mrc", "b_denoised.mrc"),
    ]
    assert places(given[1:], output_suffix="_x.y") == [("/data/b_x.y.mrc", "b_x.y.mrc")]


def test_under_an_output_folder_the_tree_is_repeated_without_a_suffix():
    given = [
        micrograph("MotionCorr/job002/a.mrc", Path("/data")),
        micrograph("../up/b.mrc", Path("/data")),
        micrograph("/abs/c.mrc"),
    ]
    assert places(given, output_directory=Path("out")) == [
        ("out/MotionCorr/job002/a.mrc", "out/MotionCorr/job002/a.mrc"),
        ("out/up/b.mrc", "out/up/b.mrc"),
        ("out/abs/c.mrc", "out/abs/c.mrc"),
    ]
    assert (
        places(given[:1], output_directory=Path("out"), output_suffix="_d")[0][1]
        == "out/MotionCorr/job002/a_d.mrc"
    )


def test_dots_inside_a_name_are_kept():
    assert places([micrograph("a.frames.v1.mrc")])[0][1] == "a.frames.v1_denoised.mrc"


@pytest.mark.parametrize("which", ["image", "even", "odd", "another's image"])
def test_an_output_over_an_input_is_refused(tmp_path, which):
    given = [micrograph("a.mrc", tmp_path), micrograph("b.mrc", tmp_path, 1)]
    output, target = {"output_suffix": "_x"}, tmp_path / "a_x.mrc"
    if which == "image":
        output, target = {"output_suffix": ""}, tmp_path / "a.mrc"
    elif which == "another's image":
        given[1] = replace(given[1], image=target)
    else:
        given[0] = replace(given[0], **{which: target})
    with pytest.raises(
        UserError, match=r"the output for a\.mrc would replace an input image"
    ) as caught:
        places(given, **output)
    assert caught.value.where == str(target)


def test_an_output_folder_that_is_the_inputs_own_is_refused(tmp_path):
    link = tmp_path / "link"
    (tmp_path / "raw").mkdir()
    link.symlink_to(tmp_path / "raw")
    with pytest.raises(UserError, match="would replace an input image"):
        places([micrograph("a.mrc", tmp_path / "raw")], output_directory=link)


def test_two_micrographs_to_one_output_are_refused_and_both_named():
    given = [micrograph("a/x.mrc"), micrograph("../a/x.mrc", row=1)]
    with pytest.raises(
        UserError,
        match=r"out/a/x\.mrc: a/x\.mrc and \.\./a/x\.mrc would both be written to this file",
    ):
        places(given, output_directory=Path("out"))


def test_the_fingerprint_tells_whatever_changes_the_result_and_nothing_else():
    base = fingerprints(model(), SETTINGS)(micrograph(ctf=CTF))
    assert base == fingerprints(model(), SETTINGS)(micrograph("other.mrc", row=5, ctf=CTF))
    assert base == fingerprints(model(), replace(SETTINGS, tile_px=64))(micrograph(ctf=CTF))
    others = [
        fingerprints(model(seed=1), SETTINGS)(micrograph(ctf=CTF)),
        fingerprints(model(recipe=Recipe(max_resolution_A=5.1, phase_flip=False)), SETTINGS)(
            micrograph(ctf=CTF)
        ),
        fingerprints(model(), replace(SETTINGS, merge_noisy=True))(micrograph(ctf=CTF)),
        fingerprints(model(), replace(SETTINGS, average_halves=True))(micrograph(ctf=CTF)),
        fingerprints(model(), replace(SETTINGS, keep_low_frequencies=True))(micrograph(ctf=CTF)),
        fingerprints(model(), SETTINGS)(micrograph(ctf=replace(CTF, defocus_u_A=12001.0))),
        fingerprints(model(), SETTINGS)(replace(micrograph(ctf=CTF), pixel_size_A=2.001)),
    ]
    assert len({base, *others}) == len(others) + 1


@pytest.mark.parametrize(("kind", "same"), [("rings", False), ("model", False), ("none", True)])
def test_calibrated_images_of_another_way_to_calibrate_are_stale(monkeypatch, kind, same):
    settings = replace(SETTINGS, calibration=kind)
    before = fingerprints(model(), settings)(micrograph())
    assert fingerprints(model(), settings)(micrograph()) == before
    monkeypatch.setattr("restore.denoising.targets.CALIBRATION_VERSION", 99)
    assert (fingerprints(model(), settings)(micrograph()) == before) == same


def test_images_that_an_older_version_put_together_otherwise_are_stale(monkeypatch):
    before = fingerprints(model(), SETTINGS)(micrograph())
    monkeypatch.setattr("restore.denoising.targets.OUTPUT_VERSION", 99)
    assert fingerprints(model(), SETTINGS)(micrograph()) != before


def job_with_output(tmp_path, how="a", **files):
    """A job whose output is there: of ``a.mrc``, and of halves where there are any."""
    if not (tmp_path / "a.mrc").exists():
        os.utime(written(tmp_path / "a.mrc"), (1e9, 1e9))
    given = micrograph("a.mrc", tmp_path, **files)
    (job,) = plan([given], OutputSettings(), lambda micrograph: how, lambda _: bool(files))
    write_mrc(job.outputs[0], np.eye(8, dtype=np.float32), 2.0, labels(job, "model.safetensors"))
    return job


def planned_again(job, how="a"):
    given = job.subject.micrograph
    return plan(
        [given], OutputSettings(), lambda micrograph: how, lambda one: one.even is not None
    )[0]


def test_an_output_of_the_same_model_and_settings_is_current(tmp_path):
    assert is_current(planned_again(job_with_output(tmp_path)))


def test_an_output_that_is_not_there_is_not_current(tmp_path):
    assert not is_current(job_of(micrograph("a.mrc", tmp_path), tmp_path / "none.mrc"))


def test_an_output_of_another_model_or_settings_is_stale(tmp_path):
    assert not is_current(planned_again(job_with_output(tmp_path), "b"))


def test_an_output_older_than_its_input_or_a_half_is_stale(tmp_path):
    half = written(tmp_path / "even.mrc")
    job = job_with_output(tmp_path)
    os.utime(half, (1e9, 1e9))
    with_half = job_with_output(tmp_path, even=half)
    assert is_current(planned_again(with_half))
    os.utime(half, (4e9, 4e9))
    assert not is_current(planned_again(with_half))
    os.utime(tmp_path / "a.mrc", (4e9, 4e9))
    assert not is_current(planned_again(job))


@pytest.mark.parametrize("time", [9e8, 1e9 + 0.5, 4e9])
def test_an_input_that_another_file_has_replaced_is_stale_whatever_its_date(tmp_path, time):
    job = job_with_output(tmp_path)
    other = written(tmp_path / "other.mrc", seed=1)
    os.utime(other, (time, time))
    other.replace(job.subject.micrograph.image)  # as mv, cp -p or rsync -t do it
    assert not is_current(planned_again(job))


def test_an_input_dated_in_the_future_is_no_reason_to_start_again(tmp_path):
    os.utime(written(tmp_path / "a.mrc"), (4e9, 4e9))
    assert is_current(planned_again(job_with_output(tmp_path)))


def test_other_halves_make_an_average_stale(tmp_path):
    halves = [written(tmp_path / f"{name}.mrc") for name in ("even", "odd", "other")]
    job = job_with_output(tmp_path, even=halves[0], odd=halves[1])
    given = replace(job.subject.micrograph, odd=halves[2])
    (again,) = plan([given], OutputSettings(), lambda micrograph: "a", lambda _: True)
    assert is_current(planned_again(job)) and not is_current(again)


def test_an_input_that_is_replaced_while_it_is_read_makes_the_output_stale(tmp_path, monkeypatch):
    given = micrograph("a.mrc", tmp_path)
    written(given.image)
    how = made_with(model(), SETTINGS)
    jobs = plan([given], OutputSettings(), how)
    os.utime(given.image, (1e9, 1e9))  # after it was planned, before it is read
    denoise_jobs(jobs, denoiser(SETTINGS), "m.safetensors")
    assert not is_current(plan([given], OutputSettings(), how)[0])
    denoise_jobs(plan([given], OutputSettings(), how), denoiser(SETTINGS), "m.safetensors")
    assert is_current(plan([given], OutputSettings(), how)[0])


@pytest.mark.parametrize("content", ["another program's MRC", "no MRC at all"])
def test_a_file_that_restore_did_not_write_is_never_taken_or_replaced(tmp_path, content):
    job = job_of(micrograph("a.mrc", tmp_path), tmp_path / "a_denoised.mrc")
    if content == "no MRC at all":
        job.outputs[0].write_text("my notes")
    else:
        with mrcfile.new(job.outputs[0], np.eye(8, dtype=np.float32)) as file:
            file.add_label("relion")
    with pytest.raises(
        UserError,
        match=r"a_denoised\.mrc: there is a file here that restore did not write.*`overwrite=True`",
    ):
        is_current(job)


def test_labels_fit_the_header_whatever_the_models_name(tmp_path):
    job = job_of(micrograph(), tmp_path / "o.mrc", "0123456789abcdef01234567")
    lines = labels(job, "modèle_" + "x" * 200)
    assert all(len(line) <= 80 and line.isascii() for line in lines)
    assert lines[0].startswith("restore ") and "mod?le_" in lines[0]
    write_mrc(job.outputs[0], np.eye(8, dtype=np.float32), 2.0, lines)
    assert lines[1] in mrc_labels(job.outputs[0])


def test_halves_are_read_only_where_they_are_wanted(tmp_path):
    full, even, odd = (
        written(tmp_path / f"{name}.mrc", seed) for seed, name in enumerate(("full", "even", "odd"))
    )
    given = Micrograph("full.mrc", full, 2.0, 0, None, even, odd)
    assert read_exposure(given, with_halves=False).halves is None
    halves = read_exposure(given, with_halves=True).halves
    assert halves is not None
    assert np.array_equal(halves[1].numpy(), mrcfile.read(odd))
    with pytest.raises(
        UserError, match=r"full\.mrc: the micrograph has no halves.*`average_halves`"
    ):
        read_exposure(replace(given, odd=None), with_halves=True)


@pytest.mark.parametrize("problem", ["not a number", "cut short", "constant"])
def test_a_half_that_is_wanted_only_for_the_calibration_does_not_prevent_the_denoising(
    tmp_path, caplog, problem
):
    full, even, odd = (
        written(tmp_path / f"{name}.mrc", seed) for seed, name in enumerate(("full", "even", "odd"))
    )
    data = mrcfile.read(even)
    if problem == "cut short":
        even = tmp_path / "even.mrc.gz"
        content = gzip.compress((tmp_path / "even.mrc").read_bytes())
        even.write_bytes(content[: len(content) // 2])
    elif problem == "constant":
        write_mrc(even, np.full_like(data, 3), 2.0)
    else:
        with mrcfile.open(even, mode="r+") as file:
            file.data[5, 5] = np.nan
    given = Micrograph("full.mrc", full, 2.0, 0, None, even, odd)
    jobs = plan([given], OutputSettings(), made_with(model(), SETTINGS), lambda _: True)
    assert len(denoise_jobs(jobs, denoiser(SETTINGS), "m.safetensors").done) == 1
    words = "full.mrc: its halves cannot be used, and the image is not calibrated: "
    assert words in caplog.text  # the model holds no calibration
    alone = plan([replace(given, even=None, odd=None)], OutputSettings("_alone"), str)
    denoise_jobs(alone, denoiser(SETTINGS), "m.safetensors")
    assert np.array_equal(mrcfile.read(jobs[0].outputs[0]), mrcfile.read(alone[0].outputs[0]))
    averaging = denoiser(replace(SETTINGS, average_halves=True))
    assert len(denoise_jobs(jobs, averaging, "m.safetensors", overwrite=True).failed) == 1


@pytest.mark.parametrize("failure", [OSError(errno.EIO, "Input/output error"), MemoryError()])
def test_a_half_that_a_later_run_may_read_is_not_given_up(tmp_path, monkeypatch, failure):
    paths = [written(tmp_path / f"{name}.mrc") for name in ("full", "even", "odd")]
    given = Micrograph("full.mrc", paths[0], 2.0, 0, None, paths[1], paths[2])
    jobs = plan([given], OutputSettings(), made_with(model(), SETTINGS), lambda _: True)

    def failing(_):
        with reading(paths[1], ""):
            raise failure

    with monkeypatch.context() as patch:
        patch.setattr("restore.denoising.batch.read_halves", failing)
        assert len(denoise_jobs(jobs, denoiser(SETTINGS), "m.safetensors").failed) == 1
    assert len(denoise_jobs(jobs, denoiser(SETTINGS), "m.safetensors").done) == 1


@pytest.fixture
def four_jobs(tmp_path):
    """Four micrographs: the second is cut short, the third finer than its resolution allows, the
    others good.
    """
    given = [micrograph(f"m{row}.mrc", tmp_path / "raw", row) for row in range(4)]
    for row, taken in enumerate(given):
        written(taken.image, row)
    content = given[1].image.read_bytes()
    given[1].image.write_bytes(content[: len(content) // 2])
    given[2] = replace(given[2], pixel_size_A=3.0)
    return plan(
        given, OutputSettings(output_directory=tmp_path / "out"), made_with(model(), SETTINGS)
    )


def test_a_bad_micrograph_is_skipped_with_its_reason_and_the_rest_are_done(four_jobs):
    seen = SeenBars()
    outcome = denoise_jobs(four_jobs, denoiser(SETTINGS), "m.safetensors", bars=seen)
    assert [job.subject.micrograph.row for job in outcome.done] == [0, 3]
    assert [job.subject.micrograph.row for job, _ in outcome.failed] == [1, 2]
    assert "m1.mrc" in outcome.failed[0][1]
    assert "finer than the image's Nyquist limit" in outcome.failed[1][1]
    assert seen.calls == [(4, "micrographs", "denoising")]
    assert len(seen.counts) >= 4 and seen.counts[-1] == 4
    assert [job.outputs[0].exists() for job in four_jobs] == [True, False, False, True]
    assert sorted(path.name for path in four_jobs[0].outputs[0].parent.rglob("*.*")) == [
        "m0.mrc",
        "m3.mrc",
    ]
    assert written_images(outcome.good) == {row: four_jobs[row].subject.written for row in (0, 3)}


def test_what_is_written_is_the_denoised_image_with_the_inputs_pixel_size_and_is_current_then(
    four_jobs,
):
    denoise_jobs(four_jobs, denoiser(SETTINGS), "m.safetensors")
    job = four_jobs[3]
    with mrcfile.open(job.outputs[0]) as file:
        assert file.data.shape == (96, 101) and file.data.dtype == np.float32
        assert float(file.voxel_size.x) == pytest.approx(2.0)
        raw = mrcfile.read(job.subject.micrograph.image)
        assert float(file.data.mean()) == pytest.approx(float(raw.mean()), rel=1e-4)
    assert is_current(job)
    assert not is_current(replace(job, fingerprint="other"))


@pytest.mark.parametrize("low", [False, True])
def test_float16_output_is_float16(four_jobs, low):
    settings = replace(SETTINGS, output_dtype="float16", keep_low_frequencies=low)
    about_zero = np.random.default_rng(0).normal(0, 4, (96, 101)).astype(np.float32)
    write_mrc(four_jobs[0].subject.micrograph.image, about_zero, 2.0)
    denoise_jobs(four_jobs[:1], denoiser(settings), "m.safetensors")
    assert mrcfile.read(four_jobs[0].outputs[0]).dtype == np.float16


def test_an_output_that_cannot_be_written_fails_alone(four_jobs):
    blocked = four_jobs[0].outputs[0]
    blocked.mkdir(parents=True)
    outcome = denoise_jobs(
        [four_jobs[0], four_jobs[3]], denoiser(SETTINGS), "m.safetensors", overwrite=True
    )
    assert [job.subject.micrograph.row for job in outcome.done] == [3]
    assert [job.subject.micrograph.row for job, _ in outcome.failed] == [0]


def test_rows_that_were_up_to_date_have_names_too():
    jobs = [job_of(micrograph(row=row), Path(f"{row}.mrc")) for row in range(3)]
    outcome = JobResults([jobs[2]], [jobs[0]], [(jobs[1], "no")])
    assert written_images(outcome.good) == as_written({0: "0.mrc", 2: "2.mrc"})
