"""``restore halves`` as a person types it: movies to halves, counts to halves, and what goes wrong
on the way.
"""

import json
import os
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from drifting_movie import drifting_frames, motion_corrected, specimen, write_movie
from eer_example import counted, random_electrons, write_eer

from restore.cli.main import main
from restore.io.images.mrc import write_mrc
from restore.io.star import read_star

SHAPE, FRAMES = (64, 96), 8
OPTICS = """
# version 30001

data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographOriginalPixelSize #3
_rlnMicrographPixelSize #4
_rlnVoltage #5
_rlnSphericalAberration #6
_rlnAmplitudeContrast #7
opticsGroup1 1 1.0 1.0 300.0 2.7 0.1

# version 30001

data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
_rlnDefocusU #3
_rlnDefocusV #4
_rlnDefocusAngle #5
_rlnCtfFigureOfMerit #6
"""
MOTION = """
data_general

_rlnImageSizeX {1}
_rlnImageSizeY {0}
_rlnImageSizeZ {2}
_rlnMicrographMovieName Movies/{3}.mrcs
_rlnMicrographBinning 1.0
_rlnMicrographOriginalPixelSize 1.0
_rlnMicrographDoseRate 1.2
_rlnVoltage 300.0
_rlnMotionModelVersion 0

data_global_shift

loop_
_rlnMicrographFrameNumber
_rlnMicrographShiftX
_rlnMicrographShiftY
"""
NAMES = ("a", "b", "c")


def restore(line):
    return main(line.split())


def pixels(path):
    return mrcfile.read(path)


def files(folder):
    return {path.name for path in Path(folder).rglob("*") if path.is_file()}


def times(folder):
    return {path: path.stat().st_mtime_ns for path in Path(folder).rglob("*.mrc")}


def column(star, name, block="micrographs"):
    return read_star(Path(star)).block(block).column(name)


