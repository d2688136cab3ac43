"""Lattices of a set, from what was injected into its images to the sentences of its evaluation."""

import math

import torch
from evaluation_world import micrographs
from half_pairs import half_pair

from restore.evaluation.aggregate import EvaluationSettings, aggregate
from restore.evaluation.batch import plan
from restore.evaluation.estimators.spectra import RingAxis
from restore.evaluation.measure import Sampling, load_measurement, measure, save_measurement
from restore.evaluation.patterns import common_lattices
from restore.evaluation.records import Lattice, Making
from restore.evaluation.views import Views
from restore.preprocessing import Grid

AXIS = RingAxis(16, 0.25 / 2 / 16)
SHAPE = (256, 256)
NET = Lattice("denoised", 16.0, 4.0, 0.02)


def test_what_at_least_half_of_the_micrographs_have_is_common_with_its_mean_share():
    other = Lattice("denoised", 16.1, 4.03, 0.04)
    raw = Lattice("raw", 16.0, 4.0, 0.01)
    (result,) = common_lattices([[NET], [other], [raw], []])
    assert (result.image, result.period_A) == ("denoised", 16.0)
    assert math.isclose(result.share, 0.03)
    assert common_lattices([[NET], [], []]) == ()
    assert common_lattices([]) == ()


def test_the_strongest_comes_first():
    weak = Lattice("denoised", 8.0, 2.0, 0.001)
    assert common_lattices([[weak, NET]]) == (NET, weak)


def views(seed, lattice):
    """Halves, raw and halved, the denoised ones with a lattice of 8/3 pixels."""
    raw = half_pair(SHAPE, 1.0, seed, 4.0)
    y, x = torch.meshgrid(*(torch.arange(side) for side in SHAPE), indexing="ij")
    pattern = lattice * (torch.cos(0.75 * torch.pi * x) + torch.cos(0.75 * torch.pi * y))
    denoised = [0.5 * half + pattern for half in raw]
    grid = Grid(SHAPE, 4.0, SHAPE, (4.0, 4.0))
    return Views(tuple(raw), tuple(denoised), None, grid, 0)


def evaluation(tmp_path, lattice):
    jobs = plan(micrographs(tmp_path, "abcdef"), tmp_path / "evaluation", "", None)
    chosen = [job.subject for job in jobs]
    for index, subject in enumerate(chosen):
        result = measure(views(index, lattice), None, Sampling(64, AXIS))
        save_measurement(subject.path, result)
        assert load_measurement(subject.path).facts == result.facts
    settings = EvaluationSettings(resamples=50)
    return aggregate(chosen, ["held out"] * 6, AXIS, settings, Making())


def test_a_lattice_in_the_denoised_images_is_found_and_named(tmp_path):
    result = evaluation(tmp_path, 0.3)
    (lattice,) = result.groups[0].lattices
    assert (lattice.image, lattice.period_px) == ("denoised", 2.67)
    (warning,) = [words for words in result.warnings if "lattice" in words]
    assert "a period of 10.7 Å (2.7 pixels)" in warning and "comes from the denoising" in warning
    (spike,) = result.groups[0].spikes
    assert spike.halves == "denoised" and abs(spike.resolution_A - 10.67) < 0.5
    assert any("correlation of the denoised halves has a spike at 1" in w for w in result.warnings)
    assert not any("lattice" in remark for row in result.micrographs for remark in row.remarks)


def test_images_without_a_lattice_have_none_named(tmp_path):
    result = evaluation(tmp_path, 0.0)
    assert result.groups[0].lattices == () and result.groups[0].spikes == ()
    assert not any("lattice" in words or "spike" in words for words in result.warnings)
