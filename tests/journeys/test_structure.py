"""restore structure as a person runs it: from particles or micrographs to maps, numbers and one
page.
"""

import json
import shlex
import shutil

import mrcfile
import numpy as np
import pytest
from structure_world import write_project

from restore.cli.main import command_parser, main
from restore.ctf import ctf
from restore.io.images.image import write_image
from restore.io.images.maps import read_map, read_map_header, write_map
from restore.io.particle_images import open_particle_images
from restore.io.star import Block, StarFile, read_star, write_star
from restore.micrograph import CTFParameters
from restore.particles.reconstruction.halves import ReconstructionSettings, reconstruct_halves
from restore.structure.records import COMBINATIONS, read_structure

QUICK = ["--reslog_sizes", "3", "--reslog_repeats", "2", "--engine", "torch"]


def structure(project, folder, *more):
    return main(["structure", *project.arguments, "-o", str(folder), *QUICK, *more])


def card_of(folder):
    return json.loads((folder / "structure.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def biased(tmp_path_factory):
    """A project whose denoiser draws another particle into every image, and what restore structure
    makes of it.
    """
    folder = tmp_path_factory.mktemp("biased")
    project = write_project(folder, bias=0.3)
    assert structure(project, folder / "structure") == 0
    return project, folder / "structure"


@pytest.fixture(scope="module")
def honest(tmp_path_factory):
    """A project whose denoiser is a filter of frequencies."""
    folder = tmp_path_factory.mktemp("honest")
    project = write_project(folder)
    assert structure(project, folder / "structure", "--reslog_sizes", "0") == 0
    return project, folder / "structure"


def curve(card, name, what="fsc"):
    curves = card["reconstructions"][name][what]
    return np.array(curves["curves"][curves["best"]])


def test_everything_of_the_figure_is_left_in_the_folder(biased):
    folder = biased[1]
    structure = read_structure(folder)
    assert list(structure.reconstructions) == list(COMBINATIONS)
    for name in COMBINATIONS:
        for path in (
            f"maps/{name}_half1.mrc",
            f"maps/{name}.mrc",
            f"fsc/{name}.star",
            f"fsc/{name}.png",
        ):
            assert (folder / path).is_file()
    assert set(structure.bias) == {"raw", "denoised"} and set(structure.reslog) == {
        "raw_by_raw",
        "denoised_by_denoised",
    }
    assert [angle.title.partition(",")[0] for angle in structure.angles][1:] == [
        "Refined on raw images",
        "Refined on denoised images",
    ]
    html = (folder / "structure.html").read_text(encoding="utf-8")
    assert (folder / "views.json").is_file() and 'figure class="scenes" data-row="0"' in html
    for words in (
        "A, B · Half maps",
        "C, D · Views",
        "E · Fourier",
        "G · ResLog",
        "S2.5 · Orientations",
        "Against the truth",
    ):
        assert words in html


def test_the_commands_of_the_page_are_typed_with_options(biased):
    commands = read_structure(biased[1]).commands
    assert {"fsc", "views", "amplitudes", "reslog"} <= set(commands)
    for line in commands.values():
        words = shlex.split(line)
        assert words[0] == "restore" and "`" not in line
        command_parser(words[1]).parse_args(words[2:])
    assert " --symmetry C1" in commands["reslog"]


def test_denoised_half_maps_agree_more_than_raw_ones_and_are_less_like_the_truth(biased):
    """The caution, measured: what the half maps' FSC says of the denoised map (C_ref) is not so."""
    card = card_of(biased[1])
    shells = slice(4, 14)
    for by in ("raw", "denoised"):
        raw, denoised = f"raw_by_{by}", f"denoised_by_{by}"
        assert (curve(card, denoised) > curve(card, raw))[shells].all()
        reference = np.array(card["reconstructions"][denoised]["reference"])
        assert (reference - curve(card, denoised, "truth"))[shells].mean() > 0.15
        reference = np.array(card["reconstructions"][raw]["reference"])
        assert abs(reference - curve(card, raw, "truth"))[4:11].max() < 0.08


def test_the_bias_is_found_without_the_truth_and_is_as_large_as_the_truth_says(biased):
    card = card_of(biased[1])
    for by in ("raw", "denoised"):
        bias = card["bias"][by]
        assert bias["is_found"]
        assert (
            bias["supported_crossing"]["value_A"]
            > card["reconstructions"][f"raw_by_{by}"]["fsc"]["crossings"]["0.143"]["value_A"]
        )
        shells = [k for k in range(3, 12) if bias["correlation"][k] is not None]
        estimated = np.array([bias["correlation"][k] for k in shells])
        assert abs(estimated - curve(card, f"denoised_by_{by}", "truth")[shells]).mean() < 0.05


def test_the_summary_says_what_is_so(biased):
    text = " ".join(card_of(biased[1])["summary"])
    assert (
        "are better than those refined on raw images" in text
        and "Denoising helped the refinement." in text
    )
    assert "Part of this is bias that both denoised halves share" in text


def test_a_filter_has_no_bias_and_the_page_does_not_say_that_it_has(honest):
    card = card_of(honest[1])
    assert not any(bias["is_found"] for bias in card["bias"].values())
    assert all(abs(bias["mean_excess"]["value"]) < 0.03 for bias in card["bias"].values())
    assert "Part of this is bias" not in " ".join(card["summary"])
    assert card["reslog"] == {} and "G · ResLog" not in (honest[1] / "structure.html").read_text(
        encoding="utf-8"
    )


def test_orientations_nearer_to_the_truth_have_smaller_errors(honest):
    angles = {angles["compared"]: angles["median_deg"] for angles in card_of(honest[1])["angles"]}
    assert angles["denoised"] < angles["raw"] and abs(angles["raw"] / angles["denoised"] - 2) < 0.4


def test_its_half_maps_have_the_fsc_that_restore_fsc_finds(biased, tmp_path, capsys):
    maps = [str(biased[1] / f"maps/raw_by_denoised_half{half}.mrc") for half in (1, 2)]
    assert main(["fsc", *maps, "-o", str(tmp_path / "fsc.star")]) == 0
    assert (
        card_of(biased[1])["reconstructions"]["raw_by_denoised"]["fsc"]["crossings"]["0.143"][
            "words"
        ]
        in capsys.readouterr().out
    )


def test_the_particles_it_writes_give_its_maps_again(biased, tmp_path):
    images = open_particle_images(biased[1] / "particles" / "denoised_by_raw.star")
    halves = reconstruct_halves(images, ReconstructionSettings())
    written = read_map(read_map_header(biased[1] / "maps" / "denoised_by_raw_half1.mrc"))[0]
    assert np.corrcoef(written.ravel(), halves.first.numpy().ravel())[0, 1] > 0.999


def test_maps_of_denoised_images_say_so_and_restore_fsc_warns_of_them(biased, capsys):
    maps = [str(biased[1] / f"maps/denoised_by_raw_half{half}.mrc") for half in (1, 2)]
    assert main(["fsc", *maps]) == 0
    assert "was denoised by restore" in capsys.readouterr().err


def test_a_rerun_keeps_every_stage_and_gives_the_same(biased, capsys):
    before = card_of(biased[1])
    assert structure(biased[0], biased[1]) == 0
    after = card_of(biased[1])
    assert capsys.readouterr().err.count("kept, because nothing") >= 12
    for card in (before, after):
        del card["provenance"]
    assert before == after


def test_what_is_stale_is_done_again_and_nothing_else(honest, tmp_path, capsys):
    folder = tmp_path / "structure"
    shutil.copytree(honest[1], folder, copy_function=shutil.copy2)
    project = honest[0]
    more = ["--reslog_sizes", "0"]
    structure(project, folder, *more)
    capsys.readouterr()
    z, y, x = np.indices((32, 32, 32)) - 16
    write_map(tmp_path / "mask.mrc", ((13 - np.sqrt(z**2 + y**2 + x**2)) / 3).clip(0, 1), 4.0)
    assert structure(project, folder, *more, "--mask", str(tmp_path / "mask.mrc")) == 0
    messages = capsys.readouterr().err
    assert "reconstruct_raw_by_raw: kept" in messages and "measure_raw_by_raw: kept" not in messages
    assert set(card_of(folder)["reconstructions"]["raw_by_raw"]["fsc"]["curves"]) > {
        "masked",
        "corrected",
    }


def test_one_refinement_is_enough_and_nothing_is_said_of_orientations(honest, tmp_path):
    """The denoised images with the raw orientations in their own file, as RELION's extraction
    leaves them.
    """
    raw, denoised = (read_star(path) for path in (honest[0].raw, honest[0].denoised))
    block = denoised.block("particles")
    for name in ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"):
        block = block.with_column(name, raw.block("particles").column(name))
    write_star(tmp_path / "denoised.star", denoised.with_block(block))
    arguments = [
        "--raw_particles",
        str(honest[0].raw),
        "--denoised_particles",
        str(tmp_path / "denoised.star"),
    ]
    assert (
        main(
            [
                "structure",
                *arguments,
                "-o",
                str(tmp_path / "out"),
                "--reslog_sizes",
                "0",
                "--no_views",
                "--engine",
                "torch",
            ]
        )
        == 0
    )
    card = card_of(tmp_path / "out")
    assert list(card["reconstructions"]) == ["raw_by_raw", "denoised_by_raw"]
    text = " ".join(card["summary"])
    assert "There is only one refinement" in text and "helped" not in text


@pytest.fixture
def session(tmp_path, monkeypatch):
    """Micrographs with the particles in them, dark, and their denoised ones, as restore denoise
    leaves them.
    """
    monkeypatch.chdir(tmp_path)
    project = write_project(tmp_path, 45)
    with mrcfile.open(tmp_path / "true" / "stacks" / "part0.mrcs") as file:
        images = file.data.copy()
    table = read_star(project.raw)
    block = table.block("particles")
    places = [(40 * (at % 4) + 40, 40 * (at // 4) + 40) for at in range(15)]
    for number in range(3):
        field = 100 - np.random.default_rng(number).standard_normal((224, 224)).astype(np.float32)
        for (x, y), image in zip(places, images[number::3], strict=True):
            field[y - 16 : y + 16, x - 16 : x + 16] = 100 - image
        write_image(tmp_path / f"mic{number}.mrc", field, 4.0)
        smooth = 100 + 0.5 * (field - 100)
        write_image(
            tmp_path / f"Denoised/mic{number}.mrc",
            smooth.astype(np.float32),
            4.0,
            ["restore 0.1.0 denoised with m"],
        )
    for axis, name in enumerate(("rlnCoordinateX", "rlnCoordinateY")):
        block = block.with_column(name, [str(places[at // 3][axis]) for at in range(45)])
    optics = table.block("optics").with_column("rlnMicrographPixelSize", ["4.0"])
    write_star(project.raw, table.with_block(block).with_block(optics))
    return project


@pytest.mark.parametrize(("more", "sign"), [([], 1), (["--bright_protein"], -1)])
def test_particles_are_cut_out_of_raw_and_denoised_micrographs(session, tmp_path, more, sign):
    arguments = [
        *more,
        "--raw_particles",
        str(session.raw),
        "--denoised_micrographs",
        "Denoised",
        "--box_px",
        "32",
    ]
    assert (
        main(
            [
                "structure",
                *arguments,
                "-o",
                "out",
                "--reslog_sizes",
                "0",
                "--no_views",
                "--engine",
                "torch",
            ]
        )
        == 0
    )
    stacks = [mrcfile.read(tmp_path / "out" / kind / "mic1.mrcs") for kind in ("raw", "denoised")]
    np.testing.assert_allclose(stacks[1], 0.5 * stacks[0], atol=1e-3)  # one scale: the raw image's
    card = card_of(tmp_path / "out")
    amplitudes = [
        np.array(card["reconstructions"][name]["amplitude"][1:])
        for name in ("raw_by_raw", "denoised_by_raw")
    ]
    np.testing.assert_allclose(amplitudes[1] / amplitudes[0], 0.5, rtol=1e-3)
    maps = [mrcfile.read(path) for path in ("out/maps/raw_by_raw.mrc", session.truth_map)]
    assert sign * np.corrcoef(*(density.ravel() for density in maps))[0, 1] > 0.3


def test_maps_without_ctf_correction_are_those_of_the_images_as_they_are(tmp_path):
    project, out = write_project(tmp_path, 40, 24), tmp_path / "out"
    assert structure(project, out, "--reslog_sizes", "0", "--no_views", "--no_ctf") == 0
    images = open_particle_images(out / "particles/raw_by_raw.star")
    written = mrcfile.read(out / "maps/raw_by_raw.mrc").ravel()
    for corrected in (True, False):
        again = reconstruct_halves(images, ReconstructionSettings(ctf=corrected)).mean
        same = np.corrcoef(written, again.numpy().ravel())[0, 1] > 0.999
        assert same == (not corrected)


def test_a_mark_of_the_particles_before_does_not_hide_flipped_phases(session, tmp_path, capsys):
    """The table says that its own images are not flipped; the denoised micrographs, which stand
    beside the raw ones, are.
    """
    table = read_star(session.raw)
    optics = table.block("optics").with_column("rlnCtfDataArePhaseFlipped", ["0"])
    write_star(session.raw, table.with_block(optics))
    micrograph_ctf = CTFParameters(15000, 15000, 0, 300, 2.7, 0.1)
    block = table.block("particles")
    for name, value in (("U", "15000"), ("V", "15000"), ("Angle", "0")):
        block = block.with_column(f"rlnDefocus{name}", [value] * 45)
    write_star(session.raw, table.with_block(optics).with_block(block))
    shutil.rmtree(tmp_path / "Denoised")
    signs = np.sign(ctf(micrograph_ctf, (224, 224), (4.0, 4.0)).numpy())
    for number in range(3):
        raw = mrcfile.read(tmp_path / f"mic{number}.mrc").astype(np.float64)
        flipped = np.fft.irfft2(np.fft.rfft2(raw) * signs, s=raw.shape)
        write_image(tmp_path / f"mic{number}_denoised.mrc", flipped.astype(np.float32), 4.0)
    line = f"structure --raw_particles {session.raw} --denoised_micrographs {tmp_path} --box_px 32"
    line += " -o out --reslog_sizes 0 --no_views --engine torch"
    assert main(line.split()) == 0
    assert "the denoised images' phases are flipped" in capsys.readouterr().err
    written = read_star(tmp_path / "out/particles/denoised_by_raw.star").block("optics")
    assert written.column("rlnCtfDataArePhaseFlipped") == ["1"]


def test_particles_without_a_ctf_need_the_table_of_micrographs_that_has_it(
    session, tmp_path, capsys
):
    table = read_star(session.raw)
    block = table.block("particles")
    kept = [name for name in block.columns if "Defocus" not in name and name != "rlnImageName"]
    bare = Block(
        "particles", tuple(kept), tuple(zip(*(block.column(name) for name in kept), strict=True))
    )
    write_star(session.raw, table.with_block(bare))
    arguments = [
        "--raw_particles",
        str(session.raw),
        "--denoised_micrographs",
        "Denoised",
        "--box_px",
        "32",
    ]
    quick = ["--reslog_sizes", "0", "--no_views", "--engine", "torch"]
    assert main(["structure", *arguments, "-o", "out", *quick]) != 0
    assert "the particles have no CTF" in capsys.readouterr().err
    names = ("rlnMicrographName", "rlnOpticsGroup", "rlnDefocusU", "rlnDefocusV", "rlnDefocusAngle")
    rows = tuple(
        (f"mic{number}.mrc", "1", f"{10000 + number}", "9000", "20") for number in range(3)
    )
    write_star(
        tmp_path / "micrographs_ctf.star",
        StarFile((table.block("optics"), Block("micrographs", names, rows))),
    )
    assert (
        main(
            [
                "structure",
                *arguments,
                "--raw_micrographs",
                "micrographs_ctf.star",
                "-o",
                "out",
                *quick,
            ]
        )
        == 0
    )
    defocus_A = (
        read_star(tmp_path / "out" / "particles" / "denoised_by_raw.star")
        .block("particles")
        .column("rlnDefocusU")
    )
    assert {float(value) for value in defocus_A} == {10000.0, 10001.0, 10002.0}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (["--sym", "Q3"], "is not a point group"),
        (["--raw_particles", "nowhere.star"], "nowhere.star: there is no such file"),
        (["--truth_map", "{maps}/raw_by_raw_half1.star"], "there is no such file"),
        (["--reslog_sizes", "1"], "It must be 0, or at least 2"),
        (["--raw_micrographs", "Micrographs"], "give --denoised_micrographs too"),
        (["--denoised_micrographs", "Denoised"], "give --box_px"),
        (["--mask", "{small}"], "each of the maps has 32 x 32 x 32 voxels"),
        (["--mask", "{coarse}"], "coarse.mrc: its voxels measure 8 Å, and those of the maps 4 Å"),
        (["--truth_map", "{small}"], "4 Å"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(honest, tmp_path, capsys, change, words):
    write_map(tmp_path / "small.mrc", np.random.default_rng(0).random((9, 9, 9)), 3.07)
    write_map(tmp_path / "coarse.mrc", np.random.default_rng(0).random((32, 32, 32)), 8.0)
    places = {name: tmp_path / f"{name}.mrc" for name in ("small", "coarse")}
    places["maps"] = honest[1] / "maps"
    typed = [word.format(**places) for word in change]
    assert structure(honest[0], tmp_path / "out", *typed) != 0
    assert words in capsys.readouterr().err and not (tmp_path / "out" / "maps").exists()


def test_without_denoised_images_it_says_how_to_name_them(honest, tmp_path, capsys):
    assert (
        main(["structure", "--raw_particles", str(honest[0].raw), "-o", str(tmp_path / "out")]) != 0
    )
    assert (
        "give --denoised_micrographs to extract them from, or --denoised_particles"
        in capsys.readouterr().err
    )
