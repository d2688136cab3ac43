"""What this machine can do at all, and how much of that the network gets: measured within one
process, on the CPU.

    python benchmarks/machine_limits.py OUT.json limits [tiny]
    python benchmarks/machine_limits.py OUT.json network STAR MODEL PRECISION
    python benchmarks/machine_limits.py OUT.json eager STAR MODEL
    python benchmarks/machine_limits.py OUT.json noise IMAGE.mrc ROWS COLUMNS PIXEL_SIZE

Each writes what it found as JSON; noise only makes a large image. speed.py starts them, each in a
process of its own.
"""

import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import scipy.fft
import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from restore.image_tensors import read_tensor
from restore.io.images.image import write_image
from restore.io.micrographs import read_micrographs
from restore.model.checkpoint import load_model
from restore.model.inference.selection import engine_for
from restore.model.inference.tiling import apply_network
from restore.model.network import Network, architecture_of, convolutions
from restore.preprocessing import Recipe, prepare
from restore.runtime.memory import tune_malloc
from restore.runtime.precision import has_fast_bf16, resolve_precision

CPU = torch.device("cpu")
KERNEL, FEATURES_IN, FEATURES_OUT = 4, 102, 128
"""The convolution in which the paper's network spends most of its time: that of its Upsample
blocks.
"""

LIMITS = {
    "gemm_float32_GFLOP_per_s": "matrix product, float32, GFLOP/s",
    "gemm_bfloat16_GFLOP_per_s": "matrix product, bf16, GFLOP/s",
    "convolution_GFLOP_per_s": (
        f"{KERNEL}×{KERNEL} convolution, {FEATURES_IN} to {FEATURES_OUT} features, float32, GFLOP/s"
    ),
    "rfft2_torch_ms": "rfft2 by PyTorch, float32, ms",
    "rfft2_scipy_ms": "rfft2 by SciPy, float32, ms",
    "copy_GB_per_s": "copy in memory, GB/s",
    "read_cached_file_ms": "reading a file that is in memory already, ms",
}
"""The figures that `limits` finds, and what the table calls them."""

Runs = dict[str, list[dict[str, Any]]]
"""What was measured: for each contender and turn its figures by name; one that was tried several
times is a list.
"""

Table = list[list[str]]
"""Rows of cells, the head first."""


@dataclass(frozen=True)
class Sizes:
    """How large what is measured is, and how often after a first time that does not count."""

    gemm: int = 4096
    convolution_px: int = 256
    fft_px: int = 4096
    copy_MiB: int = 1024
    file_MiB: int = 64
    tries: int = 3


TINY = Sizes(64, 16, 64, 1, 1, 2)
"""To see that all runs."""


def limits(sizes: Sizes) -> dict[str, list[float]]:
    """Each figure of each try, its unit in its name; bf16 only where the processor multiplies it in
    hardware.
    """
    rates = {"gemm_float32_GFLOP_per_s": gemm_GFLOP_per_s(sizes, torch.float32)}
    if has_fast_bf16(CPU):
        rates["gemm_bfloat16_GFLOP_per_s"] = gemm_GFLOP_per_s(sizes, torch.bfloat16)
    return rates | {
        "convolution_GFLOP_per_s": convolution_GFLOP_per_s(sizes),
        "rfft2_torch_ms": rfft2_torch_ms(sizes),
        "rfft2_scipy_ms": rfft2_scipy_ms(sizes),
        "copy_GB_per_s": copy_GB_per_s(sizes),
        "read_cached_file_ms": read_cached_file_ms(sizes),
    }


def gemm_GFLOP_per_s(sizes: Sizes, dtype: torch.dtype) -> list[float]:
    """Rate of the product of two square matrices: 2n³ operations."""
    left, right, product = (torch.rand(sizes.gemm, sizes.gemm).to(dtype) for _ in range(3))
    work = partial(torch.matmul, left, right, out=product)
    return [2e-9 * sizes.gemm**3 / each_s for each_s in seconds(work, sizes.tries)]


