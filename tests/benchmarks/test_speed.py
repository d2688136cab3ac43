"""The speed benchmark: what it counts, cuts and compares, and that it runs."""

import json
import math
import sys

import numpy as np
import pytest
import torch
from folders import ROOT, importable

from restore.io.images.image import write_image
from restore.io.micrographs import Needs, read_micrographs
from restore.model.checkpoint import Model, save_model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe

FOLDER = ROOT / "benchmarks"
STAR = """
data_optics

loop_
_rlnOpticsGroup #1
_rlnVoltage #2
_rlnSphericalAberration #3
_rlnAmplitudeContrast #4
_rlnMicrographPixelSize #5
1 300 2.7 0.07 1.0

data_micrographs

loop_
_rlnMicrographName #1
_rlnOpticsGroup #2
_rlnDefocusU #3
_rlnDefocusV #4
_rlnDefocusAngle #5
"""


@pytest.fixture(scope="module")
def speed():
    """The benchmark, which is no package: its modules find each other beside themselves."""
    with importable(FOLDER):
        import speed

        yield speed


@pytest.fixture(scope="module")
def limits(speed):
    return speed.machine_limits


@pytest.fixture
def session(speed, tmp_path):
    """Four micrographs with their halves, as they are simulated, and a small model."""
    (tmp_path / "Micrographs").mkdir()
    names = [f"Micrographs/mic_000{number}" for number in range(1, 5)]
    for name in names:
        for part in ("EVN", "ODD"):
            (tmp_path / f"{name}_{part}.mrc").touch()
        image = np.random.default_rng(0).standard_normal((150, 180), np.float32)
        write_image(tmp_path / f"{name}_DW.mrc", image, 1.0)
    rows = "".join(f"{name}_DW.mrc 1 10000 9900 30\n" for name in names)
    (tmp_path / "micrographs_ctf.star").write_text(f"{STAR}{rows}\n")
    for name, settings in (
        (speed.MODEL, speed.QUICK.network),
        (speed.PAPERS_MODEL, speed.QUICK.papers),
    ):
        network = build_network(settings, torch.Generator().manual_seed(0))
        save_model(tmp_path / name, Model(network, Recipe(speed.RESOLUTION_A)))
    speed.rewrite(tmp_path / "micrographs_ctf.star", "one.star", 1)
    return speed.Session(tmp_path, tmp_path / "environments", speed.QUICK)


def costs(*seconds, peak_GB=1.0):
    return [{"wall_s": wall_s, "peak_GB": peak_GB} for wall_s in seconds]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (17.04, "17.0"),
        (2.6, "2.60"),
        (0.04751, "0.0475"),
        (1234.6, "1235"),
        (-3.0, "-3.00"),
        (0, "0.00"),
        (math.nan, "–"),
    ],
)
def test_a_number_has_three_significant_figures_or_is_a_dash(limits, value, text):
    assert limits.number(value) == text


def test_the_papers_network_takes_0_636_million_operations_for_each_pixel(limits):
    network = build_network(NetworkSettings("waunet", 32, 4), torch.Generator())
    assert limits.flop_per_px(network) == pytest.approx(0.636e6, rel=1e-3)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("fast_bf16", [False, True])
def test_bf16_is_measured_only_where_the_processor_has_it(limits, monkeypatch, fast_bf16):
    monkeypatch.setattr(limits, "has_fast_bf16", lambda device: fast_bf16)
    rates = limits.limits(limits.TINY)
    assert set(limits.LIMITS) - set(rates) == (
        set() if fast_bf16 else {"gemm_bfloat16_GFLOP_per_s"}
    )
    assert all(len(tries) == limits.TINY.tries and min(tries) > 0 for tries in rates.values())
    text = limits.markdown(limits.limits_table({"limits": [rates]}))
    assert ("no bf16 hardware" in text) != fast_bf16
    assert len({line.count("|") for line in text.splitlines()}) == 1


def test_the_best_is_the_highest_rate_and_the_shortest_time(limits):
    runs = {
        "limits": [
            {"copy_GB_per_s": [1.0, 5.0], "rfft2_torch_ms": [4.0, 2.0]},
            {"copy_GB_per_s": [2.0]},
        ]
    }
    rows = {label: cells for label, *cells in limits.limits_table(runs)}
    assert rows[limits.LIMITS["copy_GB_per_s"]] == ["2.00", "5.00"]
    assert rows[limits.LIMITS["rfft2_torch_ms"]] == ["3.00", "2.00"]


def test_a_share_is_of_the_matrix_product_in_the_same_precision(limits):
    work = limits.work_of("a step", "bfloat16", 2.0, 40e9)
    gemm = {"gemm_float32_GFLOP_per_s": [100.0], "gemm_bfloat16_GFLOP_per_s": [300.0, 400.0, 500.0]}
    table = limits.arithmetic_table({"step": [work], "limits": [gemm], "other": costs(1.0)})
    assert table[1:] == [["a step", "2.00", "20.0", "5.00 %"]]


def test_a_ratio_is_taken_within_each_turn(speed):
    runs = {
        "one auto": costs(1, 10, 100),
        "eager": costs(2, 20, 200, peak_GB=3.0),
        "large 0.5": costs(7),
    }
    rows = {label: cells for label, *cells in speed.processes_table(runs, {"topaz": "no network"})}
    assert rows["PyTorch eager, float32, whole, nothing written"] == ["20.0", "3.00", "2.00"]
    assert rows["restore denoise, K3 image, 0.5 Å/px"] == ["7.00", "1.00", ""]
    assert rows["Topaz-Denoise, its own U-Net"] == ["not run: no network", "", ""]
    assert "restore denoise, K3 image, 1 Å/px" not in rows


