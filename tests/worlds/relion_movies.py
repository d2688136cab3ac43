"""RELION's own motion correction, where it is installed, on a movie in which nothing moves."""

import shutil
import subprocess

import mrcfile
import numpy as np
import pytest

STAR = """
data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographOriginalPixelSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
group1 1 1.0 300 2.7 0.1

data_movies

loop_
_rlnMicrographMovieName #1
_rlnOpticsGroup #2
"""


def still_scene(shape, seed=0, top=120):
    """An image of whole numbers from 0 to ``top`` with features of a few pixels, like none of its
    own mirror images.
    """
    white = np.fft.rfft2(np.random.default_rng(seed).normal(size=shape))
    ky, kx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    smooth = np.fft.irfft2(white * np.exp(-40 * (ky**2 + kx**2)), s=shape)
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) / (high - low) * top).round()


def relion_sum(movie, *options):
    """What relion_run_motioncorr makes of a movie whose frames are all alike: their plain sum
    (times the gain).
    """
    program = shutil.which("relion_run_motioncorr")
    if program is None:
        pytest.skip("relion_run_motioncorr is not installed")
    folder = movie.parent
    (folder / "movies.star").write_text(STAR + f"{movie.name} 1\n")
    shutil.rmtree(folder / "MotionCorr", ignore_errors=True)
    line = [
        program,
        "--i",
        "movies.star",
        "--o",
        "MotionCorr/",
        "--use_own",
        "--skip_defect",
        "--j",
        "1",
        *options,
    ]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)
    result = folder / "MotionCorr" / f"{movie.stem}.mrc"
    assert result.exists(), done.stdout + done.stderr
    return mrcfile.read(result)
