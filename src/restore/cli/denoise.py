"""``restore denoise``: every micrograph of a set, with a trained model."""

import argparse
import logging
from pathlib import Path

import torch

from restore.cli.job import add_job_options, settle
from restore.cli.options import (
    add_device_option,
    add_pixel_size_option,
    add_settings,
    settings_from,
)
from restore.cli.progress import Bar
from restore.cli.recipe import add_phaseflip_options, refuse_other_recipe, typed_recipe
from restore.cli.results import refuse_foreign, report_failures, write_table
from restore.denoising.batch import (
    Job,
    OutputSettings,
    fingerprints,
    is_current,
    plan,
    produce,
    without_denoised,
    written_names,
)
from restore.denoising.denoise import Denoiser, DenoisingSettings, denoiser_for, merge_band
from restore.errors import UserError
from restore.io.atomic import require_writable
from restore.io.images.image import read_image
from restore.io.micrographs import (
    HALVES,
    MicrographSet,
    Needs,
    Part,
    check_files,
    parse_suffixes,
    read_micrographs,
)
from restore.io.relion.job import write_output_node
from restore.model.checkpoint import Model, load_model
from restore.model.general import GENERAL_MODEL_PATH, load_general_model
from restore.provenance import provenance
from restore.report.panels import Panel, save_picture, side_by_side
from restore.runtime.distributed import Place, join_processes
from restore.runtime.jobs import Outcome
from restore.runtime.memory import keep_heap

