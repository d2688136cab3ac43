"""Whatever becomes of the terminal, of its reader and of names, work is done and kept."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import restore
from restore.cli.main import COMMANDS, main
from restore.cli.terminal import Stream, safe_streams

TRAIN = "train -t patches.hdf --steps 2 --batch_size 2 --patch_px 32"


@pytest.fixture(scope="module")
def patches(tmp_path_factory):
    """A folder with a session, and its patch file."""
    folder = tmp_path_factory.mktemp("terminal")
    settings = restore.SimulationSettings(
        micrographs=2, size_px=(128, 128), pixel_size_A=4.0, frames=4
    )
    restore.simulate(folder / "session", settings)
    star, recipe = folder / "session/micrographs_ctf.star", restore.Recipe(max_resolution_A=10)
    restore.make_patches(star, folder / "patches.hdf", recipe)
    return folder


def run(folder, line, redirection="", **environment):
    """A command line in a shell; bash's exit status of restore itself comes back."""
    command = f"{sys.executable} -m restore {line} {redirection}"
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        timeout=55,
        check=False,
    )


def test_training_saves_its_model_where_messages_cannot_be_written(patches):
    done = run(patches, f"{TRAIN} -x full", "2>/dev/full", PYTHONIOENCODING="latin-1")
    assert done.returncode == 0
    assert restore.load_model(patches / "Models/full.safetensors").training["steps"] == 2


def test_training_saves_its_model_where_its_output_cannot_be_written_and_says_so(patches):
    done = run(patches, f"{TRAIN} -x output_full", ">/dev/full")
    assert done.returncode == 1
    assert restore.load_model(patches / "Models/output_full.safetensors").training["steps"] == 2
    assert b"standard output: No space left on device. The work itself is finished." in done.stderr
    assert b"Traceback" not in done.stderr and b"Exception ignored" not in done.stderr


@pytest.mark.parametrize("redirection", [">&- 2>&-", "2>&1 | true"])
def test_work_is_done_where_nobody_reads(patches, redirection):
    done = run(patches, "prepare -m session/micrographs_ctf.star -r 10 -f unread.hdf", redirection)
    assert done.returncode == 0 and not done.stderr
    assert (patches / "unread.hdf").is_file()
    (patches / "unread.hdf").unlink()


def test_names_that_are_not_utf8_work_and_are_printed_as_they_are(patches):
    name = b"caf\xe9\xff"
    done = run(patches, f"{TRAIN} -x $'caf\\xe9\\xff'")
    assert done.returncode == 0, done.stderr
    assert done.stdout == b"Models/" + name + b".safetensors\n"
    assert (Path(os.fsdecode(bytes(patches) + b"/Models/" + name + b".safetensors"))).is_file()


def test_escape_sequences_in_names_are_shown_escaped(capsys):
    assert main(["denoise", "-m", "\x1b]0;owned\x07.star", "-p", "\x1b[2J.safetensors"]) == 1
    messages = capsys.readouterr().err
    assert "\x1b" not in messages and "\x07" not in messages
    assert r"\x1b[2J.safetensors" in messages


def test_a_stream_that_fails_once_is_silent_from_then_on(tmp_path):
    with (tmp_path / "out").open("w") as file:
        stream = Stream(file)
        stream.write("a")
    stream.write("b")
    stream.flush()
    assert isinstance(stream.lost, ValueError)
    Stream(None).write("nowhere")