def still_frames(seed):
    """Frames of a specimen that does not move."""
    density = 3 * (1 + 0.15 * specimen(SHAPE, seed))
    return np.random.default_rng(seed).poisson(density, (FRAMES, *SHAPE)).astype("i2")


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project after MotionCorr and CtfFind: three movies without motion, and their plain sums;
    logging is restored.
    """
    rows = ""
    for seed, name in enumerate(NAMES):
        frames = still_frames(seed)
        write_movie(tmp_path / f"Movies/{name}.mrcs", frames)
        write_mrc(
            tmp_path / f"MotionCorr/job002/Movies/{name}.mrc", frames.sum(0).astype("f4"), 1.0
        )
        text = MOTION.format(*SHAPE, FRAMES, name) + "".join(
            f"{number} 0.0 0.0\n" for number in range(1, FRAMES + 1)
        )
        (tmp_path / f"MotionCorr/job002/Movies/{name}.star").write_text(text)
        rows += f"MotionCorr/job002/Movies/{name}.mrc 1 10000.0 9900.0 {10 * seed}.0 0.1{seed}\n"
    (tmp_path / "CtfFind/job003").mkdir(parents=True)
    (tmp_path / "CtfFind/job003/micrographs_ctf.star").write_text(OPTICS + rows)
    monkeypatch.chdir(tmp_path)
    yield tmp_path


STAR = "CtfFind/job003/micrographs_ctf.star"
PLAIN = f"halves -m {STAR} --dont_dose_weighting"


# From a MotionCorr job


def test_a_ctf_star_gains_the_names_of_halves_and_keeps_all_else(project):
    assert restore(PLAIN) == 0
    assert files("Halves") == {
        "micrographs_ctf.star", "micrographs_ctf.settings.json",
        *(f"{name}_{kind}.mrc" for name in NAMES for kind in ("EVN", "ODD"))
    }  # fmt: skip
    table = read_star(Path("Halves/micrographs_ctf.star"))
    given = read_star(Path(STAR))
    assert table.block("optics").text() == given.block("optics").text()
    block = table.block("micrographs")
    assert block.columns[:6] == given.block("micrographs").columns
    assert [row[:6] for row in block.rows] == list(given.block("micrographs").rows)
    assert block.column("rlnMicrographNameEven")[1] == "Halves/MotionCorr/job002/Movies/b_EVN.mrc"
    for name in NAMES:
        frames, folder = (
            pixels(f"Movies/{name}.mrcs").astype("f4"),
            Path("Halves/MotionCorr/job002/Movies"),
        )
        np.testing.assert_allclose(
            pixels(folder / f"{name}_ODD.mrc"), frames[::2].sum(0), atol=1e-3
        )
        np.testing.assert_allclose(
            pixels(folder / f"{name}_EVN.mrc"), frames[1::2].sum(0), atol=1e-3
        )


def test_training_and_denoising_go_on_from_the_star(project):
    assert restore(PLAIN) == 0
    small = "--steps 1 --filters=4 --blocks=1 --batch_size=2 --patch_px=32"
    assert restore(f"train -m Halves/micrographs_ctf.star -r 4 {small}") == 0
    assert (
        restore(
            "denoise -m Halves/micrographs_ctf.star -p Models/model.safetensors -o Denoised "
            "--average_halves"
        )
        == 0
    )
    assert len(column("Denoised/micrographs_ctf.star", "rlnMicrographName")) == 3


def test_a_rerun_does_only_what_is_missing_or_stale(project):
    assert restore(PLAIN) == 0
    before = times("Halves")
    assert restore(PLAIN) == 0
    assert times("Halves") == before
    gone = Path("Halves/MotionCorr/job002/Movies/b_ODD.mrc")
    gone.unlink()
    os.utime("MotionCorr/job002/Movies/c.star", (4e9, 4e9))
    assert restore(PLAIN) == 0
    changed = {path.name for path, time in times("Halves").items() if before.get(path) != time}
    assert changed == {"b_EVN.mrc", "b_ODD.mrc", "c_EVN.mrc", "c_ODD.mrc"}


def test_pixels_of_a_defect_file_are_replaced_and_another_file_makes_new_halves(project):
    job = project / "MotionCorr/job002/Movies"
    bad = np.zeros(SHAPE, bool)
    bad[10:13, 20:60] = True
    movie = still_frames(0)
    movie[:, bad] = 0
    write_movie(project / "Movies/a.mrcs", movie)
    write_mrc(job / "a.mrc", movie.sum(0).astype("f4"), 1.0)
    text = (job / "a.star").read_text()
    (job / "a.star").write_text(
        text.replace(
            "_rlnMicrographBinning", "_rlnMicrographDefectFile d.txt\n_rlnMicrographBinning"
        )
    )
    (project / "d.txt").write_text("20 10 40 3\n")
    assert restore(PLAIN) == 0
    before = times("Halves")
    for kind in ("EVN", "ODD"):
        half = pixels(f"Halves/MotionCorr/job002/Movies/a_{kind}.mrc")
        assert abs(half[bad].mean() / half[~bad].mean() - 1) < 0.2
    assert restore(PLAIN) == 0
    assert times("Halves") == before
    (project / "d.txt").write_text("20 10 40 2\n")
    assert restore(PLAIN) == 0
    changed = {path.name for path, time in times("Halves").items() if before[path] != time}
    assert changed == {"a_EVN.mrc", "a_ODD.mrc"}
    (project / "d.txt").unlink()
    assert restore(PLAIN) == 1


def test_local_motion_that_motioncor2_did_not_record_as_a_model_is_spoken_of(project, capsys):
    job, words = project / "MotionCorr/job002/Movies", "local motion was measured but not recorded"
    assert restore(PLAIN) == 0
    assert words not in capsys.readouterr().err
    columns = ("FrameNumber", "ShiftX", "ShiftY")
    names = [f"_rlnMicrograph{name}\n" for name in columns]
    names[1:1] = ["_rlnCoordinateX\n", "_rlnCoordinateY\n"]
    with (job / "b.star").open("a") as file:
        file.write("\ndata_local_shift\n\nloop_\n" + "".join(names))
        file.write("1 48.0 32.0 0.0 0.0\n2 48.0 32.0 0.1 0.2\n")
    assert restore(PLAIN) == 0
    assert capsys.readouterr().err.count(f"Movies/b.mrcs: {words}") == 1
    write_mrc(job / "b.mrc", 2 * pixels(job / "b.mrc"), 1.0)
    assert restore(PLAIN) == 0
    assert f"b.mrc is 2 times the sum of its frames, correlation 1.000; {words}" in (
        capsys.readouterr().err
    )
    write_mrc(job / "b.mrc", pixels(job / "a.mrc"), 1.0)
    assert restore(PLAIN) == 1
    assert f"Both must be the same exposure ({words}" in capsys.readouterr().err


def test_other_settings_make_all_halves_again(project):
    assert restore(PLAIN) == 0
    before = times("Halves")
    assert restore(f"{PLAIN} --output_dtype float16") == 0
    assert not set(before.items()) & set(times("Halves").items())
    assert pixels("Halves/MotionCorr/job002/Movies/a_EVN.mrc").dtype == np.float16


def test_binned_halves_bring_their_full_sum_and_pixel_size(project):
    assert restore(f"{PLAIN} --bin 2 -o Binned") == 0
    star = "Binned/micrographs_ctf.star"
    assert column(star, "rlnMicrographPixelSize", "optics") == ["2.000000"]
    assert column(star, "rlnMicrographOriginalPixelSize", "optics") == ["1.0"]
    name = column(star, "rlnMicrographName")[0]
    assert name == "Binned/MotionCorr/job002/Movies/a_DW.mrc"
    full, even, odd = (pixels(name.replace("_DW", kind)) for kind in ("_DW", "_EVN", "_ODD"))
    assert full.shape == (32, 48)
    assert np.array_equal(even + odd, full)
    with mrcfile.open(name) as file:
        assert float(file.voxel_size.x) == pytest.approx(2.0)
    assert restore(f"{PLAIN} --output_pixel_size 2 -o Same") == 0
    assert np.array_equal(pixels(name.replace("Binned", "Same")), full)


def test_a_flat_star_of_relion_3_0_gets_the_new_pixel_size_where_relion_looks_for_it(project):
    head = "data_\n\nloop_\n_rlnMicrographName #1\n_rlnDetectorPixelSize #2\n_rlnMagnification #3\n"
    Path("flat.star").write_text(head + "MotionCorr/job002/Movies/a.mrc 5.0 50000.0\n")
    assert restore("halves -m flat.star --dont_dose_weighting --bin 2") == 0
    assert float(column("Halves/flat.star", "rlnDetectorPixelSize", "")[0]) == pytest.approx(10.0)
    assert float(column("Halves/flat.star", "rlnMicrographPixelSize", "")[0]) == pytest.approx(2.0)


def test_the_full_sum_on_request_is_the_micrograph_again(project):
    assert restore(f"{PLAIN} --full_sum") == 0
    assert (
        column("Halves/micrographs_ctf.star", "rlnMicrographName")[2]
        == "Halves/MotionCorr/job002/Movies/c_DW.mrc"
    )
    ours, theirs = (
        pixels(f"{folder}MotionCorr/job002/Movies/c{end}.mrc")
        for folder, end in (("Halves/", "_DW"), ("", ""))
    )
    np.testing.assert_allclose(ours, theirs, atol=1e-3)
    assert column("Halves/micrographs_ctf.star", "rlnMicrographPixelSize", "optics") == ["1.0"]


def test_relions_own_job_is_halved_and_the_halves_add_up(project, capsys):
    write_movie(project / "Movies/drift.mrcs", drifting_frames((256, 320), 8))
    job = motion_corrected(
        project, ["Movies/drift.mrcs"], "MotionCorr/job009", "--patch_x", "3", "--patch_y", "3"
    )
    assert restore(f"halves -m {job}/corrected_micrographs.star") == 0
    assert "differ slightly from" not in capsys.readouterr().err
    folder = (
        Path("Halves") / job.relative_to(project) / "Movies"
    )  # job is absolute, names in its STAR file are not
    theirs, ours = (
        pixels(job / "Movies/drift.mrc"),
        pixels(folder / "drift_EVN.mrc") + pixels(folder / "drift_ODD.mrc"),
    )
    assert np.corrcoef(ours.ravel(), theirs.ravel())[0, 1] > 0.99
    assert column("Halves/corrected_micrographs.star", "rlnMicrographName") == [
        "MotionCorr/job009/Movies/drift.mrc"
    ]


def test_a_sum_that_is_weighted_otherwise_than_the_micrograph_is_spoken_of(project, capsys):
    assert restore(f"halves -m {STAR}") == 0
    messages = capsys.readouterr().err
    assert (
        "3 full sums differ slightly from the micrograph" in messages
        and " times the sum of its frames, correlation 0.9" in messages
    )


def test_settings_and_provenance_lie_beside_the_star(project):
    assert restore(PLAIN) == 0
    record = json.loads(Path("Halves/micrographs_ctf.settings.json").read_text())
    assert record["settings"]["movies"]["dose_weighting"] is False
    assert record["inputs"]["micrographs"] == STAR


def test_a_simulated_movie_and_its_true_motion_give_back_what_a_perfect_correction_would(project):
    assert restore(
        "simulate session --micrographs=1 --size_px=256 --frames=10 --pixel_size_A=1.5 "
        "--movies=mrc --gain_spread=0.05"
    ) == 0  # fmt: skip
    line = "halves -m session/micrographs_ctf.star --dont_dose_weighting"
    assert restore(line) == 1  # the session's own images are sums of other electrons
    assert restore(f"{line} --full_sum") == 0
    ours = pixels(column("Halves/micrographs_ctf.star", "rlnMicrographName")[0])
    perfect, truth = (
        pixels(f"session/Micrographs/mic_0001_{kind}.mrc").astype("f4") for kind in ("DW", "TRUTH")
    )
    assert ours.mean() == pytest.approx(perfect.mean(), rel=0.01)
    correlations = [
        coarse_correlation(image[16:-16, 16:-16], truth[16:-16, 16:-16])
        for image in (ours, perfect)
    ]
    assert correlations[1] > 0.25 and correlations[0] > 0.85 * correlations[1], correlations


def coarse_correlation(first, second):
    """The correlation below a tenth of the sampling frequency."""
    one, two = (np.fft.rfft2(image - image.mean()) for image in (first, second))
    coarse = (
        np.hypot(np.fft.fftfreq(first.shape[0])[:, None], np.fft.rfftfreq(first.shape[1])[None])
        < 0.1
    )
    one, two = one[coarse], two[coarse]
    return np.sum((one * two.conj()).real) / np.linalg.norm(one) / np.linalg.norm(two)


# From aligned movies


def test_aligned_movies_become_halves_that_sum_to_all_frames_exactly(project):
    assert restore("halves -m Movies/*.mrcs --pixel_size 1.5 --dont_dose_weighting") == 0
    star = "Halves/micrographs.star"
    assert column(star, "rlnMicrographPixelSize", "optics") == ["1.500000"]
    for name, movie in zip(
        column(star, "rlnMicrographName"), sorted(Path("Movies").glob("*.mrcs")), strict=True
    ):
        frames = pixels(movie).astype("f4")
        assert np.array_equal(pixels(name), frames.sum(0))
        assert np.array_equal(pixels(name.replace("_DW", "_ODD")), frames[::2].sum(0))
    assert restore(f"prepare -m {star} -r 6 --dont_phaseflip") == 0


def test_aligned_movies_are_weighted_by_dose(project):
    line = "halves -m Movies/a.mrcs --pixel_size 1.5 --dose_per_frame 2 --voltage 300"
    assert restore(line) == 0
    full = pixels(column("Halves/micrographs.star", "rlnMicrographName")[0])
    assert full.mean() == pytest.approx(
        pixels("Movies/a.mrcs").sum(0).mean() / np.sqrt(FRAMES), rel=1e-5
    )
    assert column("Halves/micrographs.star", "rlnVoltage", "optics") == ["300.000000"]


def weighted_full_sum(path, dose, pixel_size_A, critical_factor=1.0):
    """The full sum of a movie's halves, each Σ w F / √(2 Σ w²), dose counted from its first frame
    (Grant & Grigorieff 2015, eq. 3).
    """
    spectra = np.fft.rfft2(pixels(path).astype(float))
    ky, kx = np.fft.fftfreq(SHAPE[0], pixel_size_A), np.fft.rfftfreq(SHAPE[1], pixel_size_A)
    with np.errstate(divide="ignore"):
        critical = critical_factor * (0.245 * np.hypot(ky[:, None], kx) ** -1.665 + 2.81)
    weights = np.stack([np.exp(-0.5 * dose * index / critical) for index in range(FRAMES)])
    halves = [
        (weights[half] * spectra[half]).sum(0) / np.sqrt(2 * (weights[half] ** 2).sum(0))
        for half in (slice(0, None, 2), slice(1, None, 2))
    ]
    return np.fft.irfft2(sum(halves), s=SHAPE)


def test_the_typed_dose_and_voltage_and_the_pixel_size_of_the_movie_set_the_weights(project):
    line = "halves -m Movies/a.mrcs --pixel_size 0.5 --dose_per_frame 2 --voltage 200"
    assert restore(line) == 0
    full = pixels(column("Halves/micrographs.star", "rlnMicrographName")[0])
    expected = weighted_full_sum("Movies/a.mrcs", 2, 0.5, 0.8)
    np.testing.assert_allclose(full, expected, atol=1e-3)


@pytest.mark.parametrize(("more", "dose"), [("", 1.2), (" --dose_per_frame 4", 4)])
def test_a_typed_dose_stands_before_that_of_the_motions_file_whose_pixel_size_counts(
    project, more, dose
):
    motion = Path("MotionCorr/job002/Movies/a.star")
    motion.write_text(motion.read_text().replace("PixelSize 1.0", "PixelSize 1.7"))
    assert restore(f"halves -m {STAR} --full_sum{more}") == 0
    expected = weighted_full_sum("Movies/a.mrcs", dose, 1.7)
    full = pixels("Halves/MotionCorr/job002/Movies/a_DW.mrc")
    np.testing.assert_allclose(full, expected, atol=1e-3)


@pytest.mark.parametrize("typed", ["Movies/a.mrcs --pixel_size 1", STAR])
def test_a_typed_gain_reference_multiplies_every_frame_once_it_is_rotated_and_flipped(
    project, typed
):
    gain = 1 + 0.1 * np.random.default_rng(3).random((SHAPE[1], SHAPE[0]), "f4")
    write_mrc(Path("g.mrc"), gain, 1.0)
    line = f"halves -m {typed} --gain g.mrc --gain_rotation 1 --gain_flip 2 --full_sum"
    assert restore(f"{line} --dont_dose_weighting") == 0
    turned = np.rot90(gain, -1)[:, ::-1]  # clockwise where the first row is at the top
    expected = (pixels("Movies/a.mrcs") * turned).sum(0)
    full = pixels(next(Path("Halves").rglob("a_DW.mrc")))
    np.testing.assert_allclose(full, expected, rtol=1e-4)


# By thinning


def test_counts_are_thinned_and_come_again_with_the_same_seed(project):
    assert restore(f"halves -m {STAR} --thin") == 0
    assert (
        column("Halves/micrographs_ctf.star", "rlnMicrographName")[0]
        == "MotionCorr/job002/Movies/a.mrc"
    )
    even, odd = (pixels(f"Halves/MotionCorr/job002/Movies/a_{kind}.mrc") for kind in ("EVN", "ODD"))
    assert np.array_equal(even + odd, pixels("MotionCorr/job002/Movies/a.mrc"))
    assert restore(f"halves -m {STAR} --thin -o Again") == 0
    assert np.array_equal(pixels("Again/MotionCorr/job002/Movies/a_EVN.mrc"), even)
    assert restore(f"halves -m {STAR} --thin --seed 1 -o Other") == 0
    assert not np.array_equal(pixels("Other/MotionCorr/job002/Movies/a_EVN.mrc"), even)


def test_float16_micrographs_are_thinned_like_float32_ones(project):
    assert restore(f"halves -m {STAR} --thin") == 0
    for image in Path("MotionCorr/job002/Movies").glob("*.mrc"):
        write_mrc(image, pixels(image), 1.0, dtype="float16")
        assert pixels(image).dtype == np.float16
    assert restore(f"halves -m {STAR} --thin -o Again --output_dtype float16") == 0
    for path in sorted(Path("Halves").rglob("*.mrc")):
        again = pixels("Again" / path.relative_to("Halves"))
        assert again.dtype == np.float16 and np.array_equal(again, pixels(path))


def test_what_is_no_count_is_skipped_with_the_reason_and_the_rest_done(project, capsys):
    image = Path("MotionCorr/job002/Movies/b.mrc")
    write_mrc(
        image, pixels(image) * np.random.default_rng(0).uniform(0.9, 1.1, SHAPE).astype("f4"), 1.0
    )
    assert restore(f"halves -m {STAR} --thin") == 1
    messages = capsys.readouterr().err
    assert (
        "1 of 3 micrographs were not halved" in messages
        and "multiplied by a gain reference" in messages
    )
    assert [
        Path(name).name for name in column("Halves/micrographs_ctf.star", "rlnMicrographName")
    ] == [
        "a.mrc",
        "c.mrc",
    ]


def test_a_name_that_leads_nowhere_from_the_output_is_replaced_by_the_path(project, monkeypatch):
    (project / "elsewhere").mkdir()
    monkeypatch.chdir(project / "elsewhere")
    assert restore(f"halves -m ../{STAR} --thin -o {project.parent}/away") == 0
    assert Path(
        column(project.parent / "away/micrographs_ctf.star", "rlnMicrographName")[0]
    ).exists()


# What goes wrong


@pytest.mark.parametrize(
    ("line", "status", "words"),
    [
        (f"halves -m {STAR} --thin --bin 2", 2, "--thin and --bin are given"),
        (f"halves -m {STAR} --seed 2", 2, "--seed is given without --thin"),
        (f"halves -m {STAR} --gain_flip 1", 2, "given without --gain"),
        (f"halves -m {STAR} --bin 0.5", 1, "--bin is 0.5"),
        (
            f"halves -m {STAR} --bin 2 --output_pixel_size 3",
            1,
            "--bin and --output_pixel_size are both given",
        ),
        (f"halves -m {STAR} --pixel_size 3", 1, "the pixel size is 1 Å, and 3 Å was given"),
        ("halves -m Movies/*.mrcs --dont_dose_weighting", 1, "give --pixel_size in Å"),
        ("halves -m Movies/*.mrcs --pixel_size 1", 1, "give --dose_per_frame and --voltage"),
        ("halves -m Movies/*.tif --pixel_size 1", 1, "no image matches it"),
        ("halves -m MotionCorr/job002/Movies/a.star", 1, "rlnMicrographName is missing"),
        (f"halves -m {STAR} -o CtfFind/job003", 1, "the output STAR would replace the input's"),
    ],
)
def test_wrong_use_is_told_before_anything_is_written(project, capsys, line, status, words):
    before = files(".")
    assert restore(line) == status
    assert words in capsys.readouterr().err
    assert files(".") == before


def no_movie():
    Path("Movies/b.mrcs").unlink()


def no_motion():
    Path("MotionCorr/job002/Movies/b.star").unlink()


def another_movie():
    write_movie(Path("Movies/b.mrcs"), still_frames(77))


def fewer_frames():
    write_movie(Path("Movies/b.mrcs"), still_frames(1)[:5])


def cut_short():
    content = Path("Movies/b.mrcs").read_bytes()
    Path("Movies/b.mrcs").write_bytes(content[: len(content) // 2])


def no_micrograph():
    Path("MotionCorr/job002/Movies/b.mrc").unlink()


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (no_movie, "there is no movie Movies/b.mrcs"),
        (no_motion, "The motion that MotionCorr found is needed"),
        (another_movie, "the sum of its frames does not match it"),
        (fewer_frames, "it has 5 frames of 96 x 64 pixels"),
        (cut_short, "b.mrcs"),
        (no_micrograph, "b.mrc"),
    ],
)
def test_a_bad_micrograph_is_skipped_with_its_reason_and_the_rest_are_done(
    project, capsys, harm, words
):
    harm()
    assert restore(PLAIN) == 1
    messages = capsys.readouterr().err
    assert "1 of 3 micrographs were not halved" in messages and words in messages
    names = column("Halves/micrographs_ctf.star", "rlnMicrographName")
    assert [Path(name).stem for name in names] == ["a", "c"]
    assert not [name for name in files("Halves") if name.startswith(("b_", "."))]


def test_a_voltage_that_cannot_be_weighted_for_fails_each_micrograph(project, capsys):
    assert restore(f"halves -m {STAR} --voltage 120") == 1
    assert "give --dont_dose_weighting" in capsys.readouterr().err
    assert not Path("Halves/micrographs_ctf.star").exists()


def test_a_gain_reference_of_another_camera_is_refused(project, capsys):
    write_mrc(Path("gain.mrc"), np.ones((96, 64), "f4") + np.eye(96, 64, dtype="f4"), 1.0)
    assert restore(f"{PLAIN} --gain gain.mrc") == 1
    assert "rotate it by 1 or 3 times 90°" in capsys.readouterr().err


def test_a_file_that_restore_did_not_write_is_never_replaced(project, capsys):
    path = Path("Halves/MotionCorr/job002/Movies/a_EVN.mrc")
    write_mrc(path, np.eye(8, dtype="f4"), 1.0)
    content = path.read_bytes()
    assert restore(PLAIN) == 1
    assert "there is a file here that restore did not write" in capsys.readouterr().err
    assert path.read_bytes() == content
    assert restore(f"{PLAIN} --overwrite") == 0


def test_two_movies_with_one_output_are_refused(project, capsys):
    write_movie(Path("Movies/a.mrc"), still_frames(0))
    assert restore("halves -m Movies/a.mrc* --pixel_size 1 --dont_dose_weighting") == 1
    assert (
        "Movies/a.mrc and Movies/a.mrcs would both be written to this file"
    ) in capsys.readouterr().err


def halves_of(movie, *options):
    """The even and the odd half that ``restore halves`` makes of an aligned movie, nothing
    weighted.
    """
    out = movie.with_name(f"out_{movie.stem}")
    words = [
        "halves",
        "-m",
        str(movie),
        "--pixel_size=1",
        "--dont_dose_weighting",
        "-o",
        str(out),
        *options,
    ]
    assert main(words) == 0
    return [mrcfile.read(next(out.rglob(f"*_{suffix}.mrc"))) for suffix in ("EVN", "ODD")]


def test_an_eer_movie_gives_halves_of_its_fractions(tmp_path):
    shape, random = (48, 64), np.random.default_rng(0)
    hardware = [random_electrons(random, shape, 400) for _ in range(13)]
    write_eer(tmp_path / "a.eer", hardware, shape)
    even, odd = halves_of(tmp_path / "a.eer", "--fraction_frames=3")
    assert np.array_equal(odd, counted(hardware[0:3] + hardware[6:9], shape))
    assert np.array_equal(even, counted(hardware[3:6] + hardware[9:12], shape))


def test_a_packed_tiff_movie_gives_halves_the_way_up_that_relion_has(tmp_path):
    tifffile = pytest.importorskip("tifffile")
    frames = np.random.default_rng(0).poisson(2.0, (6, 48, 64)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tiff", frames, photometric="minisblack", compression="lzw")
    even, odd = halves_of(tmp_path / "a.tiff")
    assert np.array_equal(odd, frames[0::2].sum(axis=0)[::-1]) and np.array_equal(
        even, frames[1::2].sum(axis=0)[::-1]
    )
