"""The figures of docs/structure.md, out of what benchmarks/figure_s2.py made. Needs Chromium.

python benchmarks/figure_s2_pictures.py FOLDER [--docs docs]
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

CHARTS = (("fsc", 0), ("fsc", 1), ("bias", 0), ("truth", 0), ("amplitudes", 0), ("reslog", 0))
"""Sections of the page, and which of the figures in each."""
COLUMNS, MARGIN_PX = 2, 24
PICTURES = {"views.png": "structure_views.png", "regions.png": "structure_residues.png"}


def charts(page: Path) -> list[Image.Image]:
    """The charts as the page shows them."""
    with sync_playwright() as program:
        browser = program.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        tab = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme="light")
        tab.goto(page.resolve().as_uri())
        shots = [
            tab.locator(f"#{section} figure").nth(number).screenshot() for section, number in CHARTS
        ]
        browser.close()
    return [Image.open(io.BytesIO(shot)).convert("RGB") for shot in shots]


def side_by_side(images: list[Image.Image]) -> Image.Image:
    """The images in rows, on the first one's ground."""
    rows = [images[start : start + COLUMNS] for start in range(0, len(images), COLUMNS)]
    width, heights = (
        max(each.width for each in images),
        [max(each.height for each in row) for row in rows],
    )
    size = COLUMNS * (width + MARGIN_PX) + MARGIN_PX, sum(heights) + MARGIN_PX * (len(rows) + 1)
    sheet, top = Image.new("RGB", size, images[0].getpixel((2, 2))), MARGIN_PX
    for row, height in zip(rows, heights, strict=True):
        for column, each in enumerate(row):
            sheet.paste(each, (MARGIN_PX + column * (width + MARGIN_PX), top))
        top += height + MARGIN_PX
    return sheet


def main() -> None:
    """Write the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--docs", type=Path, default=Path("docs"))
    chosen = parser.parse_args()
    result = chosen.folder / "structure"
    side_by_side(charts(result / "structure.html")).quantize(64).save(
        chosen.docs / "structure_curves.png", optimize=True
    )
    for name, written in PICTURES.items():
        picture = Image.open(result / name).convert("RGB")
        smaller = picture.resize(
            (picture.width * 2 // 3, picture.height * 2 // 3), Image.Resampling.LANCZOS
        )
        smaller.quantize(128).save(chosen.docs / written, optimize=True)


if __name__ == "__main__":
    main()
