"""Small files that ask for much, and values that cannot be: refused at once, with the place."""

import bz2
import gzip
import json
import struct
import time
from dataclasses import asdict

import h5py
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from restore.errors import UserError
from restore.inspection.dispatch import inspect
from restore.io.atomic_models import read_atoms
from restore.io.cryosparc.tables import cs_bytes, read_cs
from restore.io.hdf5 import require_sound_hdf5
from restore.io.images.image import read_image, write_image
from restore.io.images.movies import read_frames
from restore.io.images.mrc import read_mrc_header
from restore.io.images.mrc_header import Statistics, header_bytes
from restore.io.star import parse_star
from restore.io.star.tokens import split_line
from restore.model.checkpoint import Model, load_model, load_tensors, save_model, save_tensors
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe
from restore.training.patch_file import FORMAT, FORMAT_VERSION
from restore.training.patches import PatchFile
from restore.training.settings import TrainingSettings
from restore.training.state import TrainingState, load_run, restore_state, save_state

ATOM = "ATOM      1  N   ALA A   1      11.104   6.134  -6.504  1.00  0.00           N  \n"


@pytest.fixture
def timed():
    """Fails where the test takes longer than ten seconds of processor time."""
    start = time.process_time()
    yield
    assert time.process_time() - start < 10


# float16


@pytest.mark.parametrize(("mean", "deviation"), [(3000.0, 5.0), (200.0, 0.5), (-20000.0, 30.0)])
def test_an_image_too_fine_for_float16_is_written_as_float32(tmp_path, mean, deviation, caplog):
    image = np.random.default_rng(0).normal(mean, deviation, (64, 64)).astype(np.float32)
    write_image(tmp_path / "a.mrc", image, 1.0, dtype="float16")
    assert read_mrc_header(tmp_path / "a.mrc").dtype == np.float32
    assert np.array_equal(read_image(tmp_path / "a.mrc").data, image)
    assert "float32 is written, not float16" in caplog.text


@pytest.mark.parametrize(
    ("mean", "deviation"), [(0.0, 1.0), (5.0, 1.0), (0.0, 1e-3), (100.0, 20.0)]
)
def test_an_image_that_float16_can_hold_is_written_so(tmp_path, mean, deviation):
    image = np.random.default_rng(0).normal(mean, deviation, (64, 64)).astype(np.float32)
    image[3, 4] = mean + 60 * deviation  # a hot pixel decides nothing
    write_image(tmp_path / "a.mrc", image, 1.0, dtype="float16")
    header = read_mrc_header(tmp_path / "a.mrc")
    stored = np.delete(read_image(tmp_path / "a.mrc").data.ravel(), 3 * 64 + 4)
    assert header.dtype == np.float16
    assert abs(stored - np.delete(image.ravel(), 3 * 64 + 4)).max() <= deviation / 50


def test_a_black_border_does_not_hide_that_float16_is_too_coarse(tmp_path):
    image = np.random.default_rng(0).normal(3000, 5, (64, 64)).astype(np.float32)
    image[:8] = 0
    write_image(tmp_path / "a.mrc", image, 1.0, dtype="float16")
    assert read_mrc_header(tmp_path / "a.mrc").dtype == np.float32


# STAR


def test_quotes_that_are_never_closed_take_no_longer_than_other_text(timed):
    assert split_line('"a ' * 50_000) == (['"a'] * 50_000, "")
    assert split_line("'a \"b " * 50_000 + '"')[0][:1] == ["'a"]


def test_a_hundred_thousand_columns_are_read_in_seconds(timed):
    names = "".join(f"_c{number} #{number}\n" for number in range(100_000))
    star = parse_star(f"data_\nloop_\n{names}{'1 ' * 100_000}\n")
    assert len(star.blocks[0].columns) == 100_000
    assert len(parse_star("".join(f"data_{number}\n" for number in range(50_000))).blocks) == 50_000


# packed images


def mrc_header(rows, columns):
    statistics = Statistics(0.0, 1.0, 0.5, 0.1)
    return header_bytes((1, rows, columns), np.dtype("<f4"), (1.0, 1.0), statistics, [])


