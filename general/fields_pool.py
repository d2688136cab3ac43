"""A pool of simulated fields on disk, prepared as the network sees them, that is renewed while
training goes on.

Of each field the pool keeps three prepared images on one scale: the truth S of the full sum, and
the noise n1, n2 of its two halves. Preparation is linear (but for hot pixels, of which there are
none), so S + n1 + n2 is the prepared full sum, and any S + g √2 (n1 cos θ + n2 sin θ) is one of the
same field under other noise: of a full sum for g = 1, of a half for g = √2.
"""

import json
import math
import os
import re
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from restore import fourier
from restore.io.atomic import replacing
from restore.preprocessing import Recipe, common_blank_pixels, prepare_masked
from restore.simulation.assemblies import Particle, read_particle
from restore.simulation.field import Field, simulate_field
from restore.simulation.field_settings import FieldRanges, draw_field_settings

LEFT_OUT = ("3j9i", "6z6u", "1ihm", "2cg9")
"""PDB codes of the specimens that are never trained on: they are for the examination, as the
simulator's barrel is.
"""

RINGS = 64
"""Rings from zero to the Nyquist frequency in which a field's power is kept."""


@dataclass(frozen=True)
class PoolSettings:
    """How many fields a pool keeps, their side in pixels, and what they are drawn from.

    The first ``at_once`` are simulated as fast as possible, for training to begin.
    """

    fields: int = 500
    at_once: int = 150
    size_px: int = 512
    seed: int = 1
    ranges: FieldRanges = FieldRanges()


@dataclass(frozen=True)
class PreparedField:
    """What the pool keeps of a field: images (truth, n1, n2), their covariances, and power in
    rings.

    ``signal_power`` and ``noise_power`` are spectral densities of the full sum in rings, on a scale
    on which white noise of unit variance has density one.
    """

    images: Float[Tensor, "3 y x"]
    covariance: Float[Tensor, "3 3"]
    signal_power: Float[Tensor, "rings"]
    noise_power: Float[Tensor, "rings"]


def pdb_code(name: str) -> str:
    """The PDB code that a file's name begins with, in lower case: of "1IHM-assembly1.cif",
    "1ihm_virus.pdb" and "pdb1ihm.ent" it is "1ihm".
    """
    begun = re.match(r"(?:pdb_?0*)?([a-z0-9]+)", name.lower())
    return begun[1] if begun else ""


def training_files(folder: Path) -> list[Path]:
    """All models in a folder but those that are left out."""
    return sorted(path for path in folder.iterdir() if pdb_code(path.name) not in LEFT_OUT)


def load_particles(folder: Path) -> list[Particle]:
    """The particles of all models in a folder but those that are left out."""
    return [read_particle(path) for path in training_files(folder)]


def prepare_field(field: Field) -> PreparedField:
    """The prepared field, in the scale of its full sum. Its truth gets the halves' mask: without
    noise an area without contrast, such as a thick film, looks as if it held no data.
    """
    settings = field.settings
    recipe = Recipe(settings.max_resolution_A, phase_flip=settings.phase_flip)
    images = [field.even, field.odd, field.truth]
    blank = common_blank_pixels(images[:2])
    prepared = prepare_masked(images, settings.max_resolution_A / 2, field.ctf, recipe, blank)
    even, odd, truth = (half.image * half.scale for half in prepared)
    full_scale = (even + odd).std()
    images = torch.stack([truth, even - truth / 2, odd - truth / 2]) / full_scale
    covariance = torch.cov(images.flatten(1))
    return PreparedField(images, covariance, *_ring_powers(images))


@dataclass(frozen=True)
class Window:
    """A window of a field under noise of its own: image and truth, and spectral densities of signal
    and of the Wiener filter's error, in the scale of the image, whose field has unit variance.
    """

    pair: Float[Tensor, "2 y x"]
    signal: Float[Tensor, "rings"]
    wiener_error: Float[Tensor, "rings"]


