"""The inputs of denoising: reading the set, the form of the output table, and micrographs that must
be skipped.
"""

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from restore.denoising.outputs import output_table
from restore.denoising.settings import DenoisingSettings
from restore.denoising.targets import OutputSettings
from restore.errors import UserError
from restore.io.cryosparc.listings import CryosparcListing
from restore.io.endings import IMAGE_ENDINGS, ending_of
from restore.io.file_checks import ReadHeader, misfit
from restore.io.images.image import read_image_header
from restore.io.images.maps import read_map_header
from restore.io.labels import without_denoised
from restore.io.micrographs import (
    HALVES,
    BadRow,
    MicrographSet,
    Needs,
    Part,
    Suffixes,
    is_table,
    parse_suffixes,
    read_micrographs,
)
from restore.micrograph import CTFParameters, Micrograph
from restore.model.checkpoint import Model

log = logging.getLogger(__name__)


def read_set(
    source: str | Path | Sequence[str | Path],
    model: Model,
    settings: DenoisingSettings,
    suffixes: str | Suffixes | None,
    *,
    pixel_size_A: float | None,
    ctf: CTFParameters | None,
    read: ReadHeader = read_image_header,
) -> MicrographSet:
    """The micrographs to denoise, with the arguments of `restore.denoising.batch.denoise_set`,
    leaving out images that are themselves denoised; headers are read by ``read``.

    Without ``suffixes``, the halves of listed micrographs have the usual ones or, if there are no
    such files, those with which the model was trained.

    Raises
    ------
    UserError
        As `restore.io.micrographs.read_micrographs`.
    """
    _refuse_stacks(source)
    if isinstance(suffixes, str):
        suffixes = parse_suffixes(suffixes)
    if settings.flip_phases_back and not model.recipe.phase_flip:
        log.warning(
            "`flip_phases_back=True` changes nothing: the model was made with `phase_flip=False`"
        )
    if settings.calibration == "model" and model.calibration is None:
        log.warning(
            "`calibration=model` changes nothing: the model holds no calibration, and the images "
            "are not calibrated"
        )
    needs = Needs(model.recipe.phase_flip, settings.average_halves, True, header_pixel_size=True)
    wants_halves = settings.average_halves or settings.calibration == "rings"
    is_guess = suffixes is None and wants_halves and is_table(source)
    read_as = partial(read_micrographs, source, pixel_size_A=pixel_size_A, needs=needs, ctf=ctf)
    try:
        chosen = read_as(suffixes=Suffixes() if is_guess else suffixes)
        trained = _suffixes_of_training(model)
        if is_guess and trained is not None and not _any_halves(chosen):
            chosen = read_as(suffixes=trained)
        chosen = without_denoised(chosen)
    except UserError as error:
        do = error.do.replace("`phase_flip=False`", "a model made with `phase_flip=False`")
        raise error.instead(do=do) from None
    if settings.average_halves or settings.calibration != "rings":
        return chosen
    named = chosen.listed_halves if is_guess or suffixes is None else None
    return without_unusable_halves(chosen, read, named)


def _suffixes_of_training(model: Model) -> Suffixes | None:
    """The suffixes with which the halves were found that a model was trained on; None if its record
    does not have them.
    """
    try:
        return parse_suffixes(str(model.provenance["inputs"]["suffixes"]))
    except (UserError, KeyError, TypeError):
        return None


def _any_halves(chosen: MicrographSet) -> bool:
    """Whether both halves of a micrograph exist."""
    return any(
        micrograph.even is not None
        and micrograph.odd is not None
        and micrograph.even.is_file()
        and micrograph.odd.is_file()
        for micrograph in chosen.micrographs
    )


def uses_halves(micrograph: Micrograph, settings: DenoisingSettings) -> bool:
    """Whether the halves of a micrograph are read: always if they are averaged, and for the
    calibration if there are any.
    """
    return settings.average_halves or (
        settings.calibration == "rings" and None not in (micrograph.even, micrograph.odd)
    )


