"""The examination of a general model: what it is examined on."""

import sys
from dataclasses import replace

import pytest
import torch

from restore.preprocessing import Recipe, prepare_masked


def test_a_film_in_a_noise_free_truth_is_not_taken_for_an_area_without_data(examine, film_field):
    field, resolution_A = film_field, film_field.settings.max_resolution_A
    source = examine.Source("film", resolution_A / 2, field.ctf, Recipe(resolution_A), ())
    images = [field.full, field.even, field.odd, field.truth]
    question = examine.prepared_question(images, source)
    (truth,) = prepare_masked([field.truth], source.pixel_size_A, field.ctf, source.recipe, None)
    torch.testing.assert_close(question.truth, truth.image * truth.scale)


def test_a_specimen_that_was_to_be_left_out_and_is_missing_ends_the_examination_at_once(
    examine, tmp_path, monkeypatch
):
    for name in ("1IHM.cif", "1bxn.pdb"):
        (tmp_path / name).touch()
    monkeypatch.setattr(sys, "argv", ["examine.py", "none", "--left-out", str(tmp_path)])
    with pytest.raises(SystemExit, match="no model of 2cg9"):
        examine.main()
    (tmp_path / "2cg9_hsp90.pdb").touch()
    examine.require_left_out(tmp_path)


def test_conditions_are_examined_without_any_specimen_that_was_left_out(
    examine, tmp_path, monkeypatch, film_field, particles
):
    for name in ("1bxn.pdb", "1IHM.cif", "2cg9_hsp90.pdb", "3J9I.cif", "6z6u.pdb"):
        (tmp_path / name).touch()
    used = {}

    def simulate(drawn, some):
        used[len(used)] = [particle.name for particle in some]
        return film_field

    (blob,) = particles
    monkeypatch.setattr(examine, "read_particle", lambda path: replace(blob, name=path.stem))
    monkeypatch.setattr(examine, "simulate_field", simulate)
    questions = examine.left_out_questions(tmp_path, 1)
    groups = [question.group for question in questions]
    assert groups == [
        "left out: 1ihm", "left out: 2cg9", "left out: 20–25 e/Å²", "left out: Falcon 2"
    ]  # fmt: skip
    assert list(used.values()) == [["1IHM"], ["2cg9_hsp90"], ["1bxn"], ["1bxn"]]
