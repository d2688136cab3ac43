"""The halves' names follow from the full sum's file name, never from its folder's."""

import pytest

from restore.errors import UserError
from restore.io.half_names import Suffixes, half_names, is_half, parse_suffixes


@pytest.mark.parametrize(
    ("full", "even", "suffixes"),
    [
        ("mic_DW.mrc", "mic_EVN.mrc", "DW,EVN,ODD"),
        ("DWARF_01_DW.mrc", "DWARF_01_EVN.mrc", "DW,EVN,ODD"),
        ("DW/DW_01_DW.mrc", "DW/DW_01_EVN.mrc", "DW,EVN,ODD"),
        ("x_DW/mic.mrc", "x_DW/mic_EVN.mrc", "DW,EVN,ODD"),
        ("DWARF_01.mrc", "DWARF_01_EVN.mrc", "DW,EVN,ODD"),
        ("mic_DW_2.mrc", "mic_EVN_2.mrc", "DW,EVN,ODD"),
        ("micDW.mrc", "micEVN.mrc", "DW,EVN,ODD"),
        ("Été 1/my mic_DW.mrc", "Été 1/my mic_EVN.mrc", "DW,EVN,ODD"),
        ("mic.DW.1.mrc", "mic.even.1.mrc", "DW,even,odd"),
        ("mic_sum_DW.mrc", "mic_h1.mrc", "_sum_DW,_h1,_h2"),
        ("mic.mrc", "mic_h1.mrc", "_sum_DW,_h1,_h2"),
        ("mic.mrc", "mic-h1.mrc", ",-h1,-h2"),
        ("DW/mic_DW", "DW/mic_EVN", "DW,EVN,ODD"),
    ],
)
def test_the_suffix_is_replaced_in_the_file_name(full, even, suffixes):
    assert half_names(full, parse_suffixes(suffixes))[0][0] == even


@pytest.mark.parametrize(
    "text", ["DW,EVN", "DW,EVN,EVN", "DW,,ODD", "DW,EVN,a/b", "DW EVN ODD", "a,b,c,d"]
)
def test_suffixes_that_cannot_be_are_refused(text):
    with pytest.raises(UserError, match="give them like DW,EVN,ODD"):
        parse_suffixes(text)


def test_a_half_is_known_by_its_name_alone():
    names = ["a_EVN.mrc", "EVN/a_DW.mrc", "ODDITY.mrc", "a_ODD_2.mrc", "seVEN.mrc"]
    assert [is_half(name, Suffixes()) for name in names] == [True, False, False, True, False]
