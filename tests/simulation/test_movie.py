"""Movies: motion, frames, gain, files, and RELION's motion correction as the judge of all of it."""

import itertools
import shutil
import subprocess
import sys
from dataclasses import asdict, replace

import mrcfile
import numpy as np
import pytest
import starfile
import tifffile
import torch

from restore.cli.main import main
from restore.errors import UserError
from restore.io.images.movies import read_frames
from restore.io.relion.motion import read_motion
from restore.simulation.damage import (
    amplitude_left,
    critical_exposure_e_per_A2,
    mean_amplitude_left,
)
from restore.simulation.microscope import expose
from restore.simulation.motion import Motion, draw_motion, local_displacement_yx_px
from restore.simulation.movie import (
    counting_type,
    detector_gain,
    displaced,
    expected_frame,
    movie_frames,
)
from restore.simulation.movie_files import write_mrc_movie, write_tiff_movie
from restore.simulation.session import simulate
from restore.simulation.settings import SimulationSettings
from restore.simulation.specimen import barrel_phantom, transform

SETTINGS = SimulationSettings(
    micrographs=2,
    size_px=(150, 117),
    pixel_size_A=4.0,
    frames=5,
    seed=5,
    gain_spread=0.05,
    local_motion_A=12.0,
)
STILL = np.zeros((2, 6, 3))
IMAGES = ("DW", "EVN", "ODD", "TRUTH")


@pytest.fixture(scope="module")
def exposure():
    return expose(SETTINGS, transform(barrel_phantom(4.0)), 0)


@pytest.fixture(scope="module")
def sessions(tmp_path_factory):
    root = tmp_path_factory.mktemp("movies")
    for kind in ("none", "mrc", "tiff"):
        simulate(replace(SETTINGS, movies=kind), root / kind)
    return root


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def motion_of(seed=0, **settings):
    return draw_motion(replace(SETTINGS, **settings), np.random.default_rng(seed))


# The session


def test_a_session_with_movies_holds_them_their_motion_and_the_gain(sessions):
    plain = files(sessions / "none")
    for kind, ending in (("mrc", "mrcs"), ("tiff", "tiff")):
        added = [
            f"Movies/mic_000{n}{end}" for n in (1, 2) for end in (f".{ending}", "_motion.star")
        ]
        assert files(sessions / kind) == sorted([*plain, *added, "Movies/gain.mrc", "movies.star"])


def test_the_images_are_the_same_with_movies_and_without(sessions):
    for name in [f"Micrographs/mic_000{n}_{suffix}.mrc" for n in (1, 2) for suffix in IMAGES]:
        alone = (sessions / "none" / name).read_bytes()
        assert (
            (sessions / "mrc" / name).read_bytes()
            == alone
            == (sessions / "tiff" / name).read_bytes()
        )
    tables = [(sessions / kind / "particles.star").read_bytes() for kind in ("none", "mrc")]
    assert tables[0] == tables[1]


def test_tiff_and_mrc_hold_the_same_counts_the_tiff_upside_down(sessions):
    for n in (1, 2):
        stack = mrcfile.read(sessions / f"mrc/Movies/mic_000{n}.mrcs")
        pages = tifffile.imread(sessions / f"tiff/Movies/mic_000{n}.tiff")
        assert stack.shape == (5, 150, 117) and stack.dtype == np.int16 and pages.dtype == np.uint16
        np.testing.assert_array_equal(stack, pages[:, ::-1])
    assert not np.array_equal(stack, mrcfile.read(sessions / "mrc/Movies/mic_0001.mrcs"))


def test_the_movies_electrons_are_not_those_of_the_halves(tmp_path):
    still = replace(
        SETTINGS,
        micrographs=1,
        movies="mrc",
        gain_spread=0.0,
        local_motion_A=0.0,
        drift_A=0.0,
        hot_pixels=0,
    )
    simulate(still, tmp_path)
    stack = mrcfile.read(tmp_path / "Movies/mic_0001.mrcs").astype(float)
    even, odd, truth = (
        mrcfile.read(tmp_path / f"Micrographs/mic_0001_{suffix}.mrc")
        for suffix in ("EVN", "ODD", "TRUTH")
    )
    noises = [
        even - 0.4 * truth,
        odd - 0.6 * truth,
        stack[::2].sum(0) - 0.6 * truth,
        stack[1::2].sum(0) - 0.4 * truth,
    ]
    between = np.corrcoef([noise.ravel() for noise in noises]) - np.eye(4)
    assert abs(between).max() < 5 / np.sqrt(truth.size)


