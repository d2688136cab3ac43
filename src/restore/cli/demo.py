"""``restore demo``: from nothing to a finished, measured result in minutes."""

import argparse
import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from statistics import fmean

import torch

import restore
from restore.cli.evaluate import print_evaluation
from restore.cli.progress import Bar, LateBar
from restore.cli.results import report_failures
from restore.cli.train import show_training
from restore.evaluation.estimators.spectra import ring_covariances
from restore.evaluation.estimators.truth import TruthScore, score
from restore.image_tensors import read_tensor
from restore.io.atomic import write_text
from restore.io.micrographs import MicrographSet, read_micrographs
from restore.micrograph import Micrograph
from restore.model.checkpoint import Model, load_model
from restore.preprocessing import Recipe, common_blank_pixels, prepare_masked
from restore.report.figures import ring_curves, save_png
from restore.report.panels import Panel, save_picture, side_by_side
from restore.runtime.memory import keep_heap

RESOLUTION_A = 9
_WHY_LOWER = (
    "Each ring is judged by itself: how rings are weighted against each other, which\nis how a "
    "filter gains, does not count. Where the denoised line lies below the raw\none, the network "
    "lost or changed signal."
)
SESSION = restore.SimulationSettings(micrographs=8, size_px=(1536,), pixel_size_A=1.5)
HELD_OUT = 0.25


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
    """Simulate, train, denoise, evaluate without the truth, then compare with it; returns the exit
    status.
    """
    keep_heap()
    folder: Path = namespace.folder
    with LateBar("micrographs", "simulating") as bar:
        star = restore.simulate(folder, SESSION, overwrite=namespace.overwrite, progress=bar.to)
    model = folder / "Models/demo.safetensors"
    _train(folder, star, namespace.steps, namespace.overwrite)
    output = restore.OutputSettings(overwrite=namespace.overwrite)
    denoised = restore.denoise_set(star, model, output=output, bars=Bar)
    if denoised.failed:
        return report_failures(denoised.failed.items(), denoised.total, "denoised")
    evaluated = restore.evaluate(star, model, output_directory=folder / "evaluation", bars=Bar)
    print_evaluation(evaluated)
    if evaluated.failed:
        return report_failures(evaluated.failed, evaluated.total, "evaluated")
    restore.write_report(folder / "evaluation", folder / "report.html")
    return _compare(folder, star)


def _train(folder: Path, star: Path, steps: int, overwrite: bool) -> None:
    patches = folder / "training_data.hdf"
    with LateBar("micrographs", "preparing") as bar:
        recipe = restore.Recipe(max_resolution_A=RESOLUTION_A)
        restore.make_patches(star, patches, recipe, overwrite=overwrite, progress=bar.to)
    with LateBar("", "training") as bar:
        restore.train(
            settings={"held_out": HELD_OUT},
            steps=steps,
            patch_file=patches,
            model_directory=folder / "Models",
            model_prefix="demo",
            overwrite=overwrite,
            progress=partial(show_training, bar),
        )


def _compare(folder: Path, star: Path) -> int:
    """Score every micrograph against its truth, draw the pictures, and say how it went."""
    model = load_model(folder / "Models/demo.safetensors")
    raw, denoised = (
        read_micrographs(str(star)),
        read_micrographs(str(star.with_name("micrographs_ctf_denoised.star"))),
    )
    scores = _scores(raw, denoised, model)
    held_out = [scores[name] for name in model.training["held_out"]]
    mean = TruthScore(
        *(
            fmean(getattr(truth_score, name) for truth_score in held_out)
            for name in asdict(held_out[0])
        )
    )
    shown = next(
        micrograph
        for micrograph in raw.micrographs
        if micrograph.name in model.training["held_out"]
    )
    _draw(folder, shown, denoised.micrographs[shown.row], model.recipe)
    write_text(
        folder / "scores.json",
        json.dumps({name: asdict(result) for name, result in scores.items()}, indent=2),
    )
    print(
        f"\nCorrelation with the truth, {RESOLUTION_A} Å and coarser, on {len(held_out)} "
        "micrographs never trained on:"
    )
    print(f"  raw                           {mean.raw:.3f}")
    print(f"  best low-pass filter ({mean.lowpass_A:3.0f} Å)   {mean.lowpass:.3f}")
    print(f"  denoised                      {mean.denoised:.3f}")
    print(
        f"\nOpen {folder / 'report.html'} in a browser; look at {folder / 'demo.png'} and "
        f"{folder / 'demo_curves.png'}"
    )
    if mean.denoised <= max(mean.raw, mean.lowpass):
        print(
            "The network has not learned to beat a low-pass filter: something is wrong, or "
            "--steps is too small."
        )
        return 1
    return 0


def _scores(raw: MicrographSet, denoised: MicrographSet, model: Model) -> dict[str, TruthScore]:
    scores: dict[str, TruthScore] = {}
    for before, after in zip(raw.micrographs, denoised.micrographs, strict=True):
        images, pixel_size_yx_A = _on_one_grid(before, after, model.recipe)
        scores[before.name] = score(images[0], images[1], images[2], pixel_size_yx_A)
    return scores


def _on_one_grid(
    before: Micrograph, after: Micrograph, recipe: Recipe
) -> tuple[torch.Tensor, tuple[float, float]]:
    """Truth, raw and denoised as the network sees images; the denoised one has its phases flipped
    already.
    """
    truth = before.image.with_name(before.image.name.replace("_DW", "_TRUTH"))
    flipped = Recipe(recipe.max_resolution_A, phase_flip=False)
    images = [read_tensor(path) for path in (truth, before.image, after.image)]
    blank = common_blank_pixels([images[1]])  # only the raw image has noise to tell it by
    seen = [
        prepare_masked([image], before.pixel_size_A, before.ctf, how, blank)[0]
        for image, how in zip(images, (recipe, recipe, flipped), strict=True)
    ]
    return torch.stack([view.image for view in seen]), seen[0].grid.pixel_size_yx_A


def _draw(folder: Path, before: Micrograph, after: Micrograph, recipe: Recipe) -> None:
    images, pixel_size_yx_A = _on_one_grid(before, after, recipe)
    titles = ("truth", "raw", "denoised")
    panels = [
        Panel(title, image, pixel_size_yx_A[1]) for title, image in zip(titles, images, strict=True)
    ]
    save_picture(side_by_side([panels[1], panels[2], panels[0]]), folder / "demo.png")
    rings = ring_covariances(images, pixel_size_yx_A, width_per_A=1 / 600)
    curves = {
        "raw with truth": rings.correlation(0, 1)[1:],
        "denoised with truth": rings.correlation(0, 2)[1:],
    }
    figure = ring_curves(rings.frequency_per_A[1:], curves, _WHY_LOWER)
    save_png(figure, folder / "demo_curves.png")
