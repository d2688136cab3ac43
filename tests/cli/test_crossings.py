"""Where a curve of an FSC falls, in words."""

from types import SimpleNamespace

import pytest
import torch

from restore.cli.main import main
from restore.maps.fsc import FSC

FALLS = {
    "at once": ([1.0, 0.1, 0.0], "falls below 0.143 in the first shell"),
    "never": ([1.0, 0.9, 0.8], "never falls below 0.143"),
    "between": ([1.0, 0.643, -0.357], "falls below 0.143 at 13.33 Å"),
}


class Images(list):
    box_px, pixel_size_A = 32, 3.0


@pytest.mark.parametrize("name", FALLS)
def test_reconstruct_says_where_the_half_maps_fall_apart(name, monkeypatch, capsys):
    curve, words = FALLS[name]
    result = SimpleNamespace(
        images=Images("ab"),
        fsc=FSC(torch.tensor([0.0, 0.05, 0.1]), torch.tensor(curve)),
        maps=SimpleNamespace(counts=(1, 1)),
        files=(),
    )
    monkeypatch.setattr("restore.cli.reconstruct.reconstruct_half_maps", lambda *_, **__: result)
    assert main(["reconstruct", "particles.star"]) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(f"without a mask, {words}")
