"""The GPU's benchmark, tiny and on the CPU: every section has numbers or says why not."""

import json
import math
import subprocess
import sys

import pytest
import torch
from folders import ROOT, importable

from restore.training.settings import TrainingSettings

SCRIPT = ROOT / "benchmarks" / "gpu.py"
HIDDEN = (
    "jaxtyping",
    "mrcfile",
    "h5py",
    "scipy",
    "torch_ctf",
    "safetensors",
    "gemmi",
    "matplotlib",
    "openvino",
)
"""What a machine that has only PyTorch lacks, and the benchmark must do without."""
HIDE = (
    f"import sys; sys.modules.update(dict.fromkeys({HIDDEN})); sys.path.insert(0, "
    f"{str(SCRIPT.parent)!r});"
)
RUN = "del sys.argv[0]; import runpy; runpy.run_path(sys.argv[0], run_name='__main__')"


@pytest.fixture(scope="module")
def gpu():
    with importable(SCRIPT.parent):
        import gpu

        yield gpu


@pytest.fixture
def bench(gpu):
    network = gpu.NetworkSettings("unet", 2, 1)
    return gpu.Bench(torch.device("cpu"), network=network, **gpu.QUICK)


def run_where_only_torch_is(folder, *arguments):
    """The benchmark's record, and what it printed."""
    output = folder / "gpu.json"
    options = ["--device=cpu", "--quick", f"--output={output}", *arguments]
    command = [sys.executable, "-c", HIDE + RUN, str(SCRIPT), *options]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(output.read_text(encoding="utf-8")), done.stdout


@pytest.mark.parametrize("network", ["unet", "waunet"])
def test_every_measurement_has_finite_numbers_or_a_reason_where_there_is_only_pytorch(
    network, tmp_path
):
    record, printed = run_where_only_torch_is(tmp_path, f"--network={network}")
    assert printed.startswith(f"{network}; ")
    assert record.pop("machine") == printed.splitlines()[0] and torch.__version__ in printed
    assert set(record) == {"limits", "training", "denoising", "fourier"}
    measured = {
        name: figures
        for rows in record.values()
        for name, figures in rows.items()
        if "why_not" not in figures
    }
    unmeasured = {
        name: figures
        for rows in record.values()
        for name, figures in rows.items()
        if "why_not" in figures
    }
    assert all(
        math.isfinite(value) and value > 0
        for figures in measured.values()
        for value in figures.values()
    )
    assert {figures["why_not"] for figures in unmeasured.values()} == {"RuntimeError: needs a GPU"}
    assert all(any(word in name for word in ("graph", "compile")) for name in unmeasured)
    losses = [figures["loss"] for figures in record["training"].values() if "loss" in figures]
    assert len(losses) == 8 and max(losses) - min(losses) < 0.01
    floors = [
        figures
        for name, figures in measured.items()
        if {"times_arithmetic_floor", "times_traffic_floor"} <= set(figures)
    ]
    assert len(floors) == 8 + 6
    assert all(f"| {name} |" in printed for name in [*measured, *unmeasured])


def test_without_time_everything_is_left_out_and_says_so(tmp_path):
    record, printed = run_where_only_torch_is(tmp_path, "--minutes=0")
    del record["machine"]
    assert {str(figures) for rows in record.values() for figures in rows.values()} == {
        "{'why_not': 'left out: no time'}"
    }
    assert "left out: no time" in printed


def test_what_fails_is_recorded_with_its_reason(gpu, bench, monkeypatch):
    def refuse(*arguments, **options):
        raise torch.OutOfMemoryError("no memory\nfor this | that")

    monkeypatch.setattr(gpu, "build_network", refuse)
    takes = {name: take for _, name, take, _ in gpu.plan(bench)}
    rows = {
        name: gpu.outcome(bench.device, takes[name]) for name in ("copy", "bf16, contiguous, eager")
    }
    assert rows["copy"]["ms"] > 0
    assert rows["bf16, contiguous, eager"] == {
        "why_not": "OutOfMemoryError: no memory for this | that"
    }
    assert len({line.count("|") for line in gpu.table("some", rows).splitlines() if line}) == 1


def test_a_figure_that_is_no_number_is_named(gpu, bench):
    assert gpu.outcome(bench.device, lambda: {"ms": 1.0, "loss": math.nan}) == {
        "ms": 1.0,
        "why_not": "not finite: loss",
    }


def test_the_work_of_one_convolution_is_what_a_hand_counts(gpu):
    conv = torch.nn.Conv2d(3, 5, 3, stride=2)
    assert gpu.work_of(torch.nn.Sequential(conv), (2, 3, 9, 11)) == (
        2 * (3 * 3 * 3) * (2 * 5 * 4 * 5),
        2 * 3 * 9 * 11 + 2 * 5 * 4 * 5,
    )


def test_floors_are_the_work_at_the_measured_limits(gpu, bench, monkeypatch):
    bench.record["limits"] = {"bf16 GEMM": {"TFLOP_per_s": 2.0}, "copy": {"GB_per_s": 4.0}}
    monkeypatch.setattr(
        gpu, "work_of", lambda network, shape: (5e9, 3e6) if shape == (1, 1, 48, 64) else None
    )
    figures = gpu.over_floors(bench, {"ms": 15.0}, "bf16", (1, 1, 41, 64), 3)
    assert figures == {
        "ms": 15.0,
        "times_arithmetic_floor": pytest.approx(2),
        "times_traffic_floor": pytest.approx(10 / 3),
    }


def test_the_papers_step_is_seven_tenths_of_a_teraflop(gpu):
    network = gpu.build_network(gpu.ARCHITECTURES["waunet"].usual, torch.Generator())
    assert 3 * gpu.work_of(network, (10, 1, 192, 192))[0] / 1e12 == pytest.approx(0.70, abs=0.005)


def test_a_step_clips_and_averages_as_training_does_by_default(gpu):
    defaults = TrainingSettings()
    assert (defaults.gradient_clip, defaults.weight_average) == (gpu.CLIPPED_AT, gpu.AVERAGE_DECAY)