def test_the_motion_star_is_one_of_relions_and_the_micrographs_name_it(sessions):
    rows = starfile.read(sessions / "tiff/micrographs_ctf.star", always_dict=True)["micrographs"]
    assert list(rows["rlnMicrographMetadata"]) == [
        "Movies/mic_0001_motion.star",
        "Movies/mic_0002_motion.star",
    ]
    blocks = starfile.read(sessions / "tiff" / rows["rlnMicrographMetadata"][0])
    general, shifts = blocks["general"], blocks["global_shift"]
    assert (general["rlnImageSizeX"], general["rlnImageSizeY"], general["rlnImageSizeZ"]) == (
        117,
        150,
        5,
    )
    assert general["rlnMicrographMovieName"] == "Movies/mic_0001.tiff"
    assert general["rlnMicrographGainName"] == "Movies/gain.mrc"
    assert general["rlnMicrographDoseRate"] == 10 and general["rlnMotionModelVersion"] == 1
    assert list(shifts["rlnMicrographFrameNumber"]) == [1, 2, 3, 4, 5]
    steps = np.diff(shifts[["rlnMicrographShiftX", "rlnMicrographShiftY"]].to_numpy(), axis=0)
    assert np.hypot(*steps.T).sum() * 4.0 == pytest.approx(SETTINGS.drift_A, rel=1e-4)
    assert len(blocks["local_motion_model"]) == 36


def test_what_is_written_is_what_the_program_itself_reads(sessions):
    for kind, ending in (("mrc", "mrcs"), ("tiff", "tiff")):
        read = np.stack(list(read_frames(sessions / f"{kind}/Movies/mic_0002.{ending}")))
        np.testing.assert_array_equal(read, mrcfile.read(sessions / "mrc/Movies/mic_0002.mrcs"))
    motion = read_motion(sessions / "tiff/Movies/mic_0002_motion.star")
    true = draw_motion(SETTINGS, np.random.default_rng([SETTINGS.seed, 1, 1]))
    np.testing.assert_allclose(
        [motion.shifts_yx_px[n] for n in range(1, 6)], -true.drift_yx_px, atol=1e-6
    )
    assert motion.local is not None and (motion.shape, motion.frames, motion.gain) == (
        (150, 117),
        5,
        "Movies/gain.mrc",
    )
    np.testing.assert_allclose(motion.local.coefficients_px, -true.local_yx_px, atol=1e-7)


def test_movies_star_is_what_import_writes(sessions):
    blocks = starfile.read(sessions / "tiff/movies.star", always_dict=True)
    assert list(blocks) == ["optics", "movies"]
    assert list(blocks["movies"]["rlnMicrographMovieName"]) == [
        "Movies/mic_0001.tiff",
        "Movies/mic_0002.tiff",
    ]
    assert "rlnMicrographPixelSize" not in blocks["optics"]
    assert blocks["optics"]["rlnMicrographOriginalPixelSize"].iloc[0] == 4.0


def test_without_local_motion_and_gain_there_are_neither_in_the_files(tmp_path):
    bare = replace(SETTINGS, micrographs=1, movies="mrc", gain_spread=0.0, local_motion_A=0.0)
    simulate(bare, tmp_path / "bare")
    assert not (tmp_path / "bare/Movies/gain.mrc").exists()
    blocks = starfile.read(tmp_path / "bare/Movies/mic_0001_motion.star")
    assert (
        set(blocks) == {"general", "global_shift"}
        and blocks["general"]["rlnMotionModelVersion"] == 0
    )
    assert "rlnMicrographGainName" not in blocks["general"]


def test_overwriting_takes_the_old_movies_away(tmp_path):
    small = replace(SETTINGS, size_px=(64,), movies="tiff")
    simulate(small, tmp_path)
    simulate(replace(small, micrographs=1, movies="none"), tmp_path, overwrite=True)
    assert not (tmp_path / "movies.star").exists() and not list((tmp_path / "Movies").iterdir())


