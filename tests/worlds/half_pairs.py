"""Two halves of one field, with known signal and noise."""

import torch

from restore.preprocessing import Grid, Prepared


def half_pair(shape, noise, seed, power=4.0):
    """Two halves of one field: a smooth signal of unit variance, and independent white noise of
    this deviation.
    """
    generator = torch.Generator().manual_seed(seed)
    white = torch.fft.rfft2(torch.randn(shape, generator=generator))
    ky, kx = torch.fft.fftfreq(shape[0])[:, None], torch.fft.rfftfreq(shape[1])[None]
    smooth = torch.fft.irfft2(
        white * torch.exp(-((16 * torch.hypot(ky, kx)) ** 2) / power), s=shape
    )
    signal = (smooth - smooth.mean()) / smooth.std()
    return tuple(signal + noise * torch.randn(shape, generator=generator) for _ in range(2))


def as_prepared(image, pixel_size_A=2.0):
    """An image, as if preprocessing had made it."""
    shape = tuple(image.shape)
    grid = Grid(shape, pixel_size_A, shape, (pixel_size_A, pixel_size_A))
    return Prepared(image, grid, 1.0, 0.0, 0)
