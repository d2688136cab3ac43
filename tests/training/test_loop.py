"""The training loop: it learns, repeats itself, resumes exactly, and divides among processes."""

import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from restore.errors import UserError
from restore.model.checkpoint import load_model, load_tensors
from restore.model.network import NetworkSettings, add_weight_norm, build_network, convolutions
from restore.preprocessing import Recipe
from restore.report.figures import losses
from restore.runtime.distributed import Place
from restore.training import loop as training
from restore.training import schedules
from restore.training.loop import fresh_state, train
from restore.training.patches import Pair, PatchFile, Region
from restore.training.settings import TrainingSettings
from restore.training.split import split
from restore.training.stability import update_average
from restore.training.state import TrainingState, restore_state, save_state
from restore.training.valid_windows import split_with_data
from restore.training.validation import epoch_words, held_out_losses

CPU = torch.device("cpu")
ALONE = Place(0, 1, CPU)
TINY = TrainingSettings(
    batch_size=2,
    number_of_epochs=2,
    batches_per_epoch=10,
    patch_px=16,
    precision="float32",
    architecture="waunet",
    gradient_clip=0.0,
    weight_average=0.0,
    filters=2,
    blocks=1,
    seed=5,
)


class Watching:
    """Keeps what it is told; asks for a stop, as ^C does, after ``stop_after`` steps; saves there
    to ``path``.
    """

    def __init__(self, stop_after=None, path=None):
        self.stop_after, self.path = stop_after, path
        self.progress, self.weights, self.rates = [], [], []

    def step(self, progress, state):
        self.progress.append(progress)
        self.rates.append(state.optimizer.param_groups[0]["lr"])
        if state.step == self.stop_after:
            signal.raise_signal(signal.SIGINT)

    def epoch(self, state):
        self.weights.append(
            {name: value.clone() for name, value in state.network.state_dict().items()}
        )

    def interrupted(self, state):
        save_state(self.path, state, {})


def run(path, settings, watcher=None, state=None, initial=None):
    data = PatchFile(path)
    state = state or fresh_state(settings, CPU, initial)
    parts = split_with_data(data, settings)
    model = train(state, data, settings, ALONE, watcher or Watching(), parts=parts)
    data.close()
    return model


def same_weights(one, other):
    return all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_the_loss_falls_on_an_easy_set_and_comes_near_the_perfect_one(make_patches):
    settings = replace(
        TINY, number_of_epochs=6, patch_px=32, batch_size=4, filters=4, learning_rate=5e-3
    )
    history = run(make_patches(noise=1.0), settings).training["history"]
    first, last = history[0], history[-1]
    assert last["held_out_loss"] < 0.85 * first["held_out_loss"]
    assert last["train_loss"] < first["train_loss"]
    excess = last["held_out_loss"] / last["perfect_loss"] - 1
    assert 0 < excess < 0.6  # returning the input itself would cost twice the perfect loss


def test_the_same_seed_gives_the_same_model_and_another_seed_another(make_patches):
    path = make_patches()
    one, same, other = run(path, TINY), run(path, TINY), run(path, replace(TINY, seed=6))
    assert same_weights(one.network, same.network)
    assert not same_weights(one.network, other.network)


@pytest.mark.parametrize("stop_after", [7, 10])
@pytest.mark.parametrize(
    "shapes", [((64, 64),) * 3, ((64, 48),)], ids=["three micrographs", "one micrograph"]
)
def test_a_run_that_was_interrupted_and_resumed_is_the_uninterrupted_run_bit_for_bit(
    make_patches, tmp_path, stop_after, shapes
):
    path, saved = make_patches(shapes), tmp_path / "state"
    whole = run(path, TINY)
    with pytest.raises(KeyboardInterrupt):
        run(path, TINY, Watching(stop_after, saved))
    state = fresh_state(TINY, CPU)
    restore_state(saved, state)
    assert state.step == stop_after
    resumed = run(path, TINY, state=state)
    assert same_weights(whole.network, resumed.network)

    def rows(model):
        return [
            {name: value for name, value in row.items() if name != "seconds"}
            for row in model.training["history"]
        ]

    assert rows(whole) == rows(resumed)
    assert whole.training["steps"] == resumed.training["steps"] == 20


