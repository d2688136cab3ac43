"""The picture that a run draws of itself."""

import logging

import numpy as np
import pytest
from PIL import Image

from restore.training import preview
from restore.training.run import train

SMALL = {
    "filters": 4,
    "batch_size": 2,
    "patch_px": 32,
    "batches_per_epoch": 1,
    "held_out": 0.25,
}  # fmt: skip


@pytest.fixture
def drawn(monkeypatch):
    """The titles of the pictures that are drawn, in order."""
    titles = []
    side_by_side = preview.side_by_side

    def noted(panels):
        titles.append([panel.title for panel in panels])
        return side_by_side(panels)

    monkeypatch.setattr(preview, "side_by_side", noted)
    return titles


def run(path, folder, **more):
    return train(path, {**SMALL, **more}, model_directory=folder, device="cpu")


def test_a_picture_is_drawn_early_and_then_less_and_less_often(make_patches, tmp_path, drawn):
    run(make_patches(((96, 80),) * 4), tmp_path, steps=9)
    assert [titles[1] for titles in drawn] == [f"denoised, step {n}" for n in (1, 2, 4, 8)]
    assert drawn[0][::2] == ["raw half", "Wiener filter"]
    with Image.open(tmp_path / "model.preview.png") as picture:
        pixels = np.asarray(picture)
    assert pixels.shape[1] > 3 * 80
    assert not list(tmp_path.glob("*.partial"))


def test_the_picture_shows_the_held_out_half_and_its_wiener_filtered_image(
    make_patches, tmp_path, monkeypatch
):
    panels = []

    def kept(shown):
        panels.extend(shown)
        return Image.new("L", (1, 1))

    monkeypatch.setattr(preview, "side_by_side", kept)
    model = run(make_patches(((96, 80),) * 4, noise=2.0), tmp_path, steps=1)
    raw, denoised, wiener = (panel.image for panel in panels)
    assert raw.shape == denoised.shape == wiener.shape == (96, 80)
    assert wiener.std() < raw.std()
    (name,) = model.training["held_out"]
    data = preview.PatchFile(tmp_path / "patches.hdf")
    (index,) = (n for n, pair in enumerate(data.pairs) if pair.name == name)
    np.testing.assert_array_equal(raw, data.halves(index)[0])
    data.close()


def test_nothing_is_drawn_where_nothing_is_held_out(make_patches, tmp_path, drawn):
    run(make_patches(), tmp_path, steps=2, held_out=0.0)
    assert not drawn and not (tmp_path / "model.preview.png").exists()


def test_a_picture_that_cannot_be_drawn_does_not_end_the_training(
    make_patches, tmp_path, monkeypatch, caplog
):
    def broken(panels):
        raise MemoryError("no room")

    caplog.set_level(logging.WARNING)
    monkeypatch.setattr(preview, "side_by_side", broken)
    model = run(make_patches(), tmp_path, steps=2)
    assert model.training["steps"] == 2
    assert "model.preview.png: the preview is not drawn: no room" in caplog.text
