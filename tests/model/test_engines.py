"""The engines: the numbers of the network itself, whichever computes them."""

import subprocess
import sys

import pytest
import torch

from restore.model.inference import selection
from restore.model.inference.engine import CPU_TILE_PX
from restore.model.inference.pytorch_engine import PyTorchEngine, bytes_per_px
from restore.model.inference.selection import engine_for
from restore.model.inference.tiling import apply_network
from restore.model.network import NetworkSettings, build_network, convolutions
from restore.runtime.precision import has_fast_bf16

CPU = torch.device("cpu")
COMPACT = NetworkSettings("unet", filters=4, blocks=1)
SETTINGS = [
    NetworkSettings("waunet", 32, 4),
    NetworkSettings("waunet", filters=2, blocks=1),
    NetworkSettings("waunet", filters=16, blocks=2),
]


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def built(settings):
    """A network whose biases are not zero, as none is after training."""
    network = build_network(settings, torch.Generator().manual_seed(0)).eval()
    for number, conv in enumerate(convolutions(network)):
        assert conv.bias is not None
        conv.bias.data = 0.1 * noise(conv.bias.numel(), seed=number)
    return network


def exact(network, image):
    with torch.no_grad():
        return network(image[None, None])[0, 0]


def engines(network):
    yield PyTorchEngine(network, CPU)
    openvino_engine = pytest.importorskip(
        "restore.model.inference.openvino_engine", reason="OpenVINO is not installed"
    )
    yield openvino_engine.OpenVINOEngine(network)


@pytest.mark.parametrize(
    "settings", SETTINGS, ids=lambda settings: f"{settings.filters}x{settings.blocks}"
)
def test_every_engine_gives_the_float32_networks_numbers(settings):
    network, image = built(settings), noise(120, 88)
    expected = exact(network, image)
    for engine in engines(network):
        for tile_px in (0, 48):
            difference = (
                apply_network(engine, image, tile_px) - expected
            ).abs().max() / expected.abs().max()
            assert difference < 1e-5, type(engine)


def test_every_engine_takes_one_size_after_another_and_leaves_its_input_alone():
    network = built(SETTINGS[1])
    for engine in engines(network):
        for shape in ((64, 64), (96, 40), (64, 64)):
            image = noise(*shape)
            before = image.clone()
            torch.testing.assert_close(
                apply_network(engine, image), exact(network, image), atol=1e-5, rtol=1e-5
            )
            assert torch.equal(image, before)
        engine.forget()
        torch.testing.assert_close(
            apply_network(engine, image), exact(network, image), atol=1e-5, rtol=1e-5
        )


def test_a_stage_is_compiled_once_for_each_size_of_tile(monkeypatch):
    openvino_engine = pytest.importorskip(
        "restore.model.inference.openvino_engine", reason="OpenVINO is not installed"
    )
    compiled, original = [], openvino_engine.stage_graph
    monkeypatch.setattr(
        openvino_engine, "stage_graph", lambda *given: compiled.append(given[1]) or original(*given)
    )
    engine = openvino_engine.OpenVINOEngine(built(SETTINGS[1]))
    for seed in range(3):
        apply_network(engine, noise(128, 128, seed=seed), 48)
    assert sorted(compiled) == ["down1", "down2", "down3", "up1", "up2", "up3"]


def test_openvino_is_taken_on_a_cpu_where_it_is_and_pytorch_elsewhere(monkeypatch):
    network = built(SETTINGS[1])
    if selection.find_spec("openvino") is not None:
        assert type(engine_for(network, CPU)).__name__ == "OpenVINOEngine"
    monkeypatch.setattr(selection, "find_spec", lambda name: None)
    assert isinstance(engine_for(network, CPU), PyTorchEngine)


