"""The codec: what is written is read back, and nothing malformed gets past it or ends in a
traceback.
"""

import json
import math
import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from restore.errors import UserError
from restore.io.atomic import write_text
from restore.records import (
    MAY_BE_INFINITE,
    RecordFile,
    as_json,
    decoded,
    parse_json,
    plain,
    read_record,
    record_text,
)

FILE = RecordFile("card", 3, "restore test")
numbers = st.floats(-1e90, 1e90)
words = st.text(st.characters(exclude_categories=["Cs"]), max_size=9)


@dataclass(frozen=True)
class Point:
    x: float
    y: float | None = None


@dataclass(frozen=True)
class Card:
    name: str
    count: int
    is_good: bool
    kind: Literal["a", "b"]
    points: tuple[Point, ...]
    pair: tuple[float, str]
    by_name: Mapping[str, Point | None]
    lists: list[tuple[float | None, ...]]
    size: str | int = "whole"
    path: Path = Path("x/y")
    anything: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.count < 0:
            raise ValueError("a negative count")


point = st.builds(Point, numbers, st.none() | numbers)
whatever = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**62), 2**62) | numbers | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=6,
)
cards = st.builds(
    Card,
    words,
    st.integers(0, 2**40),
    st.booleans(),
    st.sampled_from(["a", "b"]),
    st.lists(point, max_size=3).map(tuple),
    st.tuples(numbers, words),
    st.dictionaries(words, st.none() | point, max_size=3),
    st.lists(st.lists(st.none() | numbers, max_size=3).map(tuple), max_size=2),
    words | st.integers(0, 9),
    st.sampled_from([Path("a.mrc"), Path("/b/c d.mrc")]),
    st.dictionaries(words, whatever, max_size=3),
)
EXAMPLE = Card(
    "n", 1, True, "a", (Point(1.0), Point(2.0, 3.0)), (1.0, "s"), {"p": Point(4.0), "q": None},
    [(1.0, None)], 3, Path("x"), {"deep": {"er": [1, 2.5, "t", None]}},
)  # fmt: skip


@given(cards)
def test_what_is_written_is_read_back(card):
    assert decoded(Card, parse_json(as_json(card), "here"), "here") == card


def test_a_file_is_written_with_its_version_first_and_read_back(tmp_path):
    path = tmp_path / "card.json"
    path.write_text(record_text(EXAMPLE, FILE), encoding="utf-8")
    assert path.read_text(encoding="utf-8").startswith('{\n  "format_version": 3,\n  "name": "n"')
    assert read_record(path, Card, FILE) == EXAMPLE


def test_numbers_that_are_not_finite_are_written_as_nothing():
    assert plain({"a": (math.nan, math.inf, 1.0)}) == {"a": [None, None, 1.0]}
    assert decoded(Point, parse_json('{"x": 1, "y": NaN}', "h"), "h") == Point(1.0, None)


def test_defaults_stand_for_what_is_absent_and_unknown_keys_are_left_out():
    assert decoded(Point, {"x": 2, "z": [1]}, "h") == Point(2.0)


@dataclass(frozen=True)
class Exact:
    exact: ClassVar[bool] = True

    x: float = 1.0
    limit: float = field(default=2.0, metadata=MAY_BE_INFINITE)


def test_an_exact_record_needs_every_field_and_takes_no_other():
    assert decoded(Exact, {"x": 2, "limit": 3}, "h") == Exact(2.0, 3.0)
    with pytest.raises(UserError, match="it has no limit"):
        decoded(Exact, {"x": 2}, "h")
    with pytest.raises(UserError, match='it has "y", which is none of its fields'):
        decoded(Exact, {"x": 2, "limit": 3, "y": 4}, "h")


def test_infinity_is_read_only_where_a_field_may_be_infinite():
    text = json.dumps({"x": 1.0, "limit": math.inf})
    assert decoded(Exact, parse_json(text, "h"), "h") == Exact(1.0, math.inf)
    for wrong in ({"x": math.inf}, {"limit": -math.inf}, {"limit": math.nan}, {"limit": "x"}):
        with pytest.raises(UserError, match=next(iter(wrong))):
            decoded(Exact, parse_json(json.dumps({"x": 1, "limit": 1} | wrong), "h"), "h")


def test_names_that_are_not_utf8_are_read_back_as_they_were(tmp_path):
    name = b"caf\xe9.mrc".decode("utf-8", "surrogateescape")
    write_text(tmp_path / "card.json", record_text(replace(EXAMPLE, name=name), FILE))
    assert read_record(tmp_path / "card.json", Card, FILE).name == name


def changed(**values):
    return plain(EXAMPLE) | values


