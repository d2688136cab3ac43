"""The main job on one real K2 field, end to end."""

import mrcfile
import numpy as np
import torch

from restore.cli.main import main
from restore.evaluation.estimators.spectra import ring_covariances
from restore.io.star import read_star
from restore.preprocessing import Recipe, prepare

NETWORK = [
    "--filters=8",
    "--blocks=1",
    "--batch_size=4",
    "--patch_px=64",
    "--learning_rate=0.004",
    "--precision=float32",
]


def test_a_real_field_is_trained_on_and_denoised_with_its_signal_kept_and_no_border(
    shared_data, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    star = str(shared_data / "k2/micrographs_ctf.star")
    assert main(["train", "-m", star, "-r", "18", "-x", "k2", "--steps=150", *NETWORK]) == 0
    for half in ("EVN", "ODD"):
        text = (
            (shared_data / "k2/micrographs_ctf.star")
            .read_text()
            .replace("k2_field1_DW", f"k2_field1_{half}")
        )
        (tmp_path / f"{half}.star").write_text(
            text.replace("k2_field1", str(shared_data / "k2/k2_field1"))
        )
        assert (
            main(["denoise", "-m", f"{half}.star", "-p", "Models/k2.safetensors", "-o", half]) == 0
        )
    (name,) = read_star(tmp_path / "EVN/EVN.star").block("micrographs").column("rlnMicrographName")
    even = mrcfile.read(name)
    odd_raw = mrcfile.read(shared_data / "k2/k2_field1_ODD.mrc").astype(np.float32)
    even_raw = mrcfile.read(shared_data / "k2/k2_field1_EVN.mrc").astype(np.float32)
    assert even.shape == even_raw.shape
    assert abs(even.mean() / even_raw.mean() - 1) < 1e-3
    # Phases are flipped in the denoised image, but the first zero of this CTF lies at 14.5 Å,
    # beyond these bands.
    seen = [
        prepare(torch.from_numpy(image), 0.85378, None, Recipe(18, phase_flip=False))
        for image in (even_raw, odd_raw, even)
    ]
    rings = ring_covariances(
        torch.stack([prepared.image for prepared in seen]), seen[0].grid.pixel_size_yx_A
    )
    for band_A in ((200, 60), (60, 40), (40, 25)):
        band = rings.band(*band_A)
        assert float(band.correlation(2, 1)) > 0.95 * float(band.correlation(0, 1)) > 0.1
    coarse = rings.band(200, 60)
    assert float(coarse.correlation(2, 1)) > 1.05 * float(coarse.correlation(0, 1))
    edges = [even[:60], even[-60:], even[:, :60], even[:, -60:]]
    assert max(abs(float(edge.mean() - even.mean())) for edge in edges) < 0.2 * even.std()
