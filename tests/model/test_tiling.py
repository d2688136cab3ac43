"""The network in tiles: the same numbers as the image whole."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restore.model.inference import tiling
from restore.model.inference.pytorch_engine import PyTorchEngine
from restore.model.inference.tiling import apply_network, spans
from restore.model.network import (
    Halo,
    NetworkSettings,
    architecture_of,
    build_network,
    convolutions,
    stage_named,
)

SMALL = NetworkSettings("waunet", filters=2, blocks=1)
COMPACT = NetworkSettings("unet", filters=2, blocks=1)
CPU = torch.device("cpu")


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def built(dtype=torch.float32, settings=SMALL):
    """A network none of whose weights are nothing, as unet's last ones are before training."""
    network = build_network(settings, torch.Generator().manual_seed(0))
    for number, conv in enumerate(convolutions(network) if settings.name == "unet" else ()):
        torch.nn.init.kaiming_normal_(conv.weight, generator=torch.Generator().manual_seed(number))
    return network.to(dtype)


def engine(dtype=torch.float32, settings=SMALL):
    return PyTorchEngine(built(dtype, settings), CPU)


def whole_of(image, settings=SMALL):
    """What the network itself makes of an image whose sides are multiples of its stride."""
    with torch.no_grad():
        return built(image.dtype, settings)(image[None, None])[0, 0]


class Watched(PyTorchEngine):
    """An engine that notes the shapes that it is given, and runs out of memory where they are too
    large.
    """

    def __init__(self, limit_px=10**9, error=torch.OutOfMemoryError):
        super().__init__(built(), CPU)
        self.seen, self.limit_px, self.error, self.forgotten = [], limit_px, error, 0

    def run(self, name, *maps):
        self.seen.append((name, *maps[0].shape[-2:]))
        if maps[0].shape[-1] > self.limit_px:
            raise self.error
        return super().run(name, *maps)

    def forget(self):
        self.forgotten += 1


@given(
    st.integers(1, 400),
    st.integers(1, 100),
    st.integers(0, 60),
    st.integers(0, 60),
    st.sampled_from([1, 2, 8]),
)
def test_tiles_divide_an_axis_and_read_a_whole_halo_or_up_to_the_edge(
    extent, tile_px, before, after, multiple
):
    extent *= multiple
    parts = list(spans(extent, tile_px, Halo(before, after), multiple))
    covered = np.concatenate([np.arange(part.start, part.stop) for part in parts])
    assert np.array_equal(covered, np.arange(extent))
    assert len({part.read_stop - part.read_start for part in parts}) == 1
    for part in parts:
        assert 0 <= part.read_start <= part.start < part.stop <= part.read_stop <= extent
        assert part.start % multiple == part.read_start % multiple == part.read_stop % multiple == 0
        assert part.stop - part.start <= max(tile_px, multiple) + multiple - 1
        assert part.read_start == 0 or part.start - part.read_start >= before
        assert part.read_stop == extent or part.read_stop - part.stop >= after


@pytest.mark.parametrize("shape", [(96, 128), (104, 136), (136, 64)])
@pytest.mark.parametrize("tile_px", [8, 22, 40, 64, 100])
def test_tiled_is_whole_to_rounding(shape, tile_px):
    image = noise(*shape)
    torch.testing.assert_close(
        apply_network(engine(), image, tile_px), whole_of(image), atol=1e-5, rtol=1e-5
    )


def felt_at(pixel, tile_px):
    """The columns of the output that a pixel of this column reaches: a NaN that it sends through
    the network.
    """
    image = torch.zeros(16, 208, dtype=torch.float64)
    image[8, pixel] = torch.nan
    output = (
        whole_of(image) if tile_px is None else apply_network(engine(torch.float64), image, tile_px)
    )
    return output.isnan().any(dim=0).nonzero().flatten().tolist()