def sample_window(
    field: PreparedField, size_px: int, rng: np.random.Generator, *, with_signal: bool = True
) -> Window:
    """A window of the field under new noise, flipped and turned; or of this noise alone.

    The noise is that of anything between a full sum of twice the dose and a half of 0.7 times the
    dose. The densities are those of the field, for a signal as strong as the window's where that is
    stronger than the field's; a window of noise alone keeps the density of the signal that it
    lacks.
    """
    g = math.exp(rng.uniform(math.log(0.7), math.log(1.7)))
    angle = rng.uniform(0, 2 * math.pi)
    noises = (math.sqrt(2) * g * math.cos(angle), math.sqrt(2) * g * math.sin(angle))
    mix = torch.tensor([float(with_signal), *noises])
    scale = float((mix @ field.covariance @ mix).sqrt())
    y, x = rng.integers(0, field.images.shape[1] - size_px + 1, 2)
    cut = field.images[:, y : y + size_px, x : x + size_px].float()
    truth = mix[0] * cut[0]
    pair = torch.stack([(mix[:, None, None] * cut).sum(0), truth]) / scale
    pair = torch.rot90(pair, int(rng.integers(4)), (1, 2))
    if rng.random() < 0.5:
        pair = pair.flip(2)
    stronger = max(float(truth.var() / field.covariance[0, 0]), 1.0)
    signal, noise = field.signal_power * stronger, field.noise_power * g**2
    error = signal * noise / (signal + noise).clamp(min=1e-12)
    return Window(pair, signal / scale**2, error / scale**2)


def save_field(path: Path, field: PreparedField, note: dict[str, object]) -> None:
    """Write a prepared field, images in float16, beside and renamed."""
    arrays = {name: value.numpy() for name, value in vars(field).items() if name != "images"}
    with replacing(path) as partial, partial.open("wb") as file:
        images = field.images.half().numpy()
        np.savez(file, images=images, note=np.array(json.dumps(note)), **arrays)


def load_field(path: Path) -> PreparedField:
    """Read a prepared field."""
    with np.load(path) as file:
        names = ("images", "covariance", "signal_power", "noise_power")
        return PreparedField(*(torch.from_numpy(file[name]) for name in names))


def fill(
    folder: Path, particles: Sequence[Particle], settings: PoolSettings, duty: float, forever: bool
) -> None:
    """Simulate fields into the pool until it is full, then over the oldest.

    Beyond the first ``at_once`` fields this takes no more than a share ``duty`` of a core. Field n
    of the seed has its own settings and chance. A counter in the folder says how far the seed has
    been used; a run goes on where the last one ended.
    """
    folder.mkdir(parents=True, exist_ok=True)
    parent = os.getppid()
    while os.getppid() == parent:
        start = time.process_time()
        present = len(list(folder.glob("*.npz")))
        if present >= settings.fields and not forever:
            return
        index = _next_index(folder)
        drawn = draw_field_settings(settings.ranges, settings.size_px, settings.seed, index)
        field = prepare_field(simulate_field(drawn, particles))
        note = {"index": index, "settings": asdict(drawn)}
        save_field(folder / f"{index % settings.fields:05d}.npz", field, note)
        if present >= settings.at_once:
            time.sleep((time.process_time() - start) * (1 / duty - 1))


def shrink(folder: Path, fields: int) -> None:
    """Remove the fields beyond the first so many places, which a smaller pool would never renew."""
    for path in folder.glob("*.npz"):
        if int(path.stem) >= fields:
            path.unlink()


def fields_simulated(folder: Path) -> int:
    """How many fields the pool has held since it was begun."""
    counter = folder / "next"
    return int(counter.read_text()) if counter.is_file() else 0


def _next_index(folder: Path) -> int:
    """The number of the next field, taken and counted up."""
    index = fields_simulated(folder)
    with replacing(folder / "next") as partial:
        partial.write_text(str(index + 1))
    return index


def _ring_powers(images: Float[Tensor, "3 y x"]) -> tuple[Tensor, Tensor]:
    shape = (images.shape[1], images.shape[2])
    power = fourier.spectrum_of(images).abs().square()
    rings = ring_of_component(shape).flatten()
    weights = fourier.friedel_weights(shape).expand(shape[0], -1).flatten()
    sums = [torch.zeros(RINGS).index_add_(0, rings, weights * part.flatten()) for part in power]
    count = torch.zeros(RINGS).index_add_(0, rings, weights)
    density = [total / count * (shape[0] * shape[1]) for total in sums]
    # The noise of the full sum is the sum of the halves': its power is the sum of theirs.
    return density[0], density[1] + density[2]


def ring_of_component(shape: fourier.Shape) -> Tensor:
    """The ring of each component of a half spectrum; corners beyond the Nyquist frequency count for
    the last.
    """
    frequency = fourier.frequency_per_A(shape, (1.0, 1.0))
    return (frequency * 2 * RINGS).long().clamp(max=RINGS - 1)
