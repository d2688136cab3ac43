"""Images side by side in one picture, with titles and scale bars, drawn without the plotting
library, whose import takes seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from restore.io.atomic import replacing
from restore.report.numerals import round_length
from restore.thumbnails import grey_levels, shrunk, shrunk_size
from restore.version import __version__

LONGEST_PX = 900
_MARGIN_PX, _TITLE_PX = 12, 42
_TITLE_POINTS, _BAR_POINTS = 24, 28  # a page shrinks the picture to half


@dataclass(frozen=True)
class Panel:
    """An image to show, with its title and its pixel size in Å."""

    title: str
    image: Float[Tensor, "y x"]
    pixel_size_A: float


def side_by_side(panels: Sequence[Panel]) -> Image.Image:
    """The images beside each other, each in its own grey range (2 % clipped at either end), with a
    scale bar.
    """
    drawn = [_drawn(panel) for panel in panels]
    width = sum(panel.width for panel in drawn) + _MARGIN_PX * (len(drawn) + 1)
    picture = Image.new(
        "L", (width, max(panel.height for panel in drawn) + _TITLE_PX + _MARGIN_PX), 255
    )
    draw, left = ImageDraw.Draw(picture), _MARGIN_PX
    for panel, image in zip(panels, drawn, strict=True):
        title = _fitting(draw, panel.title, image.width)
        draw.text(
            (left + image.width / 2, _TITLE_PX / 2), title, 0, _font(_TITLE_POINTS), anchor="mm"
        )
        picture.paste(image, (left, _TITLE_PX))
        left += image.width + _MARGIN_PX
    return picture


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write the picture as a PNG that names the program in its metadata, under a temporary name
    that is then renamed.
    """
    text = PngInfo()
    text.add_text("Software", f"restore {__version__}")
    with replacing(path) as partial:
        picture.save(partial, format="PNG", pnginfo=text)


def _drawn(panel: Panel) -> Image.Image:
    size = shrunk_size((panel.image.shape[0], panel.image.shape[1]), LONGEST_PX)
    picture = Image.fromarray(grey_levels(shrunk(panel.image, size), 2))
    extent_A = panel.image.shape[1] * panel.pixel_size_A
    bar_A = round_length(extent_A / 5)
    _add_bar(
        ImageDraw.Draw(picture),
        picture.size,
        picture.width * bar_A / extent_A,
        f"{bar_A / 10:g} nm",
    )
    return picture


def _add_bar(
    draw: ImageDraw.ImageDraw, size: tuple[int, int], length_px: float, words: str
) -> None:
    """Add a black bar with a white edge at the lower left, with its length above it."""
    left, bottom = 0.04 * size[0], 0.96 * size[1]
    draw.rectangle((left - 2, bottom - 8, left + length_px + 2, bottom + 2), fill=255)
    draw.rectangle((left, bottom - 6, left + length_px, bottom), fill=0)
    middle = left + length_px / 2
    draw.text(
        (middle, bottom - 14),
        words,
        255,
        _font(_BAR_POINTS),
        anchor="mb",
        align="center",
        stroke_width=3,
        stroke_fill=0,
    )


def _fitting(draw: ImageDraw.ImageDraw, title: str, width_px: int) -> str:
    """The title, with its middle left out if it is too long."""
    kept = len(title)
    shown = title
    while kept > 2 and draw.textlength(shown, _font(_TITLE_POINTS)) > width_px:
        kept -= 1
        shown = f"{title[: kept - kept // 2]}…{title[len(title) - kept // 2 :]}"
    return shown


def _font(points: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(points)
