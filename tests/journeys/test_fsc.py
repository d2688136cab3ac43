"""``restore fsc`` as a person types it, and beside the real relion_postprocess."""

import shutil
import subprocess
from contextlib import chdir

import mrcfile
import numpy as np
import pytest
from map_world import HALVES, SIDE, VOXEL_A, ball, make_halves, store

from restore.cli.main import main
from restore.io.star import read_star

COLUMNS = {
    "corrected": "rlnFourierShellCorrelationCorrected",
    "unmasked": "rlnFourierShellCorrelationUnmaskedMaps",
    "masked": "rlnFourierShellCorrelationMaskedMaps",
    "randomised": "rlnCorrectedFourierShellCorrelationPhaseRandomizedMaskedMaps",
}


def restore(line):
    return main(line.split())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fsc")
    with chdir(folder):
        make_halves(SIDE, 0)
    return folder


@pytest.fixture
def here(project, tmp_path, monkeypatch):
    """A copy of the half maps as working directory."""
    shutil.copytree(project, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "here"


def curves(path):
    table = read_star(path).block("fsc")
    return {
        key: np.array(table.column(name), float)
        for key, name in COLUMNS.items()
        if name in table.columns
    }


# Beside RELION


def relion_postprocess(seed):
    """Run it; without Ghostscript it fails after its STAR file is written."""
    program = shutil.which("relion_postprocess")
    if program is None:
        pytest.skip("relion_postprocess is not installed")
    command = [
        program,
        "--i",
        HALVES.split(maxsplit=1)[0],
        "--mask",
        "mask.mrc",
        "--angpix",
        str(VOXEL_A),
        "--o",
        f"relion{seed}",
    ]
    subprocess.run(
        [*command, "--random_seed", str(seed)], capture_output=True, timeout=50, check=False
    )


@pytest.mark.parametrize(("side", "seed"), [(64, 3), (90, 7), (65, 11)])
def test_curves_and_resolution_are_those_of_relion(tmp_path, monkeypatch, side, seed):
    monkeypatch.chdir(tmp_path)
    make_halves(side, seed)
    for number in (1, 2, 3, 4):
        relion_postprocess(number)
        assert restore(f"fsc {HALVES} --mask mask.mrc --seed {number} -o ours{number}.star") == 0
    ours, theirs = (
        [curves(tmp_path / f"{who}{n}.star") for n in (1, 2, 3, 4)] for who in ("ours", "relion")
    )
    for name in ("unmasked", "masked"):
        assert len(ours[0][name]) == len(theirs[0][name]) == side // 2 + 1
        np.testing.assert_allclose(ours[0][name], theirs[0][name], atol=1e-5)
    own, other = (np.array([curves["randomised"] for curves in group]) for group in (ours, theirs))
    scatter = np.sqrt((own.var(0, ddof=1) + other.var(0, ddof=1)) / 4)
    difference = own.mean(0) - other.mean(0)
    assert (np.abs(difference) < 5 * np.maximum(scatter, np.median(scatter)) + 1e-5).all()
    ours_general, their_general = (
        read_star(tmp_path / f"{who}1.star").block("general") for who in ("ours", "relion")
    )
    for name in ("rlnRandomiseFrom", "rlnFinalResolution"):
        ours_A, theirs_A = (float(block.column(name)[0]) for block in (ours_general, their_general))
        extent_A = side * VOXEL_A
        assert abs(extent_A / ours_A - extent_A / theirs_A) < (
            0.01 if name == "rlnRandomiseFrom" else 1.01
        )


# The command


def test_the_summary_names_every_curve_and_its_crossings(here, capsys):
    assert restore(f"fsc {HALVES} --mask mask.mrc") == 0
    output = capsys.readouterr().out
    assert "64 x 64 x 64 voxels, 1.5 Å each; 33 shells, 1/96 Å wide" in output
    rows = {line.split()[0]: line.split() for line in output.splitlines()}
    coarse, fine = (float(rows["corrected"][at]) for at in (1, 3))
    assert coarse > fine > 2 * VOXEL_A
    assert float(rows["masked"][1]) < float(rows["unmasked"][1])
    assert "Phases are randomised from" in output and "RELION's rule" in output
    assert len(list(here.iterdir())) == 3  # nothing is written that was not asked for


def counted(which):
    """The FSC of the half maps over the components of the half transform or of the whole one."""
    transform = np.fft.rfftn if which == "half" else np.fft.fftn
    last = np.fft.rfftfreq(SIDE) if which == "half" else np.fft.fftfreq(SIDE)
    k, kx = np.fft.fftfreq(SIDE) * SIDE, last * SIDE
    shell = (np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + kx**2) + 0.5).astype(int)
    one, two = (transform(mrcfile.read(name).astype(float)) for name in HALVES.split())
    products = ((one * two.conj()).real, np.abs(one) ** 2, np.abs(two) ** 2)
    cross, first, second = (np.bincount(shell.ravel(), part.ravel()) for part in products)
    return (cross / np.sqrt(first * second))[1 : SIDE // 2 + 1]


def test_components_are_counted_over_the_half_transform_or_the_whole_one(here):
    for typed, which in (("", "half"), ("--count half", "half"), ("--count whole", "whole")):
        assert restore(f"fsc {HALVES} {typed} -o curves.star --overwrite") == 0
        measured = curves(here / "curves.star")["unmasked"][1:]
        np.testing.assert_allclose(measured, counted(which), atol=1e-5)
    assert np.abs(counted("whole") - counted("half")).max() > 1e-3


@pytest.mark.parametrize("typed", [0.5, 0.9])
def test_phases_are_random_from_where_the_unmasked_curve_falls_below_the_typed_value(here, typed):
    line = f"fsc {HALVES} --mask mask.mrc --randomize_at_fsc {typed} -o curves.star"
    assert restore(line) == 0
    shell = int(np.flatnonzero(curves(here / "curves.star")["unmasked"] < typed)[0])
    found_A = float(read_star(here / "curves.star").block("general").column("rlnRandomiseFrom")[0])
    assert found_A == pytest.approx(SIDE * VOXEL_A / shell, abs=1e-3)
    usual = int(np.flatnonzero(curves(here / "curves.star")["unmasked"] < 0.8)[0])
    assert shell != usual


def test_without_a_mask_there_is_one_curve(here, capsys):
    assert restore(f"fsc {HALVES} -o out/plain.star") == 0
    assert "corrected" not in capsys.readouterr().out
    assert set(curves(here / "out/plain.star")) == {"unmasked"}
    assert {path.name for path in (here / "out").iterdir()} == {
        "plain.star",
        "plain.png",
        "plain.settings.json",
    }


def test_no_crossing_is_said_in_words(here, capsys):
    image = np.random.default_rng(0).standard_normal((40, 40))
    store("a.mrc", image)
    store("b.mrc", image + 0.01 * np.random.default_rng(1).standard_normal((40, 40)))
    assert restore("fsc a.mrc b.mrc") == 0
    output = capsys.readouterr().out
    assert (
        "40 x 40 pixels" in output
        and "never: not at any resolution up to Nyquist (3.00 Å)" in output
        and "rings" in output
    )
    store("b.mrc", np.random.default_rng(2).standard_normal((40, 40)))
    assert restore("fsc a.mrc b.mrc") == 0
    assert "already in the first ring" in capsys.readouterr().out


def test_a_correction_that_cannot_be_made_is_said_in_words(here, capsys):
    assert (
        restore(f"fsc {HALVES.split(maxsplit=1)[0]} {HALVES.split(maxsplit=1)[0]} --mask mask.mrc")
        == 0
    )
    output = capsys.readouterr()
    assert "Not corrected for the mask: the unmasked FSC never falls below 0.8" in output.out
    assert "both halves are the same file" in output.err


def test_stacks_are_compared_image_by_image_unless_overruled(here, capsys):
    stack = np.random.default_rng(0).standard_normal((6, 32, 32))
    for name in ("a", "b"):
        store(f"{name}.mrcs", stack if name == "a" else stack + 1)
    assert restore("fsc a.mrcs b.mrcs") == 0
    assert "6 images of 32 x 32 pixels" in capsys.readouterr().out
    assert restore("fsc a.mrcs b.mrcs --volume") == 0
    assert "32 x 32 x 6 voxels" in capsys.readouterr().out
    assert restore(f"fsc {HALVES} --stack") == 0
    assert "64 images of 64 x 64 pixels" in capsys.readouterr().out
    assert restore(f"fsc {HALVES} --stack --volume") == 2


def test_nothing_is_overwritten_silently(here, capsys):
    assert restore(f"fsc {HALVES} -o a.star") == 0
    before = (here / "a.star").read_text()
    assert restore(f"fsc {HALVES} --mask mask.mrc -o a.star") == 1
    assert "a.star: the file already exists" in capsys.readouterr().err
    assert (here / "a.star").read_text() == before
    (here / "a.star").unlink()
    assert restore(f"fsc {HALVES} -o a.star") == 1
    assert "a.png: the file already exists" in capsys.readouterr().err
    assert restore(f"fsc {HALVES} --mask mask.mrc -o a.star --overwrite") == 0
    assert "corrected" in curves(here / "a.star")


def test_the_seed_makes_the_same_file_again(here):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert restore(f"fsc {HALVES} --mask mask.mrc --seed {seed} -o {name}.star") == 0
    first, again, other = ((here / f"{name}.star").read_text() for name in "abc")
    assert first == again != other


def test_differing_voxel_sizes_are_warned_of_and_overruled(here, capsys):
    with mrcfile.open(HALVES.split()[1], mode="r+") as file:
        file.voxel_size = 1.6
    assert restore(f"fsc {HALVES}") == 0
    output = capsys.readouterr()
    assert (
        "has voxels of 1.5 Å, that of run_half2_class001_unfil.mrc voxels of 1.6 Å" in output.err
        and "1.5 Å each" in output.out
    )
    assert restore(f"fsc {HALVES} --pixel_size 3") == 0
    output = capsys.readouterr()
    assert not output.err and "3 Å each" in output.out and "1/192 Å wide" in output.out


def test_a_header_without_voxel_size_borrows_the_others_or_asks(here, capsys):
    for number, name in enumerate(HALVES.split()):
        with mrcfile.open(name, mode="r+") as file:
            file.voxel_size = 0
        assert restore(f"fsc {HALVES}") == number
    assert "its header has no voxel size. Give " in capsys.readouterr().err


def test_halves_that_restore_denoised_are_warned_of(here, capsys):
    assert restore(f"fsc {HALVES}") == 0
    assert "denoised" not in capsys.readouterr().err
    image = np.random.default_rng(0).standard_normal((32, 32))
    store("a.mrc", image, label="restore 1.0 denoised with model.safetensors")
    store("b.mrc", image)
    for line in ("fsc a.mrc b.mrc", "fsc b.mrc a.mrc"):
        assert restore(line) == 0
        assert "a.mrc was denoised by restore" in capsys.readouterr().err


def unfit_masks():
    ones = np.ones((SIDE,) * 3)
    return {
        "zero.mrc": 0 * ones,
        "large.mrc": 3 * ball(SIDE, 20),
        "below.mrc": ball(SIDE, 20) - 0.5,
        "nan.mrc": np.where(ball(SIDE, 20) > 0, ball(SIDE, 20), np.nan),
        "small.mrc": ball(32, 10),
    }


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("zero.mrc", "all of its voxels are 0"),
        ("large.mrc", "its values go from 0 to 3"),
        ("below.mrc", "its values go from -0.5 to 0.5"),
        ("nan.mrc", "voxels are NaN"),
        ("small.mrc", "the mask has 32 x 32 x 32 voxels"),
        ("none.mrc", "there is no such file"),
    ],
)
def test_a_mask_that_does_not_fit_is_refused(here, capsys, name, words):
    if name in unfit_masks():
        store(name, unfit_masks()[name])
    assert restore(f"fsc {HALVES} --mask {name} -o out.star") == 1
    messages = capsys.readouterr().err
    assert messages.startswith(f"{name}: ") and words in messages
    assert not (here / "out.star").exists()


