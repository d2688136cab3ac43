"""``restore demo``: a complete example with simulated data, in minutes."""

import argparse
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import fmean

import torch
from jaxtyping import Float
from torch import Tensor

import restore
from restore.cli.evaluate import print_evaluation
from restore.cli.progress import Bar, LateBar
from restore.cli.results import report_failures
from restore.cli.train import show_training
from restore.evaluation.estimators.spectra import ring_covariances
from restore.evaluation.estimators.truth import TruthScore, score
from restore.image_tensors import read_tensor
from restore.io.atomic import write_text
from restore.micrograph import Micrograph
from restore.preprocessing import common_blank_pixels, prepare_masked
from restore.report.figures import ring_curves, save_png
from restore.report.panels import Panel, save_picture, side_by_side
from restore.runtime.memory import tune_malloc

RECIPE = restore.Recipe(max_resolution_A=9)
SESSION = restore.SimulationSettings(micrographs=8, size_px=(1536,), pixel_size_A=1.5)
HELD_OUT = 0.25

GENERAL, TRAINED = "general model", "trained on this data"
_WHY_LOWER = (
    "Each ring alone: how rings are weighted against each other, by which a filter\n"
    "gains, does not count. Where a denoised line lies below the raw one, the\n"
    "network lost or changed signal."
)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore demo``."""
    parser.add_argument(
        "folder",
        type=Path,
        nargs="?",
        default=Path("demo"),
        help="folder of the demo (default: demo)",
    )
    parser.add_argument(
        "--steps",
        type=int,
        default=400,
        metavar="N",
        help=("number of training steps (default: 400)"),
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an earlier demo")


def run(namespace: argparse.Namespace) -> int:
    """Simulate; denoise with the general model; train from it, denoise, and evaluate without the
    truth; then compare with the truth. Returns the exit status.
    """
    tune_malloc()
    folder: Path = namespace.folder
    with LateBar("micrographs", "simulating") as bar:
        star = restore.simulate(folder, SESSION, overwrite=namespace.overwrite, progress=bar.to)
    output = restore.OutputSettings(
        output_directory=folder / "general", overwrite=namespace.overwrite
    )
    general = restore.denoise_set(
        star, restore.load_model(recipe=RECIPE), output=output, model_name=GENERAL, bars=Bar
    )
    if general.table is None or general.failed:
        return report_failures(general.failed.items(), general.total, "denoised")
    _show_general(folder, star, general.table)
    model = _train(folder, star, namespace.steps, namespace.overwrite)
    output = restore.OutputSettings(overwrite=namespace.overwrite)
    file = folder / "Models/demo.safetensors"
    denoised = restore.denoise_set(star, model, output=output, model_name=file, bars=Bar)
    if denoised.table is None or denoised.failed:
        return report_failures(denoised.failed.items(), denoised.total, "denoised")
    evaluated = restore.evaluate(star, file, output_directory=folder / "evaluation", bars=Bar)
    print_evaluation(evaluated)
    if evaluated.failed:
        return report_failures(evaluated.failed, evaluated.total, "evaluated")
    restore.write_report(folder / "evaluation", folder / "report.html")
    shots = _shots(star, {GENERAL: general.table, TRAINED: denoised.table})
    return _compare(folder, shots, model.training["held_out"])


def _train(folder: Path, star: Path, steps: int, overwrite: bool) -> restore.Model:
    patches = folder / "training_data.hdf"
    with LateBar("micrographs", "preparing") as bar:
        restore.make_patches(star, patches, RECIPE, overwrite=overwrite, progress=bar.to)
    with LateBar("", "training") as bar:
        return restore.train(
            settings={"held_out": HELD_OUT},
            steps=steps,
            patch_file=patches,
            model_directory=folder / "Models",
            model_prefix="demo",
            overwrite=overwrite,
            progress=partial(show_training, bar),
        )


@dataclass(frozen=True)
class _Shot:
    """A micrograph with its denoised images by the names of their models."""

    raw: Micrograph
    denoised: Mapping[str, Micrograph]

    def images(self) -> tuple[dict[str, Float[Tensor, "y x"]], tuple[float, float]]:
        """Raw, denoised and true images as the network sees them, and their pixel size (y, x) in Å.

        The denoised ones have their phases flipped already.
        """
        truth = self.raw.image.with_name(self.raw.image.name.replace("_DW", "_TRUTH"))
        flipped = restore.Recipe(RECIPE.max_resolution_A, phase_flip=False)
        files = {"raw": (self.raw.image, RECIPE)}
        files |= {name: (image.image, flipped) for name, image in self.denoised.items()}
        files |= {"truth": (truth, RECIPE)}
        images = {name: (read_tensor(path), recipe) for name, (path, recipe) in files.items()}
        blank = common_blank_pixels(
            [images["raw"][0]]
        )  # blank pixels can be found only in the raw image, which has noise
        seen = {
            name: prepare_masked([image], self.raw.pixel_size_A, self.raw.ctf, recipe, blank)[0]
            for name, (image, recipe) in images.items()
        }
        shown = {name: prepared.image for name, prepared in seen.items()}
        return shown, seen["raw"].grid.pixel_size_yx_A

    def scores(self) -> dict[str, TruthScore]:
        """The score of each model's image."""
        images, pixel_size_yx_A = self.images()
        return {
            name: score(images["truth"], images["raw"], images[name], pixel_size_yx_A)
            for name in self.denoised
        }

    def draw(self, path: Path) -> None:
        """Draw all images side by side."""
        images, pixel_size_yx_A = self.images()
        panels = [Panel(name, image, pixel_size_yx_A[1]) for name, image in images.items()]
        save_picture(side_by_side(panels), path)