def test_a_finished_run_that_goes_on_for_longer_validates_and_saves_at_its_own_intervals(
    make_patches, monkeypatch, tmp_path
):
    monkeypatch.setattr(schedules, "MIN_STEPS", 1)
    settings = replace(TINY, number_of_epochs=None, batches_per_epoch=500, steps=40)
    path, state, longer = make_patches(), fresh_state(settings, CPU), replace(settings, steps=120)
    run(path, settings, state=state)
    assert state.epoch == settings.budget.epochs == longer.budget.epochs == 20
    save_state(tmp_path / "finished", state, {})
    whole, steps = run(path, longer, state=state), [*range(2, 41, 2), *range(42, 121, 6)]
    assert [row["step"] for row in whole.training["history"]] == steps
    assert [row["epoch"] for row in whole.training["history"]] == [*range(1, len(steps) + 1)]

    state = fresh_state(longer, CPU)  # interrupted again on its way, and resumed once more
    restore_state(tmp_path / "finished", state)
    with pytest.raises(KeyboardInterrupt):
        run(path, longer, Watching(63, tmp_path / "state"), state=state)
    state = fresh_state(longer, CPU)
    restore_state(tmp_path / "state", state)
    resumed = run(path, longer, state=state)
    assert same_weights(whole.network, resumed.network)
    assert [row["step"] for row in resumed.training["history"]] == steps


def test_a_stop_lets_the_step_in_hand_finish_and_gives_the_signals_back(make_patches, tmp_path):
    before = signal.getsignal(signal.SIGINT)
    watcher = Watching(3, tmp_path / "state")
    with pytest.raises(KeyboardInterrupt):
        run(make_patches(), TINY, watcher)
    assert len(watcher.progress) == 3
    assert signal.getsignal(signal.SIGINT) is before


def test_the_learning_rate_follows_the_schedule(make_patches):
    watcher = Watching()
    run(make_patches(), replace(TINY, schedule="staircase", learning_rate=1e-3), watcher)
    np.testing.assert_allclose(watcher.rates, np.repeat([1e-3, 7.5e-4, 5e-4, 2.5e-4], 5))
    assert watcher.progress == [step / 20 for step in range(1, 21)]


def test_a_run_of_a_few_seconds_ends_by_the_clock(make_patches):
    watcher = Watching()
    model = run(make_patches(), replace(TINY, minutes=0.5 / 60), watcher)
    assert watcher.progress[-1] == 1
    assert model.training["seconds"] >= 0.5
    assert model.training["history"][-1]["epoch"] == 20


def test_the_model_is_that_of_the_best_epoch(make_patches, monkeypatch):
    losses = iter([3.0, 1.0, 2.0, 1.0, 5.0])
    monkeypatch.setattr(
        training,
        "held_out_losses",
        lambda *given: {"held_out_loss": next(losses), "perfect_loss": 0.5},
    )
    watcher, best = Watching(), 1
    model = run(make_patches(), replace(TINY, number_of_epochs=5, batches_per_epoch=4), watcher)
    assert model.training["best"]["epoch"] == best + 1
    assert not torch.equal(watcher.weights[1]["first.bias"], watcher.weights[4]["first.bias"])
    biases = [
        watcher.weights[best][f"{name}.bias"] for name, _ in named_convolutions(model.network)
    ]
    assert all(
        torch.equal(conv.bias, bias)
        for conv, bias in zip(convolutions(model.network), biases, strict=True)
    )
    assert not any("parametrizations" in name for name in model.network.state_dict())


def named_convolutions(network):
    return [
        (name, module)
        for name, module in network.named_modules()
        if isinstance(module, torch.nn.Conv2d)
    ]


