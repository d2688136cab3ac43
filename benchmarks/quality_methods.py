"""What is examined: every method turns the full sums and halves of an exam into denoised ones, and
says what that cost.
"""

import json
import math
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from peers.environments import BM3D, CAREAMICS, TOPAZ, NotRunError, python_of
from quality_data import Exam, Shot, parts_of
from quality_metrics import RING_PER_A, Image, Triple, lowpass_cutoff_per_A
from restore import fourier
from restore.background import without_background
from restore.evaluation.estimators.baselines import wiener_filter
from restore.evaluation.estimators.spectra import ring_covariances
from restore.image_tensors import read_halves, read_tensor
from restore.io.images.image import read_image, write_image
from restore.io.micrographs import Needs, read_micrographs
from restore.micrograph import Micrograph
from restore.model.own_calibration import checkerboard
from restore.preprocessing import (
    Grid,
    Prepared,
    Recipe,
    common_blank_pixels,
    cropped_grid,
    prepare,
    prepare_masked,
    replace_hot_pixels,
    transfer,
)

PEERS = Path(__file__).with_name("peers")
PARTS = ("full", "even", "odd")
Key = tuple[str, str]


@dataclass(frozen=True)
class Work:
    """What a method left: an image on the judged grid for each shot and part, and its cost; NaN
    where there is none.
    """

    images: dict[Key, Image]
    seconds: float
    training_s: float = math.nan
    peak_GB: float = math.nan


Method = Callable[[Exam, Path], Work]
"""From an exam and a folder of its own to the work; raises NotRunError with the reason."""


@dataclass(frozen=True)
class Cost:
    """What one command took."""

    wall_s: float
    peak_GB: float


def raw(exam: Exam, folder: Path) -> Work:  # noqa: ARG001
    """The images as they are."""
    start = time.monotonic()
    images = {
        (shot.key, part): seen(path, shot.micrograph, exam.recipe)
        for shot, part, path in _all(exam)
    }
    return Work(images, (time.monotonic() - start) / len(images))


def lowpass(exam: Exam, folder: Path) -> Work:
    """Every image under the sharp low-pass that suits its full sum best: found with the truth, or
    with the other half.
    """
    images = raw(exam, folder).images
    start = time.monotonic()
    done: dict[Key, Image] = {}
    band = (exam.bands[0][0], exam.bands[-1][1])
    for shot in exam.shots:
        pixels = grid_of(shot, exam.recipe).pixel_size_yx_A
        even, odd = images[shot.key, "even"], images[shot.key, "odd"]
        pair = (truth_of(shot, exam.recipe), even + odd) if shot.truth else (even, odd)
        cutoff = lowpass_cutoff_per_A(*pair, pixels, band)
        frequency = fourier.frequency_per_A((even.shape[0], even.shape[1]), pixels)
        for part in PARTS:
            done[shot.key, part] = _filtered(images[shot.key, part], (frequency <= cutoff).float())
    return Work(done, (time.monotonic() - start) / len(done))


def wiener(exam: Exam, folder: Path) -> Work:
    """The Wiener filter that the halves imply; it knows no truth."""
    images = raw(exam, folder).images
    start = time.monotonic()
    done: dict[Key, Image] = {}
    for shot in exam.shots:
        pixels = grid_of(shot, exam.recipe).pixel_size_yx_A
        filtered = vars(wiener_filtered(triple_of(images, shot), pixels))
        done |= {(shot.key, part): filtered[part] for part in PARTS}
    return Work(done, (time.monotonic() - start) / len(done))


def wiener_filtered(images: Triple, pixel_size_yx_A: tuple[float, float]) -> Triple:
    """Full sum and halves under the Wiener filter that the halves imply in rings of 1/600 Å.

    A half is filtered with the correlation of the halves over other Fourier components than those
    that it multiplies, the squares of the other colour of a checkerboard: they will be judged by
    the same halves, whose noise must not be the filter's.
    """
    halves = torch.stack([images.even, images.odd])
    shape = (halves.shape[1], halves.shape[2])
    frequency = fourier.frequency_per_A(shape, pixel_size_yx_A)
    rings = fourier.ring_index(frequency, RING_PER_A)
    beyond = torch.zeros(int(rings.max()) + 1)

    def gains(count: int, components: Tensor | None = None) -> Tensor:
        frc = ring_covariances(halves, pixel_size_yx_A, RING_PER_A, components).correlation(0, 1)
        return torch.cat([wiener_filter(frc, images=count).float(), beyond])[rings]

    white = checkerboard(shape, halves.device)
    of_halves = torch.where(white, gains(1, ~white), gains(1, white))
    return Triple(
        _filtered(images.full, gains(2)),
        _filtered(images.even, of_halves),
        _filtered(images.odd, of_halves),
    )


