"""The network in tiles: the same numbers as the image whole."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restore import tiling
from restore.network import STRIDE, NetworkSettings, build_network, receptive_field_px
from restore.tiling import apply_network, spans

SMALL = NetworkSettings(filters=2, blocks=1)


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def felt_at(pixel, tile_px):
    """The columns of the output that a pixel of this column reaches: a NaN that it sends through the network."""
    image = torch.zeros(16, 208, dtype=torch.float64)
    image[8, pixel] = torch.nan
    network = build_network(SMALL, torch.Generator().manual_seed(0)).double()
    return apply_network(network, image, tile_px=tile_px).isnan().any(dim=0).nonzero().flatten().tolist()


@given(st.integers(1, 400), st.integers(1, 100), st.integers(0, 120))
def test_tiles_divide_an_axis_and_read_a_whole_halo_or_up_to_the_edge(extent, tile_px, halo_px):
    parts = list(spans(extent, tile_px, halo_px))
    covered = np.concatenate([np.arange(part.start, part.stop) for part in parts])
    assert np.array_equal(covered, np.arange(extent))
    for part in parts:
        assert part.start % STRIDE == part.read_start % STRIDE == 0
        assert part.read_stop % STRIDE == 0 or part.read_stop == extent
        assert part.read_start == 0 or part.start - part.read_start >= halo_px
        assert part.read_stop == extent or part.read_stop - part.stop >= halo_px


@pytest.mark.parametrize("shape", [(96, 128), (97, 131), (130, 63)])
@pytest.mark.parametrize("tile_px", [8, 40, 64, 100])
def test_tiled_is_whole_to_rounding(shape, tile_px):
    network = build_network(SMALL, torch.Generator().manual_seed(0))
    image = noise(*shape)
    whole, tiled = apply_network(network, image), apply_network(network, image, tile_px=tile_px)
    assert whole.shape == shape
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=1e-5)


def test_the_halo_is_large_enough_and_two_strides_less_would_not_be(monkeypatch):
    pixels = range(100, 116)
    whole = [felt_at(pixel, 208) for pixel in pixels]
    assert all(min(felt) > 0 and max(felt) < 207 for felt in whole)  # the image is larger than the field
    assert [felt_at(pixel, 32) for pixel in pixels] == whole
    # Tiles begin at multiples of the stride, from where the reach is up to one stride less than from any pixel.
    monkeypatch.setattr(tiling, "receptive_field_px", lambda settings: receptive_field_px(settings) - 2 * STRIDE)
    assert [felt_at(pixel, 32) for pixel in pixels] != whole


def test_large_images_go_in_tiles_by_themselves(monkeypatch):
    network, image = build_network(SMALL, torch.Generator().manual_seed(0)), noise(200, 150)
    seen = []
    network.register_forward_hook(lambda module, args, output: seen.append(output.shape[-2:]))
    whole = apply_network(network, image)
    assert seen == [(200, 152)]
    monkeypatch.setattr(tiling, "WHOLE_PX", 160)
    tiled = apply_network(network, image)
    assert len(seen) > 2 and all(shape[0] * shape[1] <= 160**2 for shape in seen[1:])
    torch.testing.assert_close(tiled, whole, atol=1e-5, rtol=1e-5)


def test_what_is_added_to_reach_a_multiple_of_8_is_a_reflection():
    network, image = build_network(SMALL, torch.Generator().manual_seed(0)), noise(61, 75)
    reflected = np.pad(image.numpy(), ((0, 3), (0, 5)), mode="reflect")
    with torch.no_grad():
        expected = network(torch.from_numpy(reflected)[None, None])[0, 0, :61, :75]
    torch.testing.assert_close(apply_network(network, image), expected)


def test_bf16_gives_float32_images_that_differ_a_little():
    network, image = build_network(SMALL, torch.Generator().manual_seed(0)), noise(64, 64)
    exact, rough = apply_network(network, image), apply_network(network, image, torch.bfloat16)
    assert rough.dtype == torch.float32
    assert 0 < (exact - rough).abs().max() < 0.1 * exact.abs().max()


def test_the_image_is_left_alone_and_no_gradient_is_kept():
    network, image = build_network(SMALL, torch.Generator().manual_seed(0)), noise(64, 64)
    before = image.clone()
    result = apply_network(network, image)
    assert torch.equal(image, before) and not result.requires_grad
