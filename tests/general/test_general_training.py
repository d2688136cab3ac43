"""The script that trains the general model: pool of fields, loss, state, a short run."""

import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from folders import ROOT
from torch import nn

from restore import fourier
from restore.model.checkpoint import load_model
from restore.model.general import RecipeRange
from restore.preprocessing import Recipe, prepare_masked
from restore.simulation.field import simulate_field
from restore.simulation.field_settings import FieldRanges, draw_field_settings

FOLDER = ROOT / "general"
SIDE = 256


@pytest.fixture(scope="module")
def field(particles):
    ranges = FieldRanges(film_share=0, crystals_share=0, border_share=0, beam_edge_share=0)
    return simulate_field(
        replace(draw_field_settings(ranges, SIDE, 1, 3), content="particles"), particles
    )


@pytest.fixture(scope="module")
def prepared(scripts, field):
    return scripts[0].prepare_field(field)


def test_a_prepared_fields_parts_sum_to_its_full_sum_of_unit_deviation(prepared):
    full = prepared.images.sum(dim=0)
    assert full.std() == pytest.approx(1, abs=1e-3)
    assert prepared.covariance.sum() == pytest.approx(1, abs=1e-2)
    assert prepared.covariance[1, 2].abs() < 0.01


def test_a_film_in_the_noise_free_truth_is_not_taken_for_an_area_without_data(scripts, film_field):
    field, settings = film_field, film_field.settings
    recipe = Recipe(settings.max_resolution_A, phase_flip=settings.phase_flip)
    images, pixel_A = [field.even, field.odd, field.truth], settings.max_resolution_A / 2
    even, odd, truth = prepare_masked(images, pixel_A, field.ctf, recipe, None)
    full = even.image * even.scale + odd.image * odd.scale
    wanted = truth.image * truth.scale / full.std()
    torch.testing.assert_close(scripts[0].prepare_field(field).images[0], wanted)


def test_powers_in_rings_sum_to_variances(scripts, prepared):
    rings = scripts[0].ring_of_component((SIDE, SIDE))
    weights = fourier.friedel_weights((SIDE, SIDE)).expand(SIDE, -1)
    share = torch.zeros(scripts[0].RINGS).index_add_(0, rings.flatten(), weights.flatten())
    share = share / share.sum()
    signal = float((prepared.signal_power * share).sum())
    noise = float((prepared.noise_power * share).sum())
    assert signal == pytest.approx(float(prepared.covariance[0, 0]), rel=1e-2)
    assert noise == pytest.approx(float(prepared.covariance[1:, 1:].diag().sum()), rel=1e-2)


def test_a_window_holds_the_fields_truth_under_new_noise_of_the_same_kind(scripts, prepared):
    rng = np.random.default_rng(0)
    pairs = [scripts[0].sample_window(prepared, 128, rng).pair for _ in range(60)]
    variance = torch.stack([image.var() for image, _ in pairs]).mean()
    assert variance == pytest.approx(1, abs=0.1)
    noise = torch.stack([(image - truth).flatten() for image, truth in pairs])
    assert torch.corrcoef(noise[:10]).fill_diagonal_(0).abs().max() < 0.5
    whole = [scripts[0].sample_window(prepared, SIDE, rng).pair[1].std() for _ in range(40)]
    assert max(whole) / min(whole) > 1.5  # under weaker noise and stronger


def test_a_window_of_noise_alone_has_nothing_as_its_truth(scripts, prepared):
    pool, learning = scripts
    window = pool.sample_window(prepared, SIDE, np.random.default_rng(0), with_signal=False)
    image, truth = window.pair[:, None, None]
    assert truth.abs().max() == 0
    assert image.var() == pytest.approx(1, abs=0.02)
    densities = window.signal[None], window.wiener_error[None]
    assert learning.relative_loss(truth, truth, *densities, 0.05) == 0
    # Drawing as much as there would be, were the signal there, costs about all of it.
    scale = (prepared.signal_power[5] / window.signal[5]).sqrt()
    drawn = (prepared.images[0] / scale)[None, None]
    assert 0.6 < float(learning.relative_loss(drawn, truth, *densities, 0.05)) <= 1