log = logging.getLogger(__name__)


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore denoise``."""
    group = parser.add_argument_group("input")
    group.add_argument(
        "--input_micrographs",
        "-m",
        "--in_mics",
        required=True,
        metavar="STAR",
        help="RELION STAR, cryoSPARC .cs or .csg, or images as a quoted pattern",
    )
    group.add_argument(
        "--model",
        "-p",
        type=Path,
        metavar="MODEL",
        help="model file from restore train (default: the general model that comes with restore)",
    )
    add_pixel_size_option(group)
    group.add_argument(
        "--even_odd_suffix",
        metavar="FULL,EVEN,ODD",
        help="names of the halves, for --average_halves (default: DW,EVN,ODD)",
    )
    add_device_option(group)
    add_job_options(group)
    checked = parser.add_argument_group(
        "recipe (a model's own, checked where given; the general model is used with this one)"
    )
    checked.add_argument(
        "--max_resolution", "-r", type=float, metavar="X", help="finest resolution, Å"
    )
    add_phaseflip_options(checked, "correct the CTF's sign")
    add_settings(parser, "output", OutputSettings, leave_out=("within_job",))
    add_settings(parser, "denoising", DenoisingSettings)


def run(namespace: argparse.Namespace) -> int:
    """Denoise what is missing or stale, list it; the exit status comes back."""
    settle(namespace)
    output, settings = (
        settings_from(namespace, OutputSettings),
        settings_from(namespace, DenoisingSettings),
    )
    keep_heap()
    model = _model(namespace)
    merge_band(settings, model.recipe.max_resolution_A)
    chosen = _read_set(namespace, model, settings)
    jobs = plan(chosen.micrographs, output, fingerprints(model, settings))
    listing = _listing_path(chosen, output)
    planned = chosen.listing.denoised(
        listing, {job.micrograph.row: job.written_name for job in jobs}
    )
    refuse_foreign(
        planned, listing, output.overwrite, "give another --output_suffix or --output_directory"
    )
    for folder in {each.parent for each in (*planned, *(job.path for job in jobs))}:
        require_writable(folder)
    with join_processes(namespace.device) as place:
        outcome = _denoise_all(jobs, denoiser_for(model, settings, place.device), namespace, place)
        if not place.leads:
            return 0
    names = written_names(outcome)
    if names:
        made = provenance(
            settings,
            {"micrographs": chosen.source, "model": _model_path(namespace), "output": output},
        )
        write_table(listing, chosen.listing.denoised(listing, names), made)
        _draw(outcome, listing.with_suffix(".png"))
        if namespace.job_folder is not None:
            write_output_node(namespace.job_folder, listing, chosen.source)
        print(listing)
    return report_failures(outcome, "denoised")


def _model(namespace: argparse.Namespace) -> Model:
    """The model that was named, or the general one for the recipe that was typed."""
    if namespace.model is None:
        log.info("no model is named: the general one is taken, which has not seen these images")
        return load_general_model(typed_recipe(namespace))
    model = load_model(namespace.model)
    refuse_other_recipe(namespace, model.recipe, "the model")
    return model


def _model_path(namespace: argparse.Namespace) -> Path:
    return namespace.model or GENERAL_MODEL_PATH


def _draw(outcome: Outcome[Job], path: Path) -> None:
    """A picture of the first micrograph that was denoised now, raw beside denoised; none where
    nothing was.

    One that cannot be written is no reason to call the work undone.
    """
    for job in outcome.done[:1]:
        images = {"raw": job.micrograph.image, "denoised": job.path}
        panels = [
            Panel(
                f"{title}: {image.name}",
                torch.from_numpy(read_image(image).data),
                job.micrograph.pixel_size_A,
            )
            for title, image in images.items()
        ]
        try:
            save_picture(side_by_side(panels), path)
        except UserError as error:
            log.warning("%s", error)


def _read_set(
    namespace: argparse.Namespace, model: Model, settings: DenoisingSettings
) -> MicrographSet:
    suffixes = parse_suffixes(namespace.even_odd_suffix) if namespace.even_odd_suffix else None
    if settings.flip_phases_back and not model.recipe.phase_flip:
        log.warning("--flip_phases_back changes nothing: the model was made with --dont_phaseflip")
    needs = Needs(ctf=model.recipe.phase_flip, halves=settings.average_halves)
    try:
        return without_denoised(
            read_micrographs(namespace.input_micrographs, suffixes, namespace.pixel_size, needs)
        )
    except UserError as error:
        do = error.do.replace("--dont_phaseflip", "a model made with --dont_phaseflip")
        raise UserError(error.found, where=error.where, wanted=error.wanted, do=do) from None


def _listing_path(chosen: MicrographSet, output: OutputSettings) -> Path:
    """Where the output's table goes: beside the input's, or at the top of the output folder. Never
    over the input.
    """
    source = Path(chosen.source)
    stem = source.stem if chosen.is_listed else "micrographs"
    folder = output.output_directory or (
        source.parent if chosen.is_listed else chosen.micrographs[0].image.parent
    )
    path = folder / f"{stem}{output.suffix}{chosen.listing.ending}"
    if path.resolve() == source.resolve():
        found = f"the output {chosen.listing.ending[1:].upper()} would replace the input's"
        raise UserError(found, where=path, do="give another --output_suffix")
    return path


def _denoise_all(
    jobs: list[Job], denoiser: Denoiser, namespace: argparse.Namespace, place: Place
) -> Outcome[Job]:
    """What became of every job: those that are current are left, those whose files are bad are
    noted, the rest done.

    Every process does its share of the rest and learns what became of all.
    """
    needed: tuple[Part, ...] = (
        ("image", *HALVES) if denoiser.settings.average_halves else ("image",)
    )
    _, problems = check_files([job.micrograph for job in jobs], needed)
    bad = {problem.micrograph.row: problem.message for problem in problems}
    outcome = Outcome[Job](
        failed=[(job, bad[job.micrograph.row]) for job in jobs if job.micrograph.row in bad]
    )
    good = [job for job in jobs if job.micrograph.row not in bad]
    to_do = _stale(good, getattr(namespace, "overwrite", False), place)
    by_row = {job.micrograph.row: job for job in to_do}
    outcome.up_to_date = [job for job in good if job.micrograph.row not in by_row]
    if outcome.up_to_date and place.leads:
        log.info("%d of %d micrographs are already denoised", len(outcome.up_to_date), len(jobs))
    mine = _produce(
        to_do[place.rank :: place.world_size], denoiser, _model_path(namespace).name, place
    )
    outcome.done = [by_row[row] for row in place.gather([job.micrograph.row for job in mine.done])]
    failed = place.gather([(job.micrograph.row, reason) for job, reason in mine.failed])
    outcome.failed += [(by_row[row], reason) for row, reason in failed]
    return outcome


def _stale(jobs: list[Job], overwrite: bool, place: Place) -> list[Job]:
    """The jobs that have no current output; the same in every process, whatever another has
    finished meanwhile.
    """
    stale = set(
        place.gather([job.micrograph.row for job in jobs if overwrite or not is_current(job)])
    )
    return [job for job in jobs if job.micrograph.row in stale]


def _produce(jobs: list[Job], denoiser: Denoiser, model_name: str, place: Place) -> Outcome[Job]:
    """What became of this process's share; the leading process's bar tells of its own."""
    if not jobs:
        return Outcome[Job]()
    if not place.leads:
        return produce(jobs, denoiser, model_name, lambda _: None)
    with Bar(len(jobs), "micrographs", "denoising") as bar:
        return produce(
            jobs, denoiser, model_name, lambda told: bar.to(len(told.done) + len(told.failed))
        )
