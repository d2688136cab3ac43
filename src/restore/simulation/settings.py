"""Settings of a session: the specimen, the microscope and the output."""

import math
from dataclasses import dataclass

from restore.errors import UserError
from restore.settings import setting

MOVIES = ("none", "mrc", "tiff")
TIFF_COMPRESSIONS = ("lzw", "deflate")
LARGEST_GAIN_SPREAD = 0.2
MOST_PER_FRAME_E_PER_PX = 500.0  # a hot pixel's count in a movie still fits 16 bits
_SMALLEST_PX = 32


@dataclass(frozen=True)
class SimulationSettings:
    """The specimen and the microscope of a simulated session. Each field is an option of ``restore
    simulate``. ``defocus_um`` is a range in µm, from which each micrograph draws its defocus.
    """

    specimen: str = setting(
        "barrel", 'specimen: "barrel", or a PDB, mmCIF or MRC file', group="specimen"
    )
    micrographs: int = setting(10, "number of micrographs", "-n", group="specimen")
    particles_per_um2: float = setting(
        2000.0,
        "particles per µm² of ice (as many as fit side by side)",
        group="specimen",
    )
    ice_thickness_A: float = setting(
        300.0,
        "thickness of the ice (Å), to which the signal of the ice is proportional",
        group="specimen",
    )
    ice_gradient_per_um: float = setting(
        0.2,
        "relative change of intensity from thin to thick ice, per µm of the image's longer side",
        group="specimen",
    )
    size_px: tuple[int, ...] = setting(
        (4096, 4096),
        "height and width of the image, or one number for both (pixels)",
        group="microscope",
    )
    pixel_size_A: float = setting(1.0, "pixel size (Å)", group="microscope")
    dose_e_per_A2: float = setting(
        50.0, "total dose of all frames (electrons per Å²)", group="microscope"
    )
    frames: int = setting(40, "number of frames", group="microscope")
    voltage_kV: float = setting(300.0, "acceleration voltage (kV)", group="microscope")
    spherical_aberration_mm: float = setting(2.7, "spherical aberration (mm)", group="microscope")
    amplitude_contrast: float = setting(0.07, "amplitude contrast, 0 to 1", group="microscope")
    defocus_um: tuple[float, float] = setting(
        (0.8, 2.0), "smallest and largest underfocus (µm)", group="microscope"
    )
    astigmatism_A: float = setting(
        100.0, "mean astigmatism, the difference of the two defoci (Å)", group="microscope"
    )
    astigmatism_spread_A: float = setting(
        50.0, "standard deviation of the astigmatism between micrographs (Å)", group="microscope"
    )
    phase_shift_deg: float = setting(
        0.0, "phase shift of a phase plate (degrees)", group="microscope"
    )
    contrast_fraction: float = setting(
        0.56, "fraction of the ideal weak-phase contrast that the image shows", group="microscope"
    )
    envelope_A2: float = setting(
        80.0, "B factor of the envelope of the signal (Å²)", group="microscope"
    )
    hot_pixels: int = setting(3, "number of hot pixels of the detector", group="microscope")
    radiation_damage: bool = setting(
        False,
        "fade fine detail with dose (Grant & Grigorieff 2015), in all images",
        group="microscope",
    )
    seed: int = setting(
        0, "seed of all random numbers: the same seed gives the same images", group="microscope"
    )
    movies: str = setting(
        "none", "write the frames too, as MRC or TIFF", choices=MOVIES, group="movies"
    )
    tiff_compression: str = setting(
        "lzw",
        "lossless compression of TIFF movies",
        choices=TIFF_COMPRESSIONS,
        group="movies",
    )
    drift_A: float = setting(
        15.0,
        "distance that the whole field drifts from the first frame to the last (Å)",
        group="movies",
    )
    local_motion_A: float = setting(
        4.0, "largest local motion on top of the drift (Å)", group="movies"
    )
    gain_spread: float = setting(
        0.0,
        "standard deviation of the gain between pixels; if above 0, a gain reference is written",
        group="movies",
    )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return int(self.size_px[0]), int(self.size_px[-1])

    @property
    def dose_per_frame_e_per_px(self) -> float:
        """Electrons per pixel in one frame."""
        return self.dose_e_per_A2 * self.pixel_size_A**2 / self.frames


