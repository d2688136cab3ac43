"""How far raw images stay from the limits at which ``restore denoise`` warns, and how far from them
the images are that it should warn of.

    python benchmarks/false_alarms.py PDB [PDB ...] --fields 300 [--k2 STAR] --output alarms.md

Fields are simulated as for the training of the general model: any dose from 5 to 80 electrons/Å²,
defocus, pixel size, detector and content; films, crystals and borders; interpolated or not. Three
quantities are tabulated, of which `restore.denoising.input_checks` judges: the power of a component
near the end of the band over that of a coarse one, the correlation of a full sum with the sum of
its halves, and the smaller one of those with a single half.
"""

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

import machine
from restore import fourier
from restore.denoising.denoise import Exposure, denoise
from restore.denoising.input_checks import (
    LEAST_CORRELATION,
    LEAST_FINE_POWER,
    correlation_with_halves,
    correlations_with_each_half,
    fine_power,
)
from restore.denoising.settings import DenoisingSettings
from restore.image_tensors import read_tensor
from restore.io.micrographs import Needs, read_micrographs
from restore.micrograph import CTFParameters, Micrograph
from restore.model.general import load_general_model
from restore.preprocessing import Prepared, Recipe, prepare_alike
from restore.simulation.assemblies import Particle, read_particle
from restore.simulation.damage import amplitude_left, exposure_in_frame_e_per_A2
from restore.simulation.field import Field, simulate_field
from restore.simulation.field_settings import FieldRanges, FieldSettings, draw_field_settings

Image = torch.Tensor
RANGES = FieldRanges(without_doses_e_per_A2=(0.0, 0.0), without_detectors=())
FRAMES = 20
POWER, CORRELATION, SINGLE = "fine power", "correlation", "correlation with one half"


@dataclass(frozen=True)
class Shot:
    """Full sum and halves of one exposure, and how they are prepared."""

    images: tuple[Image, Image, Image]
    pixel_size_A: float
    ctf: CTFParameters | None
    recipe: Recipe

    def power(self, image: Image) -> float:
        """The fine power of an image that was taken as this one."""
        return fine_power(prepare_alike([image], self.pixel_size_A, self.ctf, self.recipe)[0])

    def correlation(self, full: Image, halves: Sequence[Image]) -> float:
        """The correlation of a full sum with halves, all taken as this one."""
        return correlation_with_halves(self._prepared(full, halves))

    def least_correlation(self, full: Image, halves: Sequence[Image]) -> float:
        """The smaller correlation of a full sum with one of its halves, all taken as this one."""
        return min(correlations_with_each_half(self._prepared(full, halves)))

    def _prepared(self, full: Image, halves: Sequence[Image]) -> list[Prepared]:
        return prepare_alike([full, *halves], self.pixel_size_A, self.ctf, self.recipe)


@dataclass(frozen=True)
class Value:
    """One value of a quantity for an image of a group; ``raw`` where nothing should be warned
    of.
    """

    quantity: str
    raw: bool
    group: str
    value: float


def shot_of(settings: FieldSettings, field: Field) -> Shot:
    """A simulated field as one exposure."""
    recipe = Recipe(settings.max_resolution_A, phase_flip=settings.phase_flip)
    pixel_size_A = settings.microscope.pixel_size_A
    return Shot((field.full, field.even, field.odd), pixel_size_A, field.ctf, recipe)


def shape_of(image: Image) -> tuple[int, int]:
    """Rows and columns."""
    return image.shape[0], image.shape[1]


def dose_weighted(image: Image, settings: FieldSettings) -> Image:
    """The image with its noise as a sum that is weighted by dose has it, where no program brings
    the noise back to its strength.
    """
    microscope = settings.microscope
    k = fourier.frequency_per_A(shape_of(image), (microscope.pixel_size_A, microscope.pixel_size_A))
    k = k.clamp(min=1e-4)
    power = torch.zeros_like(k)
    for frame in range(FRAMES):
        exposure = exposure_in_frame_e_per_A2(microscope.dose_e_per_A2, FRAMES, frame)
        power += amplitude_left(k, exposure, microscope.voltage_kV).square() / FRAMES
    return filtered(image, power.sqrt())


