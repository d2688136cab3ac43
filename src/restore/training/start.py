"""What a training run starts from: the general model, another trained model, or random weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from restore.errors import UserError
from restore.model.checkpoint import Model, load_model
from restore.model.general import GENERAL_MODEL_PATH, RecipeRange
from restore.model.network import NetworkSettings
from restore.preprocessing import Recipe
from restore.training.settings import TrainingSettings

GENERAL_START_RATE = 0.5
"""The factor of the default learning rate for a run that starts from the general model."""


@dataclass(frozen=True)
class Start:
    """The model that a run starts from, with its name; or None, with the reason."""

    model: Model | None
    name: str = ""
    reason: str = ""

    @property
    def card(self) -> dict[str, Any] | None:
        """Name, digest and steps of the initial model, for the trained model's card; None if there
        is no initial model.
        """
        if self.model is None:
            return None
        steps = self.model.training.get("steps")
        return {"model": self.name, "digest": self.model.digest(), "steps": steps}

    @property
    def is_general(self) -> bool:
        """Whether it is the general model."""
        return self.model is not None and self.name == GENERAL_MODEL_PATH.name

    @property
    def words(self) -> str:
        """A line that says what the run starts from."""
        if self.model is None:
            return f"training starts from nothing: {self.reason}"
        steps: Any = self.model.training.get("steps")
        known = f" ({self.name}, {steps:,} steps)" if isinstance(steps, int) else f" ({self.name})"
        which = "general" if self.is_general else "initial"
        return f"training starts from the {which} model{known}"


def named_start(settings: TrainingSettings, initial_model: str | Path | None) -> Start | None:
    """The initial model that the user named, or None.

    Raises UserError if it cannot be read, or if a start from random weights is requested as well.
    """
    if initial_model is None:
        return None
    if settings.from_scratch:
        raise UserError(
            "both `initial_model` and `from_scratch` are given", do="leave one of them out"
        )
    return Start(load_model(Path(initial_model)), str(initial_model))


def choose_start(settings: TrainingSettings, recipe: Recipe, named: Start | None = None) -> Start:
    """The named model; else the general model, if it has the requested network and the recipe is
    within its range; else none.

    Raises UserError if the named model was made with another recipe.
    """
    if named is not None:
        _require_same_recipe(named, recipe)
        return named
    if settings.from_scratch:
        return Start(None, reason="this was asked for")
    general = load_model(GENERAL_MODEL_PATH)
    if general.network.settings != settings.network:
        asked, known = _words(settings.network), _words(general.network.settings)
        return Start(None, reason=f"the network is {asked}, and the general model's is {known}")
    try:
        RecipeRange.of_model(general).check(recipe)
    except UserError as outside:
        return Start(None, reason=f"the general model has seen no such images: {outside.problem}")
    return Start(general, GENERAL_MODEL_PATH.name)


def _require_same_recipe(start: Start, recipe: Recipe) -> None:
    if start.model is not None and start.model.recipe != recipe:
        raise UserError(
            f"the initial model was made with {start.model.recipe}",
            field="initial_model",
            wanted=f"the patches were made with {recipe}",
        )


def _words(network: NetworkSettings) -> str:
    return f"{network.name} of {network.filters} × {network.blocks}"