def test_tiff_without_its_programs_is_refused_with_the_cure_before_anything_is_written(
    tmp_path, monkeypatch
):
    for name in ("tifffile", "imagecodecs"):
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, name, None)
            with pytest.raises(UserError, match=rf"{name} is not installed.*pip install tifffile"):
                simulate(replace(SETTINGS, movies="tiff"), tmp_path / "never")
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("movies", "eer"), ("tiff_compression", "zip"), ("drift_A", -1.0), ("local_motion_A", np.inf),
     ("gain_spread", 0.5), ("dose_e_per_A2", 1e6)],
)  # fmt: skip
def test_movies_that_no_detector_makes_are_refused(tmp_path, name, value):
    word = "frames" if name == "dose_e_per_A2" else name
    with pytest.raises(UserError, match=f"{word} is"):
        simulate(replace(SETTINGS, **({"movies": "mrc"} | {name: value})), tmp_path / "never")
    assert not (tmp_path / "never").exists()


def test_the_command_writes_movies(tmp_path, capsys):
    options = (
        "--size_px=64 --pixel-size-A=4 --micrographs=1 --frames=3 --movies=tiff "
        "--tiff_compression=deflate"
    )
    assert main(["simulate", str(tmp_path / "s"), *options.split()]) == 0
    assert capsys.readouterr().out.strip().endswith("micrographs_ctf.star")
    with tifffile.TiffFile(tmp_path / "s/Movies/mic_0001.tiff") as file:
        assert len(file.pages) == 3 and file.pages[0].compression == 8
    assert '"movies": "tiff"' in (tmp_path / "s/simulation.json").read_text()


# Motion


@pytest.mark.parametrize("seed", range(5))
def test_drift_begins_at_nothing_is_as_long_as_asked_and_fast_at_first(seed):
    motion = motion_of(seed, frames=40, drift_A=18.0)
    steps = np.hypot(*np.diff(motion.drift_yx_px, axis=0).T) * SETTINGS.pixel_size_A
    assert not motion.drift_yx_px[0].any()
    assert steps.sum() == pytest.approx(18.0)
    assert steps[:3].mean() > 4 * steps[-10:].mean()


@pytest.mark.parametrize("seed", range(5))
def test_local_motion_is_nothing_at_first_and_in_the_mean_and_as_large_as_asked(seed):
    motion = motion_of(seed, frames=20, local_motion_A=10.0)
    largest = []
    for frame in range(20):
        field = np.stack(local_displacement_yx_px(motion, frame, (400, 300), slice(None)))
        assert abs(field.mean((1, 2))).max() < 0.01 * 10.0
        largest.append(np.hypot(*field).max() * SETTINGS.pixel_size_A)
    assert largest[0] == 0 and largest[-1] == pytest.approx(10.0, rel=0.03)
    assert largest[5] > 0.3 * largest[-1]


def test_the_local_polynomial_is_the_one_that_its_coefficients_say():
    motion = motion_of()
    y, x, t = 37 / 150 - 0.5, 88 / 117 - 0.5, 3
    by_hand = [
        sum(
            term * (c[0] * t + c[1] * t**2 + c[2] * t**3)
            for term, c in zip((1, x, x * x, y, y * y, x * y), axis, strict=True)
        )
        for axis in motion.local_yx_px
    ]
    dy, dx = local_displacement_yx_px(motion, t, (150, 117), slice(37, 38))
    assert (dy[0, 88], dx[0, 88]) == pytest.approx(tuple(by_hand))


def test_one_seed_gives_one_motion_and_each_micrograph_its_own(sessions):
    texts = [(sessions / f"mrc/Movies/mic_000{n}_motion.star").read_text() for n in (1, 2)]
    assert texts[0] == (sessions / "tiff/Movies/mic_0001_motion.star").read_text().replace(
        ".tiff", ".mrcs"
    )
    assert texts[0].split("data_global_shift")[1] != texts[1].split("data_global_shift")[1]


# Frames


def test_the_first_frame_shows_the_truth(exposure):
    first = expected_frame(exposure, SETTINGS, motion_of(), 0).numpy()
    np.testing.assert_allclose(first * SETTINGS.frames, exposure.truth, rtol=1e-4, atol=1e-2)


def test_drift_by_whole_pixels_moves_the_image_by_whole_pixels(exposure):
    motion = Motion(np.array([[0.0, 0.0], [3.0, -5.0]]), STILL)
    before, after = (
        displaced(exposure.contrast, motion, frame, SETTINGS.shape).numpy() for frame in (0, 1)
    )
    np.testing.assert_allclose(after[3:, :-5], before[:-3, 5:], atol=1e-5)


