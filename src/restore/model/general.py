"""The general model that comes with the package, trained by ``general/train.py`` on simulated
micrographs of many specimens and their noise-free truth. docs/general_model.md describes its
training data.

It is a prior: its output for a micrograph is influenced by the data that it was trained on.
"""

from dataclasses import dataclass, replace
from pathlib import Path

from restore.errors import UserError
from restore.model.checkpoint import Model, load_model
from restore.preprocessing import Recipe
from restore.records import decoded

GENERAL_MODEL_PATH = Path(__file__).with_name("general.safetensors")
"""The file of the general model."""


@dataclass(frozen=True)
class _LearnedRecipes:
    """The recipes that a general model was trained on, from the record of its training."""

    max_resolution_A: tuple[float, float]
    phase_flip: tuple[bool, ...]


@dataclass(frozen=True)
class RecipeRange:
    """The recipes that a general model was trained on: any resolution (Å) between two limits, with
    phases flipped or not, and everything else fixed.
    """

    max_resolution_A: tuple[float, float]
    phase_flip: tuple[bool, ...]
    others: Recipe

    @classmethod
    def of_model(cls, model: Model) -> "RecipeRange":
        """The range given in a general model's card. Raises UserError if there is none."""
        try:
            ranges = decoded(_LearnedRecipes, model.training.get("recipes"), "")
        except UserError:
            raise UserError(
                "the model's card gives no range of recipes", wanted="a general model"
            ) from None
        finest_A, coarsest_A = sorted(ranges.max_resolution_A)
        return cls((finest_A, coarsest_A), ranges.phase_flip, model.recipe)

    def holds(self, recipe: Recipe) -> bool:
        """Whether the model was trained on images prepared by this recipe."""
        return not self._difference(recipe)

    def check(self, recipe: Recipe) -> None:
        """Raise UserError, with both values, if the model was not trained on this recipe."""
        difference = self._difference(recipe)
        if difference:
            field, problem = difference
            raise UserError(
                problem,
                field=field,
                wanted="the general model was not trained on such images",
                do="train a model on the halves of these micrographs",
            )

    def _difference(self, recipe: Recipe) -> tuple[str, str] | None:
        """The field of a recipe that is outside the range, and a text that says so; None if the
        recipe is within it.
        """
        finest_A, coarsest_A = self.max_resolution_A
        resolution_A = recipe.max_resolution_A
        if not finest_A * (1 - 1e-6) <= resolution_A <= coarsest_A * (1 + 1e-6):
            problem = f"max_resolution is {resolution_A:g} Å, not {finest_A:g} to {coarsest_A:g} Å"
            return "max_resolution", problem
        if recipe.phase_flip not in self.phase_flip:
            return "phase_flip", f"phase_flip is {recipe.phase_flip}, not {not recipe.phase_flip}"
        known = replace(self.others, max_resolution_A=resolution_A, phase_flip=recipe.phase_flip)
        for name, value in known.card().items():
            if recipe.card()[name] != value:
                return name, f"{name} is {recipe.card()[name]:g}, not {value:g}"
        return None


def load_general_model(recipe: Recipe | None = None, path: Path = GENERAL_MODEL_PATH) -> Model:
    """The general model, for use with a recipe within its range (by default its own). Raises
    UserError if the recipe is outside the range, or the file is not a general model.

    >>> load_general_model(Recipe(6.0, phase_flip=False)).recipe.max_resolution_A
    6.0
    """
    model = load_model(path)
    learned = RecipeRange.of_model(model)
    if recipe is None:
        return model
    learned.check(recipe)
    return replace(model, recipe=recipe)
