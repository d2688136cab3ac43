"""A movie whose specimen drifts and bends, with what RELION needs to correct it."""

import shutil
import subprocess

import mrcfile
import numpy as np
import pytest
import scipy.ndimage

PIXEL_A = 1.0
DOSE_E_PER_A2 = 1.2
IMPORTED = f"""
# version 30001

data_optics

loop_
_rlnOpticsGroupName #1
_rlnOpticsGroup #2
_rlnMicrographOriginalPixelSize #3
_rlnVoltage #4
_rlnSphericalAberration #5
_rlnAmplitudeContrast #6
opticsGroup1 1 {PIXEL_A} 300.0 2.7 0.1

# version 30001

data_movies

loop_
_rlnMicrographMovieName #1
_rlnOpticsGroup #2
"""


def specimen(shape, seed):
    """An image (y, x) of unit variance with detail down to about 4 pixels."""
    random = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None])
    spectrum = (
        np.fft.rfft2(random.normal(size=shape))
        * np.exp(-((frequency / 0.24) ** 8))
        / (1 + frequency / 0.05)
    )
    spectrum[frequency < 0.004] = 0
    image = np.fft.irfft2(spectrum, s=shape)
    return image / image.std()


def drift(y, x, t):
    """How far the specimen at (y, x), each −½ … ½, has gone at time t (0 … 1): pixels along y and
    x.
    """
    along_y = -4 * t + 3 * t * y + 2 * t * x * y - 2 * t * t * x * x
    along_x = 6 * (1 - np.exp(-3 * t)) + 3 * t * x * x - 4 * t * y + 1.5 * t * t * x * y
    return along_y, along_x


def drifting_frames(shape, count, seed=0, electrons=3.0, contrast=0.35, margin=32):
    """``count`` frames (y, x) of electrons, int16, of a specimen that drifts."""
    random = np.random.default_rng(seed + 1)
    large = specimen(tuple(side + 2 * margin for side in shape), seed)
    spline = scipy.ndimage.spline_filter(large, 3, mode="mirror")
    rows, columns = np.mgrid[: shape[0], : shape[1]].astype(float)
    frames = []
    for index in range(count):
        y, x = drift(rows / shape[0] - 0.5, columns / shape[1] - 0.5, index / (count - 1))
        at = [rows + y + margin, columns + x + margin]
        density = scipy.ndimage.map_coordinates(spline, at, order=3, mode="mirror", prefilter=False)
        frames.append(
            random.poisson(np.clip(electrons * (1 + contrast * density), 0, None)).astype(np.int16)
        )
    return np.stack(frames)


def write_movie(path, frames):
    """Write frames (frame, y, x) as an MRC stack."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with mrcfile.new(path, overwrite=True) as file:
        file.set_data(frames)
        file.voxel_size = PIXEL_A
    return path


def motion_corrected(folder, movies, job, *options):
    """Run RELION's own MotionCorr on movies (names relative to ``folder``); skips where there is no
    RELION.
    """
    program = shutil.which("relion_run_motioncorr")
    if program is None:
        pytest.skip("relion_run_motioncorr is not installed")
    (folder / "movies.star").write_text(IMPORTED + "".join(f"{name} 1\n" for name in movies))
    line = [
        program,
        "--i",
        "movies.star",
        "--o",
        f"{job}/",
        "--use_own",
        "--j",
        "1",
        "--bfactor",
        "150",
    ]
    line += [
        "--dose_weighting",
        "--save_noDW",
        "--dose_per_frame",
        str(DOSE_E_PER_A2),
        "--preexposure",
        "0.5",
        *options,
    ]
    subprocess.run(
        line, cwd=folder, capture_output=True, timeout=50, check=False
    )  # no gs: it fails after the work
    assert (folder / job / "corrected_micrographs.star").exists()
    return folder / job


MOTION = """
# version 30001

data_general

_rlnImageSizeX                                       48
_rlnImageSizeY                                       32
_rlnImageSizeZ                                        4
_rlnMicrographMovieName                   Movies/a.mrcs
_rlnMicrographGainName                         gain.mrc
_rlnMicrographBinning                          2.000000
_rlnMicrographOriginalPixelSize                1.000000
_rlnMicrographDoseRate                         1.200000
_rlnMicrographPreExposure                      0.500000
_rlnVoltage                                  300.000000
_rlnMicrographStartFrame                              2
_rlnMotionModelVersion                                1


# version 30001

data_global_shift

loop_
_rlnMicrographFrameNumber #1
_rlnMicrographShiftX #2
_rlnMicrographShiftY #3
           1  -9999.00000  -9999.00000
           2     0.000000     0.000000
           3     1.500000     -0.25000
           4     2.000000     -0.50000


# version 30001

data_local_motion_model

loop_
_rlnMotionModelCoeffsIdx #1
_rlnMotionModelCoeff #2
"""
"""The first blocks of a micrograph's STAR file as RELION 3.1.3 writes it; 36 coefficients and more
blocks follow.
"""


def motion_text(coefficients=tuple(0.01 * index for index in range(36)), patches=None, hot=()):
    """A whole STAR file of one micrograph's motion; ``patches`` are rows of data_local_shift,
    ``hot`` pixels (x, y).
    """
    text = MOTION + "".join(
        f"{index:12d} {value:.6f}\n" for index, value in enumerate(coefficients)
    )
    if patches is not None:
        text += "\ndata_local_shift\n\nloop_\n_rlnMicrographFrameNumber\n"
        text += "_rlnCoordinateX\n_rlnCoordinateY\n"
        text += "_rlnMicrographShiftX\n_rlnMicrographShiftY\n" + "".join(
            " ".join(f"{number:.6f}" for number in row) + "\n" for row in patches
        )
    if hot:
        text += "\ndata_hot_pixels\n\nloop_\n_rlnCoordinateX\n_rlnCoordinateY\n"
        text += "".join(f"{x:.6f} {y:.6f}\n" for x, y in hot)
    return text