def test_with_nothing_held_out_the_last_epoch_is_the_model(make_patches):
    watcher = Watching()
    model = run(make_patches(), replace(TINY, held_out=0.0), watcher)
    assert model.training["best"]["epoch"] == 2
    assert "held_out_loss" not in model.training["best"]
    assert torch.equal(model.network.first.bias, watcher.weights[-1]["first.bias"])


def test_the_model_remembers_what_it_was_trained_on(make_patches):
    recipe = Recipe(max_resolution_A=6.0, phase_flip=False)
    model = run(make_patches(recipe=recipe), TINY)
    assert model.recipe == recipe
    assert sorted(model.training["trained_on"] + model.training["held_out"]) == [
        f"mic{i}.mrc" for i in range(4)
    ]
    assert len(model.training["held_out"]) == 1
    assert model.training["settings"]["batch_size"] == 2


@pytest.mark.parametrize(
    "changes", [{"loss": "l1"}, {"gradient_checkpointing": True}, {"precision": "bf16"}]
)
def test_the_other_ways_of_training_learn_too(make_patches, changes):
    model = run(make_patches(), replace(TINY, filters=4, learning_rate=3e-3, **changes))
    history = model.training["history"]
    assert history[-1]["held_out_loss"] < history[0]["held_out_loss"]