@pytest.mark.parametrize("packed", [gzip.compress, bz2.compress])
def test_a_small_packed_file_that_claims_a_huge_image_is_refused(tmp_path, packed, timed):
    (tmp_path / "a.mrc.gz").write_bytes(packed(mrc_header(20_000, 20_000) + bytes(1 << 20)))
    with pytest.raises(UserError, match=r"claims 400000000 pixels, 1\.6 GB, and they are packed"):
        read_image(tmp_path / "a.mrc.gz")


def test_what_follows_a_packed_image_is_not_inflated_to_its_end(tmp_path, caplog, timed):
    image = np.random.default_rng(0).normal(size=(32, 32)).astype("<f4")
    start = bz2.compress(mrc_header(32, 32) + image.tobytes())
    (tmp_path / "a.mrc.bz2").write_bytes(start + bz2.compress(bytes(1 << 28)) * 40)
    assert np.array_equal(read_image(tmp_path / "a.mrc.bz2").data, image)
    assert "bytes after the image" in caplog.text


def test_a_packed_atomic_model_is_not_inflated_without_bound(tmp_path, monkeypatch):
    monkeypatch.setattr("restore.io.atomic_models._LARGEST_BYTES", 1 << 20)
    (tmp_path / "a.pdb.gz").write_bytes(gzip.compress(ATOM.encode() * 20_000))
    with pytest.raises(UserError, match="more than 1 MiB of text"):
        read_atoms(tmp_path / "a.pdb.gz")


