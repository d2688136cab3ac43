"""``restore evaluate`` as a person types it: a model, another program's images, reruns, kills,
several processes.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from base64 import b64decode
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
import starfile
from evaluation_world import CTF, write_model, write_session

from restore.cli.main import main
from restore.ctf import ctf_sign
from restore.evaluation import batch
from restore.io.images.image import read_image, write_image

PIXELS = ("--resamples=50", "--support_window=200")
MODEL = ("evaluate", "-m", "mics.star", "-p", "model.safetensors", *PIXELS)
OTHERS = ("evaluate", "-m", "mics.star", "-r", "9", *PIXELS)
NAMES = "abcd"
KINDS = ("raw", "denoised", "support")


def restore(*arguments):
    return main([str(argument) for argument in arguments])


def record(folder="evaluation"):
    return json.loads(Path(folder, "evaluation.json").read_text())


def numbers(folder="evaluation", group=-1):
    """The numbers of a group, by default of all micrographs."""
    return record(folder)["groups"][group]["numbers"]


def value(name, folder="evaluation"):
    return numbers(folder)[name]["value"]


def measured(folder="evaluation"):
    return {path.name: path.stat().st_mtime_ns for path in Path(folder, "measured").glob("*.npz")}


def flat(value, path=""):
    """Every number, text and nothing of a nested record, by its path."""
    if not isinstance(value, dict | list):
        return {path: value}
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return {
        name: value for key, below in items for name, value in flat(below, f"{path}/{key}").items()
    }


def results(folder="evaluation"):
    """What an evaluation says, but when it was made, and the fingerprints in names of pictures."""
    left_out, version = ("/provenance",), re.compile("_[0-9a-f]{8}(?=_(raw|denoised|support)[.])")
    return {
        name: version.sub("", value) if "/previews/" in name and isinstance(value, str) else value
        for name, value in flat(record(folder)).items()
        if not any(word in name for word in left_out)
    }


def same(first, second):
    """Whether two evaluations agree to rounding, which depends on where in memory a transform finds
    its numbers.
    """
    assert first.keys() == second.keys()
    for name, value in first.items():
        expected = pytest.approx(value, rel=1e-3, abs=1e-4) if isinstance(value, float) else value
        assert second[name] == expected, name
    return True


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """Four small micrographs, a small model that was trained on one of them, and its evaluation."""
    folder = write_session(tmp_path_factory.mktemp("project"), power=100.0)
    write_model(
        folder / "model.safetensors", trained_on=["mics/b_DW.mrc"], held_out=["mics/a_DW.mrc"]
    )
    with chdir(folder):
        assert restore(*MODEL) == 0
    return folder


@pytest.fixture
def here(project, tmp_path, monkeypatch):
    """A copy of the project, older than everything new, as working directory."""
    monkeypatch.chdir(shutil.copytree(project, tmp_path / "here"))
    monkeypatch.setattr(
        "restore.face.evaluation.save_png", lambda figure, path: None
    )  # half a second; the project has them
    yield tmp_path / "here"


def made_by_another_program(place, change=lambda half, name: half):
    """Write a changed version of each half where ``place(name, half name)`` says."""
    for name in NAMES:
        for half in ("EVN", "ODD"):
            image = change(read_image(Path(f"mics/{name}_{half}.mrc")).data, name)
            path = Path(place(half, f"{name}_{half}"))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, np.ascontiguousarray(image, dtype=np.float32), 4.0)


def smooth(half, name=""):
    """A smoothing that keeps the grey scale."""
    frequency = np.hypot(
        np.fft.fftfreq(half.shape[0])[:, None], np.fft.rfftfreq(half.shape[1])[None]
    )
    return np.fft.irfft2(np.fft.rfft2(half) * np.exp(-((frequency / 0.2) ** 2)), s=half.shape)


def flipped(half, name=""):
    """A half with its phases flipped, in which nothing else is changed."""
    sign = ctf_sign(CTF, half.shape, (4.0, 4.0)).numpy()
    return np.fft.irfft2(np.fft.rfft2(half - half.mean()) * sign, s=half.shape)


def test_a_model_is_evaluated_and_those_it_was_trained_on_are_told_apart(here):
    card = record()
    groups = card["groups"]
    assert [(group["name"], group["micrographs"], group["resampled"]) for group in groups] == [
        ("held out", 3, "patches"), ("trained on", 1, "patches"), ("all", 4, "patches"),
    ]  # fmt: skip
    assert [micrograph["role"] for micrograph in card["micrographs"]] == [
        "held out",
        "trained on",
        "held out",
        "held out",
    ]
    assert card["recipe"]["max_resolution_A"] == 9.0 and card["frequency_per_A"][
        -1
    ] == pytest.approx(1 / 9)
    assert card["provenance"]["program"] == "restore" and card["model"]["training"][
        "trained_on"
    ] == ["mics/b_DW.mrc"]
    table = starfile.read("evaluation/micrographs.star")
    assert list(table["rlnMicrographName"]) == [f"mics/{name}_DW.mrc" for name in NAMES]
    assert len(Path("evaluation/micrographs.csv").read_text().splitlines()) == 5
    left = {path.name for path in Path("evaluation").iterdir()}
    assert left == {
        "evaluation.json",
        "micrographs.star",
        "micrographs.csv",
        "errors.png",
        "shares.png",
        "measured",
        "previews",
    }
    assert all(
        Path("evaluation", micrograph["previews"]["support"]).is_file()
        for micrograph in card["micrographs"]
    )


def test_an_interrupted_evaluation_of_another_model_leaves_the_first_ones_pictures(
    here, monkeypatch
):
    write_model(Path("other.safetensors"), seed=1)
    first = {path.read_bytes() for path in Path("evaluation/previews").iterdir()}
    save, saved = batch.save_measurement, []

    def interrupted(path, measurement):
        if saved:
            raise KeyboardInterrupt
        save(path, measurement)
        saved.append(path)

    with monkeypatch.context() as patched:
        patched.setattr(batch, "save_measurement", interrupted)
        assert restore(*MODEL, "-p", "other.safetensors") == 130
    assert len({path.read_bytes() for path in Path("evaluation/previews").iterdir()} - first) > 0
    assert restore("report", "evaluation", "-o", "page.html") == 0
    shown = set(re.findall(r"data:image/[a-z]+;base64,([^\"]+)", Path("page.html").read_text()))
    assert shown and {b64decode(picture) for picture in shown} <= first
    assert restore(*MODEL, "-p", "other.safetensors") == 0
    named = {row["previews"][kind] for row in record()["micrographs"] for kind in KINDS}
    there = Path("evaluation/previews").iterdir()
    assert named == {f"previews/{path.name}" for path in there}


def test_a_rerun_measures_nothing_and_says_the_same(here, capsys):
    before = measured()
    before_said = results()
    capsys.readouterr()
    assert restore(*MODEL) == 0
    out, err = capsys.readouterr()
    assert "\nOn 3 micrographs never trained on, " in out and out.endswith(
        "evaluation/evaluation.json\n"
    )
    assert measured() == before and "4 of 4 micrographs are already measured" in err
    assert same(results(), before_said)


def test_other_intervals_need_no_new_measurement_and_another_model_does(here):
    before = measured()
    assert restore(*MODEL, "--confidence=0.5") == 0
    assert measured() == before and record()["method"]["confidence"] == 0.5
    write_model(Path("model.safetensors"), seed=1)
    assert restore(*MODEL) == 0
    after = measured()
    assert after.keys() == before.keys() and not after.items() & before.items()


def test_a_touched_half_is_measured_again_and_its_neighbour_and_the_others_are_not(here):
    before = measured()
    write_image(Path("mics/c_EVN.mrc"), 2 * read_image(Path("mics/c_EVN.mrc")).data, 4.0)
    os.utime("mics/c_EVN.mrc", (2e9, 2e9))
    assert restore(*MODEL) == 0
    again = [name[6] for name, time in measured().items() if time != before[name]]
    assert sorted(again) == ["c", "d"]  # d is compared with c


LAYOUTS = {
    "one folder": (lambda half, name: f"out/{name}.mrc", ["--denoised_halves", "out"]),
    "two folders": (lambda half, name: f"{half}/{name}.mrc", ["--denoised_halves", "EVN", "ODD"]),
    "a mirrored tree": (lambda half, name: f"out/mics/{name}.mrc", ["--denoised_halves", "out"]),
    "a suffix beside": (lambda half, name: f"mics/{name}_nn.mrc", ["--denoised_suffix", "_nn"]),
    "a folder and a suffix": (
        lambda half, name: f"out/{name}.x.mrc",
        ["--denoised_halves", "out", "--denoised_suffix=.x"],
    ),
}


@pytest.fixture(scope="module")
def of_another_program(project, tmp_path_factory):
    """The evaluation of smoothed halves, as the layout "one folder" gives it."""
    folder = shutil.copytree(project, tmp_path_factory.mktemp("others") / "here")
    with chdir(folder):
        made_by_another_program(LAYOUTS["one folder"][0], smooth)
        assert restore(*OTHERS, *LAYOUTS["one folder"][1]) == 0
        return results()


def test_another_programs_halves_get_all_numbers_but_those_that_need_the_network(
    of_another_program,
):
    assert of_another_program["/groups/0/name"] == "all" and of_another_program["/model"] is None
    start, end = "/groups/0/numbers/", "/value"
    values = {name[len(start) : -len(end)]: value for name, value in of_another_program.items()
             if name.startswith(start) and name.endswith(end)}  # fmt: skip
    assert (
        values["invented_share"] is None
        and 0.2 < values["gain"] < 0.9
        and values["correlation_denoised"] > 0.3
    )
    assert abs(values["var_invented"]) < 0.02 * values["var_signal"]
    assert {role for name, role in of_another_program.items() if name.endswith("/role")} == {""}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_they_are_found_wherever_they_lie(here, layout, of_another_program):
    place, options = LAYOUTS[layout]
    made_by_another_program(place, smooth)
    assert restore(*OTHERS, *options) == 0
    assert same(results(), of_another_program)


def test_under_an_absolute_pattern_the_raw_halves_are_not_taken_for_denoised_ones(
    here, of_another_program
):
    made_by_another_program(LAYOUTS["one folder"][0], smooth)
    pattern = str(here / "mics/*_EVN.mrc").replace("EVN", "DW")
    for name in NAMES:
        shutil.copy(f"mics/{name}_EVN.mrc", f"mics/{name}_DW.mrc")
    assert (
        restore(
            "evaluate", "-m", pattern, "--pixel_size=4", *OTHERS[3:], "--denoised_halves", "out"
        )
        == 0
    )
    assert value("gain") == pytest.approx(
        of_another_program["/groups/0/numbers/gain/value"], rel=1e-3
    )
    assert value("gain") < 0.95


def test_images_in_another_grey_scale_are_warned_of_and_fitted_when_asked(
    here, capsys, of_another_program
):
    made_by_another_program(LAYOUTS["one folder"][0], lambda half, name: 7 * smooth(half) - 300)
    assert restore(*OTHERS, "--denoised_halves", "out", "-o", "unfitted") == 0
    assert "Set fit_scale" in capsys.readouterr().err
    assert restore(*OTHERS, "--denoised_halves", "out", "--fit_scale") == 0
    assert "Set fit_scale" not in capsys.readouterr().err
    assert value("calibration", "unfitted") < 0.25 and value("calibration") == pytest.approx(
        1, abs=0.1
    )
    assert value("correlation_denoised") == pytest.approx(
        value("correlation_denoised", "unfitted"), rel=1e-3
    )


def test_restores_own_denoised_halves_are_told_the_same_as_its_model(here):
    """Of halves that ``restore denoise`` wrote, phases flipped: the files lack only what is near
    the Nyquist frequency. A half has no halves of its own to calibrate it.
    """
    text = Path("mics.star").read_text()
    for half in ("EVN", "ODD"):
        Path(f"{half}.star").write_text(text.replace("_DW", f"_{half}"))
        assert restore("denoise", "-m", f"{half}.star", "-p", "model.safetensors", "-o", half) == 0
    assert restore(*OTHERS, "--denoised_halves", "EVN", "ODD", "--phaseflip", "-o", "others") == 0
    assert restore(*MODEL, "--calibration=model", "-o", "uncalibrated") == 0
    assert value("var_signal", "others") == pytest.approx(value("var_signal"), rel=1e-3)
    for name in ("gain", "correlation_denoised", "calibration"):
        model, files = (
            record(folder)["groups"][-1]["curves"][name]["value"][1:5]
            for folder in ("uncalibrated", "others")
        )
        assert files == pytest.approx(model, rel=0.03, abs=0.01), name


def test_phases_that_are_flipped_must_be_said_to_be(here, capsys):
    made_by_another_program(LAYOUTS["one folder"][0], flipped)
    assert restore(*OTHERS, "--denoised_halves", "out", "--phaseflip") == 0
    assert value("gain") == pytest.approx(1, abs=0.01)
    capsys.readouterr()
    assert restore(*OTHERS, "--denoised_halves", "out", "-o", "unsaid") == 1
    message = capsys.readouterr().err
    for name in NAMES:
        assert f"mics/{name}_DW.mrc: the phases of the denoised halves are flipped" in message
    assert "give --phaseflip." in message
    assert not Path("unsaid/evaluation.json").exists()


def test_one_micrograph_has_intervals_from_its_patches(here):
    assert (
        restore(
            "evaluate",
            "-m",
            "mics/a_DW.mrc",
            "--pixel_size=4",
            "-p",
            "plain.safetensors",
            "-o",
            "one",
            *PIXELS,
        )
        == 1
    )
    shutil.copy("mics/a_EVN.mrc", "mics/a_DW.mrc")
    assert (
        restore(
            "evaluate",
            "-m",
            "mics/a_DW.mrc",
            "--pixel_size=4",
            *OTHERS[3:],
            "--denoised_suffix=_nn",
        )
        == 1
    )
    made_by_another_program(LAYOUTS["a suffix beside"][0], smooth)
    assert (
        restore(
            "evaluate",
            "-m",
            "mics/a_DW.mrc",
            "--pixel_size=4",
            *OTHERS[3:],
            "--denoised_suffix=_nn",
            "-o",
            "one",
        )
        == 0
    )
    (group,) = record("one")["groups"]
    assert (group["micrographs"], group["resampled"]) == (1, "patches")
    assert (
        group["numbers"]["snr_raw"]["low"]
        < group["numbers"]["snr_raw"]["value"]
        < group["numbers"]["snr_raw"]["high"]
    )
    assert group["numbers"]["unpaired_raw"]["value"] is None


def test_micrographs_without_good_halves_are_reported_and_the_rest_evaluated(here, capsys):
    shutil.rmtree("evaluation")
    Path("mics/a_ODD.mrc").unlink()
    write_image(
        Path("mics/b_EVN.mrc"),
        np.ones((120, 100), np.float32) + np.eye(120, 100, dtype=np.float32),
        4.0,
    )
    Path("mics/c_EVN.mrc").write_bytes(
        Path("mics/c_EVN.mrc").read_bytes()[:1024] + bytes(120 * 144 * 4)
    )
    assert restore(*MODEL) == 1
    err = capsys.readouterr().err
    assert "3 of 4 micrographs were not evaluated:" in err and "Traceback" not in err
    for words in (
        "mics/a_DW.mrc: ",
        "a_ODD.mrc: there is no such file",
        "the shapes differ",
        "c_EVN.mrc: all of its pixels are 0",
    ):
        assert words in err, err
    assert [micrograph["name"] for micrograph in record()["micrographs"]] == ["mics/d_DW.mrc"]


KILLED = """
import os, sys
import restore.evaluation.batch as examination
from restore.cli.main import main

