"""The colours and names of what figures show: one for each quantity, in a page and in a picture.

A page has them as variables of its style sheet, in light and dark; pictures are light. Blue stands
for denoised, grey for raw, green for the Wiener filter, wherever they are drawn.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Colour:
    """A colour on a light ground, and on a dark one."""

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
"""The style sheet's variables. The last four are the maps of raw or denoised images (r, d) with the
orientations of raw or denoised ones.
"""

SERIES = ("#0072b2", "#d55e00", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#777777")
"""For files that a person names: told apart by colour-blind readers (Okabe & Ito)."""

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
"""What a curve is called, by its name in a result."""


def style() -> str:
    """The colours as variables of a style sheet: light, dark, and light again in print."""
    light, dark = (
        "".join(f"--{name}: {getattr(colour, ground)}; " for name, colour in VARIABLES.items())
        for ground in ("light", "dark")
    )
    return (
        f":root {{ {light}}}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}\n"
        f"@media print {{ :root {{ {light}}} }}\n"
    )
