"""The patch file made from micrographs: read ahead, prepared, stored."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restore.errors import UserError
from restore.io.atomic import replacing
from restore.io.images.image import read_image
from restore.micrograph import Micrograph
from restore.preprocessing import Recipe, prepare_alike
from restore.provenance import plain
from restore.runtime.prefetch import read_ahead
from restore.training.patches import PatchFile, PatchWriter

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Destination:
    """Where a patch file goes, the type of its numbers, and what is recorded of its making."""

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
    when it is whole.

    One bad micrograph ends it with a UserError that names the file: training data should be chosen,
    not left to luck.
    """
    path = destination.path
    with replacing(path) as partial, PatchWriter(partial, recipe, destination.dtype) as writer:
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
        writer.finish(
            {**destination.provenance, "made_of": _digest(micrographs, recipe, destination.dtype)}
        )
    log.info("%s: %d pairs, %d hot pixels replaced", path, len(micrographs), hot_pixels)
    if blank_pixels:
        log.info("%d pixels without data (borders, masked areas) are left out", blank_pixels)


def _read_halves(micrograph: Micrograph) -> tuple[Tensor, Tensor]:
    if micrograph.even is None or micrograph.odd is None:
        raise UserError("it has no halves", where=micrograph.name)
    return torch.from_numpy(read_image(micrograph.even).data), torch.from_numpy(
        read_image(micrograph.odd).data
    )


def is_made_of(path: Path, micrographs: Sequence[Micrograph], recipe: Recipe, dtype: str) -> bool:
    """Whether the patch file holds just these micrographs, as they are, prepared in this way.
    UserError if broken.
    """
    data = PatchFile(path)
    data.close()
    halves = [
        half for micrograph in micrographs for half in (micrograph.even, micrograph.odd) if half
    ]
    newest = max(half.stat().st_mtime for half in halves)
    return (
        data.provenance.get("made_of") == _digest(micrographs, recipe, dtype)
        and newest <= path.stat().st_mtime
    )


def _digest(micrographs: Sequence[Micrograph], recipe: Recipe, dtype: str) -> str:
    """A digest of all that decides what is in a patch file, except the images themselves."""
    each_one = [
        (
            micrograph.name,
            [str(half.resolve()) for half in (micrograph.even, micrograph.odd) if half],
            micrograph.pixel_size_A,
            micrograph.ctf if recipe.phase_flip else None,
            *([micrograph.series] if micrograph.series else []),
        )
        for micrograph in micrographs
    ]
    return hashlib.sha256(json.dumps(plain([recipe, dtype, each_one])).encode()).hexdigest()[:24]
