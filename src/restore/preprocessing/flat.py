"""The flat image: without its smooth background, and without a jump between opposite borders."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from restore.background import without_background
from restore.border_jump import BorderJump, fit_border_jump
from restore.preprocessing.recipe import Recipe


@dataclass(frozen=True)
class Flat:
    """An image (y, x) without its background and without ``jump``, which were subtracted."""

    image: Float[Tensor, "y x"]
    jump: BorderJump


def flattened(
    clean: Float[Tensor, "y x"],
    pixel_size_A: float,
    recipe: Recipe,
    blank: Bool[Tensor, "y x"] | None = None,
) -> Flat:
    """The flat image of a raw one whose hot pixels are replaced, and whose pixels without data
    (``blank``) are filled.

    Besides the jump between borders, the recipe's high-pass leaves nothing of what is subtracted
    as jump: it has no wavelengths below ``highpass_A``.
    """
    flat = without_background(clean, recipe.background_order)
    jump = fit_border_jump(flat, recipe.highpass_A / pixel_size_A, blank)
    return Flat(jump.added_to(flat, factor=-1, out=flat), jump)