def test_a_windows_signal_is_as_strong_as_its_density_says(scripts, prepared):
    rings = scripts[0].ring_of_component((SIDE, SIDE))
    weights = fourier.friedel_weights((SIDE, SIDE)).expand(SIDE, -1)
    share = torch.zeros(scripts[0].RINGS).index_add_(0, rings.flatten(), weights.flatten())
    share = share / share.sum()
    for seed in range(5):
        window = scripts[0].sample_window(prepared, SIDE, np.random.default_rng(seed))
        signal = float((window.signal * share).sum())
        assert signal == pytest.approx(float(window.pair[1].var()), rel=0.02)
        assert (window.wiener_error <= window.signal + 1e-9).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("first", [1.0, None])
def test_one_gradient_that_is_no_number_does_not_spoil_the_later_ones(scripts, bad, first):
    network, clipping = nn.Linear(1, 1, bias=False), scripts[1].GradientClipping()

    def clipped(gradient):
        network.weight.grad = torch.full((1, 1), gradient)
        return clipping(network)

    norms = [clipped(gradient) for gradient in (first, bad, 1.0) if gradient is not None]
    assert not math.isfinite(norms[-2]) and norms[-1] == 1
    assert clipping.level == 1
    assert network.weight.grad.item() == 1


@pytest.mark.parametrize("fine_share", [0.0, 0.5, 1.0])
def test_the_loss_is_the_share_of_the_signal_that_is_missed(scripts, prepared, fine_share):
    pool, learning = scripts
    signal, noise = 100 * prepared.signal_power, 100 * prepared.noise_power
    gain = (signal / (signal + noise))[pool.ring_of_component((SIDE, SIDE))]
    image, truth = 10 * prepared.images.sum(dim=0), 10 * prepared.images[0]
    wiener = fourier.image_of(fourier.spectrum_of(image) * gain, (SIDE, SIDE))
    error = signal * noise / (signal + noise).clamp(min=1e-12)

    def loss(denoised):
        images = (denoised[None, None], truth[None, None], signal[None], error[None])
        return float(learning.relative_loss(*images, fine_share))

    assert loss(truth) == 0
    assert loss(torch.zeros_like(truth)) == pytest.approx(1, abs=0.02)
    assert loss(wiener) < 0.99
    assert loss(image) > 2


def test_fine_rings_count_more_where_they_are_weighed_up(scripts, prepared):
    pool, learning = scripts
    signal = 100 * prepared.signal_power
    rings, truth = pool.ring_of_component((SIDE, SIDE)), 10 * prepared.images[0]
    coarse = fourier.image_of(fourier.spectrum_of(truth) * (rings < 10), (SIDE, SIDE))
    error = signal * 0.5
    losses = [
        float(
            learning.relative_loss(
                coarse[None, None], truth[None, None], signal[None], error[None], fine_share
            )
        )
        for fine_share in (0.0, 1.0)
    ]
    explained = [1 - loss for loss in losses]
    assert explained[1] < 0.8 * explained[0]


@pytest.mark.parametrize("strength", [10.0, 30.0])
def test_a_weak_micrograph_counts_as_much_as_a_strong_one(scripts, prepared, strength):
    truth = strength * prepared.images[:1, None]
    signal = strength**2 * prepared.signal_power[None]
    loss = scripts[1].relative_loss(truth / 2, truth, signal, signal / 2, 0.3)
    assert float(loss) == pytest.approx(0.25, rel=0.05)


def test_saved_fields_are_read_as_they_were(scripts, prepared, tmp_path):
    scripts[0].save_field(tmp_path / "f.npz", prepared, {"index": 3})
    again = scripts[0].load_field(tmp_path / "f.npz")
    torch.testing.assert_close(again.images.float(), prepared.images, atol=4e-3, rtol=1e-3)
    assert torch.equal(again.signal_power, prepared.signal_power)
    with np.load(tmp_path / "f.npz") as file:
        assert json.loads(str(file["note"])) == {"index": 3}


