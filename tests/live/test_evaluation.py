"""What a session has measured stays measured when its table changes elsewhere."""

from dataclasses import replace
from pathlib import Path

import pytest

from restore.io.listings import ImageListing
from restore.io.micrographs import MicrographSet
from restore.live import evaluation
from restore.live.evaluation import SessionEvaluation
from restore.live.files import ArrivingFiles
from restore.micrograph import Micrograph
from restore.model.checkpoint import NamedModel
from restore.runtime.progress import no_bars


@pytest.fixture
def session(tmp_path):
    return SessionEvaluation(tmp_path, "cpu", ArrivingFiles(0.0))


def in_order(*names):
    """Micrographs in the order of their rows."""
    return [
        Micrograph(name, Path(name), 1.0, row, None, Path(f"{name}_EVN"), Path(f"{name}_ODD"))
        for row, name in enumerate(names)
    ]


def test_a_row_that_is_inserted_in_front_makes_no_other_one_new(session, monkeypatch):
    class Evaluated:
        failed, evaluation = (("b", "no"),), None

    monkeypatch.setattr(evaluation, "evaluate", lambda *_, **__: Evaluated())
    first = session.waiting(in_order("a", "b", "c"))
    assert [micrograph.name for micrograph in first] == ["a", "b", "c"]
    session.measure(
        MicrographSet("t", tuple(first), ImageListing(first)), NamedModel(None, "m"), no_bars
    )
    assert session.waiting(in_order("a", "b", "c")) == []
    # The new one is measured together with the known ones; what failed stays left out.
    more = in_order("new", "a", "b", "c")
    assert session.waiting(more) == [more[0], more[1], more[3]]
    assert session.waiting(more[1:]) == []
    assert session.waiting([replace(more[1], pixel_size_A=2.0)]) != []


def test_a_micrograph_whose_half_is_made_again_is_measured_again(tmp_path, monkeypatch):
    class Evaluated:
        failed, evaluation = (("b", "no"),), None

    monkeypatch.setattr(evaluation, "evaluate", lambda *_, **__: Evaluated())
    monkeypatch.chdir(tmp_path)
    micrographs = in_order("a", "b", "c")
    paths = [path for row in micrographs for path in (row.image, row.even, row.odd)]
    for path in paths:
        path.write_bytes(b"first")
    files = ArrivingFiles(0.0)
    files.look(paths)
    session = SessionEvaluation(tmp_path, "cpu", files)
    session.measure(
        MicrographSet("t", tuple(micrographs), ImageListing(micrographs)),
        NamedModel(None, "m"),
        no_bars,
    )
    assert session.waiting(micrographs) == []
    # "b" failed, and is measured with the others once one of its files is another.
    for changed, waiting in ((micrographs[2].even, "ac"), (micrographs[1].odd, "abc")):
        changed.write_bytes(b"second time")
        files.look(paths)
        assert [row.name for row in session.waiting(micrographs)] == list(waiting)
