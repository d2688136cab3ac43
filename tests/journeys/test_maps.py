"""``restore fsc --model``, ``restore amplitudes`` and ``restore sharpen`` as a person types them,
and beside RELION.
"""

import gzip
import shutil
import subprocess
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import torch
from map_world import (
    HALVES,
    SIDE,
    VOXEL_A,
    lump,
    make_fitted_halves,
    make_halves,
    store,
    write_model,
)

from restore.cli.main import main
from restore.io.images.maps import read_map, read_map_header, write_map
from restore.io.star import read_star
from restore.maps.fsc import FSC, ShellAxis
from restore.maps.guinier import GuinierSettings
from restore.maps.potential import model_map
from restore.maps.sharpening import SharpenSettings, sharpen

ORIGIN_A = (-48.0, -48.0, -48.0)


def restore(line):
    return main(line.split())


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("maps")
    with chdir(folder):
        make_fitted_halves(ORIGIN_A)
        shutil.move("mask.mrc", "model_mask.mrc")
        make_halves(SIDE, 0)
    return folder


@pytest.fixture
def here(project, tmp_path, monkeypatch):
    """A copy of the maps as working directory."""
    shutil.copytree(project, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "here"


def columns(path, block):
    table = read_star(path).block(block)
    return {name: table.column(name) for name in table.columns}


def numbers(path, block, name):
    return np.array(columns(path, block)[name], float)


def voxels(path):
    return read_map(read_map_header(Path(path)))[0].astype(np.float64)


def add_noise(deviation):
    """To the half maps of the model."""
    for half in (1, 2):
        with mrcfile.open(f"half{half}.mrc", mode="r+") as file:
            white = np.random.default_rng(10 + half).standard_normal(file.data.shape)
            file.set_data(file.data + np.float32(deviation * file.data.std() * white))


# Map and model


def test_a_map_is_compared_with_its_model_with_and_without_a_mask(here, capsys):
    add_noise(4)
    assert (
        restore("fsc half1.mrc half2.mrc --model model.pdb --mask model_mask.mrc -o model.star")
        == 0
    )
    output = capsys.readouterr()
    assert (
        "half1.mrc and half2.mrc, their mean: 64 x 64 x 64 voxels, 1.5 Å each" in output.out
        and not output.err
    )
    assert "model.pdb: 400 atoms" in output.out
    rows = {line.split()[0]: line.split() for line in output.out.splitlines()}
    assert 2 * VOXEL_A <= float(rows["masked"][1]) < float(rows["unmasked"][1])
    general = columns(here / "model.star", "general")
    assert general["restoreModelName"] == ["model.pdb"] and general["rlnMaskName"] == [
        "model_mask.mrc"
    ]
    assert float(general["restoreUnmaskedResolution"][0]) == pytest.approx(
        float(rows["unmasked"][1]), abs=0.01
    )
    masked = numbers(here / "model.star", "fsc", "rlnFourierShellCorrelationMaskedMaps")
    assert len(masked) == SIDE // 2 + 1 and masked[1:6].min() > 0.9
    assert (here / "model.png").exists() and (here / "model.settings.json").exists()
    assert restore("fsc half1.mrc --model model.pdb") == 0
    one = float(
        {line.split()[0]: line.split() for line in capsys.readouterr().out.splitlines()}[
            "unmasked"
        ][1]
    )
    assert one > float(rows["unmasked"][1])


def test_without_noise_a_map_agrees_with_its_model_up_to_nyquist_in_every_format(here, capsys):
    write_map(
        Path("clean.mrc"),
        model_map(lump(), (40, 44, 48), (1.2, 1.3, 1.1), (-24.0, -28, -26)).numpy(),
        (1.2, 1.3, 1.1),
        (-24.0, -28, -26),
    )
    write_model(Path("model.cif"), lump())
    Path("model.pdb.gz").write_bytes(gzip.compress(Path("model.pdb").read_bytes()))
    for name in ("model.pdb", "model.cif", "model.pdb.gz"):
        assert restore(f"fsc clean.mrc --model {name} -o clean.star --overwrite") == 0
        assert "nowhere" in capsys.readouterr().out
        curve = numbers(here / "clean.star", "fsc", "rlnFourierShellCorrelationUnmaskedMaps")
        assert curve.min() > 0.9999, name


def test_b_factors_count_unless_they_are_not_to(here):
    write_map(
        Path("clean.mrc"),
        model_map(lump(), (64,) * 3, (1.0,) * 3, (-32.0,) * 3).numpy(),
        1.0,
        (-32.0,) * 3,
    )
    for kind in ("file", "none"):
        assert (
            restore(f"fsc clean.mrc --model model.pdb --model_bfactors {kind} -o {kind}.star") == 0
        )
    with_them, without = (
        numbers(here / f"{kind}.star", "fsc", "rlnFourierShellCorrelationUnmaskedMaps")
        for kind in ("file", "none")
    )
    assert with_them.min() > 0.9999 > 0.98 > without[-5:].max() and without[1:10].min() > 0.99


def test_the_header_says_where_the_map_lies_and_a_model_elsewhere_is_warned_of(here, capsys):
    with mrcfile.open("half1.mrc", mode="r+") as file:
        file.header.origin.x = -40
    assert restore("fsc half1.mrc --model model.pdb") == 0
    assert (
        "half1.mrc and model.pdb hardly agree: their mean correlation is" in capsys.readouterr().err
    )
    with mrcfile.open("half1.mrc", mode="r+") as file:
        file.header.origin = (0, 0, 0)
        file.header.nxstart = file.header.nystart = file.header.nzstart = -32
    assert restore("fsc half1.mrc --model model.pdb") == 0
    assert not capsys.readouterr().err


def test_a_model_outside_the_map_is_refused_with_where_both_lie(here, capsys):
    with mrcfile.open("half1.mrc", mode="r+") as file:
        file.header.origin = (0, 0, 0)
    assert restore("fsc half1.mrc --model model.pdb -o out.star") == 1
    messages = capsys.readouterr().err
    assert (
        messages.startswith("model.pdb: ")
        and "of its 400 atoms lie outside the box of half1.mrc" in messages
    )
    assert (
        "the map from (0, 0, 0) to (94, 94, 94) Å" in messages
        and "Fit the model into this map" in messages.replace(": f", ": F")
    )
    assert not (here / "out.star").exists()


def test_what_cannot_be_compared_with_a_model_is_refused(here, capsys):
    assert restore("fsc half1.mrc") == 2
    assert "give the second half map, or --model" in capsys.readouterr().err
    assert restore("fsc half1.mrc --model model.pdb --stack") == 2
    assert "leave --stack out" in capsys.readouterr().err
    store("image.mrc", np.random.default_rng(0).standard_normal((32, 32)))
    for line, words in {
        "fsc image.mrc --model model.pdb": "image.mrc: it is an image. A volume is needed",
        "fsc half1.mrc --model none.pdb": "none.pdb: there is no such file",
        "fsc half1.mrc --model mask.mrc": "mask.mrc: ",
    }.items():
        assert restore(line) == 1
        assert capsys.readouterr().err.startswith(words)


# Amplitudes


def test_the_b_factors_of_two_maps_in_unlike_boxes_differ_by_what_was_put_in(here, capsys):
    sharp = lump()
    blurred = replace(sharp, bfactor_A2=sharp.bfactor_A2 + 100)
    write_map(Path("sharp.mrc"), model_map(sharp, (48,) * 3, (1.5,) * 3, (-36.0,) * 3).numpy(), 1.5)
    write_map(
        Path("blurred.mrc"), model_map(blurred, (60,) * 3, (1.4,) * 3, (-42.0,) * 3).numpy(), 1.4
    )
    assert restore("amplitudes sharp.mrc blurred.mrc --fit_to 4 -o amplitudes.star") == 0
    output = capsys.readouterr().out
    assert (
        "48 x 48 x 48 voxels, 1.5 Å each; B = " in output
        and "from 10 to 4 Å" in output
        and "Nyquist" not in output
    )
    factors = numbers(here / "amplitudes.star", "fits", "restoreBfactor")
    errors = numbers(here / "amplitudes.star", "fits", "restoreBfactorError")
    assert (
        factors[1] - factors[0] == pytest.approx(-100, abs=2 * np.hypot(*errors))
        and (errors < 20).all()
    )
    assert len(numbers(here / "amplitudes.star", "guinier", "rlnLogAmplitudesOriginal")) == 25
    assert len(numbers(here / "amplitudes.star", "guinier_2", "rlnResolutionSquared")) == 31
    assert (here / "amplitudes.png").exists()


def test_maps_come_on_one_scale_only_where_that_is_asked_for(here):
    first = voxels("half1.mrc")
    write_map(Path("louder.mrc"), 5 * first, VOXEL_A)
    for option in ("", "--scale"):
        assert (
            restore(
                f"amplitudes half1.mrc louder.mrc --names quiet loud {option} -o a.star --overwrite"
            )
            == 0
        )
        one, other = (
            numbers(here / "a.star", block, "rlnLogAmplitudesOriginal")
            for block in ("guinier", "guinier_2")
        )
        np.testing.assert_allclose(other - one, 0 if option else np.log(5), atol=1e-5)
    assert columns(here / "a.star", "fits")["restoreMapName"] == ["quiet", "loud"]


def test_the_fit_ends_at_the_resolution_of_an_fsc_that_is_given(here, capsys):
    assert restore(f"fsc {HALVES} --mask mask.mrc -o fsc.star") == 0
    resolution_A = float(columns(here / "fsc.star", "general")["rlnFinalResolution"][0])
    assert restore(f"amplitudes {HALVES.split()[0]} --fsc fsc.star --fit_from 20 -o a.star") == 0
    assert numbers(here / "a.star", "fits", "restoreFitTo")[0] == pytest.approx(
        resolution_A, abs=1e-5
    )
    capsys.readouterr()
    assert restore(f"amplitudes {HALVES}") == 0
    assert "The lines are fitted up to Nyquist" in capsys.readouterr().out
    assert restore("amplitudes half1.mrc --fsc a.star") == 1
    assert "a.star: it has no rlnFinalResolution" in capsys.readouterr().err


def test_without_shells_for_a_line_there_are_amplitudes_still(here, capsys):
    assert restore("amplitudes half1.mrc --fit_from 3.1 --fit_to 3.05 -o a.star") == 0
    output = capsys.readouterr()
    assert "half1.mrc: no line is fitted" in output.err and "no fit" in output.out
    assert numbers(here / "a.star", "fits", "restoreBfactor")[0] == 0


@pytest.mark.parametrize(
    "line",
    [
        "a.mrc a.mrc",
        "a.mrc b.mrc --names one",
        "a.mrc b.mrc --names one one",
        "a.mrc --fit_from 5 --fit_to 6",
        "a.mrc --fit_from 0",
        "a.mrc --pixel_size 0",
        "a.mrc -o out.txt",
    ],
)
def test_amplitudes_used_wrongly_end_with_2_before_anything_is_read(here, line):
    assert restore(f"amplitudes {line}") == 2


# Sharpening


def test_a_sharpened_map_keeps_voxel_origin_and_labels_and_says_what_was_done(here, capsys):
    assert (
        restore("sharpen half1.mrc half2.mrc --mask model_mask.mrc --bfactor -80 -o out/sharp.mrc")
        == 0
    )
    output = capsys.readouterr()
    assert "B factor    -80.0 Å² applied" in output.out and "corrected for the mask" in output.out
    header = read_map_header(here / "out/sharp.mrc")
    assert header.voxel_size_zyx_A == (VOXEL_A,) * 3 and header.origin_zyx_A == ORIGIN_A
    assert "sharpened: B -80.0 A2, low-pass " in header.labels[-1]
    np.testing.assert_allclose(
        voxels("out/sharp_masked.mrc"),
        voxels("out/sharp.mrc") * voxels("model_mask.mrc"),
        atol=1e-6,
    )
    names = {path.name for path in (here / "out").iterdir()}
    assert names == {
        f"sharp{end}" for end in (".mrc", "_masked.mrc", ".star", ".png", ".settings.json")
    }
    assert columns(here / "out/sharp.star", "general")["rlnBfactorUsedForSharpening"] == [
        "-80.000000"
    ]
    assert restore("sharpen half1.mrc half2.mrc -o out/sharp.mrc") == 1
    assert "sharp.mrc: the file already exists" in capsys.readouterr().err


def test_the_b_factor_put_into_a_density_is_found_and_taken_off(here, capsys):
    atoms = lump()
    flat = replace(atoms, bfactor_A2=np.zeros(400))
    blurred = model_map(
        replace(atoms, bfactor_A2=np.full(400, 150.0)), (SIDE,) * 3, (VOXEL_A,) * 3, ORIGIN_A
    ).numpy()
    for half in (1, 2):
        noise = np.random.default_rng(half).standard_normal(blurred.shape)
        write_map(Path(f"b{half}.mrc"), blurred + 0.2 * blurred.std() * noise, VOXEL_A, ORIGIN_A)
    write_map(
        Path("flat.mrc"),
        model_map(flat, (SIDE,) * 3, (VOXEL_A,) * 3, ORIGIN_A).numpy(),
        VOXEL_A,
        ORIGIN_A,
    )
    assert restore("sharpen b1.mrc b2.mrc -o sharp.mrc") == 0
    resolution_A = float(columns(here / "sharp.star", "general")["rlnFinalResolution"][0])
    assert restore(f"amplitudes flat.mrc --fit_to {resolution_A} -o flat.star") == 0
    own = numbers(here / "flat.star", "fits", "restoreBfactor")[0]  # what the bare atoms have
    b_factor_A2 = numbers(here / "sharp.star", "general", "rlnBfactorUsedForSharpening")[0]
    assert b_factor_A2 == pytest.approx(own - 150, abs=15)


@pytest.mark.parametrize("bfactor", ["auto", "-100.5", "0", "60"])
def test_b_factors_are_read_as_they_are_typed(here, capsys, bfactor):
    assert restore(f"sharpen {HALVES} --mask mask.mrc --bfactor {bfactor} --fit_from 20") == 0
    assert ("blurs" in capsys.readouterr().err) == (bfactor == "60")
    general = columns(here / "sharpened.star", "general")
    if bfactor == "auto":
        fitted = 4 * float(general["rlnFittedSlopeGuinierPlot"][0])
        assert float(general["rlnBfactorUsedForSharpening"][0]) == pytest.approx(fitted, abs=1e-4)
    else:
        assert float(general["rlnBfactorUsedForSharpening"][0]) == float(bfactor)


def test_halves_from_denoised_images_are_warned_of_and_the_mark_is_kept(here, capsys):
    with mrcfile.open(HALVES.split()[1], mode="r+") as file:
        file.add_label("restore 1.0 denoised particles, reconstructed")
    assert restore(f"sharpen {HALVES} --bfactor -50") == 0
    assert "their correlation may be too high" in capsys.readouterr().err
    assert restore("fsc sharpened.mrc sharpened.mrc") == 0
    assert "sharpened.mrc was denoised by restore" in capsys.readouterr().err


def test_maps_that_cannot_be_sharpened_are_refused_with_the_cure(here, capsys):
    for number in (1, 2):
        store(f"noise{number}.mrc", np.random.default_rng(number).standard_normal((32,) * 3))
    assert restore("sharpen noise1.mrc noise2.mrc") == 1
    assert "the FSC is under 0.143 from the first shell on" in capsys.readouterr().err
    assert restore(f"sharpen {HALVES} --fit_from 5.4") == 1
    messages = capsys.readouterr().err
    assert (
        "shells with amplitudes between 5.4 and" in messages and "a value for --bfactor" in messages
    )
    assert not (here / "sharpened.mrc").exists()


@pytest.mark.parametrize(
    "line",
    [
        "--bfactor strong",
        "--bfactor nan",
        "--lowpass -1",
        "--randomize_at_fsc 0",
        "-o out.star",
        "--pixel_size -1",
    ],
)
def test_sharpening_used_wrongly_ends_with_2_before_anything_is_read(here, line):
    assert restore(f"sharpen none.mrc none.mrc {line}") == 2


# Beside RELION


def relion_postprocess(options, name="relion"):
    """Run it; without Ghostscript it fails after its files are written."""
    program = shutil.which("relion_postprocess")
    if program is None:
        pytest.skip("relion_postprocess is not installed")
    command = [
        program,
        "--i",
        HALVES.split()[0],
        "--angpix",
        str(VOXEL_A),
        "--o",
        name,
        *options.split(),
    ]
    subprocess.run(command, capture_output=True, timeout=50, check=False)
    return voxels(f"{name}.mrc")


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("--auto_bfac --autob_lowres 20", "--fit_from 20 --fit_to 3 --lowpass 0"),
        (
            "--auto_bfac --autob_lowres 15 --autob_highres 5.9 --low_pass 7",
            "--fit_from 15 --fit_to 5.9 --lowpass 7",
        ),
        ("--adhoc_bfac -120 --low_pass -1", "--bfactor -120"),
    ],
)
def test_without_a_mask_every_voxel_is_relions(here, theirs, ours):
    """Up to rounding: no phases are random here."""
    wanted = relion_postprocess(theirs)
    assert restore(f"sharpen {HALVES} {ours} -o ours.mrc") == 0
    assert np.abs(voxels("ours.mrc") - wanted).max() < 1e-4 * wanted.std()
    names = ["rlnBfactorUsedForSharpening", "rlnFinalResolution"]
    names += [
        "rlnFittedSlopeGuinierPlot",
        "rlnFittedInterceptGuinierPlot",
        "rlnCorrelationFitGuinierPlot",
    ]
    for name in names if "auto" in theirs else names[:2]:
        one, other = (
            numbers(here / f"{who}.star", "general", name)[0] for who in ("ours", "relion")
        )
        assert one == pytest.approx(other, rel=1e-4), name


