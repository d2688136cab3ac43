"""``restore denoise``: every micrograph of a set, with a trained model."""

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from restore.allocator import keep_heap
from restore.checkpoint import Model, load_model
from restore.cli.options import add_settings, settings_from
from restore.cli.progress import Bar
from restore.cli.recipe import add_phaseflip_options, refuse_other_recipe
from restore.denoising import DenoisingSettings, merge_band
from restore.errors import UserError
from restore.io.atomic import require_writable, write_text
from restore.io.images import read_image
from restore.io.micrographs import (
    HALVES,
    MicrographSet,
    Needs,
    Part,
    Problem,
    check_files,
    denoised_star,
    parse_suffixes,
    read_micrographs,
)
from restore.io.star import StarFile, write_star
from restore.processes import pick_device
from restore.production import Job, Outcome, OutputSettings, fingerprints, is_current, plan, produce, without_denoised
from restore.provenance import as_json, provenance
from restore.report.figures import Panel, save_png, side_by_side

log = logging.getLogger(__name__)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore denoise``."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "--input_micrographs",
        "-m",
        required=True,
        metavar="STAR",
        help="RELION STAR file of micrographs, or MRC files as a quoted pattern",
    )
    group.add_argument("--model", "-p", type=Path, required=True, metavar="MODEL", help="model file from restore train")
    group.add_argument("--pixel_size", type=float, metavar="X", help="pixel size in Å, where there is no STAR file")
    group.add_argument(
        "--even_odd_suffix",
        metavar="FULL,EVEN,ODD",
        help="names of the halves, for --average_halves (default: DW,EVN,ODD)",
    )
    group.add_argument(
        "--device", default="auto", metavar="NAME", help="cpu, cuda, cuda:1 … (default: a GPU if there is one)"
    )
    checked = parser.add_argument_group("recipe (the model's own; checked where given)")
    checked.add_argument("--max_resolution", "-r", type=float, metavar="X", help="finest resolution, Å")
    add_phaseflip_options(checked, "correct the CTF's sign")
    add_settings(parser, "output", OutputSettings)
    add_settings(parser, "denoising", DenoisingSettings)


def run(namespace: argparse.Namespace) -> int:
    """Denoise what is missing or stale, write the STAR file; the exit status comes back."""
    output, settings = settings_from(namespace, OutputSettings), settings_from(namespace, DenoisingSettings)
    keep_heap()
    model = load_model(namespace.model)
    refuse_other_recipe(namespace, model.recipe, "the model")
    merge_band(settings, model.recipe.max_resolution_A)
    chosen = _read_set(namespace, model, settings)
    jobs = plan(chosen.micrographs, output, fingerprints(model, settings))
    star_path = _star_path(chosen, output)
    for folder in {star_path.parent, *(job.path.parent for job in jobs)}:
        require_writable(folder)
    model = replace(model, network=model.network.to(pick_device(namespace.device)))
    outcome = _denoise_all(jobs, model, namespace, settings)
    if outcome.names:
        made = provenance(settings, {"micrographs": chosen.source, "model": namespace.model, "output": output})
        _write_star(star_path, denoised_star(chosen, outcome.names), made)
        _draw(outcome, star_path.with_suffix(".png"))
        print(star_path)
    return _report(outcome)


def _draw(outcome: Outcome, path: Path) -> None:
    """A picture of the first micrograph that was denoised now, raw beside denoised; none where nothing was.

    One that cannot be written is no reason to call the work undone.
    """
    for job in outcome.done[:1]:
        images = {"raw": job.micrograph.image, "denoised": job.path}
        panels = [
            Panel(f"{title}: {image.name}", torch.from_numpy(read_image(image).data), job.micrograph.pixel_size_A)
            for title, image in images.items()
        ]
        try:
            save_png(side_by_side(panels), path)
        except UserError as error:
            log.warning("%s", error)