def without_unusable_halves(
    chosen: MicrographSet, read: ReadHeader, named: Collection[int] | None = None
) -> MicrographSet:
    """The set without halves that are missing or incomplete. The calibration can do without halves,
    so nothing is raised.

    One warning tells of those in the ``named`` rows (all if None), whose halves the table or the
    user has named. In other rows, whose halves were guessed from the name, there may be none.
    """
    micrographs = [with_usable_halves(micrograph, read) for micrograph in chosen.micrographs]
    lost = [
        reason
        for before, after in zip(chosen.micrographs, micrographs, strict=True)
        if before is not after and (named is None or before.row in named)
        if (reason := _problem_of_halves(before, read))
    ]
    if lost:
        whose = f"{len(lost)} of {len(micrographs)} micrographs"
        whose = whose if len(micrographs) > 1 else "the micrograph"
        log.warning("the halves of %s cannot be used, and do not calibrate: %s", whose, lost[0])
    have_halves = [micrograph.even is not None for micrograph in micrographs]
    if any(have_halves) or not lost:
        log.info("%s", _calibration_words(have_halves))
    return replace(chosen, micrographs=tuple(micrographs))


def _problem_of_halves(micrograph: Micrograph, read: ReadHeader) -> str:
    """The reason why a micrograph's halves cannot be used; empty if the full sum itself cannot."""
    try:
        read(micrograph.image)
    except UserError:
        return ""
    return misfit(micrograph, (*HALVES, "image"), read)


def _calibration_words(have_halves: Sequence[bool]) -> str:
    """How many micrographs are calibrated by their halves."""
    if not any(have_halves):
        return (
            "no halves are known, with which the result could be calibrated (`suffixes` finds them "
            "by their names)"
        )
    if len(have_halves) == 1:
        return "the micrograph has halves, with which its denoised image is calibrated"
    return (
        f"{sum(have_halves)} of {len(have_halves)} micrographs have halves, with which their "
        "denoised images are calibrated"
    )


def with_usable_halves(micrograph: Micrograph, read: ReadHeader = read_image_header) -> Micrograph:
    """The micrograph, without its halves if they are missing, incomplete, or of another shape."""
    if misfit(micrograph, (*HALVES, "image"), read):
        return replace(micrograph, even=None, odd=None)
    return micrograph


def _refuse_stacks(source: str | Path | Sequence[str | Path]) -> None:
    """Raise UserError if an input is a stack of images, of which only the pixels are known."""
    for name in [source] if isinstance(source, str | Path) else source:
        path = Path(name)
        if ending_of(path.name) != ".mrcs" or not path.is_file():
            continue
        count = read_map_header(path, "stack").shape[0]
        if count > 1:
            raise UserError(
                f"it is a stack of {count} images",
                where=path,
                wanted="Each particle image is denoised with its own CTF",
                do="give the STAR or .cs file that lists them, such as particles.star",
            )


def listed_as(chosen: MicrographSet, output: OutputSettings) -> MicrographSet:
    """The set, with the form of its output table according to the settings."""
    if not output.replace_raw:
        return chosen
    if not isinstance(chosen.listing, CryosparcListing):
        log.warning("`replace_raw=True` changes nothing: the input is no table of cryoSPARC's")
        return chosen
    return replace(chosen, listing=replace(chosen.listing, replace_raw=True))


def is_one_image(micrographs: str | Path | Sequence[str | Path]) -> bool:
    """Whether the input is the name of one image, not a table or pattern."""
    names = [micrographs] if isinstance(micrographs, str | Path) else list(micrographs)
    return (
        len(names) == 1
        and ending_of(Path(names[0]).name) in IMAGE_ENDINGS
        and (Path(names[0]).is_file())
    )


def table_path(chosen: MicrographSet, output: OutputSettings) -> Path:
    """The path of the output table: beside the input's, or at the top of the output folder, never
    replacing the input.
    """
    source = Path(chosen.source)
    if chosen.is_listed:
        return output_table(source, source.parent, source.stem, chosen.listing.ending, output)
    folder = chosen.micrographs[0].image.parent
    return output_table(source, folder, "micrographs", chosen.listing.ending, output)


def rejected_rows(
    chosen: MicrographSet, settings: DenoisingSettings, read: ReadHeader
) -> Mapping[int, BadRow]:
    """The rows that cannot be denoised because of their CTF, pixel size or files."""
    needed: tuple[Part, ...] = ("image", *HALVES) if settings.average_halves else ("image",)
    return chosen.unusable(needed, read)
