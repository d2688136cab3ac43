"""CAREamics' U-Net, trained with noise2noise on pairs of halves and applied; run in its own
environment.

    python careamics_n2n.py FOLDER MINUTES

FOLDER/even.npy and odd.npy are stacks (pair, y, x) of halves to train on, each of unit deviation;
both directions are used. FOLDER/images/*.npy are replaced by their denoised versions.
FOLDER/seconds.json: of training, and of each image. Its defaults, but patches of 128² and batches
of 8, as many as the time allows.
"""

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import absent_torchvision  # noqa: F401
import numpy as np
from careamics import CAREamist
from careamics.config.factories.care_n2n_factory import create_advanced_n2n_config

PATCH_PX = 128
TILE_PX, OVERLAP_PX = 512, 96
STEPS_PER_EPOCH = 100


def train(folder: Path, minutes: float) -> CAREamist:
    """The U-Net after so many minutes."""
    even, odd = np.load(folder / "even.npy"), np.load(folder / "odd.npy")
    config = create_advanced_n2n_config(
        experiment_name="quality",
        data_type="array",
        axes="SYX",
        patch_size=[PATCH_PX, PATCH_PX],
        batch_size=8,
        num_epochs=100_000,
        num_steps=STEPS_PER_EPOCH,
        num_workers=0,
        trainer_params={"max_time": timedelta(minutes=minutes), "accelerator": "cpu"},
        seed=1,
    )
    careamist = CAREamist(config, work_dir=folder / "work", enable_progress_bar=False)
    careamist.train(
        train_data=np.concatenate([even, odd]), train_data_target=np.concatenate([odd, even])
    )
    return careamist


def denoise(careamist: CAREamist, path: Path) -> float:
    """Denoise one image where it lies; the seconds that it took come back."""
    start = time.monotonic()
    image = np.load(path)
    side = min(
        TILE_PX, 1 << (min(image.shape).bit_length() - 1)
    )  # tiles must be square, their side a power of two
    tiles = {"tile_size": (side, side), "tile_overlap": (OVERLAP_PX, OVERLAP_PX)}
    predicted, _ = careamist.predict(
        image[None], axes="SYX", batch_size=1, num_workers=0, checkpoint="last", **tiles
    )
    np.save(path, np.asarray(predicted[0], dtype=np.float32).reshape(image.shape))
    return time.monotonic() - start


if __name__ == "__main__":
    place = Path(sys.argv[1])
    begun = time.monotonic()
    trained = train(place, float(sys.argv[2]))
    training = time.monotonic() - begun
    seconds = [denoise(trained, path) for path in sorted((place / "images").glob("*.npy"))]
    (place / "seconds.json").write_text(json.dumps({"training": training, "images": seconds}))
