"""The script with which a shell completes what is typed."""

import subprocess

import pytest

from restore.cli import completion
from restore.cli.completion import script
from restore.cli.main import COMMANDS, command_parser, main

pytest.importorskip("shtab", reason="shtab, which writes the script, is not installed")


@pytest.fixture(scope="module")
def bash_script(tmp_path_factory):
    path = tmp_path_factory.mktemp("completion") / "restore.bash"
    path.write_text(script("bash"))
    return path


def completed(bash_script, folder, *words):
    """What bash proposes for the last of these words."""
    listed = " ".join(f"'{word}'" for word in ("restore", *words))
    program = f"""
        source {bash_script}
        COMP_WORDS=({listed}); COMP_CWORD={len(words)}
        $(complete -p restore | sed 's/.*-F \\([^ ]*\\).*/\\1/') restore
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        ["bash", "-c", program], cwd=folder, capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_the_script_is_valid_and_holds_every_command_and_option(bash_script):
    subprocess.run(["bash", "-n", bash_script], check=True, timeout=20)
    lines = bash_script.read_text().splitlines()
    for command in COMMANDS:
        start = f"_shtab_restore_{command}_option_strings=("
        (line,) = [line for line in lines if line.startswith(start)]
        options = {
            option
            for action in command_parser(command)._actions
            for option in action.option_strings
        }
        assert {word.strip("'\"") for word in line[len(start) : -1].split()} == options


def test_bash_completes_commands_options_values_and_files(bash_script, tmp_path):
    (tmp_path / "micrographs_ctf.star").touch()
    assert completed(bash_script, tmp_path, "den") == ["denoise"]
    assert completed(bash_script, tmp_path, "train", "--max_r") == ["--max_resolution"]
    assert completed(bash_script, tmp_path, "train", "--preset", "g") == ["gpu"]
    assert completed(bash_script, tmp_path, "denoise", "-m", "mic") == ["micrographs_ctf.star"]
    assert completed(bash_script, tmp_path, "inspect", "mic") == ["micrographs_ctf.star"]


def test_the_command_prints_the_script(bash_script, capsys):
    assert main(["completion", "bash"]) == 0
    assert capsys.readouterr().out == bash_script.read_text() + "\n"
    assert main(["completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef restore")
    assert main(["completion", "fish"]) == 2


def test_without_shtab_the_message_says_how_to_get_it(monkeypatch, capsys):
    monkeypatch.setattr(completion, "find_spec", lambda name: None)
    assert main(["completion", "bash"]) == 2
    assert "is not installed. Install it: pip install shtab." in capsys.readouterr().err