def test_splines_displace_as_phases_do(exposure):
    even = STILL.copy()
    even[:, 0, 0] = (0.37, -1.21)
    by_splines = displaced(exposure.contrast, Motion(np.zeros((2, 2)), even), 1, SETTINGS.shape)
    by_phases = displaced(
        exposure.contrast, Motion(np.array([[0.0, 0.0], [0.37, -1.21]]), STILL), 1, SETTINGS.shape
    )
    assert float((by_splines - by_phases).std()) < 0.03 * float(by_phases.std())


def test_local_motion_moves_each_place_by_its_own_displacement():
    spots = expose(replace(SETTINGS, size_px=(400, 360)), transform(barrel_phantom(4.0)), 0)
    motion = motion_of(frames=5, drift_A=0.0, local_motion_A=20.0)
    before, after = (
        displaced(spots.contrast, motion, frame, (400, 360)).numpy() for frame in (0, 4)
    )
    field = np.stack(local_displacement_yx_px(motion, 4, (400, 360), slice(None)))
    for y, x in ((8, 8), (8, 300), (340, 8), (340, 300), (180, 150)):
        patch = np.s_[y : y + 48, x : x + 48]
        wanted = field[:, patch[0], patch[1]].mean((1, 2))
        assert best_shift(before[patch], after[patch]) == pytest.approx(wanted, abs=0.35), (y, x)
    assert np.ptp(field, axis=(1, 2)).max() > 3


def best_shift(before, after):
    """The shift of ``after`` by the peak of a windowed cross correlation, on a tenth of a pixel."""
    window = np.hanning(len(before))[:, None] * np.hanning(len(before))
    cross = (
        np.fft.fft2((after - after.mean()) * window)
        * np.fft.fft2((before - before.mean()) * window).conj()
    )
    tries = np.arange(-7, 7, 0.1)
    phases = np.exp(2j * np.pi * tries[:, None] * np.fft.fftfreq(len(before)))
    score = (phases @ cross @ phases.T).real
    y, x = np.unravel_index(score.argmax(), score.shape)
    return tries[y], tries[x]


def test_counts_are_poisson_draws_of_what_is_expected_and_the_gain_puts_them_right(exposure):
    settings, motion = replace(SETTINGS, movies="mrc"), motion_of()
    gain = detector_gain(settings)
    assert float(gain.mean()) == pytest.approx(1, abs=1e-5) and float(gain.std()) == pytest.approx(
        0.05, rel=0.05
    )
    quiet = replace(settings, hot_pixels=0)
    for frame, counts in enumerate(
        movie_frames(exposure, quiet, motion, gain, torch.Generator().manual_seed(3))
    ):
        rate = (expected_frame(exposure, quiet, motion, frame) / gain).numpy()
        residual = (counts - rate) / np.sqrt(rate)
        assert abs(residual.mean()) < 5 / np.sqrt(rate.size)
        assert residual.var() == pytest.approx(1, abs=6 * np.sqrt(2 / rate.size))
    assert frame == 4


def test_hot_pixels_stay_where_the_detector_has_them(sessions):
    truth = mrcfile.read(sessions / "mrc/Micrographs/mic_0001_TRUTH.mrc")
    for name in ("Micrographs/mic_0001_DW.mrc", "Movies/mic_0001.mrcs", "Movies/mic_0002.mrcs"):
        image = mrcfile.read(sessions / "mrc" / name).astype(float)
        summed = image if image.ndim == 2 else image.sum(0)
        hot = {
            tuple(int(coordinate) for coordinate in place)
            for place in np.argwhere(summed > 2.2 * truth.mean())
        }
        assert len(hot) == 3
        assert hot == {(y, x) for y, x in hot if truth[y, x] < 2 * truth.mean()}
        if name.endswith("DW.mrc"):
            where = hot
        assert hot == where


@pytest.mark.parametrize(
    ("kind", "dose", "wanted"),
    [("mrc", 1, np.int8), ("mrc", 40, np.int16), ("tiff", 1, np.uint8), ("tiff", 40, np.uint16)],
)
def test_counts_are_kept_in_the_smallest_integers_that_hold_them(kind, dose, wanted):
    settings = SimulationSettings(movies=kind, dose_e_per_A2=40.0 * dose)
    assert counting_type(settings, 0.9) is wanted


