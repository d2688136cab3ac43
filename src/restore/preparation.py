"""The patch file made from micrographs: read ahead, prepared, stored."""

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from restore.errors import UserError
from restore.io.atomic import replacing
from restore.io.images import read_image
from restore.micrograph import Micrograph
from restore.patches import PatchFile, PatchWriter
from restore.pipeline import read_ahead
from restore.preprocessing import Recipe, prepare

log = logging.getLogger(__name__)


def prepare_patches(
    path: Path,
    micrographs: Sequence[Micrograph],
    recipe: Recipe,
    provenance: dict[str, Any],
    progress: Callable[[Micrograph], None],
) -> None:
    """Prepare both halves of every micrograph and store them as one patch file, which appears only when it is whole.

    One bad micrograph ends it with a UserError that names the file: training data should be chosen, not left to luck.
    """
    with replacing(path) as partial, PatchWriter(partial, recipe) as writer:
        hot_pixels = 0
        for micrograph, read in read_ahead(micrographs, _read_halves):
            halves = read.result()
            try:
                even, odd = (prepare(half, micrograph.pixel_size_A, micrograph.ctf, recipe) for half in halves)
            except UserError as error:
                raise UserError(str(error).rstrip("."), where=micrograph.name) from None
            writer.add(micrograph.name, even, odd)
            hot_pixels += even.hot_pixels + odd.hot_pixels
            progress(micrograph)
        writer.finish(provenance)
    log.info("%s: %d pairs, %d hot pixels replaced", path, len(micrographs), hot_pixels)


def _read_halves(micrograph: Micrograph) -> tuple[Tensor, Tensor]:
    if micrograph.even is None or micrograph.odd is None:
        raise UserError("it has no halves", where=micrograph.name)
    return torch.from_numpy(read_image(micrograph.even).data), torch.from_numpy(read_image(micrograph.odd).data)


def is_made_of(path: Path, micrographs: Sequence[Micrograph], recipe: Recipe) -> bool:
    """Whether the patch file holds just these micrographs, as they are, prepared in this way. UserError if broken."""
    data = PatchFile(path)
    data.close()
    names = [micrograph.name for micrograph in micrographs]
    halves = [half for micrograph in micrographs for half in (micrograph.even, micrograph.odd) if half]
    newest = max(half.stat().st_mtime for half in halves)
    return data.recipe == recipe and [pair.name for pair in data.pairs] == names and newest <= path.stat().st_mtime
