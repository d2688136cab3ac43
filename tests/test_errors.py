"""The one error: how it reads."""

import pytest

from restore.errors import UserError


@pytest.mark.parametrize(
    "parts, text",
    [
        ({}, "it is late."),
        ({"where": "a.star, row 3"}, "a.star, row 3: it is late."),
        ({"wanted": "an hour ago"}, "it is late. An hour ago."),
        ({"do": "go home"}, "it is late. Go home."),
        ({"wanted": "an hour ago", "do": "go home"}, "it is late. An hour ago: go home."),
        ({"where": "a.star", "do": "Å first"}, "a.star: it is late. Å first."),
    ],
)
def test_an_error_reads_as_found_where_wanted_and_do(parts, text):
    assert str(UserError("it is late", **parts)) == text


def test_its_parts_can_be_read_apart():
    error = UserError("found", where=3, wanted="wanted", do="do")
    assert (error.found, error.where, error.wanted, error.do) == ("found", "3", "wanted", "do")
