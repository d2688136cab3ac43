"""``restore denoise`` of particle images, as a person types it, and what RELION and cryoSPARC make
of the result.
"""

import re
import shutil
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from particle_world import write_stack
from relion_project import Project, needs
from simulated_particles import as_cryosparc, correlations, extract_particles, images_of

from restore.cli.main import main
from restore.denoising import particle_stack
from restore.io.images.image import read_image, write_image
from restore.io.images.maps import read_map_header
from restore.io.star import read_star
from restore.particles.extraction.stacks import Images, extract
from restore.particles.extraction.windows import (
    ExtractionSettings,
    beyond_edges,
    corners_px,
    rescaled,
)

BOX, SIDE = 96, 512
LINE = "denoise -m Extract/particles.star -r 6"


def restore(line):
    return main(line.split())


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A session of two micrographs; its particles cut out, bright, of unit background; and out of
    the truth.
    """
    folder = tmp_path_factory.mktemp("particles")
    with chdir(folder):
        assert restore(f"simulate . --overwrite -n 2 --size_px={SIDE} --pixel_size_A=2") == 0
        extract_particles(Path(), "Extract", box_px=BOX)
        extract_particles(Path(), "Truth", "_TRUTH", box_px=BOX, normalise="none")
    return folder


@pytest.fixture
def here(world, tmp_path, monkeypatch):
    monkeypatch.chdir(shutil.copytree(world, tmp_path / "here"))
    return tmp_path / "here"


def whole():
    """Which particles lie wholly in their micrographs."""
    block = read_star(Path("Extract/particles.star")).block("particles")
    xy = np.array([block.column(f"rlnCoordinate{axis}") for axis in "XY"], float).T
    return ~beyond_edges(corners_px(xy, BOX), BOX, (SIDE, SIDE))


def likeness(table, truth="Truth/particles.star"):
    """Mean correlation with the truth, bright as well, of particles that lie wholly in their
    micrographs.
    """
    return correlations(images_of(table), images_of(truth))[whole()].mean()


def test_particles_are_liker_the_truth_as_those_cut_out_of_the_denoised_micrograph(here, capsys):
    assert restore(f"{LINE} -o Denoised --flip_phases_back") == 0
    out, err = capsys.readouterr()
    assert out.strip() == "Denoised/particles.star"
    assert "refine the raw ones" in err and "36/36" in err and "particles/s" in err
    # Particles have no halves to be calibrated by; alike, the micrograph is by the model.
    whole_line = "denoise -m micrographs_ctf.star -r 6 -o Whole --flip_phases_back"
    assert restore(f"{whole_line} --calibration=model") == 0
    extract_particles(Path(), "Cut", images="Whole", box_px=BOX, normalise="none")
    raw, denoised, cut = (
        likeness(f"{folder}/particles.star") for folder in ("Extract", "Denoised", "Cut")
    )
    assert denoised > 1.1 * raw
    assert denoised > 0.98 * cut


def test_without_micrographs_particles_are_reflected_and_still_gain(here, capsys):
    shutil.rmtree("Micrographs")
    assert restore(f"{LINE} -o Denoised --flip_phases_back") == 0
    messages = capsys.readouterr().err
    assert "19 of 19 particles are not found in a micrograph" in messages
    assert likeness("Denoised/particles.star") > 1.05 * likeness("Extract/particles.star")


def test_scaled_particles_find_their_surroundings_too(here, capsys):
    for folder, kind, how in (("Small", "_DW", "own"), ("SmallTruth", "_TRUTH", "none")):
        extract_particles(Path(), folder, kind, box_px=BOX, scale_px=64, normalise=how)
    assert restore("denoise -m Small/particles.star -r 6.5 -o Denoised --flip_phases_back") == 0
    assert "not found" not in capsys.readouterr().err
    truth = "SmallTruth/particles.star"
    assert likeness("Denoised/particles.star", truth) > 1.05 * likeness(
        "Small/particles.star", truth
    )


@pytest.mark.parametrize("movie_A", ["1.0", None])
def test_particles_of_binned_movies_find_their_surroundings(here, capsys, movie_A):
    """RELION leaves only the movie's pixel size in the table, half the micrograph's of 2 Å."""
    extract_particles(Path(), "Small", box_px=BOX, scale_px=64)
    star = read_star(Path("Small/particles.star"))
    optics = star.block("optics").without(["rlnMicrographPixelSize"])
    optics = optics.without(["rlnMicrographOriginalPixelSize"])
    if movie_A is not None:
        optics = optics.with_column("rlnMicrographOriginalPixelSize", [movie_A])
    Path("Small/particles.star").write_text(star.with_block(optics).text())
    assert restore("denoise -m Small/particles.star -r 6.5 -o Denoised") == 0
    assert "not found" not in capsys.readouterr().err


def test_a_missing_micrograph_leaves_only_its_own_particles_without_surroundings(here, capsys):
    """Only the headers of the micrographs tell how wide the windows were before scaling."""
    extract_particles(Path(), "Small", box_px=BOX, scale_px=64)
    star = read_star(Path("Small/particles.star"))
    optics = star.block("optics").without(["rlnMicrographPixelSize"])
    optics = optics.without(["rlnMicrographOriginalPixelSize"])
    Path("Small/particles.star").write_text(star.with_block(optics).text())
    gone = "Micrographs/mic_0002_DW.mrc"
    lost = star.block("particles").column("rlnMicrographName").count(gone)
    Path(gone).unlink()
    assert restore("denoise -m Small/particles.star -r 6.5 -o Denoised") == 0
    messages = re.findall(r"(\d+) of (\d+) particles are not found", capsys.readouterr().err)
    assert messages == [(str(lost), str(lost))]


def test_particles_of_two_pixel_sizes_in_one_stack_find_their_surroundings(here, capsys):
    """The second micrograph is binned, so that the windows in it are half as wide; both give images
    of 4 Å.
    """
    extract_particles(Path(), "Small", box_px=BOX, scale_px=BOX // 2)
    star = read_star(Path("Small/particles.star"))
    block, optics = star.block("particles"), star.block("optics")
    second = "Micrographs/mic_0002_DW.mrc"
    binned = rescaled(read_image(Path(second)).data, SIDE // 2)
    write_image(Path(second), binned.astype(np.float32), 4.0)
    rows = [at for at, name in enumerate(block.column("rlnMicrographName")) if name == second]
    own = block.keeping(rows)
    for axis in "XY":
        column = np.array(own.column(f"rlnCoordinate{axis}"), float) / 2
        own = own.with_column(f"rlnCoordinate{axis}", [f"{value:.3f}" for value in column])
    coarse = optics.with_column("rlnMicrographPixelSize", ["4.0"])
    Path("second.star").write_text(star.with_block(own).with_block(coarse).text())
    how = ExtractionSettings(box_px=BOX // 2, engine="own")
    extract(Path("second.star"), Images({second: Path(second)}), Path("Second"), how)
    first = [at for at in range(len(block.rows)) if at not in rows]
    pixels = [images_of("Small/particles.star")[first], images_of("Second/particles.star")]
    write_stack(Path("all.mrcs"), np.concatenate(pixels), 4.0)
    both = replace(block, rows=block.keeping(first).rows + own.rows)
    names = [f"{number + 1:06d}@all.mrcs" for number in range(len(both.rows))]
    groups = ["1"] * len(first) + ["2"] * len(rows)
    both = both.with_column("rlnImageName", names).with_column("rlnOpticsGroup", groups)
    two = optics.keeping([0, 0]).with_column("rlnOpticsGroup", ["1", "2"])
    two = two.with_column("rlnMicrographPixelSize", ["2.0", "4.0"])
    Path("all.star").write_text(star.with_block(both).with_block(two).text())
    capsys.readouterr()
    assert restore("denoise -m all.star -r 9 -o Denoised") == 0
    assert "not found" not in capsys.readouterr().err


def test_the_table_and_the_stacks_are_the_inputs_but_for_their_pixels(here):
    assert restore(f"{LINE} -o Denoised --output_dtype=float16 --picture") == 0
    before, after = (read_star(Path(f"{name}/particles.star")) for name in ("Extract", "Denoised"))
    raw, denoised = before.block("particles"), after.block("particles")
    assert raw.columns == denoised.columns
    for column in raw.columns:
        if column != "rlnImageName":
            assert raw.column(column) == denoised.column(column)
    assert denoised.column("rlnImageName") == [
        name.replace("@", "@Denoised/") for name in raw.column("rlnImageName")
    ]
    # The model flips phases, and these are not flipped back.
    assert after.block("optics").column("rlnCtfDataArePhaseFlipped") == ["1"]
    with mrcfile.open("Denoised/Extract/Micrographs/mic_0001_DW.mrcs") as file:
        assert file.data.dtype == np.float16 and file.data.shape == (19, BOX, BOX)
        assert file.voxel_size.x == pytest.approx(2.0)
        assert file.header.rms == pytest.approx(file.data.astype(float).std(), rel=1e-3)
        assert file.header.dmax == pytest.approx(file.data.max(), rel=1e-3)
    assert Path("Denoised/particles.png").is_file()


def test_a_rerun_does_what_is_missing_and_denoised_particles_are_not_denoised_again(
    here, capsys, monkeypatch
):
    assert restore(LINE) == 0
    stacks = [Path(f"Extract/Micrographs/mic_000{n}_DW_denoised.mrcs") for n in (1, 2)]
    before = stacks[0].stat().st_mtime_ns
    stacks[1].unlink()
    capsys.readouterr()
    assert restore(LINE) == 0
    assert "17/17" in capsys.readouterr().err
    assert stacks[0].stat().st_mtime_ns == before and stacks[1].is_file()
    assert restore(LINE) == 0
    assert "denoising" not in capsys.readouterr().err
    assert restore("denoise -m Extract/particles_denoised.star -r 6 -o Twice") == 1
    assert not Path("Twice").exists()
    # Another way to prepare images makes all of them stale.
    before = [stack.stat().st_mtime_ns for stack in stacks]
    monkeypatch.setattr("restore.denoising.targets.PREPARATION_VERSION", 99)
    assert restore(LINE) == 0
    assert all(stack.stat().st_mtime_ns != time for stack, time in zip(stacks, before, strict=True))


def test_a_subset_gets_stacks_of_its_own_particles(here):
    star = read_star(Path("Extract/particles.star"))
    some = [30, 3, 20, 5]
    block = star.block("particles").keeping(some)
    Path("Extract/some.star").write_text(star.with_block(block).text())
    assert restore(f"{LINE} -o All") == 0
    assert restore("denoise -m Extract/some.star -r 6 -o Some") == 0
    assert read_map_header(Path("Some/Extract/Micrographs/mic_0001_DW.mrcs"), "stack").shape[0] == 2
    assert np.array_equal(images_of("Some/some.star"), images_of("All/particles.star")[some])


def test_a_second_selection_from_the_same_stacks_leaves_the_firsts_as_they_are(here, capsys):
    star = read_star(Path("Extract/particles.star"))
    some = [30, 3, 20, 5]
    block = star.block("particles").keeping(some)
    Path("Extract/some.star").write_text(star.with_block(block).text())
    subset = "denoise -m Extract/some.star -r 6"
    assert restore(LINE) == 0
    before = images_of("Extract/particles_denoised.star")
    assert restore(subset) == 0
    assert "2 of 2 denoised stacks have a code in their names" in capsys.readouterr().err
    assert np.array_equal(images_of("Extract/particles_denoised.star"), before)
    assert np.array_equal(images_of("Extract/some_denoised.star"), before[some])
    # A rerun of either finds its own stacks.
    capsys.readouterr()
    assert restore(LINE) == restore(subset) == 0
    assert "denoising" not in capsys.readouterr().err
    # Even those of the other table are gone by then.
    for stack in Path("Extract/Micrographs").glob("*_DW_denoised.mrcs"):
        stack.unlink()
    assert restore(subset) == 0
    assert "denoising" not in capsys.readouterr().err


def test_a_damaged_stack_is_left_out(here, capsys):
    stack = Path("Extract/Micrographs/mic_0002_DW.mrcs")
    with mrcfile.open(stack, mode="r+") as file:
        file.data[3, 5, 5] = np.nan
    assert restore(f"{LINE} -o Denoised") == 1
    assert "1 of 2 stacks of particles were not denoised" in capsys.readouterr().err
    assert len(read_star(Path("Denoised/particles.star")).block("particles").rows) == 19
    assert not Path("Denoised/Extract/Micrographs/mic_0002_DW.mrcs").exists()


def test_dark_particles_without_micrographs_need_to_be_called_so(here):
    extract_particles(Path(), "Dark", box_px=BOX, invert_contrast=False)
    shutil.rmtree("Micrographs")
    assert restore(f"{LINE} -o A") == 0
    assert restore("denoise -m Dark/particles.star -r 6 -o B --protein=dark") == 0
    bright, dark = images_of("A/particles.star"), images_of("B/particles.star")
    assert np.abs(bright + dark).max() < 1e-4 * np.abs(bright).max()


def test_what_cannot_be_denoised_is_said_at_once(here, capsys):
    star = Path("Extract/particles.star")
    text = star.read_text()
    flat = "Extract/Micrographs/mic_0001_DW.mrcs"
    for line, words in (
        (f"denoise {flat} -r 6", "it is a stack of 19 images"),
        (f"{LINE} --average_halves", "particle images have no halves"),
        ("denoise -m Extract/flipped.star -r 6", "phases are flipped already"),
        ("denoise -m Extract/coarse.star -r 6", "end at 8 Å"),
        ("denoise -m Extract/noctf.star -r 6", "Phase flipping needs that of each particle"),
    ):
        optics = read_star(star).block("optics")
        flipped = optics.with_column("rlnCtfDataArePhaseFlipped", ["1"])
        coarse = optics.with_column("rlnImagePixelSize", ["4.0"])
        for name, block in (("flipped", flipped), ("coarse", coarse)):
            Path(f"Extract/{name}.star").write_text(read_star(star).with_block(block).text())
        Path("Extract/noctf.star").write_text(text.replace("rlnDefocusU", "rlnMyDefocusU"))
        assert restore(line) == 1
        assert words in capsys.readouterr().err, words
    assert not list(Path("Extract").rglob("*_denoised*"))


def test_a_few_images_are_in_memory_at_a_time(here, monkeypatch):
    sizes = []
    read = particle_stack.read_particle_images

    def counted(images, rows):
        sizes.append(len(rows))
        return read(images, rows)

    with monkeypatch.context() as patch:
        patch.setattr(particle_stack, "read_particle_images", counted)
        patch.setattr(particle_stack, "BATCH", 8)
        assert restore(f"{LINE} -o Batches") == 0
    assert sizes == [8, 8, 3, 8, 8, 1]
    assert restore(f"{LINE} -o Whole") == 0
    assert np.array_equal(images_of("Batches/particles.star"), images_of("Whole/particles.star"))


def test_the_margin_around_particles_is_typed_in_angstrom(here, monkeypatch):
    margins, window_of = set(), particle_stack.window_of

    def seen(*given):
        margins.add(given[-1])
        return window_of(*given)

    monkeypatch.setattr(particle_stack, "window_of", seen)
    assert restore(f"{LINE} -o Denoised --margin_A 20") == 0
    assert margins == {10}  # pixels of 2 Å


def test_an_external_job_of_particles_has_a_node_of_particles(here):
    assert restore("denoise --o External/job004/ --in_parts Extract/particles.star -r 6 --j 1") == 0
    folder = Path("External/job004")
    nodes = read_star(folder / "RELION_OUTPUT_NODES.star").block("output_nodes")
    assert nodes.rows == (("External/job004/particles.star", "ParticleGroupMetadata.star.relion"),)
    assert (folder / "RELION_JOB_EXIT_SUCCESS").exists()


def test_relion_reads_and_reconstructs_the_denoised_particles(here):
    needs("relion_image_handler", "relion_reconstruct")
    assert restore(f"{LINE} -o Denoised") == 0
    project = Project(here)
    stack = "Denoised/Extract/Micrographs/mic_0001_DW.mrcs"
    output = project.relion("relion_image_handler", "--i", stack, "--stats")
    assert output.count("96 x 96 x 1 x 1") == 19
    files = ("--i", "Denoised/particles.star", "--o", "Denoised/map.mrc")
    project.relion("relion_reconstruct", *files, "--ctf")
    assert read_map_header(Path("Denoised/map.mrc"), "map").shape[-3:] == (BOX,) * 3


def test_cryosparcs_particles_come_back_as_cryosparc_has_them(here, capsys):
    dataset = pytest.importorskip("cryosparc.dataset", reason="cryosparc-tools is not installed")
    Path("cs.lock").touch()
    extract_particles(Path(), "J5", box_px=BOX, invert_contrast=False)
    as_cryosparc(Path("J5/particles.star"), Path("J5/particles.cs"))
    assert restore("denoise -m J5/particles.cs -r 6 -o denoised") == 0
    assert "phases are flipped back" in capsys.readouterr().err
    raw, ours = (dataset.Dataset.load(f"{folder}/particles.cs") for folder in ("J5", "denoised"))
    assert raw.fields() == ours.fields()
    for name in raw.fields():
        if name != "blob/path":
            assert (np.asarray(raw[name]) == np.asarray(ours[name])).all(), name
    assert ours["blob/path"][0] == ">J5/Micrographs/mic_0001_DW.mrcs"
    text = Path("denoised/particles.csg").read_text()
    assert "  blob:\n    metafile: '>particles.cs'\n" in text and "type: particle.blob" in text
    # Protein is dark in these images, and bright in the truth.
    raw, denoised = (-likeness(f"{folder}/particles.cs") for folder in ("J5", "denoised"))
    assert denoised > 1.05 * raw > 0


def test_cryosparcs_particles_are_named_from_the_project_wherever_the_command_is_run(
    here, monkeypatch, tmp_path
):
    Path("cs.lock").touch()
    extract_particles(Path(), "J5", box_px=BOX, invert_contrast=False)
    as_cryosparc(Path("J5/particles.star"), Path("J5/particles.cs"))
    elsewhere = tmp_path / "home"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert restore(f"denoise -m {here}/J5/particles.cs -r 6") == 0
    listed = np.load(here / "J5/particles_denoised.cs")["blob/path"]
    assert set(listed.tolist()) == {
        f">Micrographs/mic_000{number}_DW_denoised.mrcs".encode() for number in (1, 2)
    }
    assert len(images_of(here / "J5/particles_denoised.cs")) == len(listed)
