"""The half maps of each combination, and their measurements, each in one stage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from restore.io.atomic import write_text
from restore.io.denoised_mark import denoised_label
from restore.io.images.maps import read_map_header, write_map
from restore.io.particle_images import ParticleImages
from restore.io.relion.image_star import image_star
from restore.io.relion.optics import optics_table
from restore.io.star import write_star
from restore.maps.fsc import FSC, FSCSettings, ShellAxis, half_map_fsc
from restore.maps.fsc_inflation import agreements, inflation, with_spectrum_of
from restore.maps.guinier import GuinierSettings, TooFewShellsError, rotational_amplitudes
from restore.maps.map_model_fsc import looks_unfitted, map_model_fsc
from restore.maps.sharpening import (
    Sharpening,
    SharpenSettings,
    UnresolvedError,
    fsc_weight,
    sharpen,
)
from restore.particles.reconstruction.engines import chosen_engine, half_maps
from restore.particles.reconstruction.halves import ReconstructionSettings
from restore.provenance import as_json, provenance
from restore.quantities import Number
from restore.records import decoded, plain
from restore.report.figures import save_png
from restore.report.fsc_figure import fsc_figure
from restore.structure.combinations import Combination
from restore.structure.curves import bias, half_map_correlation, number, truth_correlation, values
from restore.structure.inputs import Bars
from restore.structure.records import Bias, Correlation, MapResult, Reconstruction
from restore.structure.settings import StructureSettings
from restore.structure.stages import REDO, Stage, Stages
from restore.structure.volumes import References, read_volume
from restore.symmetry import point_group
from restore.tables.fsc import fsc_star
from restore.version import __version__


@dataclass(frozen=True)
class MapFiles:
    """The files of one combination in the result's folder."""

    particles: Path
    half1: Path
    half2: Path
    mean: Path
    sharpened: Path
    fsc: Path
    figure: Path

    @property
    def halves(self) -> list[Path]:
        """Both half maps."""
        return [self.half1, self.half2]


def map_files(folder: Path, combination: Combination) -> MapFiles:
    """The paths of the results of a combination."""
    stem, maps = combination.name, folder / "maps"
    return MapFiles(
        particles=folder / "particles" / f"{stem}.star",
        half1=maps / f"{stem}_half1.mrc",
        half2=maps / f"{stem}_half2.mrc",
        mean=maps / f"{stem}.mrc",
        sharpened=maps / f"{stem}_sharpened.mrc",
        fsc=folder / "fsc" / f"{stem}.star",
        figure=folder / "fsc" / f"{stem}.png",
    )


def making(settings: StructureSettings, images: ParticleImages) -> ReconstructionSettings:
    """The reconstruction settings, the same for all combinations, with the engine that "auto"
    chooses for some of their images.

    The engine is chosen once and is part of what a map was made with, so that all maps on a page
    are made by one, also after a rerun where RELION is installed or no longer is.
    """
    how = ReconstructionSettings(
        settings.sym, settings.ctf, engine=settings.engine, seed=settings.seed
    )
    return replace(how, engine=chosen_engine(images, how))


def reconstruct(
    combination: Combination,
    how: ReconstructionSettings,
    folder: Path,
    stages: Stages,
    bars: Bars,
) -> MapFiles:
    """The half maps and their mean as MRC files, and the particles with these orientations as a
    STAR file; ``how`` is from :func:`making`.

    Raises
    ------
    UserError
        As :func:`image_star` and :func:`restore.particles.reconstruction.engines.half_maps`.
    """
    files, images = map_files(folder, combination), combination.particles
    star, signs = image_star(images), contrast(images)

    def work() -> Mapping[str, Any]:
        write_star(files.particles, star)
        with bars(len(images), "images", f"reconstructing {combination.name}") as bar:
            halves = half_maps(images, how, bar.to)
        origin = f"{combination.images} images, orientations refined on {combination.orientations}"
        label = f"restore {__version__} {origin}"[:80]
        labels = (
            denoised_label(f"particles: {origin}") if combination.images == "denoised" else label,
        )
        for path, volume in zip(
            (*files.halves, files.mean), (halves.first, halves.second, halves.mean), strict=True
        ):
            write_map(path, volume.numpy(), halves.voxel_size_A, labels=labels)
        record = provenance(how, {"particles": files.particles, "images": origin})
        write_text(files.mean.with_suffix(".settings.json"), as_json(record) + "\n")
        return {"counts": list(halves.counts), "engine": halves.engine}

    inputs = [*dict.fromkeys(images.paths)]
    made_with = [how, star.text(), _optics(images) if how.engine == "relion" else None, *signs]
    stages.run(
        Stage(f"reconstruct_{combination.name}", made_with, inputs, [*files.halves, files.mean]),
        work,
    )
    return files


def contrast(images: ParticleImages) -> list[int]:
    """The sign of inverted images, [-1], which their STAR file does not record; [] of others."""
    return [] if images.particles.contrast_sign == 1 else [-1]


def _optics(images: ParticleImages) -> tuple[str, Sequence[str]] | None:
    """The optics table of the images' file, whose aberrations RELION corrects, and each particle's
    group.
    """
    groups = images.particles.optics_groups
    table = optics_table(Path(images.particles.source)) if groups is not None else None
    return None if groups is None or table is None else (table.text(), groups)


