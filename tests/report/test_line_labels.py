"""Names stand beside their own lines, clear of the others and inside the plot."""

from itertools import pairwise

import pytest

from restore.report.line_labels import DrawnLine, LineLabel, level_label, line_labels

SIZE = (416.0, 246.0)


def line(name, *heights, start=0.0):
    step = (SIZE[0] - start) / (len(heights) - 1)
    return DrawnLine(name, (tuple((start + step * i, y) for i, y in enumerate(heights)),))


def test_each_name_is_nearer_to_its_own_line_than_to_the_other():
    lines = [line("raw", 40, 60, 80, 100), line("denoised", 200, 180, 160, 140)]
    first, second = line_labels(lines, SIZE)
    assert (first.text, second.text) == ("raw", "denoised")
    assert abs(first.y - 70) < abs(first.y - 170) and abs(second.y - 170) < abs(second.y - 70)


def test_names_stand_where_the_lines_are_apart():
    meeting = [line("first", 20, 60, 100, 119, 121), line("second", 220, 180, 140, 121, 119)]
    places = line_labels(meeting, SIZE)
    assert len(places) == 2 and all(place.x < 0.7 * SIZE[0] for place in places)


def test_a_line_without_room_has_no_name_and_names_do_not_overlap():
    crowd = [line(f"line number {n}", *[100 + 4 * n] * 5) for n in range(8)]
    places = line_labels(crowd, SIZE)
    assert 0 < len(places) < 8
    heights = sorted(place.y for place in places if place.x > 300)
    assert all(b - a >= 15 for a, b in pairwise(heights))


@pytest.mark.parametrize("height", [0.0, 246.0])
def test_names_stay_inside_the_plot(height):
    (place,) = line_labels([line("denoised", height, height)], SIZE)
    assert 0 < place.x < SIZE[0] and 10 < place.y < SIZE[1]


def test_a_short_piece_of_a_line_is_not_where_its_name_stands():
    runs = (((0.0, 50.0), (100.0, 50.0)), ((300.0, 20.0), (305.0, 20.0)))
    (place,) = line_labels([DrawnLine("raw", runs)], SIZE)
    assert place.x < 100


def test_a_line_of_nothing_has_no_name():
    assert line_labels([DrawnLine("raw", ())], SIZE) == []


def test_a_level_is_named_where_no_line_runs_through_its_name():
    left, right = line("left", 200, 20, 20, 20), line("right", 20, 20, 20, 200)
    assert level_label("empty image", 200, [right], SIZE).anchor == "start"
    assert level_label("empty image", 200, [left], SIZE).anchor == "end"
    below = level_label("empty image", 200, [left, right], SIZE)
    assert below.y > 200 and below.y < SIZE[1]


def test_names_keep_clear_of_the_names_of_levels_and_of_lines_across():
    only = line("raw", 100, 100)
    (free,) = line_labels([only], SIZE)
    level = LineLabel("a level", SIZE[0] - 4, free.y, "end")
    moved = [*line_labels([only], SIZE, [level]), *line_labels([only], SIZE, across=[free.y - 5])]
    assert len(moved) == 2 and all((label.x, label.y) != (free.x, free.y) for label in moved)


def test_names_keep_clear_of_dots():
    only = line("raw", 100, 100)
    (free,) = line_labels([only], SIZE)
    dot = DrawnLine("", (((free.x, free.y - 5),),))
    (moved,) = line_labels([only, dot], SIZE)
    assert (moved.x, moved.y) != (free.x, free.y)
