"""The colours and names of quantities, the same on pages and in pictures.

A page has the colours as variables of its style sheet, for light and dark mode; pictures are light.
Blue always stands for denoised, grey for raw, and green for the Wiener filter.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Colour:
    """A colour for a light background, and one for a dark background."""

    light: str
    dark: str


RAW = Colour("#737b82", "#9aa2a9")
DENOISED = Colour("#0072b2", "#56b4e9")
WIENER = Colour("#008560", "#2fbf94")
LOWPASS = Colour("#a8558a", "#d995bb")
BIAS = Colour("#d55e00", "#f0803c")
NOTHING = Colour("#b06a00", "#e6b34d")
CROSSED = Colour("#a8558a", "#d995bb")

VARIABLES = {
    "raw": RAW,
    "lowpass": LOWPASS,
    "wiener": WIENER,
    "denoised": DENOISED,
    "bias": BIAS,
    "nothing": NOTHING,
    "rr": RAW,
    "dr": NOTHING,
    "dd": DENOISED,
    "rd": CROSSED,
}
"""The style sheet's variables. The last four are for maps of raw or denoised images (r, d) with the
orientations of raw or denoised ones.
"""

SERIES = ("#0072b2", "#d55e00", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#777777")
"""Colours for the user's files, distinguishable by colour-blind readers (Okabe & Ito)."""

LABELS = {
    "signal_to_error_raw": "raw",
    "signal_to_error_wiener": "Wiener filter",
    "signal_to_error_denoised": "denoised",
    "advantage_over_wiener": "denoised / Wiener filter",
    "gain": "signal kept",
    "wiener_filter": "kept by the Wiener filter",
    "bias_share": "bias",
    "invented_share": "output for noise alone",
    "train_loss": "training loss",
    "held_out_loss": "validation loss",
    "perfect_loss": "noise floor",
    "wiener_loss": "Wiener filter",
}
"""The labels of curves, by their names in a result."""


def style() -> str:
    """The colours as variables of a style sheet: light, dark, and again light for print."""
    light, dark = (
        "".join(f"--{name}: {getattr(colour, ground)}; " for name, colour in VARIABLES.items())
        for ground in ("light", "dark")
    )
    return (
        f":root {{ {light}}}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}\n"
        f"@media print {{ :root {{ {light}}} }}\n"
    )
