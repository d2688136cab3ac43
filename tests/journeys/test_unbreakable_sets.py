"""Sets of micrographs under bad rows, replaced inputs, kills, removed folders and a second run."""

import io
import os
import shutil
import signal
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from restore.cli.main import main
from restore.denoising.batch import denoise_set
from restore.denoising.targets import OutputSettings
from restore.errors import UserError
from restore.io import file_checks
from restore.io.images.image import read_image, read_image_header
from restore.io.lock import locked

DENOISE = ("denoise", "-m", "mics.star", "-p", "model.safetensors", "-o", "out")
EVALUATE = ("evaluate", "-m", "mics.star", "-p", "model.safetensors", "--resamples=20")
PREPARE = ("prepare", "-m", "mics.star", "-r", "9", "-f", "new.hdf")
TRAIN = ("train", "-t", "new.hdf", "--steps=1", "--filters=4", "--blocks=1", "--batch_size=2",
         "--patch_px=32")  # fmt: skip


pytestmark = pytest.mark.usefixtures("in_three_micrographs")


def spoil(*names):
    text = Path("mics.star").read_text()
    for name in names:
        text = text.replace(f"mics/{name}_DW.mrc 1 12000.0", f"mics/{name}_DW.mrc 1 nan")
    Path("mics.star").write_text(text)


def files(folder):
    return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize("command, verb", [(DENOISE, "denoised"), (EVALUATE, "evaluated")])
def test_a_row_without_a_defocus_is_skipped_with_its_reason_and_the_rest_are_done(
    capsys, command, verb
):
    spoil("b")
    assert main(command) == 1
    messages = capsys.readouterr().err
    assert f"1 of 3 micrographs were not {verb}:\n  mics/b_DW.mrc: mics.star" in messages
    assert 'row 2: rlnDefocusU is "nan"' in messages
    if verb == "denoised":
        assert files("out") >= {"mics/a_DW.mrc", "mics/c_DW.mrc"}
        assert "b_DW" not in Path("out/mics.star").read_text()
    else:
        assert len(list(Path("evaluation/measured").iterdir())) == 2


@pytest.mark.parametrize("command", [DENOISE, EVALUATE])
def test_a_set_of_which_every_row_is_bad_is_refused_before_anything_is_written(capsys, command):
    spoil("a", "b", "c")
    assert main(command) == 1
    assert 'row 1: rlnDefocusU is "nan"' in capsys.readouterr().err
    assert not Path("out").exists() and not Path("evaluation").exists()


def test_prepare_names_all_bad_rows_at_once(capsys):
    spoil("a", "c")
    assert main(PREPARE) == 1
    messages = capsys.readouterr().err
    assert 'row 1: rlnDefocusU is "nan"' in messages and 'row 3: rlnDefocusU is "nan"' in messages
    assert not Path("new.hdf").exists()


def test_what_restore_denoised_is_no_input_again_and_the_label_is_named(capsys):
    assert main(DENOISE) == 0
    star = "out/mics.star"
    for command in (DENOISE, EVALUATE, PREPARE):
        line = [star if word == "mics.star" else word for word in command]
        line = ["again" if word == "out" else word for word in line]
        capsys.readouterr()
        assert main(line) == 1
        messages = capsys.readouterr().err
        assert "out/mics/a_DW.mrc: restore has denoised it already" in messages
        assert 'its label says "restore fingerprint ' in messages
    assert not Path("again").exists() and not Path("new.hdf").exists()


def test_denoised_halves_are_no_halves_to_train_on(capsys):
    assert main(DENOISE) == 0
    shutil.copy("out/mics/b_DW.mrc", "mics/b_EVN.mrc")
    assert main(PREPARE) == 1
    assert "mics/b_EVN.mrc: restore has denoised it already" in capsys.readouterr().err


def test_an_older_file_in_the_place_of_an_input_is_denoised_again(capsys):
    assert main(DENOISE) == 0
    before = {name: Path(f"out/mics/{name}_DW.mrc").read_bytes() for name in "abc"}
    shutil.copy("mics/c_DW.mrc", "other.mrc")
    os.utime("other.mrc", (1e9, 1e9))
    Path("other.mrc").replace("mics/b_DW.mrc")
    capsys.readouterr()
    assert main(DENOISE) == 0
    assert "2 of 3 micrographs are already denoised" in capsys.readouterr().err
    after = {name: Path(f"out/mics/{name}_DW.mrc").read_bytes() for name in "abc"}
    assert [name for name in "abc" if after[name] != before[name]] == ["b"]