def test_under_a_mask_the_map_is_relions_but_for_the_draw_of_random_phases(here):
    wanted = relion_postprocess(
        "--mask mask.mrc --auto_bfac --autob_lowres 15 --autob_highres 5.9 --low_pass -1"
    )
    assert restore(f"sharpen {HALVES} --mask mask.mrc --fit_from 15 --fit_to 5.9 -o ours.mrc") == 0
    sharpened = voxels("ours.mrc")
    assert np.corrcoef(sharpened.ravel(), wanted.ravel())[0, 1] > 0.999
    assert sharpened.std() / wanted.std() == pytest.approx(1, abs=0.03)
    masked = voxels("ours_masked.mrc"), voxels("relion_masked.mrc")
    assert np.corrcoef(*(voxels_.ravel() for voxels_ in masked))[0, 1] > 0.999
    ours, theirs = (columns(here / f"{who}.star", "guinier") for who in ("ours", "relion"))
    for name in ("rlnResolutionSquared", "rlnLogAmplitudesOriginal"):
        np.testing.assert_allclose(
            np.array(ours[name], float), np.array(theirs[name], float), atol=2e-5
        )


def test_with_relions_own_fsc_under_a_mask_every_voxel_and_its_guinier_table_are_relions(here):
    wanted = relion_postprocess("--mask mask.mrc --auto_bfac --autob_lowres 15 --autob_highres 4")
    curve = torch.from_numpy(
        numbers(here / "relion.star", "fsc", "rlnFourierShellCorrelationCorrected")
    )
    fsc = FSC(ShellAxis((SIDE,) * 3, (VOXEL_A,) * 3).frequency_per_A, curve)
    mean = torch.from_numpy(sum(voxels(name) for name in HALVES.split()) / 2)
    result = sharpen(
        mean, (VOXEL_A,) * 3, fsc, SharpenSettings(lowpass=0.0), GuinierSettings(15, 4)
    )
    assert np.abs(result.volume.numpy() - wanted).max() < 2e-4 * wanted.std()
    general = columns(here / "relion.star", "general")
    assert result.bfactor_A2 == pytest.approx(
        float(general["rlnBfactorUsedForSharpening"][0]), abs=0.01
    )
    for name, spectrum in {
        "Original": result.original,
        "Weighted": result.weighted,
        "Sharpened": result.after,
    }.items():
        theirs = numbers(here / "relion.star", "guinier", f"rlnLogAmplitudes{name}")
        seen = theirs > -50
        np.testing.assert_allclose(
            spectrum.amplitude.log().numpy()[seen], theirs[seen], atol=2e-3, err_msg=name
        )
        assert (spectrum.amplitude.numpy()[~seen] < 1e-7).all()
