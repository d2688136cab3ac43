"""Coloured pictures in columns with titles, each with a word in its corner and a scale bar."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from restore.report.numerals import round_length

_INK, _FAINT = (25, 25, 25), (105, 105, 105)
_BAR_SHARE = 0.25  # of a picture's width, at most


@dataclass(frozen=True)
class Tile:
    """A picture on white, the side of its pixels in Å, and what it shows in a word."""

    pixels: UInt8[np.ndarray, "rows columns 3"]
    pixel_size_A: float
    words: str


@dataclass(frozen=True)
class Column:
    """Rows of pictures under a title in this colour and a line in grey."""

    title: str
    caption: str
    colour: tuple[float, float, float]
    rows: Sequence[Sequence[Tile]]


def side_by_side(columns: Sequence[Column], width_px: int, unit_px: int) -> Image.Image:
    """The columns beside each other, each this wide; letters and gaps are measured in units (a
    letter is 0.8 high).
    """
    gap, head = 2 * unit_px, 4 * unit_px
    heights = [
        max(tile.pixels.shape[0] for column in columns for tile in column.rows[row])
        for row in range(len(columns[0].rows))
    ]
    strip = round(1.5 * unit_px)
    size = (
        len(columns) * (width_px + gap) + gap,
        head + sum(heights) + (strip + gap) * len(heights),
    )
    picture = Image.new("RGB", size, (255, 255, 255))
    for number, column in enumerate(columns):
        left, top = gap + number * (width_px + gap), head
        _add_head(ImageDraw.Draw(picture), column, (left, width_px), unit_px)
        for tiles, height in zip(column.rows, heights, strict=True):
            _add_row(picture, tiles, (left, top + strip), unit_px)
            top += strip + height + gap
    return picture


def _add_head(
    draw: ImageDraw.ImageDraw, column: Column, left_width: tuple[int, int], unit_px: int
) -> None:
    left, width = left_width
    dark = tuple(round(170 * part) for part in column.colour)
    for words, height, points, ink in (
        (column.title, 1.3, 1.0, dark),
        (column.caption, 2.9, 0.72, _FAINT),
    ):
        font = _font(points * unit_px)
        draw.text(
            (left + width / 2, height * unit_px),
            _fitting(draw, words, width, font),
            ink,
            font,
            anchor="mm",
        )


def _add_row(
    picture: Image.Image, tiles: Sequence[Tile], left_top: tuple[int, int], unit_px: int
) -> None:
    """The pictures from left to right, the word of each above it, the first with a scale bar."""
    left, top = left_top
    draw = ImageDraw.Draw(picture)
    for tile in tiles:
        picture.paste(Image.fromarray(tile.pixels), (left, top))
        draw.text(
            (left, top - unit_px // 2), tile.words, _FAINT, _font(0.72 * unit_px), anchor="ls"
        )
        left += tile.pixels.shape[1]
    _add_bar(draw, tiles[0], (left_top[0], top + tiles[0].pixels.shape[0] - 1), unit_px)


def _add_bar(
    draw: ImageDraw.ImageDraw, tile: Tile, left_bottom: tuple[int, int], unit_px: int
) -> None:
    """A black bar with its length over it."""
    left, bottom = left_bottom
    bar_A = round_length(_BAR_SHARE * tile.pixels.shape[1] * tile.pixel_size_A)
    length_px, thick = bar_A / tile.pixel_size_A, max(2, unit_px // 6)
    draw.rectangle((left, bottom - thick, left + round(length_px), bottom), _INK)
    draw.text(
        (left + length_px / 2, bottom - thick - unit_px / 5),
        f"{bar_A:g} Å",
        _INK,
        _font(0.75 * unit_px),
        anchor="mb",
        stroke_width=1,
        stroke_fill=(255, 255, 255),
    )


def _fitting(
    draw: ImageDraw.ImageDraw, words: str, width_px: int, font: ImageFont.FreeTypeFont
) -> str:
    """The words, their middle left out where they are too long."""
    kept, shown = len(words), words
    while kept > 2 and draw.textlength(shown, font) > width_px:
        kept -= 1
        shown = f"{words[: kept - kept // 2]}…{words[len(words) - kept // 2 :]}"
    return shown


@cache
def _font(points: float) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which comes with matplotlib: Pillow's own letters have no Å."""
    return ImageFont.truetype(str(Path(get_data_path()) / "fonts/ttf/DejaVuSans.ttf"), points)