KILLED = """
import os, sys
import restore.denoising.batch as batch
from restore.cli.main import main

write, done = batch.write_image, []

def dying(path, *rest):
    if len(done) == int(sys.argv[1]):
        os.kill(os.getpid(), 9)
    write(path, *rest)
    done.append(path)

batch.write_image = dying
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("count", [1, 2])
def test_after_a_kill_table_and_picture_are_those_of_a_whole_run(count):
    whole = [("whole" if word == "out" else word) for word in DENOISE]
    assert main(whole) == 0
    command = [sys.executable, "-c", KILLED, str(count), *DENOISE]
    killed = subprocess.run(command, capture_output=True, timeout=50, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not Path("out/mics.png").exists()
    assert main(DENOISE) == 0
    assert files("out") == files("whole")
    assert Path("out/mics.png").read_bytes() == Path("whole/mics.png").read_bytes()
    for name in "abc":
        pair = [
            read_image(Path(f"{folder}/mics/{name}_DW.mrc")).data for folder in ("out", "whole")
        ]
        assert np.array_equal(*pair)


def test_a_picture_that_was_not_drawn_before_a_kill_is_drawn_by_the_rerun():
    assert main(DENOISE) == 0
    picture = Path("out/mics.png").read_bytes()
    Path("out/mics.png").unlink()
    assert main(DENOISE) == 0
    assert Path("out/mics.png").read_bytes() == picture


@pytest.mark.parametrize(
    "command, held",
    [(DENOISE, "out/mics.star"), (EVALUATE, "evaluation/evaluation.json"), (PREPARE, "new.hdf")],
)
def test_a_second_run_into_one_place_is_refused_and_the_first_is_not_disturbed(
    capsys, command, held
):
    with locked(Path(held)):
        assert main(command) == 1
        messages = capsys.readouterr().err
        assert f"{held}: process {os.getpid()} on " in messages and "is writing it" in messages
        assert not Path(held).exists()
    assert main(command) == 0


def test_a_second_training_of_one_name_is_refused(capsys):
    assert main(PREPARE) == 0
    with locked(Path("Models/model.safetensors")):
        assert main(TRAIN) == 1
        assert "Models/model.safetensors: process" in capsys.readouterr().err
    assert main(TRAIN) == 0


def test_the_library_denoises_a_set_and_says_what_became_of_it():
    os.truncate("mics/b_DW.mrc", 2000)
    output = OutputSettings(output_directory=Path("out"))
    results = denoise_set("mics.star", "model.safetensors", output=output)
    assert results.done == ("mics/a_DW.mrc", "mics/c_DW.mrc") and results.current == ()
    assert list(results.failed) == ["mics/b_DW.mrc"] and results.table == Path("out/mics.star")
    again = denoise_set(Path("mics.star"), Path("model.safetensors"), output=output)
    assert again.done == () and again.current == results.done
    with pytest.raises(UserError, match="Raw images are needed"):
        denoise_set("out/mics.star", "model.safetensors")


@pytest.mark.parametrize("name", ["b_\0", "circle"])
@pytest.mark.parametrize("command, verb", [(DENOISE, "denoised"), (EVALUATE, "evaluated")])
def test_a_name_with_a_nul_or_a_circle_of_links_is_skipped_and_named(capsys, command, verb, name):
    for half in ("", "_EVN", "_ODD", "_DW"):
        Path(f"mics/circle{half}.mrc").symlink_to(f"other{half}.mrc")
        Path(f"mics/other{half}.mrc").symlink_to(f"circle{half}.mrc")
    text = Path("mics.star").read_text()
    Path("mics.star").write_text(text.replace("mics/b_", f"mics/{name}_"))
    assert main(command) == 1
    messages = capsys.readouterr().err
    assert f"1 of 3 micrographs were not {verb}:" in messages
    words = {"b_\0": "row 2: rlnMicrographName holds a NUL character", "circle": "mics/circle_"}
    assert words[name] in messages


@pytest.mark.parametrize("command", [PREPARE, (*TRAIN[:1], "-m", "mics.star", "-f", "new.hdf")])
def test_nothing_is_prepared_of_a_set_with_a_circle_of_links(capsys, command):
    for half in ("EVN", "ODD", "DW"):
        Path(f"mics/b_{half}.mrc").unlink()
        Path(f"mics/b_{half}.mrc").symlink_to(f"b_{half}.mrc")
    assert main(command) == 1
    assert "mics/b_" in capsys.readouterr().err and not Path("new.hdf").exists()


@pytest.mark.parametrize(
    "line",
    ["denoise -m mics.star -o", "denoise -m", "denoise",
     "evaluate -m mics.star -p model.safetensors -o", "prepare -m mics.star -f",
     "train -t", "train -m mics.star -d", "halves -m", "report",
     "angles", "fsc", "amplitudes", "view", "structure --raw_particles", "inspect", "simulate",
     "demo"],
)  # fmt: skip
def test_an_empty_name_one_with_a_nul_and_a_circle_of_links_end_in_one_message(capsys, line):
    Path("circle").symlink_to("circle")
    before = files(".")
    for name in ("", "a\0b", "circle"):
        assert main([*line.split(), name]) in (1, 2)
        output = "".join(capsys.readouterr()).strip()
        assert output and "Traceback" not in output and "\0" not in output
    assert files(".") == before


@pytest.mark.parametrize(
    ("command", "place"),
    [(DENOISE, "b_DW"), (EVALUATE, "b_ODD"), (PREPARE, "b_ODD")],
    ids=["denoise", "evaluate", "prepare"],
)
def test_a_pipe_in_the_place_of_an_image_is_not_waited_for(capsys, command, place):
    Path(f"mics/{place}.mrc").unlink()
    os.mkfifo(f"mics/{place}.mrc")
    assert main(command) == 1
    assert f"mics/{place}.mrc: it is a pipe, a socket or a device" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    ["denoise -o out -p model.safetensors -m", "denoise -m mics.star -o out -p", "inspect",
     "train -t", "report", "fsc mics/a_DW.mrc", "amplitudes"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["pipe", "pipe.star", "pipe.mrc", "/dev/zero"])
def test_a_pipe_or_a_device_is_not_waited_for(capsys, line, place):
    if place.startswith("pipe"):
        os.mkfifo(place)
    assert main([*line.split(), place]) in (1, 2)
    assert "Traceback" not in "".join(capsys.readouterr())


def test_a_pixel_size_that_the_header_contradicts_is_warned_of_once(capsys):
    with mrcfile.open("mics/a_DW.mrc", "r+") as file:
        file.voxel_size = 5.0
    assert main([*DENOISE]) == 0
    messages = capsys.readouterr().err
    assert messages.count("the header's pixel size is not used for 1 of the micrographs") == 1
    assert "3 of 3 micrographs have halves" in messages


def test_a_suffix_with_a_slash_is_refused_and_names_the_folders_option(capsys):
    assert main([*DENOISE, "-s", "/x"]) == 1
    messages = capsys.readouterr().err
    assert '"/x" holds a slash' in messages and "--output_directory" in messages
    assert not Path("out").exists()


def test_the_reasons_of_failures_name_options_and_hold_no_backticks(capsys):
    with mrcfile.open("mics/b_DW.mrc", "r+") as file:
        file.voxel_size = 9.0
    names = [f"mics/{name}_DW.mrc" for name in "ab"]
    assert main(["denoise", *names, "-r", "9", "-o", "out"]) == 1
    messages = capsys.readouterr().err
    assert "1 of 2 micrographs were not denoised:" in messages and "Nyquist" in messages
    assert "`" not in messages and "--max_resolution" in messages


def test_the_header_of_each_image_is_checked_once(monkeypatch):
    paths = []

    def noted(path):
        paths.append(str(path))
        return read_image_header(path)

    monkeypatch.setattr(file_checks, "read_image_header", noted)
    assert main([*DENOISE]) == 0
    expected = [f"mics/{name}_{part}.mrc" for name in "abc" for part in ("DW", "EVN", "ODD")]
    assert sorted(paths) == expected


def test_names_that_are_not_utf8_go_through_every_command():
    """The byte 0xE9 alone is no UTF-8; a table holds it as it is."""
    name = b"caf\xe9"
    for part in ("DW", "EVN", "ODD"):
        Path(f"mics/a_{part}.mrc").rename(os.fsdecode(b"mics/" + name) + f"_{part}.mrc")
    table = Path("mics.star").read_bytes().replace(b"mics/a_DW", b"mics/" + name + b"_DW")
    Path("mics.star").write_bytes(table)
    trained = ("-p", "Models/run.safetensors")
    commands = (
        PREPARE,
        (*TRAIN, "-x", "run"),
        ("inspect", trained[1]),
        ("train", "-x", "run", "--resume", "--steps=2"),
        (*DENOISE[:3], *trained, "-o", "out"),
        (*EVALUATE[:3], *trained, "--resamples=20"),
        ("report", "evaluation"),
        ("inspect", "evaluation/evaluation.json"),
    )
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as errors:
        assert [main([*command]) for command in commands] == [0] * len(commands), errors.getvalue()
    assert b"out/mics/" + name + b"_DW.mrc" in Path("out/mics.star").read_bytes()
    assert "skipped" not in errors.getvalue()
