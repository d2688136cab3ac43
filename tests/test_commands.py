"""Command lines that the library proposes."""

import shlex
from pathlib import Path

from restore.cli.main import as_typed
from restore.commands import CommandLine, Field

LINE = CommandLine(
    "denoise", Field("micrographs"), Path("a `model` b.star"), Field("phase_flip", "False")
)


def test_the_library_names_fields_and_the_command_line_options():
    assert str(LINE) == "restore denoise `micrographs` 'a `model` b.star' `phase_flip=False`"
    assert as_typed(LINE) == "restore denoise -m 'a `model` b.star' --dont_phaseflip"


def test_a_shell_gets_every_argument_whole():
    assert shlex.split(as_typed(LINE))[3] == "a `model` b.star"


def test_an_option_without_a_short_name_is_typed_in_full():
    assert as_typed(CommandLine("view", Field("mask"), "m.mrc")) == "restore view --mask m.mrc"