def test_the_largest_count_that_settings_allow_fits():
    from restore.simulation.settings import MOST_PER_FRAME_E_PER_PX

    settings = SimulationSettings(
        movies="mrc", dose_e_per_A2=40 * MOST_PER_FRAME_E_PER_PX, gain_spread=0.2
    )
    assert 14 * 1.9 * MOST_PER_FRAME_E_PER_PX / float(detector_gain(settings).min()) < 65535
    assert counting_type(settings, float(detector_gain(settings).min())) is np.uint16


# Files


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.uint16])
def test_an_mrc_movie_is_valid_and_its_header_knows_its_counts(tmp_path, dtype):
    frames = np.random.default_rng(0).poisson(20, (4, 33, 50)).astype(dtype)
    write_mrc_movie(tmp_path / "m.mrcs", iter(frames), 1.5, "label")
    assert mrcfile.validate(tmp_path / "m.mrcs")
    with mrcfile.open(tmp_path / "m.mrcs") as file:
        assert (
            file.is_image_stack() and file.data.dtype == dtype and float(file.voxel_size.x) == 1.5
        )
        np.testing.assert_array_equal(file.data, frames)
        assert (file.header.dmin, file.header.dmax) == (frames.min(), frames.max())
        assert float(file.header.dmean) == pytest.approx(frames.mean()), float(file.header.rms)
        assert float(file.header.rms) == pytest.approx(frames.std())


@pytest.mark.parametrize("compression", ["lzw", "deflate"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_tiff_movie_loses_nothing_and_knows_its_pixel_size(tmp_path, dtype, compression):
    frames = np.random.default_rng(0).poisson(3, (4, 33, 50)).astype(dtype)
    write_tiff_movie(tmp_path / "m.tiff", iter(frames), frames.nbytes, compression, 1.25)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "m.tiff"), frames[:, ::-1])
    with tifffile.TiffFile(tmp_path / "m.tiff") as file:
        numerator, denominator = file.pages[0].tags["XResolution"].value
        assert numerator / denominator == pytest.approx(1e8 / 1.25)
        assert not file.is_bigtiff
    write_tiff_movie(tmp_path / "m.tiff", iter(frames), 2**33, compression, 1.25)
    with tifffile.TiffFile(tmp_path / "m.tiff") as file:
        assert file.is_bigtiff


def test_a_movie_that_fails_half_way_leaves_no_file(tmp_path):
    def broken():
        yield np.zeros((8, 8), np.uint8)
        raise RuntimeError("half way")

    for write in (
        lambda path: write_mrc_movie(path, broken(), 1.0, ""),
        lambda path: write_tiff_movie(path, broken(), 64, "lzw", 1.0),
    ):
        with pytest.raises(RuntimeError, match="half way"):
            write(tmp_path / "movie")
    assert not list(tmp_path.iterdir())


# Radiation damage


def test_contrast_fades_as_grant_and_grigorieff_say():
    k = torch.tensor([0.0, 1 / 20, 1 / 3])
    assert critical_exposure_e_per_A2(k[1:], 300.0).tolist() == pytest.approx(
        [38.71, 4.336], rel=1e-3
    )
    ratio = critical_exposure_e_per_A2(k[1:], 200.0) / critical_exposure_e_per_A2(k[1:], 300.0)
    assert ratio.tolist() == pytest.approx([0.8, 0.8], abs=0.005)
    left = amplitude_left(k, 4.3357, 300.0)
    assert float(left[0]) == 1 and float(left[2]) == pytest.approx(np.exp(-0.5), rel=1e-3)


def test_damage_takes_detail_from_late_frames_and_the_images_are_their_mean():
    settings = replace(SETTINGS, radiation_damage=True, phase_shift_deg=90.0, envelope_A2=0.0)
    barrel = transform(barrel_phantom(4.0))
    hurt, whole = (
        expose(settings, barrel, 0),
        expose(replace(settings, radiation_damage=False), barrel, 0),
    )
    still = Motion(np.zeros((5, 2)), STILL)
    frames = np.stack([expected_frame(hurt, settings, still, frame).numpy() for frame in range(5)])
    np.testing.assert_allclose(frames.sum(0), hurt.truth, rtol=1e-3, atol=0.05)
    fine = [abs(np.fft.rfft2(frame)[30:60, 30:]).sum() for frame in frames]
    assert all(late < 0.9 * early for early, late in itertools.pairwise(fine))
    assert whole.truth.std() > hurt.truth.std()
    k = torch.tensor([0.0, 0.05, 0.3])
    assert float(mean_amplitude_left(k, 50.0, 5, 300.0)[0]) == 1