def filtered(image: Image, gains: Image) -> Image:
    """The image with its Fourier components multiplied by gains; its mean is kept."""
    mean = image.mean()
    return fourier.image_of(fourier.spectrum_of(image - mean) * gains, shape_of(image)) + mean


def low_passed(image: Image, share: float, order: int = 8) -> Image:
    """The image low-pass filtered at a share of the Nyquist frequency (Butterworth)."""
    frequency = fourier.frequency_per_A(shape_of(image), (1.0, 1.0)) * 2
    return filtered(image, 1 / (1 + (frequency / share) ** (2 * order)).sqrt())


def shifted(image: Image, distance_px: float) -> Image:
    """The image moved along both axes, as another program may place it."""
    ky, kx = fourier.frequency_yx_per_A(shape_of(image), (1.0, 1.0))
    turn = torch.exp(-2j * torch.pi * distance_px * (ky + kx))
    return fourier.image_of(fourier.spectrum_of(image) * turn, shape_of(image))


def values_of_shot(shot: Shot) -> Iterator[Value]:
    """What the images of one exposure say as they are."""
    full, even, odd = shot.images
    yield Value(POWER, True, "full sums", shot.power(full))
    yield Value(POWER, True, "halves", shot.power(even))
    yield Value(CORRELATION, True, "own halves", shot.correlation(full, (even, odd)))
    yield Value(SINGLE, True, "own halves", shot.least_correlation(full, (even, odd)))
    yield Value(
        CORRELATION, True, "full sum of half of the frames", shot.correlation(even, (even, odd))
    )
    for distance_px in (0.5, 1.0, 3.0):
        moved = shot.correlation(shifted(full, distance_px), (even, odd))
        yield Value(CORRELATION, False, f"full sum moved by {distance_px:g} px", moved)
    turned = shot.correlation(full.flip(0), (even, odd))
    yield Value(CORRELATION, False, "full sum upside down", turned)
    for share in (0.3, 0.5, 0.7):
        passed = shot.power(low_passed(full, share))
        yield Value(POWER, False, f"low-passed at {share:g} of the band", passed)


def values_of_field(settings: FieldSettings, field: Field, other: Field) -> Iterator[Value]:
    """What only simulated fields can be asked: dose weighting, halves of another field."""
    shot = shot_of(settings, field)
    full, *halves = shot.images
    yield from values_of_shot(shot)
    kinds = {"empty": settings.content == "empty", "with gold": settings.film == "gold",
             "with carbon": settings.film == "carbon", "with crystals": settings.crystals > 0,
             "interpolated": settings.interpolated,
             "of an integrating detector": settings.detector.noise_follows_mtf > 0}  # fmt: skip
    for kind in (kind for kind, applies in kinds.items() if applies):
        yield Value(POWER, True, f"full sums {kind}", shot.power(full))
    weighted = dose_weighted(full, settings)
    yield Value(POWER, True, "full sums weighted by dose, noise as it comes", shot.power(weighted))
    own = shot.correlation(weighted, halves)
    yield Value(CORRELATION, True, "full sum weighted by dose, halves not", own)
    own = shot.least_correlation(weighted, halves)
    yield Value(SINGLE, True, "full sum weighted by dose, halves not", own)
    foreign = shot.least_correlation(full, (halves[0], other.odd))
    yield Value(SINGLE, False, "one half of another exposure", foreign)
    foreign = shot.correlation(full, (other.even, other.odd))
    yield Value(CORRELATION, False, "halves of another exposure", foreign)