def _shots(star: Path, tables: Mapping[str, Path]) -> list[_Shot]:
    denoised = {name: restore.read_micrographs(table) for name, table in tables.items()}
    raw = restore.read_micrographs(star).micrographs
    return [
        _Shot(micrograph, {name: table.micrographs[index] for name, table in denoised.items()})
        for index, micrograph in enumerate(raw)
    ]


def _show_general(folder: Path, star: Path, table: Path) -> None:
    """Score and draw the general model's output for the micrographs before any training."""
    shots = _shots(star, {GENERAL: table})
    print(f"\nCorrelation with the truth, {RECIPE.max_resolution_A:g} Å and coarser, untrained:")
    _print_scores([shot.scores() for shot in shots])
    picture = folder / "demo_general.png"
    shots[0].draw(picture)
    print(f"\nLook at {picture}. Training starts from the general model.", flush=True)


def _compare(folder: Path, shots: Sequence[_Shot], held_out: Iterable[str]) -> int:
    """Score every micrograph against its truth, draw the pictures, and print the result."""
    scores = {shot.raw.name: shot.scores() for shot in shots}
    apart = [shot for shot in shots if shot.raw.name in set(held_out)]
    apart[0].draw(folder / "demo.png")
    _draw_curves(apart[0], folder / "demo_curves.png")
    write_text(folder / "scores.json", json.dumps(_as_json(scores), indent=2))
    print(
        f"\nCorrelation with the truth, {RECIPE.max_resolution_A:g} Å and coarser, on "
        f"{len(apart)} micrographs never trained on:"
    )
    means = _print_scores([scores[shot.raw.name] for shot in apart])
    print(
        f"\nOpen {folder / 'report.html'} in a browser; look at {folder / 'demo.png'} and "
        f"{folder / 'demo_curves.png'}"
    )
    trained = means[TRAINED]
    if trained.denoised <= max(trained.raw, trained.lowpass):
        print(
            "The network has not learned to beat a low-pass filter: something is wrong, or "
            "--steps is too small."
        )
        return 1
    return 0


def _print_scores(scores: Sequence[Mapping[str, TruthScore]]) -> dict[str, TruthScore]:
    """Print the mean correlations, and return them."""
    means = {name: _mean([of_shot[name] for of_shot in scores]) for name in scores[0]}
    first = next(iter(means.values()))
    rows = {"raw": first.raw, f"best low-pass filter ({first.lowpass_A:3.0f} Å)": first.lowpass}
    rows |= {name: mean.denoised for name, mean in means.items()}
    for name, correlation in rows.items():
        print(f"  {name:<29} {correlation:.3f}")
    return means


def _mean(scores: Sequence[TruthScore]) -> TruthScore:
    return TruthScore(
        raw=fmean(item.raw for item in scores),
        lowpass=fmean(item.lowpass for item in scores),
        lowpass_A=fmean(item.lowpass_A for item in scores),
        denoised=fmean(item.denoised for item in scores),
    )


def _as_json(scores: Mapping[str, Mapping[str, TruthScore]]) -> dict[str, dict[str, float]]:
    return {
        name: {
            "raw": of_shot[TRAINED].raw,
            "lowpass": of_shot[TRAINED].lowpass,
            "lowpass_A": of_shot[TRAINED].lowpass_A,
            "general": of_shot[GENERAL].denoised,
            "denoised": of_shot[TRAINED].denoised,
        }
        for name, of_shot in scores.items()
    }


def _draw_curves(shot: _Shot, path: Path) -> None:
    images, pixel_size_yx_A = shot.images()
    stack = torch.stack(list(images.values()))
    rings = ring_covariances(stack, pixel_size_yx_A, width_per_A=1 / 600)
    order, truth = list(images), len(images) - 1
    curves = {
        f"{name} with truth": rings.correlation(order.index(name), truth)[1:]
        for name in ("raw", TRAINED, GENERAL)
    }
    save_png(ring_curves(rings.frequency_per_A[1:], curves, _WHY_LOWER), path)
