"""Which images restore has denoised: their headers' labels say so."""

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from restore.errors import UserError
from restore.io.images.maps import read_map_header
from restore.io.particle_images import ParticleImages
from restore.io.particles import is_cryosparc
from restore.io.paths import Places, resolved
from restore.version import __version__

_DENOISED = re.compile(r"restore \S+ denoised\b")
_ENOUGH = 5


def is_denoised(labels: Iterable[str]) -> bool:
    """Whether labels of an MRC header say that restore denoised the image, or made the map from
    such images.

    >>> is_denoised(["restore 0.1.0 denoised with a.safetensors"]), is_denoised(["RELION 3.1.3"])
    (True, False)
    """
    return any(_DENOISED.match(label) for label in labels)


def is_denoised_image(path: Path) -> bool:
    """Whether the label of an image's file says that restore denoised it; an unreadable file, or
    one of another format, says nothing.
    """
    return is_denoised(_labels(path))


def denoised_label(words: str) -> str:
    """A label by which :func:`is_denoised` knows what was made from denoised images.

    >>> is_denoised([denoised_label("particles, reconstructed")])
    True
    """
    return f"restore {__version__} denoised {words}"[:80]


def shows_denoised(images: ParticleImages) -> bool:
    """Whether particle images were denoised: by the label of their stack, else by that of their
    micrograph.

    A few of each are looked at. A micrograph that is not where the file says, or no MRC image,
    tells nothing.
    """
    if any(is_denoised(_labels(path)) for path in islice(dict.fromkeys(images.paths), _ENOUGH)):
        return True
    source = Path(images.particles.source)
    names = dict.fromkeys(images.particles.micrograph_names or ())
    places = (
        Places((resolved(source).parent.parent,))
        if is_cryosparc(source)
        else Places.of_star(source)
    )
    there = (path for name in names if (path := places.find(name)))
    return any(is_denoised(_labels(path)) for path in islice(there, _ENOUGH))


def _labels(path: Path) -> Sequence[str]:
    try:
        return read_map_header(path, "stack").labels
    except UserError:
        return ()
