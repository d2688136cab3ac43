"""Options derived from settings records."""

import argparse
from dataclasses import dataclass
from typing import Literal

import pytest

from restore.cli.options import add_settings, given, settings_from
from restore.cli.parser import HelpFormatter
from restore.settings import setting


@dataclass(frozen=True)
class Sample:
    count: int = setting(3, "how many", "-n")
    width_A: float | None = setting(None, "width, Å")
    kind: Literal["a", "b"] = setting("a", "which", choices=("a", "b"))
    merge: bool = setting(False, "merge", off="--dont_merge")
    span: tuple[float, float] = setting((1.0, 2.0), "from, to", group="place")


def parse(*arguments):
    parser = argparse.ArgumentParser("sample", formatter_class=HelpFormatter)
    add_settings(parser, "settings", Sample)
    return parser, parser.parse_args(arguments)


def test_what_is_not_typed_keeps_the_records_own_default():
    assert settings_from(parse()[1], Sample) == Sample()
    assert given(parse("-n", "3")[1], Sample) == {"count": 3}


def test_types_follow_from_the_fields():
    typed = settings_from(
        parse("-n", "7", "--width_A", "2", "--kind", "b", "--merge", "--span", "3", "4")[1], Sample
    )
    assert typed == Sample(7, 2.0, "b", True, (3.0, 4.0))


def test_the_opposite_flag_says_no():
    assert settings_from(parse("--merge", "--dont_merge")[1], Sample).merge is False


def test_help_says_defaults_and_groups():
    text = parse()[0].format_help()
    assert "how many (default: 3)" in text
    assert "from, to (default: 1.0 2.0)" in text
    assert "place:" in text


def test_a_wrong_choice_is_wrong_use(capsys):
    with pytest.raises(SystemExit, match="2"):
        parse("--kind", "c")
    assert "invalid choice" in capsys.readouterr().err
