"""A project as RELION 5 leaves it after CTF estimation of tilt series: a table of series, and a
STAR file for each.
"""


def _head(block, columns, comment=""):
    """The lines before the rows of a table, laid out as RELION does."""
    numbered = "".join(
        f"_{column} #{number} \n" for number, column in enumerate(columns.split(), 1)
    )
    return f"\n# version 50001\n\ndata_{block}\n\n{comment}loop_ \n{numbered}"


GLOBAL_COLUMNS = """
rlnTomoName
rlnTomoTiltSeriesStarFile
rlnVoltage
rlnSphericalAberration
rlnAmplitudeContrast
rlnMicrographOriginalPixelSize
rlnTomoHand
rlnOpticsGroupName
rlnTomoTiltSeriesPixelSize
"""
SERIES_COLUMNS = """
rlnMicrographMovieName
rlnTomoTiltMovieFrameCount
rlnTomoNominalStageTiltAngle
rlnTomoNominalTiltAxisAngle
rlnMicrographPreExposure
rlnTomoNominalDefocus
rlnCtfPowerSpectrum
rlnMicrographNameEven
rlnMicrographNameOdd
rlnMicrographName
rlnMicrographMetadata
rlnAccumMotionTotal
rlnAccumMotionEarly
rlnAccumMotionLate
rlnCtfImage
rlnDefocusU
rlnDefocusV
rlnCtfAstigmatism
rlnDefocusAngle
rlnCtfFigureOfMerit
rlnCtfMaxResolution
rlnCtfIceRingDensity
"""
JOB = "CtfFind/job003"
TABLE = f"{JOB}/tilt_series_ctf.star"
DEFOCUS = "28750.120000 28650.250000"


def image_of(name, tilt):
    """The name of a tilt image without its ending, as motion correction gives it."""
    return f"MotionCorr/job002/frames/{name}_{tilt:03d}_{3 * tilt}_0"


def tilt_row(name, tilt, image="", defocus=DEFOCUS):
    """The row of one tilt image; the empty string stands as RELION 5 writes it."""
    stem = image or image_of(name, tilt)
    return (
        f"frames/{name}_{tilt:03d}_{3 * tilt}.0.mrc            8     {3 * tilt}.001000    "
        "85.000000     "
        f'{3 * tilt}.000000    -4.00000 {stem}_PS.mrc {stem}_EVN.mrc {stem}_ODD.mrc {stem}.mrc "" '
        f"2.297631     0.000000     2.297631 {stem.replace('MotionCorr/job002', JOB)}_PS.ctf:mrc "
        f"{defocus}   99.870000    12.500000     0.123456     9.870000     1.020304 \n"
    )


def series_text(name, rows):
    """The STAR file of one series."""
    return _head(name, SERIES_COLUMNS, "# made by a test\n") + "".join(rows) + " \n"


def table_row(name, size_A="1.350000", file=""):
    """The row of one series in the table."""
    file = file or f"{JOB}/tilt_series/{name}.star"
    return (
        f"       {name} {file}   300.000000     2.700000     0.070000     0.675000     -1.00000   "
        f" optics1     {size_A} \n"
    )


def write_project(
    folder, names=("TS_01", "TS_02"), tilts=3, size_A="1.350000", image=lambda name, tilt: ""
):
    """Write the table of series and their files below ``folder``; the table's path, from there,
    comes back.
    """
    (folder / JOB / "tilt_series").mkdir(parents=True, exist_ok=True)
    (folder / TABLE).write_text(
        _head("global", GLOBAL_COLUMNS) + "".join(table_row(name, size_A) for name in names) + " \n"
    )
    for name in names:
        rows = [tilt_row(name, tilt, image(name, tilt)) for tilt in range(tilts)]
        (folder / JOB / f"tilt_series/{name}.star").write_text(series_text(name, rows))
    return TABLE