@pytest.mark.parametrize(
    ("card", "place"),
    [
        ([], r"it is a list, not a group of values"),
        ({}, r"it has no name"),
        (changed(name=3), r"name is 3, not a text"),
        (changed(name="\ud800\udcff"), r"name is a text with half a character"),
        (changed(count=True), r"count is true, not an integer"),
        (changed(count=1.5), r"count is 1.5, not an integer"),
        (changed(count=10**400), r"count is a very large integer"),
        (changed(count=-1), r"it is inconsistent: a negative count"),
        (changed(is_good=1), r"is_good is 1, not true or false"),
        (changed(kind="c"), r'kind is "c", not one of a, b'),
        (changed(points=[{"x": 1}, {"x": "1"}]), r'points\[1\].x is "1", not a number'),
        (changed(points={"x": 1}), r"points is a group of values, not a list"),
        (changed(points=[{"x": 1e308}]), r"points\[0\].x is 1e\+308, which is beyond 1e\+100"),
        (changed(points=[{"x": None}]), r"points\[0\].x is null, not a number"),
        (changed(points=[{"x": 10**4000}]), r"points\[0\].x is a very large integer"),
        (changed(pair=[1.0]), r"pair has 1 values, not 2"),
        (changed(by_name={"p": 4}), r"by_name.p is 4, not a group of values"),
        (changed(lists=[[1.0, "x"]]), r'lists\[0\]\[1\] is "x", not a number'),
        (changed(size=[]), r"size is a list"),
        (changed(path=""), r"path is \"\", not a file's name"),
        (changed(path="a\0b"), r"path is"),
        (changed(anything={"a": [{"b": -1e308}]}), r"anything.a\[0\].b is -1e\+308, which is"),
    ],
)
def test_what_does_not_fit_is_named_with_its_place(card, place):
    with pytest.raises(UserError, match=r"^here: a damaged card \(" + place):
        decoded(Card, card, "here", "card")


def nested(depth):
    value = None
    for _ in range(depth):
        value = [value]
    return value


def test_plain_values_are_nested_only_so_deep():
    assert decoded(Card, changed(anything={"a": nested(20)}), "here").anything
    with pytest.raises(UserError, match="is nested more than 24 levels deep"):
        decoded(Card, changed(anything={"a": nested(900)}), "here")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"\xff\xfe", b"[" * 200_000, b'{"a": ' * 90_000, b"1" * 5000, b"nul", b'"\x01"'],
)
def test_text_that_is_not_json_is_damage(tmp_path, content):
    path = tmp_path / "card.json"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"card.json: a damaged card .*Run restore test again"):
        read_record(path, Card, FILE)


@pytest.mark.parametrize(
    ("version", "words"),
    [
        (4, r"format version 4. This version of restore reads version 3: use the version"),
        (2, r"format version 2"),
        (None, r"it has no format_version"),
        ("3", r"its format_version is not an integer"),
        (True, r"its format_version is not an integer"),
        (10**3000, r"format version 1000"),
    ],
)
def test_another_version_is_named(tmp_path, version, words):
    path = tmp_path / "card.json"
    path.write_text(json.dumps(changed(format_version=version)))
    with pytest.raises(UserError, match=words):
        read_record(path, Card, FILE)


def test_a_file_that_is_not_there_or_is_a_folder_is_a_plain_error(tmp_path):
    with pytest.raises(UserError, match="it cannot be read"):
        read_record(tmp_path, Card, FILE)
    with pytest.raises(UserError, match="it cannot be read"):
        read_record(tmp_path / "gone", Card, FILE)


STRANGE = [
    None,
    True,
    -1,
    10**400,
    1e308,
    "",
    "\ud800",
    [],
    {},
    [[[]]],
    {"x": {"x": {}}},
    nested(400),
]


def places(value, path=()):
    """The paths to every value inside a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(part, (*path, key))


def with_change(value, path, change):
    """A copy with another value at a path."""
    if not path:
        return change
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = with_change(value[path[0]], path[1:], change)
    return copy


def test_any_value_anywhere_gives_a_record_or_a_user_error():
    card = plain(EXAMPLE)
    rejected = 0
    for path in places(card):
        for strange in STRANGE:
            try:
                decoded(Card, with_change(card, path, strange), "here")
            except UserError as error:
                rejected += 1
                assert "\n" not in str(error) and len(str(error)) < 200
    assert rejected > 150


def test_mutated_bytes_give_a_record_or_a_user_error(tmp_path):
    generator = random.Random(0)
    content = record_text(EXAMPLE, FILE).encode()
    path = tmp_path / "card.json"
    rejected = 0
    for _ in range(300):
        mutated = bytearray(content)
        for _ in range(generator.randint(1, 4)):
            mutated[generator.randrange(len(mutated))] = generator.randrange(256)
        path.write_bytes(bytes(mutated[: generator.choice([len(mutated), len(mutated) // 2])]))
        try:
            read_record(path, Card, FILE)
        except UserError:
            rejected += 1
    assert rejected > 150


def test_a_type_that_the_codec_does_not_know_is_an_error_of_the_program():
    with pytest.raises(TypeError, match="the codec of records does not know the type"):
        decoded(complex, {}, "here")


def test_numbers_of_numpy_are_written_as_numbers():
    values = {"a": np.int64(8), "b": np.float32(0.5), "c": np.bool_(True), "d": np.float32("inf")}
    assert as_json({**values, "e": np.array(3), "f": np.str_("g")}) == as_json(
        {"a": 8, "b": 0.5, "c": True, "d": None, "e": 3, "f": "g"}
    )
    written = plain(replace(EXAMPLE, count=np.uint8(1), points=(Point(np.float64(1)),)))
    assert decoded(Card, json.loads(json.dumps(written)), "here").count == 1