def convolution_GFLOP_per_s(sizes: Sizes) -> list[float]:
    """Rate of that convolution in float32, the features of a pixel side by side in memory."""
    side = sizes.convolution_px + KERNEL - 1
    maps = torch.rand(1, FEATURES_IN, side, side).to(memory_format=torch.channels_last)
    weight = torch.rand(FEATURES_OUT, FEATURES_IN, KERNEL, KERNEL).to(
        memory_format=torch.channels_last
    )
    flop = 2 * KERNEL**2 * FEATURES_IN * FEATURES_OUT * sizes.convolution_px**2
    with torch.inference_mode():
        return [
            1e-9 * flop / each_s for each_s in seconds(partial(conv2d, maps, weight), sizes.tries)
        ]


def rfft2_torch_ms(sizes: Sizes) -> list[float]:
    """Time of a real Fourier transform in float32 by PyTorch."""
    image = torch.rand(sizes.fft_px, sizes.fft_px)
    return [1000 * each_s for each_s in seconds(partial(torch.fft.rfft2, image), sizes.tries)]


def rfft2_scipy_ms(sizes: Sizes) -> list[float]:
    """Time of the same by SciPy, with a thread for each core."""
    image = np.random.default_rng(0).random((sizes.fft_px, sizes.fft_px), np.float32)
    work = partial(scipy.fft.rfft2, image, workers=len(os.sched_getaffinity(0)))
    return [1000 * each_s for each_s in seconds(work, sizes.tries)]


def copy_GB_per_s(sizes: Sizes) -> list[float]:
    """Rate of copying to memory that was used before; a byte counts once, not as read and again as
    written.
    """
    source = torch.ones(sizes.copy_MiB * 2**18)
    target = torch.zeros_like(source)
    return [
        1e-9 * source.nbytes / each_s
        for each_s in seconds(partial(target.copy_, source), sizes.tries)
    ]


def read_cached_file_ms(sizes: Sizes) -> list[float]:
    """Time to read a file that has just been written, so that the kernel still has it in memory."""
    with tempfile.TemporaryDirectory(prefix="restore_limits_") as folder:
        path = Path(folder) / "cached"
        np.ones(sizes.file_MiB * 2**18, np.float32).tofile(path)
        return [
            1000 * each_s for each_s in seconds(partial(np.fromfile, path, np.float32), sizes.tries)
        ]


def seconds(work: Callable[[], object], tries: int) -> list[float]:
    """How long each try took, after a first one that does not count."""
    return [_timed_s(work) for _ in range(tries + 1)][1:]


def network(star: Path, model: Path, precision: str) -> dict[str, float | str]:
    """What one micrograph costs in the network alone, as restore runs it: the first pass, which
    compiles, and the second.
    """
    tune_malloc()
    loaded = load_model(model)
    image = network_input(star, loaded.recipe)
    engine = engine_for(loaded.network, CPU, precision)
    first_s, network_s = (_timed_s(partial(apply_network, engine, image)) for _ in range(2))
    dtype = dtype_name(precision)
    name = loaded.network.settings.name
    what = f"{name} alone, second pass, {dtype}, {type(engine).__name__}"
    figures = work_of(what, dtype, network_s, flop_per_px(loaded.network) * image.numel())
    return figures | {"first_s": first_s}


def eager(star: Path, model: Path) -> dict[str, float | str]:
    """The same by PyTorch without anything that restore adds: the whole image at once in float32,
    the allocator as it is.
    """
    loaded = load_model(model)
    image = network_input(star, loaded.recipe)
    stride = architecture_of(loaded.network.settings).stride
    below, right = (-side % stride for side in image.shape)
    whole = pad(image[None, None], (0, right, 0, below), mode="reflect")
    with torch.inference_mode():
        network_s = _timed_s(partial(loaded.network, whole))
    what = f"{loaded.network.settings.name} alone, its only pass, float32, PyTorch eager"
    return work_of(what, "float32", network_s, flop_per_px(loaded.network) * image.numel())


def dtype_name(precision: str) -> str:
    """What a precision comes to on this processor: "float32" or "bfloat16"."""
    return str(resolve_precision(precision, CPU)).removeprefix("torch.")


def work_of(what: str, dtype: str, network_s: float, flop: float) -> dict[str, float | str]:
    """A measurement of which `arithmetic_table` makes a row."""
    return {"what": what, "dtype": dtype, "network_s": network_s, "GFLOP": 1e-9 * flop}


def network_input(star: Path, recipe: Recipe) -> Tensor:
    """The first micrograph of a STAR file, cropped and prepared."""
    micrograph = read_micrographs(star).micrographs[0]
    raw = read_tensor(micrograph.image)
    return prepare(raw, micrograph.pixel_size_A, micrograph.ctf, recipe).image