def test_a_tiff_file_whose_pages_go_in_a_circle_is_refused(tmp_path, timed):
    tifffile = pytest.importorskip("tifffile")
    frames = np.ones((3, 8, 8), np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", frames, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as file:
        first, last = file.pages[0].offset, file.pages[2].offset
    content = bytearray((tmp_path / "a.tif").read_bytes())
    tags = struct.unpack_from("<H", content, last)[0]
    struct.pack_into("<I", content, last + 2 + 12 * tags, first)
    (tmp_path / "a.tif").write_bytes(content)
    with pytest.raises(UserError, match="page 3 is followed by an earlier one"):
        list(read_frames(tmp_path / "a.tif"))


# atomic models


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.pdb", b"ATOM  " * 50, "a.pdb, line 1: the coordinates are"),
        ("a.pdb", ATOM.encode() * 50, "all of its 50 atoms are at 11.104, 6.134, -6.504 Å"),
        ("a.pdb", ATOM.encode().replace(b"ALA", b"\xff\xfeA"), "cannot be read as an atomic model"),
        ("a.cif", b"", "cannot be read as an atomic model"),
    ],
)
def test_what_only_looks_like_a_model_is_refused(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        read_atoms(tmp_path / name)


# cryoSPARC


COLUMNS = {"uid": np.arange(3, dtype="<u8"), "ctf/df1_A": np.full(3, 12000.0, "<f4")}


def test_a_table_cut_anywhere_in_its_header_is_refused(tmp_path):
    whole = cs_bytes(COLUMNS)
    for length in range(len(whole)):
        (tmp_path / "a.cs").write_bytes(whole[:length])
        with pytest.raises(UserError):
            read_cs(tmp_path / "a.cs")


def test_a_table_that_claims_more_rows_than_it_has_is_refused(tmp_path, timed):
    whole = cs_bytes(COLUMNS)
    claim = whole.replace(b"(3,)", b"(3000000000000,)", 1)
    (tmp_path / "a.cs").write_bytes(claim)
    with pytest.raises(UserError):
        read_cs(tmp_path / "a.cs")


@pytest.mark.parametrize(
    ("column", "words"),
    [
        (np.full((3, 2), 12000.0, "<f4"), r"ctf/df1_A is of type float32 and shape \(2,\)"),
        (np.zeros(3, [("a", "<f4")]), "ctf/df1_A is of type"),
        (np.array([b"a"] * 3), "ctf/df1_A is of type bytes8"),
    ],
)
def test_a_column_of_another_type_or_shape_is_refused_by_name(tmp_path, column, words):
    (tmp_path / "a.cs").write_bytes(cs_bytes(COLUMNS | {"ctf/df1_A": column}))
    with pytest.raises(UserError, match=words):
        read_cs(tmp_path / "a.cs")


# models


def model_file(path, change):
    network = build_network(
        NetworkSettings("waunet", filters=2, blocks=1), torch.Generator().manual_seed(0)
    )
    save_model(path, Model(network, Recipe()))
    card = {
        "kind": "model",
        "format_version": 1,
        "network": vars(network.settings) | {},
        "recipe": Recipe().card(),
    }
    weights = network.state_dict()
    change(card, weights)
    save_file(weights, path, {"restore": json.dumps(card)})
    return path


def put(*keys, value):
    def change(card, _weights):
        part = card
        for key in keys[:-1]:
            part = part[key]
        part[keys[-1]] = value

    return change


def without(*keys):
    def change(card, _weights):
        part = card
        for key in keys[:-1]:
            part = part[key]
        del part[keys[-1]]

    return change


def spoil_a_weight(_card, weights):
    weights["first.weight"].view(-1)[3] = float("nan")


@pytest.mark.parametrize(
    "change",
    [
        put("network", "filters", value=3000),
        put("network", "blocks", value=10**9),
        put("network", "filters", value=-1),
        put("network", "filters", value="32"),
        put("network", value=[1, 2]),
        put("network", value=None),
        put("recipe", value=[]),
        put("recipe", "phase_flip", value="no"),
        put("recipe", "hot_pixel_sigma", value=-5),
        put("recipe", "max_resolution_A", value={"nested": {}}),
        put("training", value="much"),
        put("format_version", value="2"),
        put("format_version", value=None),
        spoil_a_weight,
    ],
)
def test_a_model_whose_card_does_not_fit_is_refused_before_it_is_built(tmp_path, change, timed):
    with pytest.raises(UserError, match=r"model\.safetensors"):
        load_model(model_file(tmp_path / "model.safetensors", change))


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (without("network"), "it has no network"),
        (without("network", "blocks"), "network has no blocks"),
        (without("recipe", "phase_flip"), "recipe has no phase_flip"),
        (put("recipe", "despeckle", value=True), 'recipe has "despeckle", which is none of its'),
        (put("recipe", "background_order", value=2.5), "recipe.background_order is 2.5, not an"),
        (
            put("recipe", "highpass_A", value=1e308),
            r"recipe.highpass_A is 1e\+308, which is beyond",
        ),
        (put("recipe", "max_resolution_A", value=300), "recipe is inconsistent: max_resolution is"),
        (put("network", "name", value="gan"), "network is inconsistent: there is no network"),
        (put("network", "filters", value=2.0), "network.filters is 2.0, not an integer"),
        (put("network", "filters", value=10**400), "network.filters is a very large integer"),
        (put("network", "filters", value=float("nan")), "network.filters is null, not an integer"),
        (put("calibration", value=[]), "calibration is a list, not a group of values"),
        (put("calibration", value={"raw": []}), "calibration has no width_per_A"),
        (
            put("training", value={"trained_on": 3}),
            "record of the training .trained_on is 3, not a",
        ),
        (put("training", value={"steps": "3"}), 'record of the training .steps is "3", not an int'),
        (put("training", value={"best": [1]}), r"record of the training .best is a list, not a"),
        (put("training", value={"a": [[[[]]]] * 2}), None),
        (put("provenance", value={"settings": 1e308}), r"provenance.settings is 1e\+308"),
        (put("kind", value=["model"]), "kind is a list, not a text"),
        (put("format_version", value=True), "format_version is true, not an integer"),
    ],
)
def test_what_does_not_fit_in_a_models_card_is_named_with_its_place(tmp_path, change, place):
    path = model_file(tmp_path / "model.safetensors", change)
    if place is None:
        load_model(path)
        return
    with pytest.raises(UserError, match=rf"model\.safetensors: a damaged .*{place}"):
        load_model(path)
    assert inspect(path, Recipe()).problems


