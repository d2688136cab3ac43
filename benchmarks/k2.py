"""What restore does to one real field: train on it, and compare each half, denoised, with the
*other* raw half, also by `restore evaluate`.

    python benchmarks/k2.py STAR [--minutes 5] [-r 9] [--picture docs/k2.png]

Per band, with M the prepared raw halves and D the denoised ones, calibrated as `restore evaluate`
judges them: raw FRC(M1, M2), FRC(D1, M2) averaged over both directions, and the share of the common
signal that D keeps, cov(D1, M2) / cov(M1, M2). The held-out strip, which training never saw, is
told apart from the rest. Options that are not known here go to `restore train`.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

import torch

import machine
from restore.cli.main import main as restore
from restore.evaluation.estimators.spectra import RingCovariances, ring_covariances
from restore.evaluation.measure import Views, views_of_model
from restore.image_tensors import read_tensor
from restore.io.micrographs import Needs, read_micrographs
from restore.micrograph import Micrograph
from restore.model.checkpoint import Model, load_model
from restore.model.inference.selection import engine_for
from restore.preprocessing import Recipe
from restore.report.panels import Panel, side_by_side

RING_PER_A = 1 / 600
HIGHPASS_A = Recipe.highpass_A
BANDS_A = ((200, 60), (60, 40), (40, 25), (25, 20), (20, 15), (15, 12), (12, 9))


def denoised_halves(micrograph: Micrograph, model: Model) -> Views:
    """The halves as the network sees them, and as it denoises them."""
    assert micrograph.even is not None
    assert micrograph.odd is not None
    return views_of_model(
        (read_tensor(micrograph.even), read_tensor(micrograph.odd)),
        micrograph,
        model.recipe,
        engine_for(model.network, torch.device("cpu")),
        calibration=model.calibration,
        kind="rings",
    )


def table(rings: RingCovariances) -> list[str]:
    """A Markdown row for each band; images are M1, M2, D1, D2."""
    lines: list[str] = []
    for coarse_A, fine_A in BANDS_A:
        c = rings.band(coarse_A, fine_A).covariance[..., 0]
        raw = c[0, 1] / (c[0, 0] * c[1, 1]).sqrt()
        across = (c[2, 1] / (c[2, 2] * c[1, 1]).sqrt() + c[3, 0] / (c[3, 3] * c[0, 0]).sqrt()) / 2
        between = c[2, 3] / (c[2, 2] * c[3, 3]).sqrt()
        kept = (c[2, 1] + c[3, 0]) / (2 * c[0, 1])
        lines.append(
            f"| {coarse_A}–{fine_A} | {raw:.3f} | {across:.3f} | {between:.3f} | {kept:.2f} |"
        )
    return lines


def report(title: str, images: torch.Tensor, pixel_size_yx_A: tuple[float, float]) -> None:
    """Print the table of one region."""
    print(f"\n{title}, {images.shape[1]}×{images.shape[2]} pixels\n")
    print(
        "| band, Å | FRC(M1, M2) | FRC(D1, M2) | FRC(D1, D2) | cov(D1, M2) / cov(M1, M2) "
        "|\n|---|---|---|---|---|"
    )
    print("\n".join(table(ring_covariances(images, pixel_size_yx_A))))
    rings = ring_covariances(images, pixel_size_yx_A, RING_PER_A)
    raw = rings.correlation(0, 1)
    across = (rings.correlation(2, 1) + rings.correlation(3, 0)) / 2
    clear = (raw > 0.1) & (rings.frequency_per_A >= 1 / HIGHPASS_A)
    kept = (across / raw)[clear]
    print(
        f"\n{len(kept)} rings of 1/{1 / RING_PER_A:.0f} Å have FRC(M1, M2) over 0.1; "
        f"FRC(D1, M2) / FRC(M1, M2) in them: least {float(kept.min()):.2f} at "
        f"{1 / float(rings.frequency_per_A[clear][kept.argmin()]):.0f} Å, median "
        f"{float(kept.median()):.2f}"
    )


def draw(path: Path, micrograph: Micrograph, denoised: Path) -> None:
    """A window of the raw micrograph beside the same of the denoised one, both binned by four."""
    raw, clean = (read_tensor(path) for path in (micrograph.image, denoised))
    size = micrograph.pixel_size_A
    window = (slice(900, 2900), slice(900, 2900))
    panels = [
        Panel("raw", _binned(raw[window]), size * 4),
        Panel("denoised", _binned(clean[window]), size * 4),
    ]
    side_by_side(panels).convert("L").save(path, optimize=True)


def _binned(image: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(image[None, None], 4)[0, 0]


def main() -> None:
    """Train, denoise, measure, draw."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("star")
    parser.add_argument("--minutes", default="5")
    parser.add_argument("-r", default="9")
    parser.add_argument("--picture", type=Path)
    chosen, options = parser.parse_known_args()
    folder = Path(tempfile.mkdtemp(prefix="restore_k2_"))
    where = ["-d", str(folder), "-x", "k2", "-f", str(folder / "k2.hdf")]
    train = ["train", "-m", chosen.star, "-r", chosen.r, "--minutes", chosen.minutes]
    assert restore([*train, *where, *options]) == 0
    path = folder / "k2.safetensors"
    denoise = ["denoise", "-m", chosen.star, "-p", str(path), "-o", str(folder / "out")]
    assert restore(denoise) == 0
    evaluation = str(folder / "evaluation")
    assert restore(["evaluate", "-m", chosen.star, "-p", str(path), "-o", evaluation]) == 0
    model = load_model(path)
    micrograph = read_micrographs(chosen.star, needs=Needs(halves=True)).micrographs[0]
    views = denoised_halves(micrograph, model)
    images = torch.stack([*views.raw, *views.denoised])
    print(
        f"{machine.describe()}; trained {model.training['seconds']:.0f} s, "
        f"{model.training['steps']} steps"
    )
    print(f"best epoch: {model.training['best']}")
    pixel_size_yx_A = views.grid.pixel_size_yx_A
    report("The whole field", images, pixel_size_yx_A)
    rows = images.shape[1] - max(model.training["settings"]["patch_px"], images.shape[1] // 8)
    report("The strip held out of training", images[:, rows:], pixel_size_yx_A)
    borders = [
        float(edge.mean())
        for edge in (images[2, :8], images[2, -8:], images[2, :, :8], images[2, :, -8:])
    ]
    print("\nmean of the outer 8 rows and columns of D1, in its standard deviations:",
          " ".join(f"{edge / float(images[2].std()):+.2f}" for edge in borders))  # fmt: skip
    if chosen.picture:
        (written,) = (folder / "out").rglob("*.mrc")
        draw(chosen.picture, micrograph, written)
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
