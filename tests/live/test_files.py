"""When a file counts as arrived."""

import os

import numpy as np
import pytest

from restore.io.images.image import write_image
from restore.live.files import ArrivingFiles


class Clock:
    """Time that passes when it is told to."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def image(tmp_path):
    path = tmp_path / "a.mrc"
    write_image(path, np.random.default_rng(0).normal(size=(32, 48)), 1.5)
    return path


def test_a_file_settles_when_it_has_not_changed_for_long_enough(image):
    clock = Clock()
    files = ArrivingFiles(5.0, clock)
    files.look([image])
    assert not files.has_settled(image) and files.is_unsettled(image)
    clock.now += 4.9
    files.look([image])
    assert not files.has_settled(image)
    clock.now += 0.2
    assert files.has_settled(image) and not files.is_unsettled(image)
    os.utime(image, ns=(1, 1))
    files.look([image])
    assert not files.has_settled(image) and files.changed_at == clock.now


def test_the_clock_of_the_file_system_does_not_matter(image):
    clock = Clock()
    for years in (-20, 20):
        os.utime(image, (1.7e9 + years * 3e7,) * 2)
        files = ArrivingFiles(5.0, clock)
        files.look([image])
        assert not files.has_settled(image)
        clock.now += 5
        assert files.has_settled(image)


def test_a_copy_that_stands_still_is_not_whole(image):
    content = image.read_bytes()
    clock = Clock()
    files = ArrivingFiles(1.0, clock)
    for count, problem in ((200, "1024"), (3000, "cut short"), (len(content), "")):
        image.write_bytes(content[:count])
        files.look([image])
        clock.now += 2
        assert files.has_settled(image)
        assert problem in files.problem(image) and bool(problem) == bool(files.problem(image))


def test_a_file_that_is_gone_has_no_state(image):
    files = ArrivingFiles(0.0)
    files.look([image])
    image.unlink()
    files.look([image])
    assert files.state(image) is None
    assert not files.has_settled(image) and not files.is_unsettled(image)