def test_the_pool_fills_and_goes_on_from_where_it_stopped(scripts, particles, tmp_path):
    pool, _ = scripts
    settings = pool.PoolSettings(fields=2, size_px=128)
    pool.fill(tmp_path, particles, settings, duty=1.0, forever=False)
    assert sorted(path.name for path in tmp_path.glob("*.npz")) == ["00000.npz", "00001.npz"]
    assert pool.fields_simulated(tmp_path) == 2
    (tmp_path / "00000.npz").unlink()
    pool.fill(tmp_path, particles, settings, duty=1.0, forever=False)
    with np.load(tmp_path / "00000.npz") as file:
        assert json.loads(str(file["note"]))["index"] == 2


def test_the_average_follows_the_weights(scripts):
    network = nn.Linear(1, 1, bias=False)
    nn.init.zeros_(network.weight)
    average = scripts[1].Average(network, 0.9)
    nn.init.ones_(network.weight)
    average.update(network, 10_000)
    assert float(average.weights["weight"]) == pytest.approx(0.1)


def test_a_gradient_far_above_the_usual_is_clipped(scripts):
    network = nn.Linear(1, 1, bias=False)
    clipping = scripts[1].GradientClipping(factor=2.0)
    for gradient in (1.0, 1.0, 100.0):
        network.weight.grad = torch.full((1, 1), gradient)
        clipping(network)
    assert float(network.weight.grad) == pytest.approx(2, rel=1e-3)


def test_the_learning_rate_warms_up_stays_and_falls(scripts):
    rate = scripts[1].learning_rate
    assert rate(0.0, 1.0) < 0.1
    assert rate(0.02, 1.0) == rate(0.6, 1.0) == 1.0
    assert rate(0.8, 1.0) == pytest.approx(0.5)
    assert rate(1.0, 1.0) == pytest.approx(0.02)


def test_a_run_goes_on_as_it_was(scripts, tmp_path):
    _, learning = scripts

    def fresh():
        network = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last)
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-2, fused=True)
        return learning.Run(network, optimizer, learning.Average(network, 0.9))

    image = torch.randn(1, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    run = fresh()
    for _ in range(3):
        run.network(image).square().sum().backward()
        run.optimizer.step()
    run.step, run.clipping.level = 3, 1.5
    learning.save_run(tmp_path / "state.safetensors", run, {})
    again = fresh()
    learning.resume_run(tmp_path / "state.safetensors", again)
    assert (again.step, again.clipping.level) == (3, 1.5)
    for one in (run, again):
        one.optimizer.zero_grad()
        one.network(image).square().sum().backward()
        one.optimizer.step()
    torch.testing.assert_close(run.network.state_dict(), again.network.state_dict())


@pytest.mark.slow
def test_the_script_trains_stops_goes_on_and_leaves_a_model(tmp_path, shared_data):
    specimens = tmp_path / "specimens"
    specimens.mkdir()
    for name in ("1ql2.cif", "1gzm.pdb"):
        (specimens / name).symlink_to(shared_data / "structures/varied" / name)
    command = [sys.executable, str(FOLDER / "train.py"), str(tmp_path / "run"), "--specimens",
               str(specimens), "--pool", "2", "--least", "2", "--batch", "2", "--window", "64",
               "--threads", "1", "--no-bf16"]  # fmt: skip
    for minutes in (0.03, 0.06):
        done = subprocess.run(
            [*command, "--minutes", str(minutes)],
            capture_output=True, text=True, timeout=55, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    model = load_model(tmp_path / "run/general.safetensors")
    assert model.training["steps"] > 0
    assert model.training["specimens"] == ["1gzm.pdb", "1ql2.cif"]
    assert RecipeRange.of_model(model).max_resolution_A == (4.5, 12.0)
    lines = (tmp_path / "run/log.csv").read_text().splitlines()
    assert len(lines) == 3  # the head, and the end of either sitting
    assert not math.isnan(float(lines[-1].split(",")[4]))