def test_further_micrographs_cost_what_four_take_beyond_one(speed):
    runs = {
        "prepare 1": costs(4, 5),
        "prepare 4": costs(7, 8, peak_GB=2.0),
        "prepare 12": costs(20, peak_GB=2.5),
    }
    rows = dict(speed.rates_table(runs))
    assert rows["prepare, pairs of halves per second"] == "1.00"
    assert rows["prepare, peak memory for 1 / 4 / 12 micrographs, GB"] == "1.00 / 2.00 / 2.50"
    assert not any("denoise" in name for name in rows)


def test_nothing_measured_makes_no_table(speed):
    assert speed.tables({}, {}) == []


def test_a_training_step_is_timed_without_the_first_epoch(speed, tmp_path):
    (tmp_path / "log.csv").write_text("epoch,step,seconds\n1,10,30.0\n2,20,36.0\n")
    settings = NetworkSettings("waunet", 32, 4)
    timing = speed.trained(tmp_path / "log.csv", settings, (4, 96))
    assert timing["network_s"] == pytest.approx(0.6)
    assert timing["GFLOP"] == pytest.approx(3 * 4 * 96**2 * 0.636e-3, rel=1e-3)
    assert timing["px_per_s"] == pytest.approx(4 * 96**2 / 0.6)
    (_, row) = speed.rates_table({"train_waunet_96": [timing]})
    assert row[0].startswith("training rate of 4 × 96², waunet") and row[1] == "0.0614"


def test_both_networks_are_trained_and_timed(speed, session, monkeypatch):
    monkeypatch.setattr(speed, "call", lambda command: None)
    contenders = speed.train_section(session)
    assert set(contenders) == {
        f"train_{name}_{side}" for name in ("unet", "waunet") for side in (128, 192)
    }
    for name, contender in contenders.items():
        assert f"--architecture={name.split('_')[1]}" in contender.command


def test_one_and_twelve_micrographs_are_cut_from_four(speed, session):
    star = session.folder / "micrographs_ctf.star"
    speed.rewrite(star, "dozen.star", 4, ("", "a", "b"))
    for name, count in (("one.star", 1), (star.name, 4), ("dozen.star", 12)):
        micrographs = read_micrographs(session.folder / name, needs=Needs(halves=True)).micrographs
        assert len({micrograph.name for micrograph in micrographs}) == len(micrographs) == count
        assert all(
            path.exists()
            for micrograph in micrographs
            for path in (micrograph.image, micrograph.even, micrograph.odd)
        )
        assert micrographs[-1].ctf is not None


def test_sections_are_chosen_in_their_own_order(speed):
    assert speed.parsed([]).sections == list(speed.SECTIONS)
    assert speed.parsed(["--only", "train", "topaz", "denoise"]).sections == [
        "denoise",
        "topaz",
        "train",
    ]
    assert speed.parsed(["--only", "topaz", "eager", "--no-topaz"]).sections == ["eager"]
    sizes = speed.parsed(["--quick", "--size", "600"]).sizes
    assert (sizes.micrograph_px, sizes.large_px) == (600, speed.QUICK.large_px)


def test_rivals_come_first_and_what_cannot_be_installed_is_noted(speed, session, monkeypatch):
    def refuse(environment, folder):
        raise speed.NotRunError("no network")

    monkeypatch.setattr(speed, "python_of", refuse)
    monkeypatch.setattr(speed, "PRECISIONS", ("auto", "float32"))
    not_run = {}
    contenders = speed.contenders_of(
        session, ["machine", "denoise", "eager", "topaz", "prepare", "memory"], not_run
    )
    assert not_run == {"topaz": "no network"}
    assert set(list(contenders)[:5]) == set(speed.RIVALS) - {"topaz"}
    assert {name for name, contender in contenders.items() if contender.once} == {
        "twelve auto",
        "prepare 12",
    }


def test_what_fails_is_not_run_again(speed):
    contenders = {
        "good": speed.Contender([sys.executable, "-S", "-c", ""], lambda: {"own": 5}),
        "once": speed.Contender([sys.executable, "-S", "-c", ""], once=True),
        "bad": speed.Contender([sys.executable, "-S", "-c", "raise SystemExit('an error')"]),
    }
    runs, not_run = {}, {}
    for turn in range(2):
        speed.take_turn(turn, contenders, runs, not_run)
    assert {name: len(tries) for name, tries in runs.items()} == {"good": 2, "once": 1}
    assert runs["good"][0]["own"] == 5 and runs["good"][0]["wall_s"] > 0
    assert not_run == {"bad": "exit status 1; an error"}


def test_the_network_does_the_same_work_for_restore_and_for_plain_pytorch(limits, session):
    figures = {}
    files = [str(session.folder / name) for name in ("one.star", "model.safetensors")]
    for name, more in (("network", ["float32"]), ("eager", [])):
        output = session.folder / f"{name}.json"
        limits.main(str(output), name, *files, *more)
        figures[name] = json.loads(output.read_text())
    assert figures["network"]["GFLOP"] == figures["eager"]["GFLOP"] > 0
    assert figures["network"]["network_s"] > 0 and figures["eager"]["network_s"] > 0
    assert figures["network"]["dtype"] == figures["eager"]["dtype"] == "float32"


def test_the_command_runs_from_end_to_end(speed, tmp_path, capsys):
    output = tmp_path / "speed.json"
    assert speed.main(["--quick", "--repeats", "1", "--only", "large", "-o", str(output)]) == 0
    assert "| restore denoise, K3 image, 0.5 Å/px |" in capsys.readouterr().out
    record = json.loads(output.read_text())
    assert set(record["runs"]) == {"large 0.5", "large 1"} and record["not_run"] == {}
    assert all(run["peak_GB"] > 0 for tries in record["runs"].values() for run in tries)
