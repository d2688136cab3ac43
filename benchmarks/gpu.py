"""How fast a GPU trains and denoises, and how far that is from what the GPU could do.

    python benchmarks/gpu.py [--network unet] [-o gpu.json] [--minutes 7.5] [--device cuda]
        [--quick]

Needs nothing but PyTorch. Measures the GPU's own limits first; then the training step of one
network (``waunet`` is the paper's), on patches as the preset for GPUs has them, in several
precisions, memory layouts and modes; denoising; and Fourier transforms. Times stand beside
two floors: the convolutions' arithmetic at the measured rate of a matrix product, and the feature
maps that they read and write at that of a copy.
"""

import argparse
import gc
import json
import math
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import cycle, islice, pairwise, product
from pathlib import Path
from subprocess import SubprocessError
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn
from torch.cuda import Event, current_stream, get_device_name
from torch.nn.functional import conv2d, interpolate, mse_loss

import machine

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))
try:
    import jaxtyping  # noqa: F401
except ImportError:  # only annotations need it: a stand-in whose shapes are Any
    sys.modules["jaxtyping"] = ModuleType("jaxtyping")
    sys.modules["jaxtyping"].Float = type("Float", (), {"__class_getitem__": lambda *_: Any})

from restore.model.inference.pytorch_engine import PyTorchEngine
from restore.model.inference.tiling import apply_network
from restore.model.network import (
    ARCHITECTURES,
    NetworkSettings,
    add_weight_norm,
    architecture_of,
    build_network,
    convolutions,
)
from restore.runtime.precision import autocast

Figures = dict[str, Any]
FAILURES = (RuntimeError, ImportError, OSError, MemoryError, SubprocessError, AssertionError)
FAILURES += (AttributeError, LookupError, TypeError, ValueError)  # what compilers and drivers raise

CLIPPED_AT, AVERAGE_DECAY = 5.0, 0.99
"""Of training's default settings, which cannot be imported with PyTorch alone."""

ARITHMETIC = {
    "bf16": (torch.bfloat16, True),
    "TF32": (torch.float32, True),
    "float32": (torch.float32, False),
}
"""Type of the numbers, and whether products of float32 may round their factors, as PyTorch's
convolutions do by default.
"""

TODAY, MAPS = (
    "channels_last weights",
    "channels_last maps",
)  # training asks the weights; or each convolution's input
LONG_S = {
    "CUDA graph": 6,
    "compile default": 60,
    "compile reduce-overhead": 60,
}  # with less time left, not begun
LONG_S |= {"compile max-autotune-no-cudagraphs": 120}
VARIANTS = (  # arithmetic, layout and mode of a training step
    *product(("float32", "TF32"), (TODAY,), ("eager",)),
    *product(("bf16",), ("contiguous", TODAY, MAPS), ("eager", "cudnn.benchmark", "CUDA graph")),
    *product(("bf16",), (TODAY,), [*LONG_S][1:]),
)


@dataclass(frozen=True)
class Bench:
    """Where measurements run, how large they are, and what they have found: section → name →
    figures.
    """

    device: torch.device
    record: dict[str, dict[str, Figures]] = field(default_factory=dict)
    network: NetworkSettings = ARCHITECTURES["unet"].usual
    batch: int = 10
    patch_px: int = 192
    repeats: tuple[int, int] = (6, 40)
    matrix: int = 8192
    images: tuple[tuple[int, int], ...] = ((1820, 1820), (4096, 4096), (3637, 5120))
    fields: tuple[tuple[int, int], ...] = ((4096, 4096), (8184, 11520))


QUICK: Figures = {
    "batch": 1,
    "patch_px": 32,
    "repeats": (2, 3),
}
QUICK |= {"matrix": 64, "images": ((40, 44), (64, 64)), "fields": ((64, 64), (66, 90))}


def use(arithmetic: str, search: bool = False) -> torch.dtype:
    """Allow TF32, or forbid it, let cuDNN search for the fastest algorithm or not, and say in which
    type to compute.
    """
    dtype, tf32 = ARITHMETIC[arithmetic]
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = search
    return dtype


def noise(bench: Bench, *shape: int, seed: int = 1) -> Tensor:
    return torch.randn(
        shape, generator=torch.Generator(bench.device).manual_seed(seed), device=bench.device
    )