def _read_set(namespace: argparse.Namespace, model: Model, settings: DenoisingSettings) -> MicrographSet:
    suffixes = parse_suffixes(namespace.even_odd_suffix) if namespace.even_odd_suffix else None
    if settings.flip_phases_back and not model.recipe.phase_flip:
        log.warning("--flip_phases_back changes nothing: the model was made with --dont_phaseflip")
    needs = Needs(ctf=model.recipe.phase_flip, halves=settings.average_halves)
    try:
        return without_denoised(read_micrographs(namespace.input_micrographs, suffixes, namespace.pixel_size, needs))
    except UserError as error:
        do = error.do.replace("--dont_phaseflip", "a model made with --dont_phaseflip")
        raise UserError(error.found, where=error.where, wanted=error.wanted, do=do) from None


def _star_path(chosen: MicrographSet, output: OutputSettings) -> Path:
    """Where the output STAR goes: beside the input's, or at the top of the output folder. Never over the input."""
    source = Path(chosen.source)
    stem = source.stem if chosen.star else "micrographs"
    folder = output.output_directory or (source.parent if chosen.star else chosen.micrographs[0].image.parent)
    path = folder / f"{stem}{output.suffix}.star"
    if path.resolve() == source.resolve():
        raise UserError("the output STAR would replace the input's", where=path, do="give another --output_suffix")
    if path.exists() and not path.with_suffix(".settings.json").exists() and not output.overwrite:
        raise UserError(
            "a STAR file stands here that restore did not write",
            where=path,
            do="give another --output_suffix or --output_directory, or --overwrite",
        )
    return path


def _write_star(path: Path, star: StarFile, made: dict[str, Any]) -> None:
    """Write the STAR file, if it is not there as it is to be, and before it the record by which a rerun knows it."""
    if path.exists() and path.read_bytes() == star.text().encode("utf-8", "surrogateescape"):
        return
    write_text(path.with_suffix(".settings.json"), as_json(made) + "\n")
    write_star(path, star)


def _denoise_all(jobs: list[Job], model: Model, namespace: argparse.Namespace, settings: DenoisingSettings) -> Outcome:
    """What became of every job: those that are current are left, those whose files are bad are noted, the rest done."""
    needed: tuple[Part, ...] = ("image", *HALVES) if settings.average_halves else ("image",)
    _, problems = check_files([job.micrograph for job in jobs], needed)
    bad = {problem.micrograph.row: problem for problem in problems}
    current, to_do, failed = _sort(jobs, bad, getattr(namespace, "overwrite", False))
    if current:
        log.info("%d of %d micrographs are already denoised", len(current), len(jobs))
    if not to_do:
        return Outcome(up_to_date=current, failed=failed)
    with Bar(len(to_do), "micrographs", "denoising") as bar:
        outcome = produce(
            to_do, model, namespace.model.name, settings, lambda told: bar.to(len(told.done) + len(told.failed))
        )
    outcome.up_to_date.extend(current)
    outcome.failed[:0] = failed
    return outcome


def _sort(
    jobs: list[Job], bad: dict[int, Problem], overwrite: bool
) -> tuple[list[Job], list[Job], list[tuple[Job, str]]]:
    """The jobs that are done already, those to do, and those that cannot be done."""
    current: list[Job] = []
    to_do: list[Job] = []
    failed: list[tuple[Job, str]] = []
    for job in jobs:
        if job.micrograph.row in bad:
            failed.append((job, bad[job.micrograph.row].message))
        elif overwrite:
            to_do.append(job)
        else:
            (current if is_current(job) else to_do).append(job)
    return current, to_do, failed


def _report(outcome: Outcome) -> int:
    """Say what failed, and why; the exit status comes back."""
    if not outcome.failed:
        return 0
    total = len(outcome.failed) + len(outcome.names)
    print(f"{len(outcome.failed)} of {total} micrographs were not denoised:", file=sys.stderr)
    for job, reason in outcome.failed:
        print(f"  {job.micrograph.name}: {reason}", file=sys.stderr)
    return 1
