"""Model files and training states: what comes back, and what is refused."""

import json
import math
import pickle
import struct
from dataclasses import asdict

import h5py
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from restore.errors import UserError
from restore.model.checkpoint import Model, load_model, load_tensors, save_model, save_tensors
from restore.model.network import NetworkSettings, add_weight_norm, build_network
from restore.preprocessing import Recipe
from restore.training.settings import TrainingSettings
from restore.training.state import (
    RunInputs,
    RunRecord,
    TrainingState,
    load_run,
    restore_state,
    save_state,
)

SMALL = NetworkSettings("waunet", filters=4, blocks=1)
RUN = {"settings": asdict(TrainingSettings(steps=9)), "inputs": {"patches": "a.hdf"}}


def network(seed=0, settings=SMALL):
    return build_network(settings, torch.Generator().manual_seed(seed)).eval()


@pytest.fixture
def model_file(tmp_path):
    path = tmp_path / "model.safetensors"
    recipe = Recipe(max_resolution_A=7.5, phase_flip=False)
    save_model(
        path,
        Model(
            network(), recipe, {"steps": 12, "best": {"epoch": 3}}, {"program": "restore", "µ": "Å"}
        ),
    )
    return path


def test_a_model_comes_back_as_it_was(model_file):
    model = load_model(model_file)
    assert model.recipe == Recipe(max_resolution_A=7.5, phase_flip=False)
    assert model.network.settings == SMALL
    assert model.training == {"steps": 12, "best": {"epoch": 3}}
    assert model.provenance == {"program": "restore", "µ": "Å"}
    image = torch.randn(1, 1, 16, 16)
    with torch.no_grad():
        assert torch.equal(model.network(image), network()(image))
    assert not model.network.training


def test_the_card_is_plain_json_at_the_head_of_the_file(model_file):
    content = model_file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    card = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["restore"])
    assert card["kind"] == "model" and card["format_version"] == 1
    assert card["recipe"]["max_resolution_A"] == 7.5
    assert card["network"] == {"name": "waunet", "filters": 4, "blocks": 1}


def test_weights_are_stored_in_float32_under_the_layers_names(tmp_path):
    save_model(tmp_path / "m.safetensors", Model(network().double(), Recipe()))
    with safe_open(tmp_path / "m.safetensors", "pt") as file:
        names = set(file.keys())
        assert file.get_tensor("first.weight").dtype == torch.float32
    assert names == set(network().state_dict())


def zip_archive(path):
    torch.save({"weights": torch.zeros(3)}, path)


def bare_pickle(protocol):
    def write(path):
        path.write_bytes(pickle.dumps({"weights": [1, 2, 3]}, protocol=protocol))

    return write


def legacy_torch(path):
    torch.save({"weights": torch.zeros(3)}, path, _use_new_zipfile_serialization=False)


def keras(path):
    with h5py.File(path, "w") as file:
        file["weights"] = [1.0]


@pytest.mark.parametrize(
    "write", [zip_archive, legacy_torch, *(bare_pickle(protocol) for protocol in (2, 3, 4, 5))]
)
def test_pickles_and_archives_are_refused_by_name(tmp_path, write):
    path = tmp_path / "their_model"
    write(path)
    with pytest.raises(
        UserError, match=r"their_model: a pickle.* PyTorch archive.*run any code.*\.safetensors"
    ):
        load_model(path)


def test_a_keras_file_is_refused_by_name(tmp_path):
    keras(tmp_path / "their_model")
    with pytest.raises(UserError, match=r"their_model: an? .*Keras.*\.safetensors"):
        load_model(tmp_path / "their_model")


def test_a_pickle_of_the_oldest_protocol_is_refused_and_never_run(tmp_path):
    path, mark = tmp_path / "evil", tmp_path / "mark"

    class Evil:
        def __reduce__(self):
            return (mark.write_text, ("run",))

    path.write_bytes(pickle.dumps(Evil(), protocol=0))
    with pytest.raises(UserError, match="evil: not a readable safetensors file"):
        load_model(path)
    assert not mark.exists()


@pytest.mark.parametrize("kept", [0, 1, 7, 100, -1])
def test_a_truncated_model_is_refused(model_file, kept):
    model_file.write_bytes(model_file.read_bytes()[:kept])
    with pytest.raises(UserError, match=r"model\.safetensors: not a readable safetensors file"):
        load_model(model_file)


def test_a_missing_model_is_refused(tmp_path):
    with pytest.raises(UserError, match="there is no such model file"):
        load_model(tmp_path / "absent.safetensors")
    with pytest.raises(UserError, match="a folder, not a model"):
        load_model(tmp_path)


