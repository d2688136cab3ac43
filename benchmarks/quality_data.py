"""What the examination is held on: simulated sessions with their truth, and a real field cut in
two.
"""

import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

from quality_metrics import Bands
from restore.cli.main import main as restore
from restore.io.images.image import read_image, write_image
from restore.io.micrographs import Needs, read_micrographs
from restore.io.star import Block, StarFile, read_star, write_star
from restore.micrograph import Micrograph
from restore.preprocessing import Recipe

PIXEL_SIZE_A = 1.5
TRAINED_ON = "barrel"
K2_TRAINING_SHARE = 5 / 8


@dataclass(frozen=True)
class Condition:
    """How a micrograph was taken."""

    dose_e_per_A2: float
    defocus_um: tuple[float, float]

    @property
    def name(self) -> str:
        """As it stands in a table."""
        return f"{self.dose_e_per_A2:g} e/Å², {self.defocus_um[0]:g}–{self.defocus_um[1]:g} µm"


CONDITIONS = tuple(
    Condition(dose, defocus) for dose in (50.0, 20.0) for defocus in ((0.8, 1.2), (1.6, 2.2))
)
UNSEEN_CONDITION = Condition(50.0, (0.8, 2.2))


@dataclass(frozen=True)
class Shot:
    """One micrograph to be denoised: full sum, halves, and where it is known, the noise-free full
    sum.
    """

    key: str
    group: str
    condition: str
    star: Path
    micrograph: Micrograph
    truth: Path | None


@dataclass(frozen=True)
class Exam:
    """One data set: what may be trained on, and what is then denoised and no training has seen."""

    name: str
    recipe: Recipe
    bands: Bands
    training: Path
    shots: tuple[Shot, ...]


@dataclass(frozen=True)
class Sizes:
    """How much is simulated: micrographs for each condition, and their sides in pixels."""

    training_micrographs: int
    training_px: int
    test_micrographs: int
    test_px: int
    conditions: tuple[Condition, ...] = CONDITIONS


def simulated_exam(folder: Path, sizes: Sizes, unseen: Sequence[Path]) -> Exam:
    """Sessions of one specimen under several conditions to train on; others of it, and of unseen
    specimens, to test.
    """
    train = [
        _session(
            folder / f"train{n}",
            TRAINED_ON,
            condition,
            (sizes.training_micrographs, sizes.training_px),
            n,
        )
        for n, condition in enumerate(sizes.conditions)
    ]
    tests = [
        ("seen", TRAINED_ON, condition, 100 + n) for n, condition in enumerate(sizes.conditions)
    ]
    tests += [(path.stem, str(path), UNSEEN_CONDITION, 200 + n) for n, path in enumerate(unseen)]
    shots: list[Shot] = []
    for group, specimen, condition, seed in tests:
        star = _session(
            folder / f"test{seed}",
            specimen,
            condition,
            (sizes.test_micrographs, sizes.test_px),
            seed,
        )
        for n, micrograph in enumerate(
            read_micrographs(str(star), needs=Needs(halves=True)).micrographs
        ):
            truth = micrograph.image.with_name(micrograph.image.name.replace("_DW", "_TRUTH"))
            shots.append(Shot(f"t{seed}_{n}", group, condition.name, star, micrograph, truth))
    bands = ((200.0, 20.0), (20.0, 9.0), (9.0, 4.5))
    return Exam(
        "simulated", Recipe(4.5), bands, _together(folder / "train.star", train), tuple(shots)
    )


def field_exam(folder: Path, star: Path, resolution_A: float = 9.0) -> Exam:
    """A real micrograph with halves cut across: five eighths of its rows to train on, the rest to
    test.
    """
    whole = read_micrographs(str(star), needs=Needs(halves=True)).micrographs[0]
    table = read_star(star)
    stars: list[Path] = []
    for part, share in (("train", (0.0, K2_TRAINING_SHARE)), ("test", (K2_TRAINING_SHARE, 1.0))):
        for suffix, path in (("DW", whole.image), ("EVN", whole.even), ("ODD", whole.odd)):
            assert path is not None
            image = read_image(path).data
            rows = slice(*(round(edge * image.shape[0]) for edge in share))
            write_image(folder / f"{part}_{suffix}.mrc", image[rows], whole.pixel_size_A)
        first = (
            _micrographs_of(table)
            .keeping([whole.row])
            .with_column("rlnMicrographName", [f"{part}_DW.mrc"])
        )
        stars.append(folder / f"{part}.star")
        write_star(stars[-1], table.with_block(first))
    (micrograph,) = read_micrographs(str(stars[1]), needs=Needs(halves=True)).micrographs
    bands = ((200.0, 60.0), (60.0, 20.0), (20.0, resolution_A))
    shot = Shot("field", "field", "as it is", stars[1], micrograph, None)
    return Exam("real field", Recipe(resolution_A), bands, stars[0], (shot,))


def star_of_tests(exam: Exam, path: Path) -> None:
    """Write a STAR file of the full sums to be denoised, each with its halves, in their order."""
    tables: list[Block] = []
    optics: StarFile | None = None
    for shot in exam.shots:
        source = read_star(shot.star)
        optics = optics or source
        row = _micrographs_of(source).keeping([shot.micrograph.row])
        columns = ("rlnMicrographName", "rlnMicrographNameEven", "rlnMicrographNameOdd")
        for column, (_, image) in zip(columns, parts_of(shot.micrograph), strict=True):
            row = row.with_column(column, [str(image)])
        tables.append(row)
    assert optics is not None
    write_star(path, optics.with_block(_joined(tables)))


def parts_of(micrograph: Micrograph) -> Iterable[tuple[str, Path]]:
    """The files of the full sum and of the halves."""
    assert micrograph.even is not None
    assert micrograph.odd is not None
    return (("full", micrograph.image), ("even", micrograph.even), ("odd", micrograph.odd))


def _session(
    folder: Path, specimen: str, condition: Condition, count_and_px: tuple[int, int], seed: int
) -> Path:
    star = folder / "micrographs_ctf.star"
    (count, size_px), (least, most) = count_and_px, condition.defocus_um
    options = [
        f"--specimen={specimen}", f"--micrographs={count}", f"--size_px={size_px}",
        f"--pixel_size_A={PIXEL_SIZE_A}", f"--dose_e_per_A2={condition.dose_e_per_A2}",
        "--defocus_um", str(least), str(most), f"--seed={seed}",
    ]  # fmt: skip
    with redirect_stdout(sys.stderr):  # the table alone goes to stdout
        if restore(["simulate", str(folder), *options]) != 0:
            sys.exit(f"no session of {specimen} could be simulated")  # why stands on stderr already
    return star


def _together(path: Path, stars: Sequence[Path]) -> Path:
    """One STAR file of several sessions with the same optics; names are made absolute."""
    tables: list[Block] = []
    for star in stars:
        block = _micrographs_of(read_star(star))
        names = [str((star.parent / name).resolve()) for name in block.column("rlnMicrographName")]
        tables.append(block.with_column("rlnMicrographName", names))
    write_star(path, read_star(stars[0]).with_block(_joined(tables)))
    return path


def _micrographs_of(star: StarFile) -> Block:
    block = star.block("micrographs")
    assert block is not None
    return block


def _joined(tables: Sequence[Block]) -> Block:
    rows = tuple(row for table in tables for row in table.rows)
    return Block("micrographs", tables[0].columns, rows)