def rate(bench: Bench, act: Callable[[], object], unit: str, amount: float) -> Figures:
    """Milliseconds from one end of something to the next, and how much it does in a second."""
    on_gpu, ends = bench.device.type == "cuda", []
    for _ in range(sum(bench.repeats)):
        act()
        ends.append(
            current_stream().record_event(Event(enable_timing=True))
            if on_gpu
            else time.perf_counter()
        )
    if on_gpu:
        torch.cuda.synchronize()
    times_ms = [a.elapsed_time(b) if on_gpu else 1e3 * (b - a) for a, b in pairwise(ends)]
    ms = statistics.median(times_ms[bench.repeats[0] - 1 :])
    return {"ms": ms, unit: amount / ms * 1e3}


def work_of(network: nn.Module, shape: Sequence[int]) -> tuple[int, int]:
    """Operations of a forward pass's convolutions, and numbers of maps that they read and write.
    Empties the network.
    """
    layers: list[tuple[int, int]] = []

    def note(conv: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        layers.append(
            (2 * conv.weight[0].numel() * output.numel(), inputs[0].numel() + output.numel())
        )

    for conv in convolutions(network.to("meta")):
        conv.register_forward_hook(note)
    network(torch.empty(*shape, device="meta"))
    return sum(operations for operations, _ in layers), sum(numbers for _, numbers in layers)


def over_floors(
    bench: Bench, figures: Figures, arithmetic: str, shape: Sequence[int], passes: int
) -> Figures:
    """The figures, and how many times both floors of so many passes their time is; not a number for
    an unknown limit.
    """
    stride = architecture_of(bench.network).stride
    padded = (*shape[:2], *(-(-side // stride) * stride for side in shape[2:]))
    operations, numbers = work_of(build_network(bench.network, torch.Generator()), padded)
    per_s = 1e12 * bench.record["limits"][f"{arithmetic} GEMM"].get("TFLOP_per_s", math.nan)
    bytes_per_s = 1e9 * bench.record["limits"]["copy"].get("GB_per_s", math.nan)
    floors_s = operations / per_s, numbers * ARITHMETIC[arithmetic][0].itemsize / bytes_per_s
    times = (figures["ms"] / 1e3 / (passes * floor_s) for floor_s in floors_s)
    return figures | dict(
        zip(("times_arithmetic_floor", "times_traffic_floor"), times, strict=True)
    )


def gemm(bench: Bench, arithmetic: str) -> Figures:
    one = noise(bench, bench.matrix, bench.matrix).to(use(arithmetic))
    return rate(bench, lambda: one @ one, "TFLOP_per_s", 2 * bench.matrix**3 / 1e12)


def copy(bench: Bench) -> Figures:
    source = noise(bench, 4, bench.matrix, bench.matrix)
    target = torch.empty_like(source)
    return rate(bench, lambda: target.copy_(source), "GB_per_s", 2 * source.nbytes / 1e9)


def convolution(bench: Bench) -> Figures:
    """The largest one of the paper's network: 4×4, 102 → 128 maps, at half the patch's size."""
    wide, px = 4 * bench.network.filters, bench.patch_px // 2
    arrays = (
        noise(bench, bench.batch, wide * 4 // 5, px + 3, px + 3),
        noise(bench, wide, wide * 4 // 5, 4, 4),
    )
    maps, weight = (
        array.bfloat16().contiguous(memory_format=torch.channels_last) for array in arrays
    )
    return rate(
        bench,
        lambda: conv2d(maps, weight),
        "TFLOP_per_s",
        2 * weight.numel() * bench.batch * px**2 / 1e12,
    )


def transforms(bench: Bench, shape: tuple[int, int]) -> Figures:
    image = noise(bench, *shape)
    return rate(
        bench,
        lambda: torch.fft.irfft2(torch.fft.rfft2(image), s=shape),
        "Mpx_per_s",
        image.numel() / 1e6,
    )


def training_step(
    bench: Bench, arithmetic: str, layout: str, mode: str
) -> Callable[[Tensor], Tensor]:
    """The step of restore.training, compiled if the mode says so: gradients clipped, weights
    averaged.
    """
    network = build_network(bench.network, torch.Generator().manual_seed(0))
    dtype = use(arithmetic, search=mode == "cudnn.benchmark")
    if architecture_of(bench.network).weight_norm:
        add_weight_norm(network)
    network.to(
        bench.device,
        memory_format=torch.preserve_format if layout == "contiguous" else torch.channels_last,
    )
    for conv in convolutions(network) if layout == MAPS else ():
        conv.register_forward_pre_hook(
            lambda _, maps: maps[0].contiguous(memory_format=torch.channels_last)
        )
    adam = torch.optim.Adam(
        network.parameters(), 5e-4, (0.9, 0.99), fused=True, capturable=mode == "CUDA graph"
    )
    weights = list(network.parameters())
    average = [weight.detach().clone() for weight in weights]
    run = (
        torch.compile(network, mode=mode.removeprefix("compile "))
        if mode.startswith("compile")
        else network
    )

    def step(batch: Tensor) -> Tensor:
        adam.zero_grad(set_to_none=True)
        with autocast(bench.device, dtype):
            denoised = run(batch[:, :1])
        loss = mse_loss(denoised.float(), batch[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(weights, CLIPPED_AT)
        adam.step()
        for mean, weight in zip(average, weights, strict=True):
            mean.lerp_(weight.detach(), 1 - AVERAGE_DECAY)
        return loss.detach()

    return step


def captured(
    step: Callable[[Tensor], Tensor], batches: Sequence[Tensor]
) -> Callable[[Tensor], Tensor]:
    """The step as a CUDA graph, after a warm-up on a stream of its own."""
    batch, side = torch.empty_like(batches[0]), torch.cuda.Stream()
    side.wait_stream(current_stream())
    with torch.cuda.stream(side):
        for values in batches:
            step(batch.copy_(values))
    current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step(batch)
    return lambda new: (batch.copy_(new), graph.replay(), loss)[-1]


def training(bench: Bench, arithmetic: str, layout: str, mode: str) -> Figures:
    """A step; and the loss after as many steps on the same batches, from the same
    weights, in every variant.
    """
    if bench.device.type != "cuda" and mode in LONG_S:
        raise RuntimeError("needs a GPU")
    start, count, px = time.monotonic(), 4 * bench.batch, bench.patch_px
    smooth = interpolate(noise(bench, count, 1, px // 8, px // 8), scale_factor=8, mode="bicubic")
    batches = cycle((smooth + noise(bench, count, 2, px, px, seed=2)).split(bench.batch))
    plain, first = (
        training_step(bench, arithmetic, layout, mode),
        list(islice(batches, bench.repeats[0])),
    )
    step = (
        captured(plain, first) if mode == "CUDA graph" else plain
    )  # a graph works in plain's memory, which must stay
    losses = [float(step(batch)) for batch in first if mode != "CUDA graph"]
    start_s = time.monotonic() - start
    figures = rate(bench, lambda: losses.append(step(next(batches))), "patches_per_s", bench.batch)
    figures |= {"start_s": start_s, "loss": float(losses[-1])}
    return over_floors(bench, figures, arithmetic, (bench.batch, 1, px, px), 3)


def denoising(bench: Bench, shape: tuple[int, int], arithmetic: str) -> Figures:
    """An image on the device, in the tiles that the engine chooses."""
    network, image = (
        build_network(bench.network, torch.Generator().manual_seed(0)),
        noise(bench, *shape),
    )
    engine, few = (
        PyTorchEngine(network, bench.device, use(arithmetic)),
        replace(bench, repeats=(2, 7)),
    )
    figures = rate(few, lambda: apply_network(engine, image), "Mpx_per_s", image.numel() / 1e6)
    return over_floors(bench, figures, arithmetic, (1, 1, *shape), 1)


def plan(bench: Bench) -> Iterator[tuple[str, str, Callable[[], Figures], float]]:
    """Every measurement: its section, its name, what takes it, and how many seconds must be left to
    begin it.
    """
    for arithmetic in ARITHMETIC:
        yield "limits", f"{arithmetic} GEMM", partial(gemm, bench, arithmetic), 5
    yield "limits", "copy", partial(copy, bench), 5
    yield "limits", "bf16 convolution, 4×4", partial(convolution, bench), 5
    for variant in VARIANTS:
        take = partial(training, bench, *variant)
        yield "training", ", ".join(variant), take, LONG_S.get(variant[-1], 5)
    for (y, x), arithmetic in product(bench.images, ARITHMETIC):
        take = partial(denoising, bench, (y, x), arithmetic)
        yield "denoising", f"{x}×{y}, {arithmetic}", take, 5
    for y, x in bench.fields:
        yield "fourier", f"rfft2 and irfft2, {x}×{y}", partial(transforms, bench, (y, x)), 5


def outcome(device: torch.device, take: Callable[[], Figures]) -> Figures:
    """The figures and the memory that they took, or why there are none. Begins with no memory in
    use, and none kept.
    """
    try:
        if device.type == "cuda":
            torch.compiler.reset()
            gc.collect()
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        figures = take()
        if device.type == "cuda":
            figures["peak_GB"] = torch.cuda.max_memory_allocated() / 1e9
    except FAILURES as failure:
        return {"why_not": f"{type(failure).__name__}: {' '.join(str(failure).split())[:200]}"}
    odd = [name for name, value in figures.items() if not math.isfinite(value)]
    figures = {name: value for name, value in figures.items() if name not in odd}
    return figures | {"why_not": f"not finite: {', '.join(odd)}"} if odd else figures


def table(section: str, rows: dict[str, Figures]) -> str:
    names = list(dict.fromkeys(name for figures in rows.values() for name in figures))
    lines = [
        f"\n| {' | '.join([section, *names])} |".replace("_", " "),
        "|---" * (len(names) + 1) + "|",
    ]
    for row, figures in rows.items():
        cells = [figures.get(name, "") for name in names]
        shown = [
            cell.replace("|", "/") if isinstance(cell, str) else f"{cell:.4g}" for cell in cells
        ]
        lines.append(f"| {' | '.join([row, *shown])} |")
    return "\n".join(lines)


def report(bench: Bench, output: Path) -> str:
    """Writes what has been found, and says it in tables with the machine above them."""
    gpu = get_device_name() if bench.device.type == "cuda" else "no GPU"
    about = f"{bench.network.name}; {gpu}, CUDA {torch.version.cuda}; {machine.describe()}"
    output.write_text(
        json.dumps({"machine": about, **bench.record}, indent=1, ensure_ascii=False),
        encoding="utf-8",
    )
    return "\n".join([about, *(table(section, rows) for section, rows in bench.record.items())])


def main() -> None:
    """Measure what there is time for, the longest last; what still runs ten seconds after the end
    is given up.
    """
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--network", choices=tuple(ARCHITECTURES), default="unet")
    parser.add_argument("-o", "--output", type=Path, default=Path("gpu.json"))
    parser.add_argument("--minutes", type=float, default=7.5)
    parser.add_argument("--device", type=torch.device, default="cuda")
    parser.add_argument(
        "--quick", action="store_true", help="everything tiny, to see that it works"
    )
    chosen, start = parser.parse_args(), time.monotonic()
    if chosen.device.type == "cuda" and not torch.cuda.is_available():
        parser.error(
            "PyTorch sees no GPU here; --device cpu --quick only shows that the script works"
        )
    network = ARCHITECTURES[chosen.network].usual
    if chosen.quick:
        network = replace(network, filters=2, blocks=1)
    bench = Bench(chosen.device, network=network, **(QUICK if chosen.quick else {}))
    limit_s = 60 * chosen.minutes
    todo = sorted(plan(bench), key=lambda task: task[-1])
    for section, name, *_ in todo:
        bench.record.setdefault(section, {})[name] = {"why_not": "left out: no time"}
    give_up = threading.Timer(
        limit_s + 10, lambda: (print(report(bench, chosen.output), flush=True), os._exit(0))
    )
    give_up.daemon = True
    give_up.start()
    for section, name, take, needed_s in todo:
        if time.monotonic() - start + needed_s < limit_s:
            bench.record[section][name] = {"why_not": "stopped: no time"}
            bench.record[section][name] = outcome(bench.device, take)
            report(bench, chosen.output)
    give_up.cancel()
    print(report(bench, chosen.output))


if __name__ == "__main__":
    main()
