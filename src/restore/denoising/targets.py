"""The paths of denoised micrographs, and the fingerprint by which a rerun recognises a
current one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from restore.denoising.denoise import OUTPUT_VERSION
from restore.denoising.settings import DenoisingSettings
from restore.errors import UserError
from restore.io.endings import split_ending
from restore.io.labels import fingerprint_label, fingerprint_of
from restore.io.listings import WrittenImage
from restore.io.paths import mirrored
from restore.io.relion.job import names_within_job
from restore.micrograph import Micrograph
from restore.model.calibration import CALIBRATION_VERSION
from restore.model.checkpoint import Model
from restore.preprocessing import PREPARATION_VERSION, SOFT_EDGE
from restore.runtime.jobs import Job, fingerprint, refuse_clashes
from restore.settings import setting
from restore.version import __version__

ELSEWHERE = "give another `output_suffix` or `output_directory`"


@dataclass(frozen=True)
class OutputSettings:
    """Where denoised images are written. Each field is an option of ``restore denoise``."""

    output_suffix: str | None = setting(
        None,
        (
            'suffix added to each name (default: "_denoised" beside the input, none under '
            "`output_directory`)"
        ),
        "-s",
    )
    output_directory: Path | None = setting(
        None, "folder for the output, which mirrors the folders of the input", "-o"
    )
    overwrite: bool = setting(
        False, "denoise all images again, and replace files that restore did not write"
    )
    picture: bool = setting(False, "save a picture of raw beside denoised for a single image too")
    replace_raw: bool = setting(
        False,
        "in cryoSPARC tables, write denoised images in place of the raw ones (micrograph_blob) "
        "instead of beside them (micrograph_blob_denoised)",
    )
    within_job: bool = setting(
        False, "name images as RELION's own jobs do, without the folder of the job before"
    )

    @property
    def suffix(self) -> str:
        """The suffix of each name."""
        if self.output_suffix is None:
            return "" if self.output_directory else "_denoised"
        return self.output_suffix


@dataclass(frozen=True)
class Target:
    """A micrograph and its denoised image: the path, and the name for a STAR file."""

    micrograph: Micrograph
    path: Path
    written_name: str

    @property
    def written(self) -> WrittenImage:
        """The denoised image as a table lists it."""
        return WrittenImage(self.path, self.written_name)


def plan(
    micrographs: Sequence[Micrograph],
    output: OutputSettings,
    made_with: Callable[[Micrograph], object],
    uses_halves: Callable[[Micrograph], bool] | None = None,
) -> list[Job[Target]]:
    """The jobs of a set; ``made_with`` is everything that determines an image besides its input
    files, which include its halves if ``uses_halves``.

    Raises UserError if an output would replace an input or another output.
    """
    if "/" in output.suffix:
        raise UserError(
            f'"{output.suffix}" holds a slash',
            field="output_suffix",
            wanted="it is put after each file's name",
            do="give the folder as `output_directory`",
        )
    names = [micrograph.name for micrograph in micrographs]
    places = names_within_job(names) if output.within_job else names
    jobs: list[Job[Target]] = []
    for micrograph, place in zip(micrographs, places, strict=True):
        target = target_of(micrograph, Path(place), output)
        read = [micrograph.image]
        if uses_halves and uses_halves(micrograph):
            read += [half for half in (micrograph.even, micrograph.odd) if half]
        digest = fingerprint(made_with(micrograph), read, target.path.parent)
        jobs.append(Job(target, micrograph.name, (target.path,), digest))
    inputs = (
        path
        for micrograph in micrographs
        for path in (micrograph.image, micrograph.even, micrograph.odd)
        if path
    )
    refuse_clashes(jobs, inputs, "output for", ELSEWHERE)
    return jobs


def target_of(micrograph: Micrograph, name: Path, output: OutputSettings) -> Target:
    """The denoised image of a micrograph that is called ``name`` in the output."""
    new_name = f"{split_ending(name.name)[0]}{output.suffix}.mrc"
    if output.output_directory is None:
        path = micrograph.image.with_name(new_name)
        return Target(micrograph, path, str(name.with_name(new_name)))
    path = mirrored(output.output_directory, name.with_name(new_name))
    return Target(micrograph, path, str(path))


def made_with(model: Model, settings: DenoisingSettings) -> Callable[[Micrograph], object]:
    """A function that returns everything, except the images, that determines a micrograph's
    denoised image.
    """
    shared = common_to_all(model, settings)
    return lambda micrograph: [shared, micrograph.pixel_size_A, micrograph.ctf]


def common_to_all(model: Model, settings: DenoisingSettings) -> list[object]:
    """What determines every denoised image of a set, of micrographs or of particles: the model,
    the settings, and the versions of the arithmetic that they use.
    """
    calibration = None if settings.calibration == "none" else CALIBRATION_VERSION
    unaffected = replace(settings, tile_px=0)
    versions = [PREPARATION_VERSION, SOFT_EDGE, calibration, OUTPUT_VERSION]
    return [versions, model.digest(), unaffected]


def written_images(jobs: Iterable[Job[Target]]) -> dict[int, WrittenImage]:
    """The denoised image of each row that these jobs cover."""
    return {job.subject.micrograph.row: job.subject.written for job in jobs}


def labels(job: Job[Any], model_name: str) -> list[str]:
    """The labels of an output's header: program, version, model, and the fingerprint for reruns."""
    ascii_name = model_name.encode("ascii", "replace").decode()
    return [
        f"restore {__version__} denoised with {ascii_name}"[:80],
        fingerprint_label(job.fingerprint),
    ]


def fingerprint_in(path: Path) -> str:
    """The fingerprint in an output. Raises UserError if it is another program's file."""
    if (fingerprint := fingerprint_of(path)) == "":
        do = "give another `output_suffix`, or `overwrite=True`"
        raise UserError("there is a file here that restore did not write", where=path, do=do)
    return fingerprint