def test_maps_that_cannot_be_compared_are_refused(here, capsys):
    first = HALVES.split(maxsplit=1)[0]
    store("small.mrc", ball(32, 10))
    store("flat.mrc", np.ones((SIDE,) * 3))
    (here / "text.mrc").write_text("no map at all\n" * 200)
    for name, words in {
        "small.mrc": f"it has 32 x 32 x 32 voxels, and {first} has 64 x 64 x 64 voxels",
        "flat.mrc": "all of its voxels are 1",
        "text.mrc": "its header is not that of an MRC file",
        "none.mrc": "there is no such file",
    }.items():
        assert restore(f"fsc {first} {name}") == 1
        messages = capsys.readouterr().err
        assert messages.startswith(f"{name}: ") and words in messages


@pytest.mark.parametrize(
    "option", ["--pixel_size 0", "--pixel_size nan", "--randomize_at_fsc 2", "-o out.txt"]
)
def test_wrong_use_ends_with_2_before_anything_is_read(here, option):
    assert restore(f"fsc none.mrc none.mrc {option}") == 2


def test_the_halves_of_a_real_field_agree_at_low_resolution_only(here, shared_data, capsys):
    halves = " ".join(str(shared_data / f"k2/k2_field1_{name}.mrc") for name in ("EVN", "ODD"))
    assert restore(f"fsc {halves} -o k2.star") == 0
    curve = curves(here / "k2.star")["unmasked"]
    ring = 3838 * 0.85378 / np.array([200, 60, 2.5, 1.75])
    coarse, fine = (curve[int(start) : int(stop)].mean() for start, stop in (ring[:2], ring[2:]))
    assert coarse == pytest.approx(0.386, abs=0.03) and abs(fine) < 0.01
    assert "3710 x 3838 pixels" in capsys.readouterr().out
