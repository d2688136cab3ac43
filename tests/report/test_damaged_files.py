"""A damaged evaluation.json or structure.json gives a page or a UserError, never a traceback."""

import copy

import evaluation_example
import pytest
import structure_example

from restore.errors import UserError
from restore.evaluation.records import evaluation_from
from restore.report.page import page
from restore.report.structure_page import structure_page
from restore.structure.records import structure_from

STRANGE = (None, True, -1, 0, 1e308, -1e99, 1e-320, 10**400, "", "x", [], {}, [[[]]], {"a": {}})


def places(value, path=()):
    """The paths to the values inside a JSON value; of a list of numbers only the first."""
    yield path
    if isinstance(value, dict):
        for key, part in value.items():
            yield from places(part, (*path, key))
    elif isinstance(value, list):
        for index, part in enumerate(value[:1]):
            yield from places(part, (*path, index))


def changed(card, path, strange):
    """A copy with another value at a path."""
    copied = copy.deepcopy(card)
    inner = copied
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = strange
    return copied


def draw_evaluation(card, folder):
    return page(evaluation_from(card), folder)


def draw_structure(card, folder):
    return structure_page(structure_from(card), folder)


def small_evaluation():
    card = evaluation_example.evaluation(2, 1, pictures=True)
    card["groups"] = card["groups"][:1]
    for kept in (card["groups"][0]["curves"], card["groups"][0]["numbers"]):
        for name in list(kept)[5:]:
            del kept[name]
    card["model"]["training"]["history"] = card["model"]["training"]["history"][:2]
    return card


@pytest.mark.parametrize(
    ("card", "draw"),
    [
        (small_evaluation(), draw_evaluation),
        (structure_example.structure(), draw_structure),
    ],
)
def test_any_value_anywhere_gives_a_page_or_a_user_error(card, draw, tmp_path):
    assert "<html" in draw(card, tmp_path)
    rejected = drawn = 0
    for number, path in enumerate(list(places(card))[1:]):
        for index in range(3):  # every strange value meets every kind of place
            strange = STRANGE[(3 * number + 5 * index) % len(STRANGE)]
            try:
                draw(changed(card, path, strange), tmp_path)
                drawn += 1
            except UserError as error:
                rejected += 1
                assert "damaged" in str(error) and "\n" not in str(error)
    assert rejected > 100 and drawn > 20
