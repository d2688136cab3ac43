"""The sums of a drifting movie beside those of RELION 3.1.3, made from the motion that RELION
found.
"""

import mrcfile
import numpy as np
import pytest
import torch
from drifting_movie import DOSE_E_PER_A2, drifting_frames, motion_corrected, specimen, write_movie

from restore.io.images.movies import EERSettings
from restore.io.relion.motion import read_motion
from restore.movies.exposures import MovieSettings, corrected
from restore.movies.halving import from_movie

SHAPE, FRAMES = (512, 640), 12


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A project folder with one drifting movie, seen through a gain reference with a dead pixel,
    and a hot pixel.
    """
    folder = tmp_path_factory.mktemp("relion")
    frames = drifting_frames(SHAPE, FRAMES)
    gain = np.random.default_rng(5).uniform(0.9, 1.1, SHAPE).astype(np.float32)
    gain[100, 200] = 0
    frames[:, 50, 60] = 200
    write_movie(folder / "Movies/a.mrcs", frames)
    with mrcfile.new(folder / "gain.mrc") as file:
        file.set_data(gain)
    return folder


def ring_correlations(first, second, pixel_A, finest_A):
    """The correlation in rings 0.02/Å wide, down to a resolution."""
    one, two = (np.fft.rfft2(image - image.mean()) for image in (first, second))
    ky, kx = (
        np.fft.fftfreq(first.shape[0], pixel_A)[:, None],
        np.fft.rfftfreq(first.shape[1], pixel_A)[None],
    )
    ring = np.rint(np.hypot(ky, kx) / 0.02).astype(int)
    correlations = []
    for number in range(1, int(1 / finest_A / 0.02) + 1):
        a, b = one[ring == number], two[ring == number]
        correlations.append(
            np.sum((a * b.conj()).real) / np.sqrt(np.sum(np.abs(a) ** 2) * np.sum(np.abs(b) ** 2))
        )
    return np.array(correlations)


RUNS = {
    "global": ("--patch_x", "1", "--patch_y", "1"),
    "local": ("--patch_x", "3", "--patch_y", "3"),
    "some_frames": (
        "--patch_x",
        "3",
        "--patch_y",
        "3",
        "--first_frame_sum",
        "3",
        "--last_frame_sum",
        "11",
    ),
    "binned_first": ("--patch_x", "3", "--patch_y", "3", "--bin_factor", "2"),
    "binned_last": ("--patch_x", "3", "--patch_y", "3", "--bin_factor", "2", "--no_early_binning"),
    "gain": (
        "--patch_x",
        "3",
        "--patch_y",
        "3",
        "--gainref",
        "gain.mrc",
        "--gain_rot",
        "2",
        "--gain_flip",
        "1",
    ),
}


@pytest.mark.parametrize("run", RUNS)
def test_our_full_sum_agrees_with_relions_image_to_4_A(project, run, monkeypatch):
    monkeypatch.chdir(project)
    job = motion_corrected(project, ["Movies/a.mrcs"], f"MotionCorr/{run}", *RUNS[run])
    motion = read_motion(job / "Movies/a.star")
    assert (motion.local is None) == (run == "global")
    assert motion.dose_per_frame_e_per_A2 == DOSE_E_PER_A2
    for name, weighted in (("a_noDW.mrc", False), ("a.mrc", True)):
        image = job / "Movies" / name
        exposure = corrected(
            image, job / "Movies/a.star", MovieSettings(dose_weighting=weighted), EERSettings()
        )
        halves = from_movie(exposure, torch.device("cpu"))
        ours, theirs = halves.even + halves.odd, mrcfile.read(image)
        assert halves.remark == ""
        assert ours.shape == theirs.shape
        assert ours.mean() == pytest.approx(
            theirs.mean(), rel=0.002 if run != "some_frames" else 0.02
        )
        finest_A = (
            4.0 if motion.binning == 1 else 6.0
        )  # RELION's interpolation is bilinear, on pixels of 2 Å then
        correlations = ring_correlations(
            ours, theirs, motion.pixel_size_A * motion.binning, finest_A
        )
        assert correlations.min() > 0.99, correlations.round(4)


@pytest.mark.parametrize("name", ["d.txt", "d.mrc"])
def test_pixels_of_the_defect_file_are_left_out_as_relion_does(tmp_path, name, monkeypatch):
    """A dead block and a bright column, which RELION then does not list among its hot pixels."""
    monkeypatch.chdir(tmp_path)
    bad = np.zeros(SHAPE, bool)
    bad[100:103, 200:240] = bad[:, 400] = True
    frames = drifting_frames(SHAPE, 6)
    frames[:, bad] = 0
    frames[:, :, 400] = 200
    write_movie(tmp_path / "Movies/a.mrcs", frames)
    (tmp_path / "d.txt").write_text(f"200 100 40 3\n400 0 1 {SHAPE[0]}\n")
    mrcfile.write(tmp_path / "d.mrc", bad.astype(np.int8))
    job = motion_corrected(
        tmp_path, ["Movies/a.mrcs"], "MotionCorr/d", *RUNS["global"], "--defect_file", name
    )
    motion = read_motion(job / "Movies/a.star")
    assert motion.defects == name
    assert not any(bad[y, x] for y, x in motion.hot_pixels_yx)
    image = job / "Movies/a_noDW.mrc"
    exposure = corrected(
        image, job / "Movies/a.star", MovieSettings(dose_weighting=False), EERSettings()
    )
    assert exposure.summing.bad[torch.from_numpy(bad)].all()
    halves = from_movie(exposure, torch.device("cpu"))
    ours, theirs = halves.even + halves.odd, mrcfile.read(image)
    assert halves.remark == ""
    assert ring_correlations(ours, theirs, 1.0, 4.0).min() > 0.98


def test_correcting_the_local_motion_brings_back_detail_of_the_specimen(project, monkeypatch):
    monkeypatch.chdir(project)
    job = motion_corrected(project, ["Movies/a.mrcs"], "MotionCorr/truth", *RUNS["local"])
    truth = specimen(tuple(side + 64 for side in SHAPE), 0)[32:-32, 32:-32]
    gains = []
    for local in (True, False):
        exposure = corrected(
            job / "Movies/a.mrc",
            job / "Movies/a.star",
            MovieSettings(dose_weighting=False),
            EERSettings(),
        )
        summing, motion = exposure.summing, exposure.summing.motion
        if not local:
            from dataclasses import replace

            exposure = replace(
                exposure, summing=replace(summing, motion=replace(motion, local=None))
            )
        halves = from_movie(exposure, torch.device("cpu"))
        gains.append(
            ring_correlations(
                (halves.even + halves.odd)[16:-16, 16:-16], truth[16:-16, 16:-16], 1.0, 5.0
            )[-3:].mean()
        )
    assert gains[0] > gains[1] + 0.02 and gains[0] > 0.6, gains