def test_gradient_checkpointing_does_not_change_the_result(make_patches):
    path = make_patches()
    one, other = run(path, TINY), run(path, replace(TINY, gradient_checkpointing=True))
    for a, b in zip(one.network.parameters(), other.network.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_worker_processes_do_not_change_the_result(make_patches):
    path, settings = make_patches(), replace(TINY, batches_per_epoch=2)
    assert same_weights(
        run(path, settings).network, run(path, replace(settings, workers=1)).network
    )


def test_a_run_that_diverges_goes_on_from_its_best_weights_at_half_the_rate(make_patches, caplog):
    state = fresh_state(TINY, CPU)
    with torch.no_grad():
        state.network.first.bias.fill_(float("nan"))
    watcher = Watching()
    model = run(make_patches(), TINY, watcher, state=state)
    assert "diverged at step 10" in caplog.text and "0.5 of the learning rate" in caplog.text
    assert [row["epoch"] for row in model.training["history"]] == [2]
    assert np.isfinite(model.training["best"]["held_out_loss"])
    assert watcher.rates[10] < 0.5 * TINY.learning_rate
    assert all(torch.isfinite(weight).all() for weight in model.network.parameters())


def test_an_epoch_that_ends_as_the_run_falls_back_has_no_training_loss(make_patches, monkeypatch):
    checks = iter([False, True, False])
    monkeypatch.setattr(training, "has_diverged", lambda *losses: next(checks))
    settings = replace(TINY, batches_per_epoch=20, number_of_epochs=3)
    history = run(make_patches(), settings).training["history"]
    assert [row["step"] for row in history] == [20, 40, 60]
    assert ["train_loss" in row for row in history] == [True, False, True]
    assert epoch_words(history[1]).startswith("epoch 2: validation loss")
    assert list(losses(history).axes[0].lines[0].get_xdata()) == [20, 60]


def test_a_loss_that_is_far_above_that_of_an_empty_image_is_noticed_within_twenty_steps(
    make_patches, caplog
):
    settings = replace(TINY, steps=60, architecture="unet", weight_average=0.9)
    state = fresh_state(settings, CPU)
    with torch.no_grad():
        state.network.up1.leave.bias.fill_(1e4)
    run(make_patches(), settings, state=state)
    assert "diverged at step 20" in caplog.text


def test_a_run_that_diverges_whatever_its_rate_is_given_up_with_advice(make_patches, monkeypatch):
    monkeypatch.setattr(training, "held_out_losses", lambda *given: {"held_out_loss": np.nan})
    with pytest.raises(UserError, match=r"keeps diverging.*lower `learning_rate`"):
        run(make_patches(), replace(TINY, number_of_epochs=9, batches_per_epoch=1))


def test_training_starts_from_the_initial_model(make_patches):
    initial = build_network(TINY.network, torch.Generator().manual_seed(77))
    image = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        torch.testing.assert_close(fresh_state(TINY, CPU, initial).network(image), initial(image))
        assert not torch.allclose(fresh_state(TINY, CPU).network(image), initial(image), atol=1e-3)
    model = run(make_patches(), replace(TINY, learning_rate=1e-9), initial=initial)
    torch.testing.assert_close(model.network.first.weight, initial.first.weight)


def test_an_initial_model_of_another_shape_is_refused():
    initial = build_network(NetworkSettings("waunet", filters=3, blocks=1), torch.Generator())
    with pytest.raises(UserError, match=r"filters=3.*filters=2"):
        fresh_state(TINY, CPU, initial)


COMPACT = replace(TINY, architecture="unet", gradient_clip=5.0, weight_average=0.9)


def test_an_averaged_run_of_the_compact_network_is_resumed_bit_for_bit(make_patches, tmp_path):
    path, saved = make_patches(), tmp_path / "state"
    whole = run(path, COMPACT)
    with pytest.raises(KeyboardInterrupt):
        run(path, COMPACT, Watching(13, saved))
    state = fresh_state(COMPACT, CPU)
    restore_state(saved, state)
    resumed = run(path, COMPACT, state=state)
    assert same_weights(whole.network, resumed.network)
    losses = [
        [row["held_out_loss"] for row in model.training["history"]] for model in (whole, resumed)
    ]
    assert losses[0] == losses[1]


def test_the_model_is_the_average_of_the_weights(make_patches):
    settings, watcher = replace(COMPACT, number_of_epochs=1), Watching()
    model = run(make_patches(), settings, watcher)
    state = fresh_state(settings, CPU)
    assert state.average.keys() == model.network.state_dict().keys()
    last = watcher.weights[-1]["up1.leave.weight"]
    assert not torch.equal(model.network.up1.leave.weight, last)
    assert 0.1 < model.network.up1.leave.weight.norm() / last.norm() < 1


@pytest.mark.parametrize(("step", "average"), [(10_000, 0.1), (1, 9 / 11)])
def test_the_average_of_the_weights_keeps_the_decay_and_less_in_the_first_steps(step, average):
    """A decay of 0.9 keeps min(0.9, (1 + n) / (10 + n)) of an average of 0 beside weights of 1."""
    network = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.ones_(network.weight)
    state = TrainingState(network, torch.optim.SGD(network.parameters()), best_weights={})
    state.step, state.average = step, {"weight": torch.zeros(1, 1)}
    update_average(state, 0.9)
    assert float(state.average["weight"]) == pytest.approx(average)


def test_gradients_are_clipped_before_each_step(make_patches, monkeypatch):
    before, stepped = [], []
    original, step = training.nn.utils.clip_grad_norm_, torch.optim.Adam.step

    def clipped(parameters, most):
        before.append(original(parameters, most))

    def stepping(optimizer, *given):
        gradients = [weight.grad for weight in optimizer.param_groups[0]["params"]]
        stepped.append(torch.cat([gradient.flatten() for gradient in gradients]).norm())
        return step(optimizer, *given)

    monkeypatch.setattr(training.nn.utils, "clip_grad_norm_", clipped)
    monkeypatch.setattr(torch.optim.Adam, "step", stepping)
    run(make_patches(), replace(COMPACT, number_of_epochs=1, gradient_clip=0.25))
    assert len(before) == len(stepped) == 10
    assert max(before) > 0.3 and 0 < max(stepped) < 0.2501


def test_a_run_without_a_length_ends_by_itself_once_the_loss_is_flat(make_patches, monkeypatch):
    losses = iter([3.0, 2.0, 1.5, *[1.4] * 40])
    monkeypatch.setattr(
        training,
        "held_out_losses",
        lambda *given: {"held_out_loss": next(losses), "perfect_loss": 0.5},
    )
    watcher = Watching()
    settings = replace(COMPACT, number_of_epochs=None, batches_per_epoch=5)
    model = run(make_patches(), settings, watcher)
    assert settings.budget.open_ended and watcher.progress[-1] == 1
    assert [row["epoch"] for row in model.training["history"]] == [*range(1, 11)]
    assert watcher.rates[-1] < 0.2 * max(watcher.rates)  # it winds down before it ends


def test_where_epochs_are_long_the_validation_loss_is_first_measured_early(
    make_patches, monkeypatch
):
    monkeypatch.setattr(training, "MIN_STEPS", 3)
    history = run(make_patches(), TINY).training["history"]
    assert [(row["epoch"], row["step"]) for row in history] == [(0, 3), (1, 10), (2, 20)]


def test_the_wiener_filters_loss_stands_between_the_noise_floor_and_an_empty_image(make_patches):
    history = run(make_patches(noise=1.0, shapes=((128, 128),) * 4), COMPACT).training["history"]
    losses = {row["wiener_loss"] for row in history}
    assert len(losses) == 1
    assert history[0]["perfect_loss"] < losses.pop() < 2.0


def pairs(*shapes):
    return [Pair(f"{index}", shape, (2.0, 2.0)) for index, shape in enumerate(shapes)]


@pytest.mark.parametrize("count, held_out", [(2, 1), (10, 1), (40, 2), (100, 5)])
def test_five_percent_of_the_micrographs_are_held_out_and_at_least_one(count, held_out):
    parts = split(pairs(*[(64, 64)] * count), TrainingSettings(patch_px=32))
    training, kept = ({region.pair for region in part} for part in (parts.training, parts.held_out))
    assert len(kept) == held_out
    assert training | kept == set(range(count)) and not training & kept


def test_which_micrographs_are_held_out_follows_from_the_seed():
    chosen = [
        split(pairs(*[(64, 64)] * 20), TrainingSettings(patch_px=32, seed=seed)).held_out[0].pair
        for seed in range(9)
    ]
    again = split(pairs(*[(64, 64)] * 20), TrainingSettings(patch_px=32, seed=4)).held_out[0].pair
    assert len(set(chosen)) > 2 and again == chosen[4]


@pytest.mark.parametrize(("count", "share", "kept"), [(2, 0.75, 1), (2, 0.9, 1), (5, 0.99, 1)])
def test_at_least_one_micrograph_is_left_to_train_on(count, share, kept):
    parts = split(pairs(*[(64, 64)] * count), TrainingSettings(patch_px=32, held_out=share))
    assert len(parts.training) == kept and len(parts.held_out) == count - kept


def tilt_images(series, tilts):
    return [
        Pair(f"{name}_{tilt}", (64, 64), (2.0, 2.0), f"TS_{name}")
        for name in range(series)
        for tilt in range(tilts)
    ]


def test_the_images_of_a_tilt_series_are_held_out_together():
    images = tilt_images(series=40, tilts=5)
    parts = split(images, TrainingSettings(patch_px=32))
    training, kept = (
        {images[region.pair].series for region in part} for part in (parts.training, parts.held_out)
    )
    assert len(kept) == 2 and not training & kept
    assert (len(parts.held_out), len(parts.training)) == (10, 190)


def test_of_fewer_than_four_series_single_images_are_held_out():
    for series, held_out in ((1, 2), (2, 4), (3, 6), (4, 41)):
        assert (
            len(split(tilt_images(series, 41), TrainingSettings(patch_px=32)).held_out) == held_out
        )


@pytest.mark.parametrize("shape", [(100, 60), (60, 100), (70, 64), (400, 300)])
def test_of_a_single_micrograph_a_strip_is_held_out_that_training_never_sees(shape):
    parts = split(pairs(shape), TrainingSettings(patch_px=32))
    seen, kept = np.zeros(shape, dtype=int), np.zeros(shape, dtype=int)
    for part, mask in ((parts.training, seen), (parts.held_out, kept)):
        for region in part:
            mask[region.y0 : region.y1, region.x0 : region.x1] += 1
            assert min(region.corners(32)) >= 1
    assert (seen + kept == 1).all()
    assert kept.any() and seen.sum() > 0.5 * seen.size


def test_a_single_micrograph_too_small_to_divide_is_all_for_training():
    assert split(pairs((60, 60)), TrainingSettings(patch_px=32)).held_out == []


def test_micrographs_smaller_than_a_patch_are_counted_and_one_is_named():
    with pytest.raises(
        UserError, match=r"2 micrographs are smaller than a patch of 192 pixels; 1 has 100×300"
    ):
        split(pairs((400, 400), (100, 300), (90, 90)), TrainingSettings())


def test_the_perfect_loss_is_the_variance_of_the_noise(make_patches):
    path = make_patches(shapes=((256, 256),), noise=1.5)
    data, settings = PatchFile(path), replace(TINY, patch_px=64)
    network = build_network(settings.network, torch.Generator().manual_seed(0))
    losses = held_out_losses(network, data, [Region(0, 0, 256, 0, 256)], settings, CPU)
    assert losses["perfect_loss"] == pytest.approx(1.5**2, rel=0.02)
    assert losses["held_out_loss"] > losses["perfect_loss"]


def test_the_held_out_loss_is_the_mean_over_windows_and_both_roles(make_patches):
    path = make_patches(shapes=((32, 32),))
    data, settings = PatchFile(path), replace(TINY, patch_px=16)
    network = build_network(settings.network, torch.Generator().manual_seed(0))
    add_weight_norm(network)
    loss = held_out_losses(network, data, [Region(0, 0, 32, 0, 32)], settings, CPU)["held_out_loss"]
    expected = []
    for y in (0, 16):
        for x in (0, 16):
            one, other = torch.from_numpy(data.window(Region(0, y, 32, x, 32), 16))
            for given, wanted in ((one, other), (other, one)):
                with torch.no_grad():
                    expected.append(
                        float((network(given[None, None])[0, 0] - wanted).square().mean())
                    )
    assert loss == pytest.approx(np.mean(expected), rel=1e-5)


def trained_by_processes(processes, batch_size, patches, folder, more="--steps 4"):
    options = (
        f"{more} --architecture waunet --filters 4 --blocks 1 --patch_px 32 "
        "--precision float32 --device cpu"
    )
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        if processes == 2
        else []
    )
    command = [
        sys.executable,
        *launcher,
        "-m",
        "restore",
        "train",
        "-t",
        str(patches),
        "-d",
        str(folder),
    ]
    command += ["--batch_size", str(batch_size), *options.split()]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=55, check=False
    )
    assert done.returncode == 0, done.stderr
    return load_tensors(folder / "model.safetensors", "model")[0]


def test_two_processes_give_the_weights_of_one_with_twice_the_batch(make_patches, tmp_path):
    patches = make_patches()
    two = trained_by_processes(2, 2, patches, tmp_path / "two")
    one = trained_by_processes(1, 4, patches, tmp_path / "one")
    half = trained_by_processes(1, 2, patches, tmp_path / "half")
    assert one.keys() == two.keys()
    assert max((one[name] - two[name]).abs().max() for name in one) < 1e-5
    assert max((one[name] - half[name]).abs().max() for name in one) > 1e-4  # so the test can fail


def test_another_number_of_processes_goes_on_with_a_run(make_patches, tmp_path):
    patches = make_patches()
    before = trained_by_processes(2, 2, patches, tmp_path)
    after = trained_by_processes(1, 2, patches, tmp_path, "--resume --steps 6")
    assert [row["step"] for row in load_model(tmp_path / "model.safetensors").training["history"]][
        -1
    ] == 6
    assert max((before[name] - after[name]).abs().max() for name in before) > 1e-5