def flop_per_px(network: Network) -> float:
    """Operations of the network's convolutions for each pixel of its input: 0.636 million for the
    paper's.
    """
    operations: list[int] = []

    def count(convolution: nn.Conv2d, _: object, output: Tensor) -> None:
        operations.append(2 * convolution.weight[0].numel() * output.numel())

    hooks = [layer.register_forward_hook(count) for layer in convolutions(network)]
    side = 4 * architecture_of(network.settings).stride
    with torch.inference_mode():
        network(torch.zeros(1, 1, side, side))
    for hook in hooks:
        hook.remove()
    return sum(operations) / side**2


def noise(path: Path, shape: tuple[int, int], pixel_size_A: float) -> None:
    """Write an image of noise, about 50 electrons for each Å²."""
    counts_e = 50 * pixel_size_A**2
    white = np.random.default_rng(0).standard_normal(shape, np.float32)
    white *= counts_e**0.5
    white += counts_e
    write_image(path, white, pixel_size_A)


def _timed_s(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def limits_table(runs: Runs) -> Table:
    """The machine's limits: of all tries in all turns the median and the best."""
    rows = [["", "median", "best"]]
    for name, label in LIMITS.items():
        tries = figures(runs, "limits", name)
        if tries:
            best = max(tries) if name.endswith("per_s") else min(tries)
            rows.append([label, number(middle(tries)), number(best)])
        elif runs.get("limits"):
            rows.append([label, "no bf16 hardware", ""])
    return rows


def arithmetic_table(runs: Runs) -> Table:
    """How fast the network's useful operations were done, and which share that is of the matrix
    product's rate.
    """
    rows = [["", "s", "GFLOP/s", "of the matrix product"]]
    for name in (name for name, tries in runs.items() if tries and "GFLOP" in tries[0]):
        first, network_s = runs[name][0], typical(runs, name, "network_s")
        gemm = typical(runs, "limits", f"gemm_{first['dtype']}_GFLOP_per_s")
        rate = first["GFLOP"] / network_s
        rows.append(
            [first["what"], number(network_s), number(rate), number(100 * rate / gemm, " %")]
        )
    return rows


def figures(runs: Runs, name: str, figure: str) -> list[float]:
    """One figure of a contender in every turn and try."""
    values = [run[figure] for run in runs.get(name, []) if figure in run]
    return [
        number for value in values for number in (value if isinstance(value, list) else [value])
    ]


def in_turns(runs: Runs, figure: str, *names: str) -> Iterator[list[float]]:
    """One figure of several contenders side by side, turn by turn."""
    for turn in zip(*(runs.get(name, []) for name in names), strict=False):
        yield [run[figure] for run in turn]


def typical(runs: Runs, name: str, figure: str) -> float:
    """The median of a contender's figure."""
    return middle(figures(runs, name, figure))


def middle(values: Iterable[float]) -> float:
    """The median, NaN of nothing."""
    known = list(values)
    return median(known) if known else math.nan


def number(value: float, unit: str = "") -> str:
    """A number with three significant figures, or a dash."""
    if not math.isfinite(value):
        return "–"
    digits = 2 - math.floor(math.log10(abs(value))) if value else 2
    return f"{value:.{max(digits, 0)}f}{unit}"


def markdown(rows: Table) -> str:
    """The rows as a Markdown table."""
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|---|" + "---:|" * (len(rows[0]) - 1), *body])


MEASURED: dict[str, Callable[..., object]] = {
    "limits": lambda size="full": limits(TINY if size == "tiny" else Sizes()),
    "network": lambda star, model, precision: network(Path(star), Path(model), precision),
    "eager": lambda star, model: eager(Path(star), Path(model)),
    "noise": lambda path, rows, columns, pixel_A: noise(
        Path(path), (int(rows), int(columns)), float(pixel_A)
    ),
}
"""What can be asked for, by name, all of it as texts."""


def main(output: str, name: str, *arguments: str) -> None:
    """Measure one thing and write what was found as JSON."""
    Path(output).write_text(json.dumps(MEASURED[name](*arguments), indent=1) + "\n")


if __name__ == "__main__":
    if len(sys.argv) < 3 or sys.argv[2] not in MEASURED:
        sys.exit(__doc__)
    main(*sys.argv[1:])
