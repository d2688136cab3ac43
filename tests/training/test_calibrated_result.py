"""What a short training and its calibration come to, against the truth: no ring below Wiener, and
no lattice.
"""

from dataclasses import dataclass

import pytest
import torch
from half_pairs import as_prepared, half_pair

from restore.evaluation.estimators.baselines import wiener_filter
from restore.evaluation.estimators.spectra import ring_covariances
from restore.fourier import along_rings, frequency_per_A, image_of, spectrum_of
from restore.model.calibration import calibrated, model_weights, without_lattice
from restore.model.checkpoint import Model
from restore.model.inference.pytorch_engine import PyTorchEngine
from restore.model.inference.tiling import apply_network
from restore.preprocessing import Recipe
from restore.runtime.distributed import Place
from restore.training.loop import fresh_state, train
from restore.training.patches import PatchFile, PatchWriter
from restore.training.settings import TrainingSettings
from restore.training.valid_windows import split_with_data

CPU = torch.device("cpu")
SHAPE, PIXEL_A, NOISE = (160, 160), (2.0, 2.0), 2.0
RING_PER_A = 2 / 320


class Quiet:
    def step(self, progress, state): ...

    def epoch(self, state): ...

    def interrupted(self, state): ...


@dataclass
class Trained:
    """A model, and what denoises by it."""

    model: Model
    engine: PyTorchEngine

    @property
    def weights(self):
        return model_weights(self.model.calibration)

    def denoised(self, image, of):
        output = without_lattice(apply_network(self.engine, image), 16)
        return calibrated(of, self.weights.width_per_A, output, image, PIXEL_A)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small compact network after 150 steps on eight micrographs, two of them held out."""
    path = tmp_path_factory.mktemp("calibrated") / "patches.hdf"
    with PatchWriter(path, Recipe(phase_flip=False), "float32") as writer:
        for index in range(8):
            even, odd = half_pair(SHAPE, NOISE, index)
            writer.add(f"mic{index}.mrc", as_prepared(even), as_prepared(odd))
        writer.finish({})
    settings = TrainingSettings(
        steps=150, patch_px=48, batch_size=4, filters=6, held_out=0.25, precision="float32"
    )
    data = PatchFile(path)
    state, parts = fresh_state(settings, CPU), split_with_data(data, settings)
    model = train(state, data, settings, Place(0, 1, CPU), Quiet(), parts=parts)
    data.close()
    return Trained(model, PyTorchEngine(model.network, CPU))


def test_the_calibration_travels_with_the_model(trained):
    assert trained.model.calibration is not None
    half = trained.weights.half
    coarse = (half.slope + half.share)[1:10].tolist()
    assert min(coarse) > 0.3  # where there is signal, it passes


def test_no_ring_with_signal_is_below_the_wiener_filter_on_micrographs_never_seen(trained):
    tables, filtered_tables = [], []
    for seed in range(100, 108):
        halves = half_pair(SHAPE, NOISE, seed)
        truth = half_pair(SHAPE, 0.0, seed)[0]
        rings = ring_covariances(torch.stack(halves), PIXEL_A, RING_PER_A)
        gains = along_rings(
            wiener_filter(rings.correlation(0, 1)).float(),
            RING_PER_A,
            frequency_per_A(SHAPE, PIXEL_A),
        )
        for half in halves:
            wiener = image_of(spectrum_of(half) * gains, SHAPE)
            ours = trained.denoised(half, trained.weights.half)
            errors = torch.stack([ours - truth, wiener - truth])
            filtered_tables.append(ring_covariances(errors, PIXEL_A, RING_PER_A).covariance)
        tables.append(rings.covariance)
    table, errors = torch.stack(tables).sum(dim=0), torch.stack(filtered_tables)
    frc = table[0, 1] / (table[0, 0] * table[1, 1]).sqrt()
    rings = (frc > 0.02) & (torch.arange(len(frc)) > 0)
    difference = (errors[:, 0, 0] - errors[:, 1, 1])[:, rings]
    interval = 2 * difference.std(dim=0) / len(difference) ** 0.5
    assert rings.sum() >= 5
    filtered = errors[:, 1, 1].mean(dim=0)[rings]
    assert (difference.mean(dim=0) <= interval + 0.02 * filtered).all()
    # Over all rings it is the filter's equal: of a Gaussian field no denoiser can do better.
    assert difference.mean(dim=0).sum() < 0.02 * filtered.sum()


def test_into_pure_noise_no_lattice_of_the_networks_own_periods_is_drawn(trained):
    """The network itself, so shortly trained, leaves a line 20 times its surroundings."""
    side, step = 256, 256 // 16  # the coarsest period is 16 pixels; the others divide it
    power = torch.zeros(side, side)
    for seed in range(12):
        noise = 2 * torch.randn((side, side), generator=torch.Generator().manual_seed(seed))
        drawn = without_lattice(apply_network(trained.engine, noise), 16)
        power += torch.fft.fft2(drawn - drawn.mean()).abs().square()
    for y in range(0, side, step):
        for x in range(0, side, step):
            if (y, x) != (0, 0):
                rows, columns = ((torch.arange(-3, 4) + place) % side for place in (y, x))
                around = power[rows][:, columns].flatten()
                neighbours = torch.cat([around[:24], around[25:]])
                assert power[y, x] < 4 * neighbours.median(), (y, x)