def test_each_stages_halo_is_as_large_as_it_must_be():
    pixels = range(96, 112)
    expected = [felt_at(pixel, None) for pixel in pixels]
    assert all(
        min(felt) > 0 and max(felt) < 207 for felt in expected
    )  # the image is larger than the field
    assert [felt_at(pixel, 16) for pixel in pixels] == expected


@pytest.mark.parametrize(
    "settings, name",
    [
        (settings, stage.name)
        for settings in (SMALL, COMPACT)
        for stage in architecture_of(settings).stages(settings)
    ],
)
@pytest.mark.parametrize("side", ["before", "after"])
def test_a_halo_of_less_would_not_do(monkeypatch, settings, name, side):
    def shorter(of_settings, of_name):
        stage = stage_named(of_settings, of_name)
        lost = stage.multiple if of_name == name else 0
        before = stage.halo.before - lost * (side == "before")
        return replace(stage, halo=Halo(before, stage.halo.after - lost * (side == "after")))

    image = noise(64, 208)
    monkeypatch.setattr(tiling, "stage_named", shorter)
    expected = whole_of(image, settings)
    output = apply_network(engine(settings=settings), image, 16)
    assert (output - expected).abs().max() > 1e-4 * min(1, float(expected.abs().max()))


@pytest.mark.parametrize("shape", [(96, 128), (112, 144)])
@pytest.mark.parametrize("tile_px", [16, 22, 40, 64, 100])
def test_the_compact_network_tiled_is_whole_to_rounding(shape, tile_px):
    image = noise(*shape)
    output, expected = (
        apply_network(engine(settings=COMPACT), image, tile_px),
        whole_of(image, COMPACT),
    )
    assert (output - expected).abs().max() < 1e-5 * expected.abs().max()


def test_an_image_of_any_shape_is_padded_to_the_compact_networks_stride():
    image = noise(70, 101)
    padded = torch.nn.functional.pad(image[None], (0, 11, 0, 10), mode="reflect")[0]
    output = apply_network(engine(settings=COMPACT), image)
    expected = whole_of(padded, COMPACT)[:70, :101]
    assert (output - expected).abs().max() < 1e-5 * expected.abs().max()


def test_an_image_whose_maps_would_be_too_large_is_cut_first(monkeypatch):
    watched, image = Watched(), noise(200, 152)
    monkeypatch.setattr(tiling, "WHOLE_PX", 160)
    torch.testing.assert_close(apply_network(watched, image), whole_of(image), atol=1e-5, rtol=1e-5)
    assert sum(name == "up3" for name, *_ in watched.seen) > 1
    assert all(height * width <= 160**2 for _, height, width in watched.seen)


ON_CPU = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes.")


@pytest.mark.parametrize("error", [torch.OutOfMemoryError, MemoryError, ON_CPU])
def test_where_memory_runs_out_tiles_get_smaller_until_it_does_not(error):
    watched, image = Watched(limit_px=96, error=error), noise(256, 256)
    torch.testing.assert_close(
        apply_network(watched, image, 256), whole_of(image), atol=1e-5, rtol=1e-5
    )
    assert watched.forgotten == 2 and max(width for _, _, width in watched.seen[-40:]) <= 96


def test_memory_that_is_too_small_for_the_smallest_tile_is_an_error():
    with pytest.raises(torch.OutOfMemoryError):
        apply_network(Watched(limit_px=4), noise(256, 256))


def test_what_is_added_to_reach_a_multiple_of_8_is_a_reflection():
    image = noise(61, 75)
    reflected = torch.from_numpy(np.pad(image.numpy(), ((0, 3), (0, 5)), mode="reflect"))
    expected = whole_of(reflected)[:61, :75]
    torch.testing.assert_close(apply_network(engine(), image), expected, atol=1e-5, rtol=1e-5)


def test_the_image_is_left_alone_and_no_gradient_is_kept():
    image = noise(64, 64)
    before = image.clone()
    result = apply_network(engine(), image)
    assert torch.equal(image, before) and not result.requires_grad