def values_of_denoised(shot: Shot) -> Iterator[Value]:
    """What denoised images say: those of the general model, calibrated or not."""
    full, *halves = shot.images
    micrograph = Micrograph("a.mrc", Path("a.mrc"), shot.pixel_size_A, 0, shot.ctf)
    model = load_general_model(shot.recipe)
    exposure = Exposure(full, (halves[0], halves[1]))
    for kind in ("rings", "none"):
        output = denoise(exposure, micrograph, model, DenoisingSettings(calibration=kind))
        name = "denoised, calibrated" if kind == "rings" else "denoised, not calibrated"
        # Phases were flipped; flipping them again changes no power.
        yield Value(POWER, False, name, shot.power(output))


def values(options: argparse.Namespace) -> Iterator[Value]:
    """All values, field by field."""
    particles = [read_particle(path) for path in options.particles]
    for index in range(options.fields):
        settings = draw_field_settings(RANGES, options.size, options.seed, index)
        field, other = (_field(settings, seed, particles) for seed in (0, 1))
        yield from values_of_field(settings, field, other)
        if index < options.denoised:
            yield from values_of_denoised(shot_of(settings, field))
        if index % 10 == 9:
            print(f"{index + 1} fields", file=sys.stderr, flush=True)
    if options.k2 is not None:
        (micrograph,) = read_micrographs(str(options.k2), needs=Needs(halves=True)).micrographs
        assert micrograph.even is not None
        assert micrograph.odd is not None
        paths = (micrograph.image, micrograph.even, micrograph.odd)
        full, even, odd = (read_tensor(path) for path in paths)
        for resolution_A in (3.0, 9.0):
            recipe = Recipe(resolution_A, phase_flip=micrograph.ctf is not None)
            shot = Shot((full, even, odd), micrograph.pixel_size_A, micrograph.ctf, recipe)
            for value in values_of_shot(shot):
                yield replace(value, group=f"K2 field, {resolution_A:g} Å: {value.group}")


def _field(settings: FieldSettings, exposure: int, particles: Sequence[Particle]) -> Field:
    """The field, or another one of the same kind."""
    return simulate_field(replace(settings, seed=settings.seed + exposure), particles)


def table(collected: Sequence[Value]) -> str:
    """The distribution of each quantity in each group, and how many are warned of, as Markdown."""
    groups: defaultdict[tuple[str, bool, str], list[float]] = defaultdict(list)
    for value in collected:
        groups[value.quantity, value.raw, value.group].append(value.value)
    limits = {
        POWER: LEAST_FINE_POWER,
        CORRELATION: LEAST_CORRELATION,
        SINGLE: LEAST_CORRELATION,
    }
    lines = []
    for quantity, limit in limits.items():
        lines += ["", f"| {quantity} (limit {limit:g}) | images | least | 1 % | median | 99 % | "
                  "most | warned of |", "|---|" + "---:|" * 7]  # fmt: skip
        for raw in (True, False):
            lines.append(f"| **{'nothing' if raw else 'all'} should be warned of** |" + " |" * 7)
            for (kind, is_raw, group), numbers in groups.items():
                if (kind, is_raw) == (quantity, raw):
                    cells = [
                        f"{cell:.2g}" for cell in np.quantile(numbers, (0, 0.01, 0.5, 0.99, 1))
                    ]
                    warned = sum(number < limit for number in numbers)
                    lines.append(f"| {group} | {len(numbers)} | {' | '.join(cells)} | {warned} |")
    return "\n".join(lines[1:])


def main() -> None:
    """Simulate, measure, print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument("particles", type=Path, nargs="+", help="PDB or mmCIF files")
    parser.add_argument("--fields", type=int, default=300, metavar="N")
    parser.add_argument("--denoised", type=int, default=40, metavar="N", help="fields to denoise")
    parser.add_argument("--size", type=int, default=512, help="side of a field, pixels")
    parser.add_argument("--k2", type=Path, help="STAR file of one real field with halves")
    parser.add_argument("--seed", type=int, default=20)
    parser.add_argument("--output", type=Path, default=Path("alarms.md"))
    options = parser.parse_args()
    text = machine.describe() + "\n\n" + table(list(values(options)))
    options.output.write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