def topaz_for(environments: Path, cropped: bool) -> Method:
    """Topaz-Denoise's shipped U-Net, on images as they come off the microscope or Fourier-cropped,
    without phase flip.
    """

    def denoise(exam: Exam, folder: Path) -> Work:
        python = python_of(TOPAZ, environments)
        names: dict[Key, str] = {}
        for shot, part, path in _all(exam):
            image = flat(path, exam.recipe)
            if cropped:
                image = fourier_cropped(image, grid_of(shot, exam.recipe))
            names[shot.key, part] = f"{shot.key}_{part}.mrc"
            write_image(
                folder / "in" / names[shot.key, part], image.numpy(), shot.micrograph.pixel_size_A
            )
        files = [str(folder / "in" / name) for name in names.values()]
        command = [
            str(python),
            str(PEERS / "topaz_command.py"),
            "denoise",
            "-d",
            "-1",
            "-o",
            str(folder / "out"),
            *files,
        ]
        cost = call(command)
        shots = {shot.key: shot for shot in exam.shots}
        images = {
            key: judged(read_tensor(folder / "out" / name), shots[key[0]], exam.recipe)
            for key, name in names.items()
        }
        return Work(images, cost.wall_s / len(images), peak_GB=cost.peak_GB)

    return denoise


def bm3d_for(environments: Path, processes: int) -> Method:
    """BM3D on Fourier-cropped images without phase flip; the deviation of the white noise comes
    from the halves.
    """

    def denoise(exam: Exam, folder: Path) -> Work:
        python = python_of(BM3D, environments)
        sigmas: dict[str, float] = {}
        for shot in exam.shots:
            cropped = cropped_parts(shot, exam.recipe)
            noise = float((cropped["even"] - cropped["odd"]).std())
            for part, image in cropped.items():
                np.save(folder / f"{shot.key}_{part}.npy", image.numpy())
                sigmas[f"{shot.key}_{part}.npy"] = noise if part == "full" else noise / math.sqrt(2)
        (folder / "sigma.json").write_text(json.dumps(sigmas))
        cost = call([str(python), str(PEERS / "bm3d_denoise.py"), str(folder), str(processes)])
        seconds = json.loads((folder / "seconds.json").read_text())
        return Work(_loaded(exam, folder, {}), float(np.mean(seconds)), peak_GB=cost.peak_GB)

    return denoise


def careamics_for(environments: Path, minutes: float) -> Method:
    """CAREamics' U-Net, trained on the same halves for so many minutes: Fourier-cropped, without
    phase flip, unit deviation.
    """

    def denoise(exam: Exam, folder: Path) -> Work:
        python = python_of(CAREAMICS, environments)
        (folder / "images").mkdir(parents=True)
        pairs = [cropped_parts(shot, exam.recipe) for shot in read_training(exam)]
        for part in ("even", "odd"):
            np.save(
                folder / f"{part}.npy", np.stack([_unit(pair[part])[0].numpy() for pair in pairs])
            )
        scales: dict[Key, float] = {}
        for shot in exam.shots:
            for part, image in cropped_parts(shot, exam.recipe).items():
                scaled, scales[shot.key, part] = _unit(image)
                np.save(folder / "images" / f"{shot.key}_{part}.npy", scaled.numpy())
        cost = call([str(python), str(PEERS / "careamics_n2n.py"), str(folder), str(minutes)])
        seconds = json.loads((folder / "seconds.json").read_text())
        images = _loaded(exam, folder / "images", scales)
        return Work(images, float(np.mean(seconds["images"])), seconds["training"], cost.peak_GB)

    return denoise


def read_training(exam: Exam) -> tuple[Micrograph, ...]:
    """The micrographs that may be trained on."""
    return read_micrographs(str(exam.training), needs=Needs(halves=True)).micrographs


