"""``restore watch`` as a person types it: killed, started again, interrupted."""

import os
import shutil
import signal
import subprocess
import sys

import mrcfile
import numpy as np
import pytest
from arriving import copy_slowly, wait_for

import restore as package
from restore.cli.main import main

QUICK = "-r 9 --poll 0.2 --settle 0.4"
NAMES = [f"mic_{number:04d}" for number in range(1, 5)]


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A session that was recorded: four micrographs with halves."""
    folder = tmp_path_factory.mktemp("recorded")
    settings = package.SimulationSettings(
        micrographs=4, size_px=(160, 160), pixel_size_A=3.0, frames=4
    )
    package.simulate(folder, settings)
    return folder / "Micrographs"


@pytest.fixture
def start(tmp_path):
    """A function that starts a command of restore in a process of its own."""
    running = []

    def begin(line):
        with (tmp_path / "log.txt").open("a") as log:
            command = [sys.executable, "-m", "restore", *line.split()]
            process = subprocess.Popen(
                command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=log, text=True
            )
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


def drop(recorded, folder, name, pause_s=0.0):
    """Copy a micrograph and its halves; the full sum stands still half-way."""
    for part in ("EVN", "ODD", "DW"):
        source = recorded / f"{name}_{part}.mrc"
        copy_slowly(source, folder / source.name, pause_s if part == "DW" else 0.0)


def test_a_session_that_is_killed_goes_on_and_ends_as_denoise_leaves_it(
    recorded, start, tmp_path, monkeypatch, capsys
):
    raw, out = tmp_path / "Raw", tmp_path / "Out/Raw"
    raw.mkdir()
    watching = start(f"watch Raw -o Out {QUICK}")
    drop(recorded, raw, NAMES[0], pause_s=1.0)
    wait_for((out / f"{NAMES[0]}_DW.mrc").exists)
    drop(recorded, raw, NAMES[1])
    watching.kill()
    assert watching.wait(20) == -signal.SIGKILL
    drop(recorded, raw, NAMES[2])
    again = start(f"watch Raw -o Out {QUICK} --until_idle 2")
    drop(recorded, raw, NAMES[3], pause_s=1.0)
    output, _ = again.communicate(timeout=50)
    assert again.returncode == 0, (tmp_path / "log.txt").read_text()
    assert output == "Out/micrographs.star\n"
    monkeypatch.chdir(tmp_path)
    line = "denoise Raw/*.mrc -o Once -r 9 --dont_phaseflip --even_odd_suffix DW,EVN,ODD"
    assert main(line.split()) == 0
    for name in NAMES:
        first, second = (
            mrcfile.read(tmp_path / top / f"Raw/{name}_DW.mrc") for top in ("Out", "Once")
        )
        assert np.array_equal(first, second)
    assert not [path for path in (tmp_path / "Out").rglob("*") if path.name.endswith(".partial")]
    assert "Traceback" not in (tmp_path / "log.txt").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_session_is_interrupted_as_other_commands_are(recorded, start, tmp_path, number):
    (tmp_path / "Raw").mkdir()
    watching = start(f"watch Raw -o Out {QUICK}")
    drop(recorded, tmp_path / "Raw", NAMES[0])
    wait_for((tmp_path / "Out/micrographs.star").exists)
    os.kill(watching.pid, number)
    assert watching.wait(20) == 130
    log = (tmp_path / "log.txt").read_text()
    assert log.endswith("Interrupted. Finished results are kept.\n") and "Traceback" not in log
    assert "Now: stopped at " in (tmp_path / "Out/session.html").read_text()


def test_a_micrograph_that_fails_is_named_and_the_exit_status_says_so(
    recorded, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(recorded, "Raw")
    content = (recorded / "mic_0002_DW.mrc").read_bytes()
    (tmp_path / "Raw/mic_0002_DW.mrc").write_bytes(content[:5000])
    line = f"watch Raw -o Out {QUICK} --pattern *_DW.mrc --until_idle 0.5"
    assert main(line.split()) == 1
    spoken = capsys.readouterr()
    assert spoken.out == "Out/micrographs.star\n"
    assert "1 of 4 micrographs were not denoised:" in spoken.err
    assert "Raw/mic_0002_DW.mrc: the file is cut short" in spoken.err.splitlines()[-1]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("watch", "restore watch: the following arguments are required: FOLDER|STAR, "
                  "--output_directory/-o. See restore watch --help."),
        ("watch nowhere -o Out", "nowhere: there is no such folder."),
        ("watch Raw -o Out --poll 0", "--poll is 0. It must be above 0."),
        ("watch Raw -o Out --phaseflip", "Raw: images in a folder have no CTF."),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_before_anything_is_done(line, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Raw").mkdir()
    assert main(line.split()) in (1, 2)
    assert words in capsys.readouterr().err
    assert not (tmp_path / "Out").exists()
