"""The one error: how it reads."""

import pytest

from restore.errors import UsageError, UserError


@pytest.mark.parametrize(
    "parts, text",
    [
        ({}, "it is late."),
        ({"where": "a.star, row 3"}, "a.star, row 3: it is late."),
        ({"wanted": "an hour ago"}, "it is late. An hour ago."),
        ({"do": "go home"}, "it is late. Go home."),
        ({"wanted": "an hour ago", "do": "go home"}, "it is late. An hour ago: go home."),
        ({"where": "a.star", "do": "Å first"}, "a.star: it is late. Å first."),
        ({"do": "go home."}, "it is late. Go home."),
        ({"wanted": "beads.star must be there"}, "it is late. beads.star must be there."),
        ({"wanted": "rlnDefocusU is needed"}, "it is late. rlnDefocusU is needed."),
        ({"do": "`steps` are needed"}, "it is late. `steps` are needed."),
        ({"field": "minutes"}, "`minutes`: it is late."),
        ({"field": "minutes", "do": "give more `minutes`"}, "it is late. Give more `minutes`."),
    ],
)
def test_an_error_reads_as_found_where_wanted_and_do(parts, text):
    assert str(UserError("it is late", **parts)) == text


def test_its_parts_can_be_read_apart():
    error = UserError("found", field="side", where=3, wanted="wanted", do="do")
    assert (error.problem, error.where, error.wanted, error.do) == ("found", "3", "wanted", "do")
    assert error.field == "side"


def test_another_caller_may_say_it_otherwise():
    error = UsageError("found", field="side", where=3, wanted="wanted", do="do").instead(
        do="", where="a.mrc"
    )
    assert isinstance(error, UsageError)
    assert str(error) == "a.mrc: `side`: found. Wanted."
