"""The patch file that prepare and train make."""

import argparse
from pathlib import Path

from restore.cli.job import PATCHES
from restore.cli.progress import LateBar
from restore.face.patches import make_patches
from restore.preprocessing import Recipe


def make_patch_file(namespace: argparse.Namespace, recipe: Recipe, patch_px: int = 0) -> Path:
    """Write the requested patch file, or keep an existing one that is the same.

    Images without room for a patch of ``patch_px`` are rejected before anything is written.
    """
    with LateBar("micrographs", "preparing") as bar:
        return make_patches(
            namespace.training_mics,
            namespace.training_filename or PATCHES,
            recipe,
            suffixes=namespace.even_odd_suffix,
            pixel_size_A=namespace.pixel_size,
            patch_dtype=namespace.patch_dtype,
            patch_px=patch_px,
            overwrite=namespace.overwrite,
            progress=bar.to,
        )