def call(command: Sequence[str]) -> Cost:
    """Run a command and account for it; NotRunError with its last word where it fails."""
    start = time.monotonic()
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    with process.stderr:
        messages = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise NotRunError(f"exit status {process.returncode}; {_last_error(messages)}")
    return Cost(time.monotonic() - start, used.ru_maxrss * 1024 / 1e9)


def _last_error(messages: str) -> str:
    """The last line that speaks of an error, or just the last one, fit for a cell of a table."""
    lines = [line.strip() for line in messages.splitlines() if line.strip() and "http" not in line]
    errors = [line for line in lines if "error" in line.lower()]
    return (errors or lines or [""])[-1].replace("|", "/")[:200]


def grid_of(shot: Shot, recipe: Recipe) -> Grid:
    """The sampling that a shot is judged on."""
    return _grid(shot.micrograph, recipe)


def triple_of(images: dict[Key, Image], shot: Shot) -> Triple:
    """A shot's three images."""
    return Triple(*(images[shot.key, part] for part in PARTS))


def truth_of(shot: Shot, recipe: Recipe) -> Image:
    """The noise-free full sum as it is judged. Its pixels without data are those of the halves: in
    an image without noise they cannot be recognised.
    """
    assert shot.truth is not None
    micrograph = shot.micrograph
    images = [read_tensor(shot.truth)]
    blank = common_blank_pixels(read_halves(micrograph))
    (truth,) = prepare_masked(images, micrograph.pixel_size_A, micrograph.ctf, recipe, blank)
    return truth.image * truth.scale


def flat(path: Path, recipe: Recipe) -> Image:
    """An image without hot pixels and smooth background: what every peer is given, for few could
    bear them.
    """
    clean, _ = replace_hot_pixels(read_tensor(path), recipe.hot_pixel_sigma)
    return without_background(clean, recipe.background_order)


def fourier_cropped(image: Image, grid: Grid) -> Image:
    """An image on the judged grid, neither filtered nor flipped."""
    return fourier.image_of(
        fourier.crop(fourier.spectrum_of(image), grid.full_shape, grid.shape), grid.shape
    )


def cropped_parts(source: Shot | Micrograph, recipe: Recipe) -> dict[str, Image]:
    """Full sum and halves, flat and Fourier-cropped."""
    micrograph = source.micrograph if isinstance(source, Shot) else source
    grid = _grid(micrograph, recipe)
    return {part: fourier_cropped(flat(path, recipe), grid) for part, path in parts_of(micrograph)}


def judged(image: Image, shot: Shot, recipe: Recipe) -> Image:
    """A peer's output, of full size or cropped, on the judged grid: band-passed, its phases
    flipped.
    """
    grid = grid_of(shot, recipe)
    spectrum = fourier.spectrum_of(image - image.mean())
    if image.shape != grid.shape:
        spectrum = fourier.crop(spectrum, grid.full_shape, grid.shape)
    return fourier.image_of(spectrum * transfer(grid, shot.micrograph.ctf, recipe), grid.shape)


def _all(exam: Exam) -> list[tuple[Shot, str, Path]]:
    return [(shot, part, path) for shot in exam.shots for part, path in parts_of(shot.micrograph)]


def _grid(micrograph: Micrograph, recipe: Recipe) -> Grid:
    image = read_image(micrograph.image).data
    return cropped_grid(
        (image.shape[0], image.shape[1]), micrograph.pixel_size_A, recipe.max_resolution_A
    )


def seen(path: Path, micrograph: Micrograph, recipe: Recipe) -> Image:
    """An image as the network would see it, but in its own grey values."""
    seen: Prepared = prepare(read_tensor(path), micrograph.pixel_size_A, micrograph.ctf, recipe)
    return seen.image * seen.scale


def _filtered(image: Image, gains: torch.Tensor) -> Image:
    return fourier.image_of(fourier.spectrum_of(image) * gains, (image.shape[0], image.shape[1]))


def _unit(image: Image) -> tuple[Image, float]:
    scale = float(image.std())
    return (image - image.mean()) / scale, scale


def _loaded(exam: Exam, folder: Path, scales: dict[Key, float]) -> dict[Key, Image]:
    """The peers' arrays, judged."""
    images: dict[Key, Image] = {}
    for shot in exam.shots:
        for part in PARTS:
            image = torch.from_numpy(np.load(folder / f"{shot.key}_{part}.npy"))
            images[shot.key, part] = judged(
                image * scales.get((shot.key, part), 1.0), shot, exam.recipe
            )
    return images