save = examination.save_measurement
done = []

def dying(path, measurement):
    if len(done) == 2:
        os.kill(os.getpid(), 9)
    save(path, measurement)
    done.append(path)

examination.save_measurement = dying
sys.exit(main(sys.argv[1:]))
"""


def test_a_killed_run_is_finished_by_the_next_which_keeps_what_was_measured(here):
    expected = results()
    shutil.rmtree("evaluation")
    done = subprocess.run(
        [sys.executable, "-c", KILLED, *MODEL], capture_output=True, timeout=50, check=False
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    before = measured()
    assert len(before) == 2 and not Path("evaluation/evaluation.json").exists()
    assert restore(*MODEL) == 0
    assert before.items() <= measured().items() and len(measured()) == 4
    assert same(results(), expected)


def test_two_processes_leave_what_one_does(here):
    expected = results()
    shutil.rmtree("evaluation")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    line = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        "-m",
        "restore",
        *MODEL,
    ]
    done = subprocess.run(
        line, capture_output=True, text=True, timeout=55, check=False, env=environment
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("evaluation/evaluation.json") == 1
    assert same(results(), expected)


def test_a_real_field_is_evaluated_with_intervals_from_its_patches(
    shared_data, tmp_path, monkeypatch
):
    from restore.preprocessing import Recipe

    monkeypatch.chdir(tmp_path)
    write_model(Path("untrained.safetensors"), recipe=Recipe(max_resolution_A=18.0))
    star = str(shared_data / "k2/micrographs_ctf.star")
    assert restore("evaluate", "-m", star, "-p", "untrained.safetensors", "--resamples=100") == 0
    values = numbers()
    assert 0.1 < values["frc_raw"]["low"] < values["frc_raw"]["high"] < 0.6
    assert record()["groups"][0]["resampled"] == "patches"
    curve = record()["groups"][0]["curves"]["frc_raw"]["value"]
    assert curve[2] > curve[-1] and any(
        "no better than a Wiener" in warning for warning in record()["warnings"]
    )