def test_a_newer_model_is_refused(tmp_path):
    path = tmp_path / "new.safetensors"
    save_tensors(path, {"x": torch.zeros(1)}, {"kind": "model", "format_version": 2})
    with pytest.raises(UserError, match=r"a model of format 2.*reads format 1: update restore"):
        load_model(path)


def test_anothers_safetensors_and_a_training_state_are_no_models(tmp_path):
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match="the file has no card written by restore"):
        load_model(tmp_path / "other.safetensors")
    save_tensors(tmp_path / "state.safetensors", {}, {"kind": "training state"})
    with pytest.raises(UserError, match="holds a training state"):
        load_model(tmp_path / "state.safetensors")


@pytest.mark.parametrize("spoil", ["network", "recipe", "weights"])
def test_a_model_with_damaged_contents_is_refused(model_file, spoil):
    tensors, card = load_tensors(model_file, "model")
    if spoil == "weights":
        tensors.popitem()
    else:
        del card[spoil]
    save_tensors(model_file, tensors, card)
    with pytest.raises(UserError, match="a damaged model"):
        load_model(model_file)


def test_a_model_whose_writing_fails_leaves_the_old_one_and_nothing_beside(model_file, monkeypatch):
    before = model_file.read_bytes()

    def fail(path, content):
        with path.open("wb") as file:
            file.write(content[: len(content) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", fail)
    with pytest.raises(UserError, match="disk is full"):
        save_model(model_file, Model(network(1), Recipe()))
    assert model_file.read_bytes() == before
    assert [path.name for path in model_file.parent.iterdir()] == [model_file.name]


def stepped_state(seed, steps=2):
    torch.manual_seed(seed)
    trained = network(seed).train()
    add_weight_norm(trained)
    optimizer = torch.optim.Adam(trained.parameters(), lr=1e-3, betas=(0.9, 0.99), fused=True)
    state = TrainingState(trained, optimizer)
    for _ in range(steps):
        optimizer.zero_grad()
        trained(torch.randn(1, 1, 16, 16)).square().mean().backward()
        optimizer.step()
    return state


def test_a_training_state_comes_back_bit_for_bit(tmp_path):
    state = stepped_state(0)
    state.step, state.epoch, state.seconds, state.loss_steps = 7, 2, 12.5, 3
    state.loss_sum = torch.tensor(1 / 3, dtype=torch.float64)
    state.best_loss = 0.1 + 0.2
    state.best_weights = {
        name: value.clone() + 1 for name, value in state.network.state_dict().items()
    }
    state.history = [{"epoch": 1, "step": 5, "train_loss": 1 / 7}]
    save_state(tmp_path / "s", state, RUN)
    other = stepped_state(1, steps=0)
    restore_state(tmp_path / "s", other)
    for name in ("step", "epoch", "seconds", "loss_steps", "best_loss", "history"):
        assert getattr(other, name) == getattr(state, name)
    assert other.loss_sum == 1 / 3
    assert load_run(tmp_path / "s") == RunRecord(TrainingSettings(steps=9), RunInputs("a.hdf"))
    for one, two in (
        (state.network.state_dict(), other.network.state_dict()),
        (state.best_weights, other.best_weights),
    ):
        assert one.keys() == two.keys()
        assert all(torch.equal(one[name], two[name]) for name in one)
    moments, theirs = state.optimizer.state_dict()["state"], other.optimizer.state_dict()["state"]
    assert moments.keys() == theirs.keys() and len(moments) > 0
    for index, moment in moments.items():
        assert moment.keys() == theirs[index].keys() == {"step", "exp_avg", "exp_avg_sq"}
        assert all(torch.equal(value, theirs[index][name]) for name, value in moment.items())


def test_a_state_before_any_epoch_has_an_infinite_best_loss_and_comes_back(tmp_path):
    save_state(tmp_path / "s", stepped_state(0, steps=1), RUN)
    other = stepped_state(1, steps=0)
    restore_state(tmp_path / "s", other)
    assert other.best_loss == math.inf and other.best_weights == {}


def test_a_state_of_another_network_is_refused(tmp_path):
    save_state(tmp_path / "s", stepped_state(0), RUN)
    other_network = network(0, NetworkSettings("waunet", filters=5, blocks=1))
    add_weight_norm(other_network)
    other = TrainingState(other_network, torch.optim.Adam(other_network.parameters()))
    with pytest.raises(UserError, match="does not fit this run"):
        restore_state(tmp_path / "s", other)