def test_an_engine_keeps_its_own_weights():
    network = built(SETTINGS[1])
    image, expected = noise(64, 64), exact(network, noise(64, 64))
    engine = PyTorchEngine(network, CPU)
    convolutions(network)[0].weight.data.zero_()
    torch.testing.assert_close(apply_network(engine, image), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.skipif(
    not has_fast_bf16(CPU), reason="this processor does not multiply bf16 numbers in hardware"
)
def test_bf16_stays_within_a_hundredth_of_float32():
    network, image = built(SETTINGS[2]), noise(128, 128)
    expected = exact(network, image)
    output = apply_network(engine_for(network, CPU, "bf16"), image)
    assert (output - expected).std() < 1e-2 * expected.std()


def test_pytorchs_bf16_differs_a_little_and_comes_back_as_float32():
    network, image = built(SETTINGS[1]), noise(64, 64)
    output = apply_network(PyTorchEngine(network, CPU, torch.bfloat16), image)
    assert output.dtype == torch.float32
    assert 0 < (output - exact(network, image)).std() < 2e-2 * exact(network, image).std()


class PretendedGPU(PyTorchEngine):
    def __init__(self):
        super().__init__(built(NetworkSettings("waunet", 32, 4)), CPU, torch.bfloat16)
        self.device = torch.device("cuda")


@pytest.mark.parametrize("free_GB", [0.1, 1, 8, 80])
def test_a_gpus_tiles_fit_into_half_of_its_free_memory(monkeypatch, free_GB):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (int(free_GB * 1e9), int(80e9)))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 0)
    monkeypatch.setattr(torch.cuda, "memory_allocated", lambda device: 0)
    side = PretendedGPU().tile_px(4096)
    needed = side**2 * bytes_per_px(NetworkSettings("waunet", 32, 4), torch.bfloat16)
    assert side == CPU_TILE_PX or needed <= free_GB * 0.5e9
    assert PretendedGPU().tile_px(1824) == 1824 or free_GB < 8  # whole, where there is room
    assert (
        side == 4096
        or (side + 64) ** 2 * bytes_per_px(NetworkSettings("waunet", 32, 4), torch.bfloat16)
        > free_GB * 0.5e9
    )


def test_the_estimate_of_memory_holds(monkeypatch):
    """PyTorch's own account of what one tile of the hungriest stage allocates at once."""
    network = built(NetworkSettings("waunet", 32, 4))
    engine, maps = PyTorchEngine(network, CPU), noise(1, 32, 64, 64)
    engine.run("up1", maps, maps)
    with torch.profiler.profile(
        activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
    ) as profile:
        engine.run("up1", maps, maps)
    level = peak = 0
    for event in profile.profiler.kineto_results.events():
        if event.name() == "[memory]":
            level += event.nbytes()
            peak = max(peak, level)
    assert 0.3 < peak / (128**2 * bytes_per_px(NetworkSettings("waunet", 32, 4), torch.float32)) < 1


TWO_ENGINES_AND_AN_INTERRUPT = """
import gc, signal, torch
from restore.model.inference.openvino_engine import OpenVINOEngine
from restore.model.network import NetworkSettings, build_network
network = build_network(NetworkSettings("waunet", filters=2, blocks=1), torch.Generator())
engines = [OpenVINOEngine(network) for _ in range(2)]
for engine in engines:
    engine.run("down1", torch.zeros(1, 1, 32, 32))
while engines:
    del engine
    engine = engines.pop(0)
    gc.collect()
del engine
gc.collect()
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_is_no_crash_after_two_engines_are_gone():
    pytest.importorskip("openvino")
    command = [sys.executable, "-X", "faulthandler", "-c", TWO_ENGINES_AND_AN_INTERRUPT]
    done = subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


def built_compact(settings=COMPACT):
    """A compact network whose last weights are not nothing, as they are before training."""
    network = built(settings)
    last = network.get_parameter("up1.leave.weight")
    torch.nn.init.kaiming_normal_(last, generator=torch.Generator().manual_seed(1))
    return network


@pytest.mark.parametrize("settings", [COMPACT, NetworkSettings("unet", 8, 2)])
def test_every_engine_gives_the_compact_networks_numbers(settings):
    network, image = built_compact(settings), noise(128, 96)
    expected = exact(network, image)
    for engine in engines(network):
        for tile_px in (0, 48):
            difference = (apply_network(engine, image, tile_px) - expected).abs().max()
            assert difference < 1e-5 * expected.abs().max(), type(engine)


@pytest.mark.skipif(
    not has_fast_bf16(CPU), reason="this processor does not multiply bf16 numbers in hardware"
)
def test_the_compact_networks_bf16_stays_within_a_hundredth_of_float32():
    network, image = built_compact(), noise(128, 128)
    expected = exact(network, image)
    output = apply_network(engine_for(network, CPU, "bf16"), image)
    assert (output - expected).std() < 1e-2 * expected.std()
