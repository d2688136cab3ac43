"""Fourier amplitudes of map files by resolution, and their B factors, with table and figure."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from restore.errors import UsageError, UserError
from restore.io.atomic import write_text
from restore.io.images.maps import MapHeader
from restore.io.outputs import output_paths
from restore.io.star import read_star, write_star
from restore.maps.fsc import Voxel
from restore.maps.guinier import (
    AmplitudeSpectrum,
    GuinierFit,
    GuinierSettings,
    TooFewShellsError,
    guinier_fit,
    on_one_scale,
    rotational_amplitudes,
)
from restore.postprocessing.map_files import (
    refuse_pixel_size,
    volume_header,
    volume_of,
    voxel_size_of,
)
from restore.provenance import as_json, provenance
from restore.report.figures import save_png
from restore.report.guinier_figure import amplitude_figure
from restore.tables.guinier import amplitudes_star

log = logging.getLogger(__name__)

_DEFAULT = GuinierSettings()


@dataclass(frozen=True)
class MapAmplitudes:
    """The amplitude spectrum of each map by name, and the Guinier fits of those that have one.

    ``resolution_A`` is that of the FSC, at which the fits end; None if no FSC was given.
    """

    maps: Mapping[str, MapHeader]
    voxel_sizes_zyx_A: Mapping[str, Voxel]
    spectra: Mapping[str, AmplitudeSpectrum]
    fits: Mapping[str, GuinierFit]
    resolution_A: float | None
    files: tuple[Path, ...]


def measure_amplitudes(
    maps: Sequence[Path],
    settings: GuinierSettings = _DEFAULT,
    *,
    names: Sequence[str] | None = None,
    pixel_size_A: float | None = None,
    fsc: Path | None = None,
    scale: bool = False,
    output: Path | None = None,
    overwrite: bool = False,
) -> MapAmplitudes:
    """The rotationally averaged amplitudes of maps, and a Guinier fit of each.

    ``fsc`` is a STAR file by :func:`restore.postprocessing.half_map_fsc.compare_half_maps` or
    ``relion_postprocess``, at whose resolution the fits end. ``scale`` brings all maps to the
    scale of the first. With ``output`` a STAR file, a figure and the settings are written.

    Raises
    ------
    UserError
        A file is missing or unreadable, names repeat, the maps cannot be scaled, or an output
        exists.
    """
    refuse_pixel_size(pixel_size_A)
    labels = _labels(maps, names)
    outputs = output_paths(output, ".star", [".png", ".settings.json"], overwrite)
    resolution_A = None if fsc is None else _stated_resolution_A(fsc)
    headers = {label: volume_header(path) for label, path in zip(labels, maps, strict=True)}
    voxels_A = {label: voxel_size_of([headers[label]], pixel_size_A) for label in labels}
    spectra = {
        label: rotational_amplitudes(volume_of(header), voxels_A[label])
        for label, header in headers.items()
    }
    spectra = _on_scale_of_first(spectra) if scale else spectra
    fits = _fits(spectra, settings, resolution_A)
    if outputs:
        star, figure, record = outputs
        inputs = {"maps": list(maps), "voxel_sizes_zyx_A": list(voxels_A.values())}
        made_with = provenance(settings, {**inputs, "fsc": fsc, "scale": scale})
        write_text(record, as_json(made_with) + "\n")
        write_star(star, amplitudes_star(spectra, fits))
        save_png(amplitude_figure(spectra, fits), figure)
    return MapAmplitudes(headers, voxels_A, spectra, fits, resolution_A, tuple(outputs[:2]))


def _labels(paths: Sequence[Path], names: Sequence[str] | None) -> list[str]:
    """A name for each map: the given ones, else the file names, or the paths if two files have the
    same name.
    """
    if names is not None:
        if len(names) != len(paths) or len(set(names)) != len(names):
            raise UsageError(
                f"there are {len(paths)} maps but {len(set(names))} different names",
                wanted="Each map needs its own name",
            )
        return list(names)
    labels = [path.name for path in paths]
    labels = labels if len(set(labels)) == len(labels) else [str(path) for path in paths]
    if len(set(labels)) < len(labels):
        raise UsageError(
            "one map is given twice",
            wanted="Each map needs its own name",
            do="leave one out, or give `names`",
        )
    return labels


def _stated_resolution_A(path: Path) -> float:
    """The resolution that the STAR file of an FSC states."""
    block = read_star(path).block("general")
    if block is None or "rlnFinalResolution" not in block.columns:
        problem = "it has no rlnFinalResolution in data_general"
        raise UserError(
            problem, where=path, wanted="An FSC by restore fsc or relion_postprocess is needed"
        )
    text = block.column("rlnFinalResolution")[0]
    try:
        return float(text)
    except ValueError:
        raise UserError(
            f'rlnFinalResolution is "{text}"',
            where=f"{path}, data_general",
            wanted="A resolution in Å is needed",
        ) from None


def _on_scale_of_first(spectra: Mapping[str, AmplitudeSpectrum]) -> dict[str, AmplitudeSpectrum]:
    reference = next(iter(spectra.values()))
    try:
        return {name: on_one_scale(spectrum, reference) for name, spectrum in spectra.items()}
    except TooFewShellsError as error:
        raise UserError(
            str(error), wanted="`scale` compares the maps in this range", do="leave `scale` out"
        ) from error


def _fits(
    spectra: Mapping[str, AmplitudeSpectrum],
    settings: GuinierSettings,
    resolution_A: float | None,
) -> dict[str, GuinierFit]:
    """The fit of each map with enough shells; a warning names the others."""
    fits: dict[str, GuinierFit] = {}
    for name, spectrum in spectra.items():
        to_A = settings.fit_to or resolution_A or 1 / float(spectrum.frequency_per_A[-1])
        try:
            fits[name] = guinier_fit(spectrum, settings.fit_from, to_A)
        except TooFewShellsError as error:
            log.warning(
                "%s: no line is fitted: there are %s. Give another `fit_from` or `fit_to`",
                name,
                error,
            )
    return fits
