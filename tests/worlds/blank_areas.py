"""Micrographs with areas that hold no data, and what is known of them."""

import torch

_SIGNAL_PX = 16


def radius(shape):
    """The distance of each pixel from the middle of the image."""
    y, x = (torch.arange(side, dtype=torch.float32) - side / 2 for side in shape)
    return torch.hypot(y[:, None], x[None, :])


def smooth_signal(shape, seed):
    """A smooth field of unit variance."""
    generator = torch.Generator().manual_seed(seed)
    white = torch.fft.rfft2(torch.randn(shape, generator=generator))
    ky, kx = torch.fft.fftfreq(shape[0])[:, None], torch.fft.rfftfreq(shape[1])[None]
    passed = torch.exp(-((_SIGNAL_PX * torch.hypot(ky, kx)) ** 2) / 4)
    smooth = torch.fft.irfft2(white * passed, s=shape)
    return (smooth - smooth.mean()) / smooth.std()


def micrograph(shape, seed, field=0):
    """A mean of 200, a signal of 5 and white noise of 10; ``field`` is the signal's own seed."""
    noise = torch.randn(shape, generator=torch.Generator().manual_seed(1000 + seed))
    return 200 + 5 * smooth_signal(shape, field) + 10 * noise


def _third(value):
    def mask(image):
        blank = (torch.arange(image.shape[1]) < image.shape[1] // 3).expand(image.shape)
        filling = image.mean() if value is None else torch.tensor(value)
        return torch.where(blank, filling, image), blank, blank

    return mask


def _circle(softness_px, rest=0.0, share=0.5):
    """The edge of the beam at a share of the longer side from the middle: dark beyond it."""

    def mask(image):
        distance = radius(image.shape)
        edge = share * max(image.shape)
        if not softness_px:
            light = (distance < edge).float()
            return image * (rest + light * (1 - rest)), distance >= edge, distance >= edge - 24
        light = torch.sigmoid((edge - distance) / softness_px)
        dark, ice = distance > edge - softness_px, distance > edge - 6 * softness_px - 24
        return image * light, dark, ice

    return mask


def _block(image):
    blank = torch.zeros(image.shape, dtype=torch.bool)
    blank[200:300, 310:390] = True
    return torch.where(blank, 200.0, image), blank, blank


AREAS = {
    "a third masked with 0": _third(0.0),
    "a third masked with the mean": _third(None),
    "a hard edge of the beam": _circle(0),
    "a hard edge of the beam and some light beyond it": _circle(0, rest=0.003),
    "a soft edge of the beam": _circle(15),
    "a soft edge of the beam in the corners": _circle(15, share=0.57),
    "a block": _block,
}
"""Functions of an image: the image with the area, the mask of what surely holds no data, and that
of what may be taken for such.
"""


def with_border(image, width, value=0.0):
    """The image with a border on all four sides."""
    bordered = torch.full_like(image, value)
    inside = (slice(width, -width),) * 2
    bordered[inside] = image[inside]
    return bordered
