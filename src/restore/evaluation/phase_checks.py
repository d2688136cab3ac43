"""A check that another program's denoised halves have the same phases as the raw ones: flipped in
both, or in neither.
"""

from jaxtyping import Bool, Complex, Float
from torch import Tensor

from restore import fourier
from restore.ctf import ctf
from restore.errors import UserError
from restore.evaluation.views import Views, stacked
from restore.maps.phases import phase_agreement
from restore.micrograph import CTFParameters, Micrograph

_SURE = 5.0  # standard deviations


def require_same_phases(views: Views, micrograph: Micrograph, flipped: bool) -> None:
    """Raise UserError if the phases of the denoised halves are flipped and those of the raw ones
    are not, or the other way round: what is signal in one would be measured as bias in the other.
    ``flipped`` says whether the raw ones are. Without the CTF nothing is checked.

    Phases are flipped by multiplication with the sign of the CTF. Where it is negative, denoised
    halves then correlate negatively with the raw ones, and positively where it is positive. Both
    correlations must be far from 0 for what chance gives. (On a field of 1200² pixels of a K2
    camera, denoised by the general model, they are −0.60 and 0.37, or 171 and 105 standard
    deviations from 0.)
    """
    values = None if micrograph.ctf is None else _ctf(micrograph.ctf, views)
    if values is None:
        return
    raw, denoised = (stacked(halves, views.blank) for halves in (views.raw, views.denoised))
    agreement = phase_agreement(raw, denoised, values)
    if not agreement.flipped:
        return
    spectra = fourier.spectrum_of(raw), fourier.spectrum_of(denoised)
    least = min(-_significance(*spectra, values < 0), _significance(*spectra, values > 0))
    if least < _SURE:
        return
    theirs, ours = ("are not", "are") if flipped else ("are", "are not")
    raise UserError(
        f"the phases of the denoised halves {theirs} flipped, and those of the raw ones {ours} "
        f"(their correlation is {agreement.where_negative:.2f} where the CTF is negative, and "
        f"{agreement.where_positive:.2f} elsewhere)",
        field="phase_flip",
        wanted="halves are compared with equal phases",
        do=f"give `phase_flip={not flipped}`",
    )


def _ctf(parameters: CTFParameters, views: Views) -> Float[Tensor, "2 y kx"] | None:
    """The CTF for both halves; None if it is not finite everywhere."""
    grid = views.grid
    values = ctf(parameters, grid.shape, grid.pixel_size_yx_A, views.raw[0].device)
    return values.expand(2, -1, -1) if values.isfinite().all() else None


def _significance(
    first: Complex[Tensor, "2 y kx"],
    second: Complex[Tensor, "2 y kx"],
    chosen: Bool[Tensor, "2 y kx"],
) -> float:
    """The real part of the chosen components' summed cross-spectrum, in the standard deviations
    that it has if the phases of the two are unrelated.
    """
    cross = (first * second.conj())[chosen]
    deviation = (cross.abs().square().sum() / 2).sqrt()
    return float(cross.real.sum() / deviation) if deviation > 0 else 0.0