def test_a_card_that_is_nested_without_end_is_refused(tmp_path):
    deep = "[" * 5000 + "]" * 5000
    text = json.dumps({"format_version": 1, "kind": "model", "training": 0}).replace("0", deep)
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {"restore": text})
    with pytest.raises(UserError, match=r"a\.safetensors: a damaged model"):
        load_model(tmp_path / "a.safetensors")


def state_file(path, change):
    """A training state of two filters, changed: ``change`` gets its card and its tensors."""
    network = build_network(NetworkSettings("waunet", filters=2, blocks=1), torch.Generator())
    state = TrainingState(network, torch.optim.Adam(network.parameters()))
    state.history = [{"epoch": 1, "step": 3, "train_loss": 0.5}]
    run = {"settings": asdict(TrainingSettings(steps=9)), "inputs": {"patches": "a.hdf"}}
    save_state(path, state, run)
    tensors, card = load_tensors(path, "training state")
    change(card, tensors)
    save_tensors(path, tensors, card)
    return path, state


def test_a_whole_training_state_is_read_and_described(tmp_path):
    path, state = state_file(tmp_path / "run.state.safetensors", put("more", value=1))
    restore_state(path, state)
    assert inspect(path, Recipe()).what == "the state of a training run"


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (without("run"), "it has no run"),
        (put("run", value=[]), "run is a list"),
        (without("run", "settings"), "run has no settings"),
        (without("run", "settings", "seed"), "run.settings has no seed"),
        (put("run", "settings", "momentum", value=1), 'run.settings has "momentum", which is none'),
        (put("run", "settings", "batch_size", value="8"), 'run.settings.batch_size is "8", not'),
        (put("run", "settings", "loss", value="l3"), "run.settings is inconsistent: loss is l3"),
        (put("run", "settings", "schedule", value="x"), "run.settings is inconsistent: schedule"),
        (put("run", "settings", "precision", value="x"), "run.settings is inconsistent: precision"),
        (put("run", "inputs", value={}), "run.inputs has no patches"),
        (put("run", "inputs", "trained_on_before", value="all"), "run.inputs.trained_on_before is"),
        (without("place", "step"), "place has no step"),
        (put("place", "step", value=-1), "place is inconsistent: a count is negative"),
        (put("place", "step", value=1e300), r"place.step is 1e\+300, not an integer"),
        (put("place", "rate_factor", value=0), "place is inconsistent: a rate"),
        (put("place", "history", value={}), "place.history is a group of values, not a list"),
        (put("place", "history", value=[3]), r"place.history\[0\] is 3, not a group"),
        (
            put("place", "history", value=[{"epoch": 1}]),
            "place is inconsistent: a row of the history has epoch",
        ),
        (put("place", "history", value=[{"epoch": 1, "step": 1, "x": 2}]), "place is incons"),
    ],
)
def test_what_does_not_fit_in_a_training_states_card_is_named_with_its_place(
    tmp_path, change, place
):
    path, state = state_file(tmp_path / "run.state.safetensors", change)
    words = rf"run\.state\.safetensors: a damaged training state .*{place}"
    with pytest.raises(UserError, match=words):
        load_run(path)
    if "place" in place:
        with pytest.raises(UserError, match=words):
            restore_state(path, state)
    assert inspect(path, Recipe()).problems


@pytest.mark.parametrize("text", ["[]", "3", "null", "[" * 100_000, '"x"', "{", "\0"])
def test_a_card_that_is_no_record_is_refused(tmp_path, text):
    save_file({"a": torch.zeros(1)}, tmp_path / "a.safetensors", {"restore": text})
    with pytest.raises(UserError):
        load_model(tmp_path / "a.safetensors")


# patch files


def patch_file(path, **attributes):
    with h5py.File(path, "w") as file:
        file.attrs.update(
            {
                "format": FORMAT,
                "format_version": FORMAT_VERSION,
                "complete": True,
                "count": 1,
                "recipe": json.dumps(Recipe().card()),
                "provenance": "{}",
            }
            | attributes
        )
        dataset = file.create_dataset("000000", data=np.zeros((2, 8, 8), "f2"), chunks=(2, 8, 8))
        dataset.attrs.update(name="a.mrc", pixel_size_yx_A=(1.0, 1.0))
    return path


