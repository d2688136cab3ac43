"""The columns of RELION's tables of particles."""

IMAGE, MICROGRAPH, OPTICS, HALF = (
    "rlnImageName",
    "rlnMicrographName",
    "rlnOpticsGroup",
    "rlnRandomSubset",
)
TOMOGRAM_NAME = "rlnTomoParticleName"
EULER = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
COORDINATES = ("rlnCoordinateX", "rlnCoordinateY")
ORIGINS_A, ORIGINS_PX = ("rlnOriginXAngst", "rlnOriginYAngst"), ("rlnOriginX", "rlnOriginY")
PHASE_SHIFT = "rlnPhaseShift"
PHASES_FLIPPED, PREMULTIPLIED = "rlnCtfDataArePhaseFlipped", "rlnCtfDataAreCtfPremultiplied"
FLAT_PIXEL_SIZE = ("rlnDetectorPixelSize", "rlnMagnification")
MICROGRAPH_PIXEL, MOVIE_PIXEL = "rlnMicrographPixelSize", "rlnMicrographOriginalPixelSize"
