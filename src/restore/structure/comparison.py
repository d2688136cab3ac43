"""Comparison of two structures, from files to ``structure.json``, maps, curves and one page:
everything in Figure S2.
"""

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import torch

from restore.commands import CommandLine, Field
from restore.io.atomic import write_text
from restore.maps.ball import independent_share
from restore.maps.fsc import ShellAxis
from restore.maps.guinier import AmplitudeSpectrum, TooFewShellsError, on_one_scale
from restore.provenance import provenance
from restore.quantities import rounded_values
from restore.records import record_text
from restore.report.structure_page import structure_page
from restore.report.structure_words import CAUTION, summary, warnings
from restore.structure.combinations import ComparisonSet
from restore.structure.evidence import differences, independent_samples
from restore.structure.inputs import Bars, read_comparison_set
from restore.structure.orientations import orientations
from restore.structure.pictures import draw, residues_of
from restore.structure.reconstructions import (
    MapFiles,
    making,
    measure,
    measure_bias,
    reconstruct,
)
from restore.structure.records import (
    FILE,
    FILE_NAME,
    Bias,
    ParticleSet,
    Reconstruction,
    ResLog,
    Structure,
)
from restore.structure.reslog import reslog
from restore.structure.settings import StructureInputs, StructureSettings
from restore.structure.stages import Stages
from restore.structure.volumes import References, box_mask, model_density, read_truth
from restore.structure.warnings import warnings_of_particles
from restore.symmetry import point_group

log = logging.getLogger(__name__)

PAGE_NAME = "structure.html"


def compare_structures(
    inputs: StructureInputs,
    settings: StructureSettings,
    folder: Path,
    bars: Bars,
    overwrite: bool = False,
    *,
    as_typed: Callable[[CommandLine], str] = str,
) -> Structure:
    """Extract, reconstruct, measure, and write everything into a folder; returns the record in
    ``structure.json``.

    Existing stages that were made from the same files with the same settings are kept. ``as_typed``
    gives the text of each command shown on the page, with options in place of fields.

    Raises
    ------
    UserError
        An input is missing or does not fit.
    """
    group = point_group(settings.sym)  # an unknown group is rejected before any work
    stages = Stages(folder, overwrite)
    particles = read_comparison_set(inputs, settings, folder, stages, bars)
    messages = list(warnings_of_particles(particles))
    against = _references(inputs, particles)
    residues = residues_of(inputs, settings)
    how = making(settings, particles.images["raw"])
    files = {
        combination.name: reconstruct(combination, how, folder, stages, bars)
        for combination in particles.combinations
    }
    maps = {
        combination.name: measure(combination, files, against, settings, stages)
        for combination in particles.combinations
    }
    axis = _axis(particles)
    maps = _on_one_scale(maps, axis, cut_alike=inputs.denoised_micrographs is not None)
    angles = orientations(particles, inputs, settings, folder, stages)
    messages += warnings(angles, maps["raw_by_raw"])
    for message in messages:
        log.warning("%s", message)
    pictures = draw(files, against, residues, settings, (stages, folder))
    structure = Structure(
        provenance=provenance(settings, vars(inputs)),
        particles=ParticleSet(len(particles), particles.way),
        symmetry=settings.sym.upper(),
        box_px=axis.shape[0],
        pixel_size_A=against.voxel_A,
        frequency_per_A=tuple(round(frequency, 8) for frequency in axis.frequency_per_A.tolist()),
        reconstructions=maps,
        bias=_biases(files, against, settings.sym, stages),
        reslog=_reslog(particles, settings, folder, (stages, bars)),
        angles=angles,
        views=pictures.views,
        regions=pictures.regions,
        commands=_commands(files, inputs, settings, as_typed),
        cautions=(CAUTION,),
        warnings=tuple(messages),
        differences=differences(maps, _samples(axis, against, len(group))),
    )
    structure = replace(structure, summary=tuple(summary(structure)))
    write_text(folder / FILE_NAME, record_text(structure, FILE))
    write_text(folder / PAGE_NAME, structure_page(structure, folder))
    return structure


def _axis(particles: ComparisonSet) -> ShellAxis:
    side, voxel_A = particles.images["raw"].box_px, particles.images["raw"].pixel_size_A
    return ShellAxis((side, side, side), (voxel_A, voxel_A, voxel_A))


def _samples(axis: ShellAxis, against: References, order: int) -> torch.Tensor:
    """The number of independent values in each shell of the maps, of a group of this order."""
    kept = independent_share(axis.shape[0], against.mask)
    return independent_samples(axis.shape[0], against.voxel_A, order, kept)


