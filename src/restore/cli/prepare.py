"""``restore prepare``: write the patch file, without training."""

import argparse

from restore.cli.patches import make_patch_file
from restore.cli.recipe import add_input_options, add_recipe_options, typed_recipe
from restore.errors import UsageError
from restore.runtime.memory import tune_malloc


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of ``restore prepare``."""
    add_input_options(parser)
    add_recipe_options(parser)


def run(namespace: argparse.Namespace) -> int:
    """Make the patch file; returns the exit status."""
    if namespace.training_mics is None:
        raise UsageError("no micrographs are given", do="name a STAR file with --training_mics")
    tune_malloc()
    print(make_patch_file(namespace, typed_recipe(namespace)))
    return 0