def check_settings(settings: SimulationSettings) -> None:
    """Raise UserError, which names the first of them, for settings that no microscope
    could have.
    """
    least, most = settings.defocus_um
    demands = (
        ("micrographs", settings.micrographs >= 1, "at least one"),
        ("size_px", len(settings.size_px) in {1, 2} and min(settings.size_px) >= _SMALLEST_PX,
         f"one or two numbers of at least {_SMALLEST_PX} pixels"),
        ("pixel_size_A", _positive(settings.pixel_size_A), "Å, above zero"),
        ("dose_e_per_A2", _positive(settings.dose_e_per_A2), "electrons per Å², above zero"),
        ("frames", settings.frames >= 2, "at least two, one for each half"),
        ("voltage_kV", _positive(settings.voltage_kV), "kV, above zero"),
        ("defocus_um", math.isfinite(most) and -math.inf < least <= most,
         "least and most, in this order"),
        ("spherical_aberration_mm", math.isfinite(settings.spherical_aberration_mm),
         "a number of mm"),
        ("phase_shift_deg", math.isfinite(settings.phase_shift_deg), "a number of degrees"),
        ("astigmatism_A", math.isfinite(settings.astigmatism_A), "a number of Å"),
        ("astigmatism_A", _is_underfocus_throughout(settings), "less than twice the smallest "
         "defocus without a phase plate, also three astigmatism_spread_A above the mean"),
        ("amplitude_contrast", 0 <= settings.amplitude_contrast <= 1, "between 0 and 1"),
        ("contrast_fraction", 0 <= settings.contrast_fraction <= 1, "between 0 and 1"),
        ("particles_per_um2", 0 <= settings.particles_per_um2 < math.inf, "zero or more"),
        ("ice_thickness_A", 0 <= settings.ice_thickness_A < math.inf, "zero or more"),
        ("ice_gradient_per_um", 0 <= settings.ice_gradient_per_um < math.inf, "zero or more"),
        ("envelope_A2", 0 <= settings.envelope_A2 < math.inf, "zero or more"),
        ("astigmatism_spread_A", 0 <= settings.astigmatism_spread_A < math.inf, "zero or more"),
        ("hot_pixels", settings.hot_pixels >= 0, "zero or more"),
        ("movies", settings.movies in MOVIES, " or ".join(MOVIES)),
        ("tiff_compression", settings.tiff_compression in TIFF_COMPRESSIONS,
         " or ".join(TIFF_COMPRESSIONS)),
        ("frames",
         settings.movies == "none" or settings.dose_per_frame_e_per_px <= MOST_PER_FRAME_E_PER_PX,
         f"so many that each has at most {MOST_PER_FRAME_E_PER_PX:.0f} electrons per pixel"),
        ("drift_A", 0 <= settings.drift_A < math.inf, "zero or more"),
        ("local_motion_A", 0 <= settings.local_motion_A < math.inf, "zero or more"),
        ("gain_spread", 0 <= settings.gain_spread <= LARGEST_GAIN_SPREAD,
         f"between 0 and {LARGEST_GAIN_SPREAD}"),
        ("seed", settings.seed >= 0, "zero or more"),
    )  # fmt: skip
    for name, fine, wanted in demands:
        if not fine:
            raise UserError(f"{name} is {getattr(settings, name)}", wanted=f"wanted is {wanted}")


def _is_underfocus_throughout(settings: SimulationSettings) -> bool:
    """Whether both defoci of practically every micrograph are underfocus (the astigmatism being up
    to three standard deviations above its mean); True with a phase plate, and where images in focus
    or overfocus are asked for.
    """
    smallest_A = 1e4 * settings.defocus_um[0]
    asked_for = settings.phase_shift_deg != 0 or smallest_A <= 0
    largest_A = abs(settings.astigmatism_A) + 3 * settings.astigmatism_spread_A
    return asked_for or largest_A / 2 < smallest_A


def _positive(value: float) -> bool:
    return 0 < value < math.inf
