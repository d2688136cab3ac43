"""Denoising one stack of particle images, a few images at a time."""

import logging
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray

from restore.denoising.denoise import Denoiser, Exposure, denoise_with
from restore.denoising.particle_targets import Source, StackTarget, outside
from restore.denoising.particle_windows import Window, surrounded, window_of
from restore.denoising.settings import ProteinKind
from restore.denoising.targets import labels
from restore.errors import UserError
from restore.io.images.image import read_image
from restore.io.images.mrc_stack import StackFile, write_stack_parts
from restore.io.labels import sections_label
from restore.io.particle_images import ParticleImages, read_particle_images
from restore.micrograph import Micrograph
from restore.runtime.jobs import FAILURES, Job, Write

log = logging.getLogger(__name__)

BATCH = 64
"""The number of images read and written at a time."""

Windows = Float[NDArray[np.float32], "n y x"]


class StackDenoiser:
    """Denoises stacks of ``images`` and reports the number of particles done.

    ``protein`` says whether protein is dark or bright in them, if neither micrograph nor table
    reveals it; the network was trained on micrographs, in which protein is dark.
    """

    def __init__(
        self,
        images: ParticleImages,
        denoiser: Denoiser,
        protein: ProteinKind,
        model_name: str,
        report: Callable[[float], None],
    ) -> None:
        self._images, self._denoiser, self._protein = images, denoiser, protein
        self._model_name, self._report = model_name, report
        self._count = 0
        self._micrograph = lru_cache(2)(_micrograph)

    def denoised(self, job: Job[StackTarget]) -> Write:
        """Denoise and write a stack. The returned function, which the job engine calls to write
        results, does nothing or raises the exception that occurred.
        """
        target = job.subject
        side, settings = self._images.box_px, self._denoiser.settings
        stack = StackFile(
            target.path,
            len(target.particles),
            (side, side),
            self._images.pixel_size_A,
            (*labels(job, self._model_name), sections_label(target.sections)),
            settings.output_dtype,
        )
        failure: BaseException | None = None
        alone = 0
        before = self._count

        def parts() -> Iterator[Windows]:
            nonlocal alone
            for first in range(0, len(target.particles), BATCH):
                some = target.particles[first : first + BATCH]
                raw = read_particle_images(self._images, [particle.row for particle in some])
                done = np.empty_like(raw)
                for index, particle in enumerate(some):
                    done[index], is_located = self._one(raw[index], particle, target)
                    alone += not is_located
                    self._count += 1
                    self._report(self._count)
                yield done

        try:
            write_stack_parts(stack, parts())
        except FAILURES as error:
            failure = error
            self._count = before + len(target.particles)
        if alone and not failure:
            log.info(
                "%s: %d of %d particles are not found in a micrograph at their coordinates, and "
                "are reflected at their edges",
                job.name, alone, len(target.particles),
            )  # fmt: skip

        def write() -> None:
            if failure is not None:
                raise failure

        return write

    def _one(
        self, raw: Float[NDArray[np.float32], "y x"], particle: Source, target: StackTarget
    ) -> tuple[Float[NDArray[np.float32], "y x"], bool]:
        """A denoised particle image, and whether it was found in its micrograph."""
        margin, side = particle.margin_px, raw.shape[0]
        around = surrounded(raw, self._window(particle, side), margin)
        sign = around.contrast or self._sign(particle)
        image = torch.from_numpy((sign * around.image).astype(np.float32))
        micrograph = Micrograph(
            f"{target.stack}, image {particle.section + 1}",
            target.stack,
            self._images.pixel_size_A,
            particle.row,
            particle.ctf,
        )
        exposure = Exposure(image.to(self._denoiser.engine.device))
        denoised = denoise_with(self._denoiser, exposure, micrograph).cpu().numpy()
        inner = slice(margin, margin + side)
        return sign * denoised[inner, inner], around.contrast is not None

    def _window(self, particle: Source, side: int) -> Window | None:
        """The micrograph around a particle, or None if there is no micrograph."""
        if particle.micrograph is None:
            return None
        micrograph = self._micrograph(particle.micrograph)
        if micrograph is None or outside(particle, micrograph.shape):
            return None
        corner = np.array(particle.corner_px)
        return window_of(micrograph, corner, particle.window_px, side, particle.margin_px)

    def _sign(self, particle: Source) -> int:
        """The sign that makes protein dark in a particle image without a micrograph."""
        if self._protein != "auto":
            return 1 if self._protein == "dark" else -1
        # cryoSPARC's sign makes protein bright in its maps; RELION extracts it bright by default.
        return 1 if particle.sign is not None and particle.sign < 0 else -1


def _micrograph(path: Path) -> Float[NDArray[np.float32], "y x"] | None:
    try:
        return read_image(path).data
    except UserError as error:
        log.warning("%s", error)
        return None
