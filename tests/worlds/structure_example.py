"""A made-up result of ``restore structure`` with everything in it, as its JSON."""

import copy
import math

import numpy as np
import torch
from matplotlib.figure import Figure

from restore.io.residues import Residues, Stretch
from restore.maps.contour import Contour
from restore.records import record_text
from restore.report.figures import save_png
from restore.report.scenes import FILE, Scenes, ShownMap, residue_rows, surface_rows

SHELLS, VOXEL_A, BOX = 49, 1.6, 96
FREQUENCY = [shell / (BOX * VOXEL_A) for shell in range(SHELLS)]
CAUTION = "The half maps of denoised images can agree on what the network made up."


ATOMS = [
    Residues(
        Stretch("A", 45, 46), ("C", "N"), ("CA", "N"), ("ALA", "GLY"), (45, 46),
        np.array([[8.0, 8.0, 8.0], [9.4, 8.0, 8.0]]), np.zeros((0, 3)),
    )
]  # fmt: skip


def ball():
    """A map of a ball."""
    grids = np.meshgrid(*[np.arange(16.0) - 8] * 3, indexing="ij")
    density = 1 - np.sqrt(sum(grid**2 for grid in grids)) / 5
    return ShownMap("raw", (Contour(torch.from_numpy(density).float(), (1.0,) * 3, 0.0, 524.0),))


def falling(resolution_A, steepness=10.0):
    """A curve that falls from 1 and is 0.5 at a resolution."""
    return [
        1 / (1 + math.exp(steepness * (frequency * resolution_A - 1))) for frequency in FREQUENCY
    ]


def correlation(resolution_A):
    """The curves of half maps."""
    curve = falling(resolution_A)
    crossings = {"0.143": {"value_A": resolution_A * 0.9, "words": f"{resolution_A * 0.9:.2f} Å"}}
    crossings["0.5"] = {"value_A": resolution_A, "words": f"{resolution_A:.2f} Å"}
    return {"curves": {"unmasked": curve}, "best": "unmasked", "crossings": crossings}


def reconstruction(images, orientations, resolution_A, true_A):
    """One of the four maps."""
    fsc = correlation(resolution_A)
    return {
        "images": images,
        "orientations": orientations,
        "particles": 5000,
        "files": {"map": f"maps/{images}_by_{orientations}.mrc"},
        "fsc": fsc,
        "reference": [math.sqrt(2 * value / (1 + value)) for value in fsc["curves"]["unmasked"]],
        "amplitude": [
            math.exp(-(resolution_A**2) * 3 * frequency**2) + 0.003 for frequency in FREQUENCY
        ],
        "bfactor_A2": {"value": -110.0, "low": -120.0, "high": -100.0},
        "model": correlation(true_A * 1.05),
        "truth": correlation(true_A),
    }


def bias(claimed_A, supported_A):
    """What is claimed and supported."""
    claimed, supported = falling(claimed_A), falling(supported_A)
    known = 36
    return {
        "claimed": claimed,
        "supported": [*supported[:known], *[None] * (SHELLS - known)],
        "supported_error": [0.02] * known + [None] * (SHELLS - known),
        "excess": [one - other for one, other in zip(claimed, supported, strict=True)],
        "excess_error": [0.02] * SHELLS,
        "mean_excess": {"value": 0.08, "low": 0.06, "high": 0.1},
        "is_found": True,
        "band": {"from_A": 12.0, "to_A": 6.0, "mean_excess": 0.08},
        "known_to_A": 1 / FREQUENCY[known],
        "claimed_crossing": {"value_A": claimed_A, "words": f"{claimed_A:.2f} Å"},
        "supported_crossing": {"value_A": supported_A, "words": f"{supported_A:.2f} Å"},
    }


def reslog(shift):
    """Points and a line."""
    sizes = [100, 200, 400, 800, 1600, 3200, 5000]
    line = [0.09 + shift + 0.05 * math.log10(size) for size in sizes]
    noisy = [value + 0.004 * math.sin(size) for value, size in zip(line, sizes, strict=True)]
    return {
        "sizes": sizes,
        "points": {
            "value": noisy,
            "low": [value - 0.005 for value in noisy],
            "high": [value + 0.005 for value in noisy],
        },
        "line": {
            "value": line,
            "low": [value - 0.002 for value in line],
            "high": [value + 0.002 for value in line],
        },
        "words": "Raw: slope 0.050." if not shift else "Denoised: slope 0.050.",
    }


def structure():
    """The JSON of a result."""
    angles = {
        "count": 5000,
        "median_deg": 0.8,
        "quartiles_deg": [0.4, 1.5],
        "chance_median_deg": 41.0,
    }
    card = {
        "format_version": 1,
        "provenance": {
            "program": "restore",
            "version": "0.2.0",
            "command": "restore structure --raw_particles run_data.star",
            "time": "2026-05-04T10:00:00+00:00",
            "settings": {"box_px": BOX, "seed": 0},
            "inputs": {"raw_particles": "Refine3D/job012/run_data.star"},
        },
        "particles": {"count": 5000},
        "symmetry": "D7",
        "box_px": BOX,
        "pixel_size_A": VOXEL_A,
        "frequency_per_A": FREQUENCY,
        "reconstructions": {
            "raw_by_raw": reconstruction("raw", "raw", 4.6, 4.7),
            "denoised_by_raw": reconstruction("denoised", "raw", 4.0, 4.8),
            "denoised_by_denoised": reconstruction("denoised", "denoised", 3.8, 4.6),
            "raw_by_denoised": reconstruction("raw", "denoised", 4.5, 4.6),
        },
        "bias": {"raw": bias(3.8, 4.5), "denoised": bias(3.7, 4.4)},
        "reslog": {"raw_by_raw": reslog(0), "denoised_by_raw": reslog(0.02)},
        "angles": [
            {"title": "Refined on raw and on denoised images", **angles, "picture": "angles.png"}
        ],
        "views": [{"title": "Before sharpening", "words": "Side and top.", "path": "views.json"}],
        "regions": [{"title": "A/45-60", "words": "A helix.", "path": "region.json"}],
        "commands": {"fsc": "restore fsc structure/a_half1.mrc structure/a_half2.mrc"},
        "cautions": [CAUTION],
        "warnings": [],
        "summary": [
            "Raw images give the better map with the orientations refined on denoised ones.",
            "More words.",
        ],
    }
    return copy.deepcopy(card)


def write_pictures(folder):
    """The pictures and the scenes that the JSON names."""
    folder.mkdir(parents=True, exist_ok=True)
    figure = Figure(figsize=(6, 3), layout="constrained")
    figure.subplots().imshow(np.random.default_rng(0).normal(size=(40, 80)), cmap="gray")
    save_png(figure, folder / "angles.png", dpi=80)
    for name, rows in (
        ("views", surface_rows([ball()])),
        ("region", residue_rows([ball()], ATOMS)),
    ):
        (folder / f"{name}.json").write_text(record_text(Scenes(tuple(rows)), FILE))
