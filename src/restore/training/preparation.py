"""Making the patch file from micrographs, which are read ahead, prepared and stored."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from restore.errors import UserError
from restore.image_tensors import read_halves
from restore.io.atomic import replacing
from restore.io.lock import locked
from restore.micrograph import Micrograph
from restore.preprocessing import PREPARATION_VERSION, Recipe, prepare_alike
from restore.runtime.jobs import Job, fingerprint, is_current
from restore.runtime.prefetch import read_ahead
from restore.training.patches import PatchFile, PatchWriter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Destination:
    """The path of a patch file, its number format, and the record of its making."""

    path: Path
    dtype: str = "float16"
    provenance: Mapping[str, Any] = field(default_factory=dict[str, Any])


def prepare_patches(
    micrographs: Sequence[Micrograph],
    recipe: Recipe,
    destination: Destination,
    progress: Callable[[Micrograph], None],
) -> None:
    """Prepare both halves of every micrograph and store them as one patch file, which appears only
    when it is complete.

    One bad micrograph raises a UserError that names the file, because training data should be
    chosen deliberately.
    """
    path = destination.path
    made_of = _digest(micrographs, recipe, destination.dtype)
    with (
        locked(path),
        replacing(path) as partial,
        PatchWriter(partial, recipe, destination.dtype) as writer,
    ):
        hot_pixels = blank_pixels = 0
        for micrograph, read in read_ahead(micrographs, _read_halves):
            halves = read.result()
            try:
                even, odd = prepare_alike(halves, micrograph.pixel_size_A, micrograph.ctf, recipe)
            except UserError as error:
                raise UserError(str(error).rstrip("."), where=micrograph.name) from None
            writer.add(micrograph.name, even, odd, micrograph.series)
            hot_pixels += even.hot_pixels + odd.hot_pixels
            blank_pixels += even.blank_pixels
            progress(micrograph)
        writer.finish({**destination.provenance, "made_of": made_of})
    count = len(micrographs)
    pairs = f"{count} pair{'' if count == 1 else 's'} of halves"
    log.info("%s: %s, %d hot pixels replaced", path, pairs, hot_pixels)
    if blank_pixels:
        log.info("%d pixels without data (borders, masked areas) are left out", blank_pixels)


def _read_halves(micrograph: Micrograph) -> tuple[Tensor, Tensor]:
    do = (
        "make halves with restore halves, or denoise without training: restore denoise "
        f"{micrograph.image} (with the general model, or a model of your own)"
    )
    return read_halves(micrograph, do=do)


def is_made_of(path: Path, micrographs: Sequence[Micrograph], recipe: Recipe, dtype: str) -> bool:
    """Whether the patch file holds exactly these micrographs in their present state, prepared in
    this way. Raises UserError if the file is damaged.
    """
    job = Job(path, path.name, (path,), _digest(micrographs, recipe, dtype))
    return is_current(job, _made_of)


def _made_of(path: Path) -> str:
    data = PatchFile(path)
    data.close()
    return str(data.provenance.get("made_of", ""))


def _digest(micrographs: Sequence[Micrograph], recipe: Recipe, dtype: str) -> str:
    """A digest of everything that determines the contents of a patch file; images are identified by
    path, size and time.
    """
    each_one = [
        (
            micrograph.name,
            micrograph.pixel_size_A,
            micrograph.ctf if recipe.phase_flip else None,
            *([micrograph.series] if micrograph.series else []),
        )
        for micrograph in micrographs
    ]
    halves = [
        half for micrograph in micrographs for half in (micrograph.even, micrograph.odd) if half
    ]
    return fingerprint([PREPARATION_VERSION, recipe, dtype, each_one], halves, Path("/"))
