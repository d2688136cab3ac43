"""The losses that a network's validation loss is compared with."""

from dataclasses import replace

import pytest
import torch
from half_pairs import as_prepared, half_pair

from restore.preprocessing import Recipe
from restore.training.patches import PatchFile, PatchWriter
from restore.training.settings import TrainingSettings
from restore.training.split import split
from restore.training.validation import wiener_filter_of

SHAPE, PAIRS, NOISE = (256, 256), 8, 1.0


@pytest.fixture
def wiener_transfer(tmp_path):
    """A function of a mask: the Wiener filter of pairs in which these pixels hold no data."""

    def transfer(blank):
        path = tmp_path / f"{0 if blank is None else int(blank.sum())}.hdf"
        filling = torch.Generator().manual_seed(1)
        with PatchWriter(path, Recipe(phase_flip=False), "float32") as writer:
            for index in range(PAIRS):
                halves = half_pair(SHAPE, NOISE, index)
                if blank is not None:
                    halves = [
                        torch.where(blank, 2**0.5 * torch.randn(SHAPE, generator=filling), half)
                        for half in halves
                    ]
                even, odd = (replace(as_prepared(half), blank=blank) for half in halves)
                writer.add(f"mic{index}.mrc", even, odd)
            writer.finish({})
        data = PatchFile(path)
        return wiener_filter_of(data, split(data.pairs, TrainingSettings(patch_px=32))).transfer

    return transfer


def test_pixels_without_data_do_not_change_the_wiener_filter(wiener_transfer):
    blank = torch.zeros(SHAPE, dtype=torch.bool)
    blank[:, : SHAPE[1] // 2] = True
    whole, half = wiener_transfer(None), wiener_transfer(blank)
    passed = whole > 0.5
    assert passed.sum() > 3
    assert torch.allclose(half[passed], whole[passed], rtol=0.05)
