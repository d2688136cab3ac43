"""Which arithmetic: asked for, or by itself."""

import pytest
import torch

from restore.runtime import precision
from restore.runtime.precision import autocast, has_fast_bf16, resolve_precision

CPU = torch.device("cpu")


def test_a_named_precision_is_that_one():
    assert resolve_precision("float32", CPU) == torch.float32
    assert resolve_precision("bf16", CPU) == torch.bfloat16


@pytest.mark.parametrize("fast, dtype", [(True, torch.bfloat16), (False, torch.float32)])
def test_auto_is_bf16_only_where_it_is_fast(monkeypatch, fast, dtype):
    monkeypatch.setattr(precision, "has_fast_bf16", lambda device: fast)
    assert resolve_precision("auto", CPU) == dtype


@pytest.mark.parametrize("avx, amx", [(True, False), (False, True), (False, False)])
def test_a_processor_is_fast_at_bf16_if_it_has_instructions_for_it(monkeypatch, avx, amx):
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert has_fast_bf16(CPU) is (avx or amx)


def test_a_device_that_nobody_knows_of_is_not_fast():
    assert not has_fast_bf16(torch.device("meta"))


def test_under_autocast_convolutions_compute_in_bf16_and_weights_stay_float32():
    layer, image = torch.nn.Conv2d(1, 2, 3), torch.ones(1, 1, 8, 8)
    with autocast(CPU, torch.bfloat16):
        assert layer(image).dtype == torch.bfloat16
    with autocast(CPU, torch.float32):
        assert layer(image).dtype == torch.float32
    assert layer.weight.dtype == torch.float32
