"""The inputs and the settings of a comparison of structures."""

from dataclasses import dataclass
from pathlib import Path

from restore.errors import UserError
from restore.settings import require, setting


@dataclass(frozen=True)
class StructureInputs:
    """Files: particles with orientations, the micrographs that their images come from, and
    references to compare with.

    Without ``denoised_micrographs`` the images are those that the particles name, and
    ``denoised_particles`` is needed. ``raw_micrographs`` and ``denoised_micrographs`` are tables,
    folders or patterns; by default the raw ones are those that the particles name.
    """

    raw_particles: Path
    denoised_particles: Path | None = None
    raw_micrographs: str | None = None
    denoised_micrographs: str | None = None
    mask: Path | None = None
    model: Path | None = None
    truth_map: Path | None = None
    truth_particles: Path | None = None

    def __post_init__(self) -> None:
        if self.denoised_micrographs is None and self.denoised_particles is None:
            wanted = "The denoised images of the particles are needed"
            do = (
                "give `denoised_micrographs` to extract them from, or `denoised_particles` with "
                "their stacks"
            )
            raise UserError("there are no denoised images or micrographs", wanted=wanted, do=do)
        if self.raw_micrographs is not None and self.denoised_micrographs is None:
            do = "give `denoised_micrographs` too, or neither"
            raise UserError(
                "raw micrographs are given, but no denoised ones",
                wanted="Both sets of particles are extracted in the same way",
                do=do,
            )


@dataclass(frozen=True)
class StructureSettings:
    """How particles are extracted, reconstructed and compared."""

    sym: str = setting("C1", "point group of the particle, in RELION's convention: C1, D7, O, I1 …")
    box_px: int | None = setting(
        None,
        "side of the particle windows in the micrographs, even, in pixels; needed to extract "
        "particles from denoised micrographs",
        group="extraction from micrographs",
    )
    scale_px: int | None = setting(
        None,
        "side of the particle images after cropping in Fourier space, in pixels (default: the "
        "side of the windows)",
        group="extraction from micrographs",
    )
    dark_protein: bool = setting(
        True,
        "protein is dark in the micrographs; the particle images are inverted",
        off="--bright_protein",
        group="extraction from micrographs",
    )
    tolerance_px: float = setting(
        5.0,
        "largest distance between the coordinates of a particle in two files, in pixels of the "
        "micrographs",
    )
    ctf: bool = setting(True, "correct for the CTF", off="--no_ctf", group="reconstruction")
    denoised_phases: str = setting(
        "auto",
        "whether the denoised images' phases are flipped (auto: as their file says, or else as "
        "a comparison with the raw images shows)",
        choices=("auto", "flipped", "kept"),
        group="reconstruction",
    )
    engine: str = setting(
        "auto",
        "program that extracts and reconstructs: RELION's (auto: where it is installed), or "
        "restore's own (torch)",
        choices=("auto", "relion", "torch"),
        group="reconstruction",
    )
    bfactor: float | None = setting(
        None,
        "B factor for sharpening in Å², negative to sharpen (default: each map's Guinier fit)",
    )
    reslog_sizes: int = setting(
        6, "number of subset sizes in the ResLog plot, 0 for no plot", group="ResLog"
    )
    reslog_repeats: int = setting(3, ("number of independent draws of the subsets"), group="ResLog")
    mass_kDa: float | None = setting(
        None, "mass of the particle, which sets the views' level (default: from the raw map)"
    )
    views: bool = setting(True, "show the surfaces of the maps on the page", off="--no_views")
    region: tuple[str, ...] | None = setting(
        None, "residues to show, such as A/45-60 (default: a helix and a strand of the model)"
    )
    seed: int = setting(0, "seed of the subsets, and of the half sets if a refinement has none")

    def __post_init__(self) -> None:
        can_be_drawn = self.reslog_sizes == 0 or self.reslog_sizes >= 2
        require(self, "reslog_sizes", can_be_drawn, "0, or at least 2")
        require(self, "tolerance_px", self.tolerance_px >= 0, "0 or more pixels")
