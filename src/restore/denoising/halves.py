"""The halves that the denoising of a set reads: to be averaged, or to calibrate the output."""

import logging
from dataclasses import replace

from restore.denoising.denoise import DenoisingSettings
from restore.io.file_checks import HALVES, check_files
from restore.io.micrographs import MicrographSet
from restore.micrograph import Micrograph

log = logging.getLogger(__name__)


def uses_halves(micrograph: Micrograph, settings: DenoisingSettings) -> bool:
    """Whether the halves of a micrograph are read: wherever they are averaged, and for the
    calibration where there are any.
    """
    return settings.average_halves or (
        settings.calibration == "rings" and None not in (micrograph.even, micrograph.odd)
    )


def without_unusable_halves(chosen: MicrographSet) -> MicrographSet:
    """The set without halves that are not there or not whole. For the calibration halves are
    welcome, not needed: nothing is raised.
    """
    complete = [
        micrograph
        for micrograph in chosen.micrographs
        if micrograph.even and micrograph.odd
        if micrograph.even.is_file() and micrograph.odd.is_file()
    ]
    good = {micrograph.row for micrograph in check_files(complete, HALVES)[0]}
    log.info(
        "%d of %d micrographs have halves, with which their denoised images are calibrated",
        len(good),
        len(chosen.micrographs),
    )
    micrographs = [
        micrograph if micrograph.row in good else replace(micrograph, even=None, odd=None)
        for micrograph in chosen.micrographs
    ]
    return replace(chosen, micrographs=tuple(micrographs))
