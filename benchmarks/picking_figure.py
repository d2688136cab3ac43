"""Curves of precision against recall, a panel for each picker."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib.figure import Figure

PANEL_INCHES = (4.6, 4.0)


@dataclass(frozen=True)
class Line:
    """The precision at each recall, for one kind of image."""

    name: str
    recall: Sequence[float]
    precision: Sequence[float]


def draw(path: Path, panels: Mapping[str, Sequence[Line]]) -> None:
    """Write the curves of each picker as a PNG."""
    width, height = PANEL_INCHES
    figure = Figure(figsize=(width * len(panels), height), layout="constrained")
    axes = figure.subplots(1, len(panels), squeeze=False, sharey=True)[0]
    for panel, (picker, lines) in zip(axes, panels.items(), strict=True):
        for line in lines:
            own = line.name.startswith("restore")
            panel.plot(
                line.recall, line.precision, label=line.name, linewidth=2 if own else 1.2,
                linestyle="-" if own else "--",
            )  # fmt: skip
        panel.axhline(0.9, color="0.6", linewidth=0.6)
        panel.set(title=picker, xlabel="recall", xlim=(0, 1), ylim=(0, 1.02))
        panel.grid(linewidth=0.3)
    axes[0].set_ylabel("precision")
    axes[0].legend(fontsize=8, loc="lower left")
    figure.savefig(path, dpi=110)
