"""What the library says, as the command line says it."""

import logging

import pytest

from restore.cli.main import command_parser
from restore.cli.terminal import printable
from restore.cli.wording import LineFormatter, Wording
from restore.errors import UserError


@pytest.fixture(scope="module")
def train():
    return Wording(command_parser("train"))


@pytest.mark.parametrize(
    ("field", "option"),
    [
        ("minutes", "--minutes"),
        ("max_resolution_A", "--max_resolution"),
        ("max_resolution", "--max_resolution"),
        ("phase_flip", "--phaseflip"),
        ("micrographs", "--training_mics"),
        ("batch_size", "--batch_size"),
        ("nothing_of_this_name", "nothing_of_this_name"),
    ],
)
def test_a_field_becomes_its_option(train, field, option):
    assert train.option(field) == option


def test_a_yes_or_no_becomes_the_option_that_says_it(train):
    assert train.text("or give `phase_flip=False`") == "or give --dont_phaseflip"
    assert train.text("or give `phase_flip=True`") == "or give --phaseflip"
    assert train.text("`resume=True` continues") == "--resume continues"
    assert train.text("`precision=float32`") == "--precision float32"


def test_the_same_field_is_called_otherwise_by_another_command():
    assert Wording(command_parser("denoise")).option("micrographs") == "--input_micrographs"
    assert Wording(command_parser("report")).option("folder") == "FOLDER"


def test_of_two_commands_the_first_that_has_an_option_names_it():
    both = Wording(command_parser("denoise"), command_parser("halves"))
    assert both.text("`micrographs`, `dose_per_frame`") == "--input_micrographs, --dose_per_frame"


def test_an_error_names_the_option_of_its_field_and_of_every_other_that_it_mentions(train):
    error = UserError("minutes is 0", field="minutes", do="give more `minutes`, or `steps`")
    assert train.error(error) == "--minutes is 0. Give more --minutes, or --steps."
    error = UserError("minutes is 0", field="minutes", wanted="it must be greater than 0")
    assert train.error(error) == "--minutes is 0. It must be greater than 0."
    error = UserError("0 is too short", field="minutes")
    assert train.error(error) == "--minutes: 0 is too short."


def test_a_file_that_is_called_as_a_field_is_no_option(train):
    error = UserError("it is short", field="minutes", where="runs/minutes.star")
    assert train.error(error) == "runs/minutes.star: --minutes: it is short."


def test_names_cannot_steer_a_terminal():
    assert printable("a\x1b[2J\r\x07b\x9bc") == r"a\x1b[2J\r\x07b\x9bc"
    assert printable("Ångström – 4.5 Å\n\tand on") == "Ångström – 4.5 Å\n\tand on"
    assert printable(b"\xff\xe9.mrc".decode("utf-8", "surrogateescape")) == r"\xff\xe9.mrc"
    record = logging.LogRecord("restore", 30, "", 0, "%s is skipped", ("\x1b]0;x\x07.mrc",), None)
    assert LineFormatter().format(record) == r"\x1b]0;x\x07.mrc is skipped"