# RELION's motion correction finds what was put in


@pytest.mark.skipif(shutil.which("relion_run_motioncorr") is None, reason="RELION is not installed")
@pytest.mark.parametrize("kind", ["mrc", "tiff"])
def test_relion_reads_the_movies_and_finds_the_motion(tmp_path, kind):
    settings = SimulationSettings(
        micrographs=1, size_px=(512, 576), pixel_size_A=2.0, frames=16, seed=3, movies=kind,
        gain_spread=0.05,
        drift_A=20.0, local_motion_A=16.0, dose_e_per_A2=400.0, phase_shift_deg=90.0,
        contrast_fraction=1.0,
    )  # fmt: skip
    simulate(settings, tmp_path)
    (tmp_path / "out").mkdir()
    command = (
        "relion_run_motioncorr --i movies.star --o out/ --use_own --gainref Movies/gain.mrc "
        "--patch_x 3 --patch_y 3"
    )
    subprocess.run(
        [*command.split(), "--dose_per_frame", "25"], cwd=tmp_path, check=True, capture_output=True
    )
    ours = starfile.read(tmp_path / "Movies/mic_0001_motion.star")
    theirs = starfile.read(tmp_path / "out/Movies/mic_0001.star")
    shifts = [
        motion["global_shift"][["rlnMicrographShiftX", "rlnMicrographShiftY"]].to_numpy()
        for motion in (ours, theirs)
    ]
    error = shifts[1] - shifts[0]
    error -= error.mean(axis=0)
    assert np.abs(shifts[0]).max() > 8
    assert np.abs(error).max() < 0.5  # pixels of 2 Å; RELION itself stops at steps of half a pixel
    assert (
        np.corrcoef(*(local_at_the_end(motion, 16).ravel() for motion in (ours, theirs)))[0, 1]
        > 0.9
    )
    corrected, full, truth = (
        mrcfile.read(tmp_path / name)
        for name in (
            "out/Movies/mic_0001.mrc",
            "Micrographs/mic_0001_DW.mrc",
            "Micrographs/mic_0001_TRUTH.mrc",
        )
    )
    assert corrected.mean() == pytest.approx(full.mean(), rel=2e-3)
    inside = np.s_[24:-24, 24:-24]
    by_relion, at_best = (
        np.corrcoef(image[inside].ravel(), truth[inside].ravel())[0, 1]
        for image in (corrected, full)
    )
    assert by_relion > 0.9 * at_best


def local_at_the_end(star, frames):
    """RELION's local motion model, x then y, on a grid in the last frame, without its mean."""
    coefficients = star["local_motion_model"]["rlnMotionModelCoeff"].to_numpy().reshape(2, 6, 3)
    y, x = np.meshgrid(*[np.linspace(-0.45, 0.45, 9)] * 2, indexing="ij")
    space = np.stack([np.ones_like(x), x, x * x, y, y * y, x * y])
    field = np.einsum("apt,t,pyx->ayx", coefficients, (frames - 1.0) ** np.array([1, 2, 3]), space)
    return field - field.mean((1, 2), keepdims=True)


@pytest.mark.skipif(shutil.which("relion_image_handler") is None, reason="RELION is not installed")
def test_relion_sees_the_same_frame_in_tiff_and_mrc(sessions, tmp_path):
    for kind, ending in (("mrc", "mrcs"), ("tiff", "tiff")):
        movie = sessions / f"{kind}/Movies/mic_0001.{ending}"
        command = ["relion_image_handler", "--i", f"2@{movie}", "--o", f"{kind}.mrc"]
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    stack = mrcfile.read(sessions / "mrc/Movies/mic_0001.mrcs")
    for kind in ("mrc", "tiff"):
        np.testing.assert_array_equal(
            mrcfile.read(tmp_path / f"{kind}.mrc"), stack[1].astype(np.float32)
        )


def test_settings_of_a_session_are_all_in_its_file(sessions):
    import json

    text = (sessions / "tiff/simulation.json").read_text()
    assert json.loads(text) == json.loads(json.dumps(asdict(replace(SETTINGS, movies="tiff"))))
