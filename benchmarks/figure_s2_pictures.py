"""Pictures of the page that benchmarks/figure_s2.py made, such as docs/structure_curves.png. Needs
Chromium.

    python benchmarks/figure_s2_pictures.py FOLDER [--docs docs]

The maps, which turn in the page, are taken in their first view (side); a page without them gives
the curves alone.
"""

import argparse
import io
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

CHARTS = (("fsc", 0), ("fsc", 1), ("bias", 0), ("truth", 0), ("amplitudes", 0), ("reslog", 0))
"""Sections of the page, and which of the figures in each."""
SCENES = {"views": "structure_views.png", "regions": "structure_residues.png"}
"""Sections of the page whose rows of maps become a picture each."""
COLUMNS, MARGIN_PX = 2, 24
SOFTWARE_WEBGL = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]


def picture_of(tab: Page, section: str, number: int, part: str = "figure") -> Image.Image:
    """One part of a section as the page shows it; maps are waited for."""
    place = tab.locator(f"#{section} {part}").nth(number)
    place.scroll_into_view_if_needed()
    if part == ".scene-row":
        tab.locator(f"#{section} figure.scenes[data-ready=true]").nth(number).wait_for()
    return Image.open(io.BytesIO(place.screenshot())).convert("RGB")


def side_by_side(images: list[Image.Image], columns: int = COLUMNS) -> Image.Image:
    """The images in rows, on the first one's ground."""
    rows = [images[start : start + columns] for start in range(0, len(images), columns)]
    width = max(image.width for image in images)
    heights = [max(image.height for image in row) for row in rows]
    size = columns * (width + MARGIN_PX) + MARGIN_PX, sum(heights) + MARGIN_PX * (len(rows) + 1)
    sheet, top = Image.new("RGB", size, images[0].getpixel((2, 2))), MARGIN_PX
    for row, height in zip(rows, heights, strict=True):
        for column, image in enumerate(row):
            sheet.paste(image, (MARGIN_PX + column * (width + MARGIN_PX), top))
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
    page = chosen.folder / "structure" / "structure.html"
    with sync_playwright() as program:
        browser = program.chromium.launch(
            executable_path=shutil.which("chromium"), args=SOFTWARE_WEBGL
        )
        tab = browser.new_page(viewport={"width": 1200, "height": 900}, color_scheme="light")
        tab.goto(page.resolve().as_uri())
        curves = side_by_side([picture_of(tab, *chart) for chart in CHARTS])
        curves.quantize(64).save(chosen.docs / "structure_curves.png", optimize=True)
        for section, name in SCENES.items():
            count = tab.locator(f"#{section} figure.scenes").count()
            rows = [picture_of(tab, section, number, ".scene-row") for number in range(count)]
            if rows:
                side_by_side(rows, 1).quantize(128).save(chosen.docs / name, optimize=True)
        browser.close()


if __name__ == "__main__":
    main()