def _references(inputs: StructureInputs, particles: ComparisonSet) -> References:
    """Mask, model and truth on the grid of the maps; any that do not fit are rejected before
    anything is reconstructed.
    """
    images = particles.images["raw"]
    side, voxel_A = images.box_px, images.pixel_size_A
    return References(
        voxel_A,
        box_mask(inputs.mask, side, voxel_A),
        model_density(inputs.model, side, voxel_A) if inputs.model else None,
        read_truth(inputs.truth_map, side, voxel_A) if inputs.truth_map else None,
        _files_by_role(inputs),
    )


def _files_by_role(inputs: StructureInputs) -> dict[str, Path]:
    """The files of the references, by the field that names them."""
    files = {"mask": inputs.mask, "model": inputs.model, "truth_map": inputs.truth_map}
    return {role: path for role, path in files.items() if path}


def _on_one_scale(
    maps: Mapping[str, Reconstruction], axis: ShellAxis, cut_alike: bool
) -> dict[str, Reconstruction]:
    """The maps with the amplitudes to be drawn: 1 in the raw map's first shell.

    Images extracted in the same way have the same scale; others are scaled to it if their coarse
    shells allow.
    """
    spectra = {
        name: AmplitudeSpectrum(axis.frequency_per_A, _amplitudes(reconstruction))
        for name, reconstruction in maps.items()
    }
    first = spectra["raw_by_raw"]
    scaled: dict[str, Reconstruction] = {}
    for name, reconstruction in maps.items():
        spectrum = spectra[name]
        if not cut_alike and name != "raw_by_raw":
            try:
                spectrum = on_one_scale(spectrum, first)
            except TooFewShellsError as error:
                log.warning("the amplitudes of %s are not scaled: there are %s", name, error)
        amplitude = (spectrum.amplitude / first.amplitude[1])[1:]
        scaled[name] = replace(
            reconstruction, amplitude=(None, *rounded_values(amplitude.tolist()))
        )
    return scaled


def _amplitudes(reconstruction: Reconstruction) -> torch.Tensor:
    amplitudes = [math.nan if value is None else value for value in reconstruction.mean_amplitude]
    return torch.tensor(amplitudes)


def _biases(
    files: Mapping[str, MapFiles], against: References, sym: str, stages: Stages
) -> dict[str, Bias]:
    """The bias shared by the denoised halves, for the orientations of each refinement."""
    biases: dict[str, Bias] = {}
    for by in ("raw", "denoised"):
        if f"denoised_by_{by}" in files:
            biases[by] = measure_bias(
                files[f"raw_by_{by}"], files[f"denoised_by_{by}"], against, sym, stages
            )
    return biases


def _reslog(
    particles: ComparisonSet, settings: StructureSettings, folder: Path, run: tuple[Stages, Bars]
) -> dict[str, ResLog]:
    """ResLog of raw images by their own orientations, and of denoised images by theirs, or else by
    the raw ones'.
    """
    own = "denoised_by_denoised" if "denoised" in particles.refinements else "denoised_by_raw"
    chosen = [
        combination
        for combination in particles.combinations
        if combination.name in ("raw_by_raw", own)
    ]
    return reslog(chosen, settings, folder, *run)


def _commands(
    files: Mapping[str, MapFiles],
    inputs: StructureInputs,
    settings: StructureSettings,
    as_typed: Callable[[CommandLine], str],
) -> dict[str, str]:
    """For each row of the page, the command that makes this row alone."""
    mask = (Field("mask"), inputs.mask) if inputs.mask else ()
    sym, model = (Field("sym"), settings.sym), (Field("model"), inputs.model)
    own = "denoised_by_denoised" if "denoised_by_denoised" in files else "denoised_by_raw"
    first, other = files["raw_by_raw"], files[own]
    view = (first.mean, other.mean, *mask)
    commands = {
        "fsc": CommandLine("fsc", *first.halves, *mask),
        "views": CommandLine("view", *view, Field("output"), "view.html"),
        "amplitudes": CommandLine("amplitudes", *(file.mean for file in files.values())),
    }
    if settings.reslog_sizes:
        commands["reslog"] = CommandLine("reslog", first.particles, other.particles, *sym)
    if inputs.model:
        commands["model"] = CommandLine("fsc", first.mean, *model, *mask)
        region = (Field("region"), *settings.region) if settings.region else ()
        page = (Field("output"), "regions.html")
        commands["regions"] = CommandLine("view", *view, *model, *region, *page)
    if inputs.denoised_particles and "raw_by_denoised" in files:
        refinements = (inputs.raw_particles, inputs.denoised_particles)
        commands["angles"] = CommandLine("angles", *refinements, *sym)
    return {name: as_typed(line) for name, line in commands.items()}
