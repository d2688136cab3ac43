"""Half spectra of real images: grids, crop, pad, filters, rings.

A spectrum here is ``torch.fft.rfft2(image, norm="forward")``: DC in the corner, the mean of the
image at DC, so that grey values are preserved when a spectrum is cropped or padded. Axes are (…, y,
x); frequencies are in 1/Å.
"""

import torch
from jaxtyping import Complex, Float, Int
from torch import Tensor

Shape = tuple[int, int]


def spectrum_of(image: Float[Tensor, "*batch y x"]) -> Complex[Tensor, "*batch y kx"]:
    """The half spectrum of real images, with the mean at DC."""
    return torch.fft.rfft2(image, norm="forward")


def image_of(spectrum: Complex[Tensor, "*batch y kx"], shape: Shape) -> Float[Tensor, "*batch y x"]:
    """The real images of a half spectrum; ``shape`` is (y, x) in pixels."""
    return torch.fft.irfft2(spectrum, s=shape, norm="forward")


def frequency_yx_per_A(
    shape: Shape, pixel_size_yx_A: tuple[float, float], device: torch.device | str = "cpu"
) -> tuple[Float[Tensor, "y 1"], Float[Tensor, "1 kx"]]:
    """The two components of the spatial frequency, in 1/Å, that broadcast to a half spectrum."""
    ky = torch.fft.fftfreq(shape[0], pixel_size_yx_A[0], device=device)
    kx = torch.fft.rfftfreq(shape[1], pixel_size_yx_A[1], device=device)
    return ky[:, None], kx[None, :]


def frequency_per_A(
    shape: Shape, pixel_size_yx_A: tuple[float, float], device: torch.device | str = "cpu"
) -> Float[Tensor, "y kx"]:
    """The magnitude of the spatial frequency, in 1/Å, at each component of a half spectrum."""
    ky, kx = frequency_yx_per_A(shape, pixel_size_yx_A, device)
    return torch.hypot(*torch.broadcast_tensors(ky, kx))