def test_the_streams_are_put_back(capsys):
    before = sys.stdout, sys.stderr
    with safe_streams() as (output, _):
        print("seen")
        assert sys.stdout is output
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out == "seen\n"


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("denoize -m a.star", 'there is no command "denoize". Did you mean denoise?'),
        ("eval", 'there is no command "eval". See restore --help.'),
        ("train --minuts 3", "restore train has no option --minuts. Did you mean --minutes?"),
        ("denoise --i a.star -p m", "restore denoise has no option --i. It is called --in_mics "
                                    "here."),
        ("denoise", "there is no input. Give a STAR file or images: restore denoise image.mrc."),
        ("inspect --i a.star", "restore inspect has no option --i. The input stands by itself: "
                               "restore inspect a.star."),
        ("fsc --i=a.mrc b.mrc", "restore fsc has no option --i. The input stands by itself: "
                                "restore fsc a.mrc."),
        ("watch --in_mics a.star", "restore watch has no option --in_mics. The input stands by "
                                   "itself: restore watch a.star."),
        ("inspect --o x", "restore inspect has no option --o. See restore inspect --help."),
        ("evaluate --in_mics a.star", "restore evaluate has no option --in_mics. It is called "
                                      "--input_micrographs here."),
        ("watch a.star --odir Out", "restore watch has no option --odir. It is called "
                                    "--output_directory here."),
        ("report --o page.html x", "restore report has no option --o. It is called --output here."),
        ("evaluate --o x -m a", "restore evaluate has no option --o. It is called "
                                "--output_directory here."),
        ("train -m a.star --minutes 0", "--minutes is 0. It must be above 0."),
        ("train -m a.star --minutes inf", "--minutes is inf. It must be finite."),
        ("train -m a.star --gradient_clip inf", "--gradient_clip is inf. It must be 0 or more and "
                                                "finite."),
        ("watch a.star -o Out --minutes inf", "--minutes is inf. It must be finite."),
        ("watch a.star -o Out --poll inf", "--poll is inf. It must be finite."),
        ("train --steps many", "restore train: --steps: invalid int value: 'many'. See restore "
                               "train --help."),
        ("train -m no.star", "no.star: there is no such file"),
    ],
)  # fmt: skip
def test_a_mistake_is_answered_once_and_with_advice(line, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(line.split()) in (1, 2)
    messages = capsys.readouterr().err
    assert messages.startswith(words) and messages.count(words) == 1
    assert ".." not in messages and "usage:" not in messages


def test_help_and_version_have_their_usual_names(capsys):
    for line in ("version", "--version", "-V"):
        assert main([line]) == 0
        assert capsys.readouterr().out == f"restore {restore.__version__}\n"
    for command in COMMANDS:
        main([command, "--help"])
        wanted = capsys.readouterr().out
        assert main(["help", command]) == 0
        assert capsys.readouterr().out == wanted and wanted.startswith("usage: restore ")
    for line in ([], ["help"], ["--help"]):
        assert main(line) == 0
        assert "main task, in two commands" in capsys.readouterr().out


@pytest.fixture
def session(patches, monkeypatch):
    """The session's folder, as the working folder, with what is easily given by mistake."""
    monkeypatch.chdir(patches / "session")
    text = Path("micrographs_ctf.star").read_text()
    Path("no_halves.star").write_text(text.replace("_DW.mrc", "_TRUTH.mrc"))
    Path("small_pixels.star").write_text(text.replace("4.000000", "0.004000"))
    Path("models").mkdir(exist_ok=True)
    for name in ("a.state.safetensors", "b.safetensors"):
        Path("models", name).touch()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("denoise -m micrographs_ctf.star -p models",
         "models: a folder, not a model. Restore reads only the .safetensors that restore train "
         "writes: give models/b.safetensors."),
        ("denoise -m micrographs_ctf.star -p Micrographs/mic_0001_DW.mrc",
         "Micrographs/mic_0001_DW.mrc: an image, not a model."),
        ("watch Micrographs -o Out -p micrographs_ctf.star",
         "micrographs_ctf.star: a STAR file, not a model. Restore reads only the .safetensors that "
         "restore train writes: give the table as FOLDER|STAR."),
        ("train -m Micrographs/*_DW.mrc --pixel_size 4",
         "Micrographs/*_DW.mrc: images without a STAR file have no CTF. Phase flipping needs the "
         "CTF: give a STAR file, or --dont_phaseflip."),
        ("train -m small_pixels.star",
         "Micrographs/mic_0001_DW.mrc: an image of 128×128 pixels has only 0×0 left at 4.5 Å. A "
         "pixel size of 0.004 Å is too small for a micrograph: check the pixel size where it comes "
         "from (the STAR file, or --pixel_size)."),
        ("evaluate -r 10 -m no_halves.star",
         "none of the 2 micrographs could be evaluated. Micrographs/mic_0001_TRUTH_EVN.mrc: there "
         "is no such file. An MRC file is needed: check the name. An evaluation needs halves: if "
         "there are none, make them with restore halves."),
    ],
)  # fmt: skip
def test_what_is_given_by_mistake_is_called_what_it_is(line, words, session, capsys):
    assert main(line.split()) == 1
    messages = capsys.readouterr().err
    assert messages.count(words) == 1 and ".." not in messages


def test_a_file_is_named_once_in_the_list_of_failures(session, capsys):
    text = Path("micrographs_ctf.star").read_text()
    Path("one_gone.star").write_text(text.replace("mic_0002_DW", "gone_DW"))
    assert main(["denoise", "-m", "one_gone.star", "-r", "10", "-o", "Out"]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("  Micrographs/gone_DW.mrc: there is no such file")


def test_a_wrong_pixel_size_in_headers_is_remarked_once(session, capsys):
    assert main(["inspect", "small_pixels.star"]) == 1
    assert capsys.readouterr().err.count("the header's pixel size is not used") == 1
