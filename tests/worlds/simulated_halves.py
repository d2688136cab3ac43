"""Halves, raw and denoised, whose signal, noise and bias are known in every ring."""

import torch

from restore.evaluation.estimators.decomposition import IMAGES, PAIRS
from restore.evaluation.estimators.spectra import RingAxis, patch_covariances

PIXEL_A = 2.0
NYQUIST_PER_A = 0.25


def coloured(shape, seed, power):
    """White noise times √power(f), f from 0 to 0.5 per pixel: its mean spectrum is ``power``."""
    generator = torch.Generator().manual_seed(seed)
    ky, kx = torch.fft.fftfreq(shape[0])[:, None], torch.fft.rfftfreq(shape[1])[None]
    white = torch.fft.rfft2(torch.randn(shape, generator=generator))
    return torch.fft.irfft2(white * power(torch.hypot(ky, kx)).sqrt(), s=shape)


def white(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def blocks_of(images, patch_px, blocks=1):
    """The table of a micrograph's named images, as ``blocks`` × ``blocks`` parts that sum to the
    mean over patches.
    """
    names = [name for name in IMAGES if name in images]
    pairs = [pair for pair in PAIRS if set(pair) <= set(names)]
    axis = RingAxis(patch_px // 4, NYQUIST_PER_A / (patch_px // 4))
    indices = [(names.index(first), names.index(second)) for first, second in pairs]
    sums = patch_covariances(
        torch.stack([images[name] for name in names]), indices, (PIXEL_A, PIXEL_A), patch_px, axis
    ).double()
    table = sums.new_full((*sums.shape[:2], len(PAIRS), sums.shape[-1]), torch.nan)
    table[:, :, [PAIRS.index(pair) for pair in pairs]] = sums
    parts = [
        part for rows in table.tensor_split(blocks, 0) for part in rows.tensor_split(blocks, 1)
    ]
    return torch.stack([part.sum(dim=(0, 1)) for part in parts]) / (table.shape[0] * table.shape[1])
