"""Images as tensors: what is read, and what is said where halves are missing."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from restore.errors import UserError
from restore.image_tensors import read_halves, read_tensor
from restore.io.images.image import write_image
from restore.micrograph import Micrograph


def written(folder, name):
    pixels = np.random.default_rng(len(name)).normal(size=(16, 24)).astype(np.float32)
    write_image(folder / f"{name}.mrc", pixels, 1.5)
    return pixels


def test_pixels_come_back_as_they_were_written(tmp_path):
    pixels = written(tmp_path, "full")
    tensor = read_tensor(tmp_path / "full.mrc")
    assert tensor.dtype == torch.float32 and np.array_equal(tensor.numpy(), pixels)


def test_halves_come_in_the_order_even_odd_or_the_micrograph_is_named(tmp_path):
    even, odd = written(tmp_path, "even"), written(tmp_path, "odd")
    bare = Micrograph("a.mrc", tmp_path / "a.mrc", 1.5, 0)
    both = replace(bare, even=tmp_path / "even.mrc", odd=tmp_path / "odd.mrc")
    for tensor, pixels in zip(read_halves(both), (even, odd), strict=True):
        assert np.array_equal(tensor.numpy(), pixels)
    for lacking in (replace(both, odd=None), replace(both, even=None), bare):
        with pytest.raises(
            UserError, match=r"a\.mrc: the micrograph has no halves.*Both are needed"
        ):
            read_halves(lacking, "Both are needed")
