"""Images from files as tensors of float32."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from restore.errors import UserError
from restore.io.images.image import read_image
from restore.micrograph import Micrograph


def read_tensor(path: Path) -> Float[Tensor, "y x"]:
    """The pixels of an image. Raises UserError as `restore.io.images.image.read_image` does."""
    return torch.from_numpy(read_image(path).data)


def read_halves(
    micrograph: Micrograph, wanted: str = "", do: str = ""
) -> tuple[Float[Tensor, "y x"], Float[Tensor, "y x"]]:
    """The even and the odd half of a micrograph. Raises UserError, with ``wanted`` and ``do``, if
    it has none.
    """
    if micrograph.even is None or micrograph.odd is None:
        raise UserError("the micrograph has no halves", where=micrograph.name, wanted=wanted, do=do)
    return read_tensor(micrograph.even), read_tensor(micrograph.odd)
