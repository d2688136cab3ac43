"""BM3D on the images (.npy) of a folder; run in its own environment.

    python bm3d_denoise.py FOLDER PROCESSES

FOLDER/sigma.json names the images and the deviation of each one's white noise. The results replace
the images; FOLDER/seconds.json holds the time that each took, on one core.
"""

import json
import sys
import time
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from bm3d import bm3d


def denoise(task: tuple[Path, float]) -> float:
    """Denoise one image where it lies; the seconds that it took come back."""
    path, sigma = task
    start = time.monotonic()
    image = np.load(path)
    mean = image.mean()
    np.save(path, (bm3d(image - mean, sigma) + mean).astype(np.float32))
    return time.monotonic() - start


if __name__ == "__main__":
    folder, processes = Path(sys.argv[1]), int(sys.argv[2])
    sigmas = json.loads((folder / "sigma.json").read_text())
    with Pool(processes) as pool:
        seconds = pool.map(
            denoise, [(folder / name, sigma) for name, sigma in sigmas.items()], chunksize=1
        )
    (folder / "seconds.json").write_text(json.dumps(seconds))
