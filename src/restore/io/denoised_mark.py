"""Labels that mark images as denoised by restore."""

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path

from restore.errors import UserError
from restore.io.cryosparc.datasets import is_cryosparc
from restore.io.images.maps import read_map_header
from restore.io.particle_images import ParticleImages
from restore.io.paths import Places, resolved
from restore.version import __version__

_DENOISED = re.compile(r"restore \S+ denoised\b")
_ENOUGH = 5


def is_denoised(labels: Iterable[str]) -> bool:
    """Whether the labels of an MRC header say that restore denoised the image, or computed the map
    from denoised images.

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
    """A label by which :func:`is_denoised` recognises files made from denoised images.

    >>> is_denoised([denoised_label("particles, reconstructed")])
    True
    """
    return f"restore {__version__} denoised {words}"[:80]


def shows_denoised(images: ParticleImages) -> bool:
    """Whether particle images were denoised, judged by the label of their stack, else of their
    micrograph.

    Only a few stacks and micrographs are checked. A micrograph that is not found, or is not an MRC
    image, is ignored.
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