def cropped_spectrum_of(
    image: Float[Tensor, "*batch y x"], new_shape: Shape
) -> Complex[Tensor, "*batch new_y new_kx"]:
    """``crop`` of `spectrum_of`, without the transforms of columns that it would drop."""
    shape = (image.shape[-2], image.shape[-1])
    along_x = torch.fft.rfft(image, dim=-1, norm="forward")[..., : new_shape[1] // 2 + 1]
    return crop(torch.fft.fft(along_x, dim=-2, norm="forward"), shape, new_shape)


def padded_image_of(
    spectrum: Complex[Tensor, "*batch y kx"], shape: Shape, new_shape: Shape
) -> Float[Tensor, "*batch new_y new_x"]:
    """`image_of` of `pad`, without the transforms of columns that it would fill with zeros."""
    along_y = torch.fft.ifft(_padded_rows(spectrum, shape, new_shape), dim=-2, norm="forward")
    return torch.fft.irfft(along_y, n=new_shape[1], dim=-1, norm="forward")


def crop(
    spectrum: Complex[Tensor, "*batch y kx"], shape: Shape, new_shape: Shape
) -> Complex[Tensor, "*batch new_y new_kx"]:
    """The spectrum of the same field on a coarser grid: ``new_shape`` pixels where there were
    ``shape``.

    Components at the new Nyquist frequency are folded together, as sampling would: ``crop`` undoes
    ``pad`` exactly.
    """
    (height, width), (new_height, new_width) = shape, new_shape
    if new_height > height or new_width > width:
        raise ValueError(f"cannot crop {shape} to {new_shape}")
    columns = new_width // 2 + 1
    top = spectrum[..., : (new_height + 1) // 2, :columns]
    bottom = spectrum[..., height - new_height // 2 :, :columns]
    cropped = torch.cat([top, bottom], dim=-2)
    if new_height % 2 == 0 and height > new_height:
        cropped[..., new_height // 2, :] += spectrum[..., new_height // 2, :columns]
    if new_width % 2 == 0 and width > new_width:
        nyquist = cropped[..., -1]
        cropped[..., -1] = nyquist + nyquist.flip(-1).roll(1, -1).conj()
    return cropped


def pad(
    spectrum: Complex[Tensor, "*batch y kx"], shape: Shape, new_shape: Shape
) -> Complex[Tensor, "*batch new_y new_kx"]:
    """The spectrum of the same field on a finer grid, with nothing beyond the old Nyquist
    frequency.
    """
    rows = _padded_rows(spectrum, shape, new_shape)
    padded = rows.new_zeros(*rows.shape[:-1], new_shape[1] // 2 + 1)
    padded[..., : rows.shape[-1]] = rows
    return padded


def _padded_rows(
    spectrum: Complex[Tensor, "*batch y kx"], shape: Shape, new_shape: Shape
) -> Complex[Tensor, "*batch new_y kx"]:
    """A spectrum on a finer grid, without the columns in which there is nothing."""
    (height, width), (new_height, new_width) = shape, new_shape
    if new_height < height or new_width < width:
        raise ValueError(f"cannot pad {shape} to {new_shape}")
    half = (height + 1) // 2
    padded = spectrum.new_zeros(*spectrum.shape[:-2], new_height, spectrum.shape[-1])
    padded[..., :half, :] = spectrum[..., :half, :]
    padded[..., new_height - height // 2 :, :] = spectrum[..., half:, :]
    if height % 2 == 0 and new_height > height:
        padded[..., new_height - height // 2, :] *= 0.5
        padded[..., height // 2, :] = padded[..., new_height - height // 2, :]
    if width % 2 == 0 and new_width > width:
        padded[..., -1] *= 0.5
    return padded


def bandpass(
    frequency_per_A: Float[Tensor, "*grid"], highpass_A: float, lowpass_A: float
) -> Float[Tensor, "*grid"]:
    """High-pass times low-pass of Butterworth shape, order 10: one half at either edge, exactly
    zero at DC.
    """
    low = 1 / (1 + (frequency_per_A * lowpass_A) ** 10)
    return highpass(frequency_per_A, highpass_A) * low


def highpass(frequency_per_A: Float[Tensor, "*grid"], highpass_A: float) -> Float[Tensor, "*grid"]:
    """A high-pass of Butterworth shape, order 10: a half at its edge, exactly nothing at DC."""
    return 1 - 1 / (1 + (frequency_per_A * highpass_A) ** 10)


def smoothstep(position: Float[Tensor, "*grid"]) -> Float[Tensor, "*grid"]:
    """From 0 at 0 to 1 at 1 with two derivatives zero at both ends (fifth order); flat outside."""
    t = position.clamp(0, 1)
    return t * t * t * (t * (t * 6 - 15) + 10)


def soft_lowpass(
    frequency_per_A: Float[Tensor, "*grid"], start: float, stop: float
) -> Float[Tensor, "*grid"]:
    """1 below ``start``, 0 above ``stop`` (both 1/Å), a fifth-order smoothstep between them."""
    return 1 - smoothstep((frequency_per_A - start) / (stop - start))


def friedel_weights(shape: Shape, device: torch.device | str = "cpu") -> Float[Tensor, "1 kx"]:
    """The number of times that each column of a half spectrum occurs in the whole one: once at DC
    and Nyquist, otherwise twice.
    """
    weights = torch.full((1, shape[1] // 2 + 1), 2.0, device=device)
    weights[:, 0] = 1
    if shape[1] % 2 == 0:
        weights[:, -1] = 1
    return weights


def along_rings(
    curve: Float[Tensor, "rings"], width_per_A: float, frequency_per_A: Float[Tensor, "*grid"]
) -> Float[Tensor, "*grid"]:
    """A curve given at the centres of rings, ``i * width_per_A``, interpolated to any frequencies:
    linear between centres, and constant beyond the last.
    """
    place = (frequency_per_A / width_per_A).clamp(max=len(curve) - 1)
    below = place.long().clamp(max=max(len(curve) - 2, 0))
    above = (below + 1).clamp(max=len(curve) - 1)
    on_device = curve.to(frequency_per_A)
    return torch.lerp(on_device[below], on_device[above], place - below)


def ring_index(frequency_per_A: Float[Tensor, "y kx"], width_per_A: float) -> Int[Tensor, "y kx"]:
    """The ring of each Fourier component: ring i is centred on ``i * width_per_A``."""
    return torch.round(frequency_per_A / width_per_A).to(torch.int64)