def measure(
    combination: Combination,
    map_files_of: Mapping[str, MapFiles],
    against: References,
    settings: StructureSettings,
    stages: Stages,
) -> Reconstruction:
    """Everything measured of one map, except the amplitudes for the chart; the sharpened map, the
    FSC and its figure are written.

    Correlations under a mask are those of maps with the amplitudes of the raw map of the same
    orientations: the mask would mix the shells of a denoised map, whose amplitudes decay steeply
    (:func:`restore.maps.fsc_inflation.with_spectrum_of`).
    """
    files, raw = map_files_of[combination.name], map_files_of[f"raw_by_{combination.orientations}"]

    def work() -> Mapping[str, Any]:
        halves = _comparable_halves(files, raw, against)
        fsc = half_map_fsc(halves[:1], halves[1:], against.voxel_zyx_A, FSCSettings(), against.mask)
        mean = read_volume(files.mean)
        sharpening = _sharpened(mean, fsc, against, settings)
        _write(files, fsc, sharpening, against, combination.name)
        outputs = [files.fsc, files.figure, *([files.sharpened] if sharpening else [])]
        weight = 1 if against.mask is None else against.mask
        amplitudes = rotational_amplitudes(mean * weight, against.voxel_zyx_A)
        fit = sharpening.fit if sharpening else None
        correlations = _correlations(halves.mean(dim=0), against)
        result = MapResult(
            fsc=half_map_correlation(fsc),
            reference=values(fsc_weight(fsc.best)),
            model=correlations.get("model"),
            truth=correlations.get("truth"),
            mean_amplitude=values(amplitudes.amplitude),
            bfactor_A2=number(fit.bfactor_A2, fit.bfactor_error_A2) if fit else Number(),
            sharpened_by_A2=sharpening.bfactor_A2 if sharpening else None,
            files=tuple(stages.name_of(path) for path in outputs),
        )
        return plain(result)

    inputs = [*files.halves, files.mean, *raw.halves]
    stage = Stage(f"measure_{combination.name}", settings.bfactor, inputs, [], against.files)
    kept = stages.run(stage, work)
    result = decoded(MapResult, kept, stages.path_of(stage), "stage", REDO)
    return _reconstruction(combination, files, result, stages)


def _comparable_halves(
    files: MapFiles, raw: MapFiles, against: References
) -> Float[Tensor, "2 z y x"]:
    """The half maps; if they are to be masked, with the amplitudes of the raw half maps."""
    halves = torch.stack([read_volume(path) for path in files.halves])
    if against.mask is None or raw == files:
        return halves
    side = halves.shape[-1]
    axis = ShellAxis((side, side, side), against.voxel_zyx_A)
    return with_spectrum_of(torch.stack([read_volume(path) for path in raw.halves]), halves, axis)


def _reconstruction(
    combination: Combination, files: MapFiles, result: MapResult, stages: Stages
) -> Reconstruction:
    """The measurements of a map, with its description."""
    names = {
        "half1": files.half1,
        "half2": files.half2,
        "map": files.mean,
        "particles": files.particles,
        "fsc": files.fsc,
    }
    if stages.name_of(files.sharpened) in result.files:
        names["sharpened"] = files.sharpened
    return Reconstruction(
        fsc=result.fsc,
        reference=result.reference,
        model=result.model,
        truth=result.truth,
        mean_amplitude=result.mean_amplitude,
        bfactor_A2=result.bfactor_A2,
        sharpened_by_A2=result.sharpened_by_A2,
        images=combination.images,
        orientations=combination.orientations,
        particles=len(combination.particles),
        files={name: stages.name_of(path) for name, path in names.items()},
        amplitude=(),
    )


def measure_bias(
    raw: MapFiles, denoised: MapFiles, against: References, sym: str, stages: Stages
) -> Bias:
    """How much of the denoised half maps' agreement is supported by raw ones in the same
    orientations.
    """

    def work() -> Mapping[str, Any]:
        both = [
            torch.stack([read_volume(path) for path in files.halves]) for files in (raw, denoised)
        ]
        order = len(point_group(sym))
        agreement = agreements(both[0], both[1], against.voxel_zyx_A, against.mask, order)
        return plain(bias(inflation(agreement)))

    inputs = [*raw.halves, *denoised.halves]
    stage = Stage(f"bias_{denoised.mean.stem}", sym, inputs, [], against.files)
    return decoded(Bias, stages.run(stage, work), stages.path_of(stage), "stage", REDO)


def _correlations(mean: Float[Tensor, "z y x"], against: References) -> dict[str, Correlation]:
    """The map's correlations with the model and with the truth, as far as these are given."""
    correlations: dict[str, Correlation] = {}
    for name, reference in (("model", against.model), ("truth", against.truth)):
        if reference is not None:
            fsc = map_model_fsc(mean, reference.to(mean), against.voxel_zyx_A, against.mask)
            correlations[name] = truth_correlation(fsc, looks_unfitted(fsc))
    return correlations


def _sharpened(
    mean: Float[Tensor, "z y x"], fsc: FSC, against: References, settings: StructureSettings
) -> Sharpening | None:
    """The sharpened map; None if the halves do not agree, or too few shells have amplitudes."""
    try:
        return sharpen(
            mean,
            against.voxel_zyx_A,
            fsc,
            SharpenSettings(bfactor=settings.bfactor),
            GuinierSettings(),
        )
    except (UnresolvedError, TooFewShellsError):
        return None


def _write(
    files: MapFiles, fsc: FSC, sharpening: Sharpening | None, against: References, name: str
) -> None:
    write_star(files.fsc, fsc_star(fsc, str(files.half1), str(files.half2)))
    save_png(fsc_figure(fsc, name), files.figure)
    if sharpening is None:
        files.sharpened.unlink(missing_ok=True)  # an earlier run's, of another map
    else:
        labels = read_map_header(files.mean).labels[:9]
        label = f"restore {__version__} sharpened: B {sharpening.bfactor_A2:.1f} A2"
        write_map(
            files.sharpened, sharpening.volume.numpy(), against.voxel_A, labels=(*labels, label)
        )
