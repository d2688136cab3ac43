"""The model that commands use: the one given, or the general model."""

import argparse
import logging
from dataclasses import replace
from typing import Any

from restore.cli.recipe import refuse_other_recipe, typed_recipe
from restore.model.checkpoint import NamedModel, load_model
from restore.model.general import GENERAL_MODEL_PATH, load_general_model

log = logging.getLogger(__name__)


def chosen_model(namespace: argparse.Namespace, ctf_is_known: bool = True) -> NamedModel:
    """The model given in the options, or the general one for the given recipe; a line of output
    says which.

    The general model can be used with or without phase flipping: if the CTF is not known and no
    option decides, phases are not flipped.
    """
    if namespace.model is None:
        recipe = typed_recipe(namespace)
        if namespace.phaseflip is None and not ctf_is_known:
            log.info(
                "phases are not flipped: the CTF is not known (a STAR file or --defocus gives it)"
            )
            recipe = replace(recipe, phase_flip=False)
        chosen = NamedModel(load_general_model(recipe), GENERAL_MODEL_PATH.name)
    else:
        chosen = NamedModel(load_model(namespace.model), str(namespace.model))
        refuse_other_recipe(namespace, chosen.model.recipe, "the model")
    log.info("%s", _words(chosen))
    return chosen


def _words(chosen: NamedModel) -> str:
    steps: Any = chosen.model.training.get("steps")
    length = f", {steps:,} training steps" if isinstance(steps, int) else ""
    if chosen.name == GENERAL_MODEL_PATH.name:
        return f"model: the general one that comes with restore ({chosen.name}{length})"
    return f"model: {chosen.name}{length}"