def test_a_whole_patch_file_is_read(tmp_path):
    with pytest.raises(UserError, match="no such"):
        PatchFile(tmp_path / "none.hdf")
    data = PatchFile(patch_file(tmp_path / "a.hdf"))
    assert data.pairs[0].shape == (8, 8)
    data.close()


@pytest.mark.parametrize(
    "attributes",
    [
        {"count": 0},
        {"count": -1},
        {"count": "many"},
        {"count": 10**12},
        {"recipe": "[]"},
        {"recipe": 3},
        {"recipe": '{"phase_flip": "no"}'},
        {"recipe": "{}"},
        {"recipe": json.dumps(Recipe().card() | {"phase_flip": "no"})},
        {"recipe": json.dumps(Recipe().card() | {"despeckle": True})},
        {"recipe": "[" * 5000},
        {"recipe": np.zeros(3)},
        {"provenance": "[" * 5000},
        {"provenance": '{"made_of": 1e308}'},
        {"provenance": "[1]"},
        {"format_version": "x"},
        {"complete": [1, 2]},
    ],
)
def test_a_patch_file_with_a_wrong_attribute_is_refused(tmp_path, attributes):
    with pytest.raises(UserError):
        PatchFile(patch_file(tmp_path / "a.hdf", **attributes))


def remade(path, make):
    with h5py.File(patch_file(path), "a") as file:
        attributes = dict(file["000000"].attrs)
        del file["000000"]
        make(file)
        if isinstance(file.get("000000", getlink=True), h5py.HardLink):
            file["000000"].attrs.update(attributes)
    return path


def claims_much(file):
    file.create_dataset("000000", (2, 1 << 20, 1 << 20), "f2", chunks=(2, 96, 96))


def is_external(file):
    file.create_dataset("000000", (2, 8, 8), "f2", external=[("/etc/passwd", 0, 256)])


def links_away(file):
    file["000000"] = h5py.ExternalLink("other.hdf", "/000000")


def links_to_itself(file):
    file["000000"] = h5py.SoftLink("/000000")


@pytest.mark.parametrize("make", [claims_much, is_external, links_away, links_to_itself])
def test_datasets_that_are_elsewhere_or_claim_more_than_is_stored_are_refused(
    tmp_path, make, timed
):
    with pytest.raises(UserError, match="not a readable HDF5 file"):
        PatchFile(remade(tmp_path / "a.hdf", make))


def test_masks_of_pixels_without_data_are_no_reason_to_refuse_a_patch_file(tmp_path):
    with h5py.File(patch_file(tmp_path / "a.hdf"), "a") as file:
        mask = np.zeros((8, 8), bool)
        file.create_dataset("blank/000000", data=mask, chunks=(8, 8), compression="gzip")
    PatchFile(tmp_path / "a.hdf").close()


SPIN = (
    "from restore.io.hdf5_probe import limit_processor_time as limit\nlimit(1.0)\nwhile True: pass"
)
SLEEP = "import time\ntime.sleep(2)\nprint('null')"


def test_the_time_limit_of_the_probe_is_one_of_work_and_not_of_waiting(tmp_path, monkeypatch):
    """On a busy machine a sound file was rejected, because it was not read within seconds."""
    probe = tmp_path / "probe.py"
    monkeypatch.setattr("restore.io.hdf5._PROBE", probe)
    monkeypatch.setattr("restore.io.hdf5._LEAST_SECONDS", 0.5)
    (tmp_path / "p.hdf").write_bytes(b"any")
    probe.write_text(SLEEP)
    require_sound_hdf5(tmp_path / "p.hdf")
    (tmp_path / "q.hdf").write_bytes(b"any")
    probe.write_text(SPIN)
    with pytest.raises(UserError, match="could not be read to the end"):
        require_sound_hdf5(tmp_path / "q.hdf")
