"""A cryoSPARC project from its exposures to the group that is imported again, with the commands as
a person types them.
"""

import shutil
from contextlib import chdir

import numpy as np
import pytest
from cryosparc_files import job, of_star, save, table
from scipy.spatial.transform import Rotation

from restore.cli.main import main
from restore.io.cryosparc.tables import texts
from restore.io.images.image import read_image
from restore.io.micrographs import check_files, read_micrographs

SMALL = "--filters=4 --blocks=1 --batch_size=2 --patch_px=32"


def restore(line):
    return main(line.split())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project whose job J12 estimated the CTF of three simulated micrographs of J2, and a model
    that was trained on it.
    """
    folder = tmp_path_factory.mktemp("project")
    with chdir(folder):
        assert restore("simulate J2 --micrographs=3 --size_px=192 --pixel_size_A=1.5") == 0
        (folder / "cs.lock").write_text("")
        job(folder / "J12", of_star("J2/micrographs_ctf.star", folder))
        assert restore(f"train -m J12/exposures.csg -r 9 --steps 2 {SMALL}") == 0
        assert (
            restore("denoise -m J2/micrographs_ctf.star -p Models/model.safetensors -o Reference")
            == 0
        )
    return folder


@pytest.fixture
def project(finished, tmp_path, monkeypatch):
    shutil.copytree(finished, tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


def test_pickers_get_the_denoised_exposures_and_extraction_the_raw_ones(project, capsys):
    dataset = pytest.importorskip("cryosparc.dataset", reason="cryosparc-tools is not installed")
    assert restore("denoise -m J12/exposures.csg -p Models/model.safetensors -o denoised") == 0
    assert capsys.readouterr().out.strip().endswith("denoised/exposures.csg")
    raw, denoised = (
        dataset.Dataset.load(f"{folder}/exposures.cs") for folder in ("J12", "denoised")
    )
    denoised = denoised.query({"uid": raw["uid"].tolist()})
    order = np.argsort(raw["uid"]), np.argsort(denoised["uid"])
    fields = [name for name in raw.fields() if name.startswith("micrograph_blob/")]
    assert len(fields) == 9
    for name in fields:
        assert (np.asarray(raw[name])[order[0]] == np.asarray(denoised[name])[order[1]]).all(), name
    for path, shape, size_A in zip(
        *(denoised[f"micrograph_blob_denoised/{field}"] for field in ("path", "shape", "psize_A")),
        strict=True,
    ):
        image = read_image(project / "denoised" / path.removeprefix(">"))
        assert path.startswith(">J2/Micrographs/mic_000") and size_A == 1.5
        assert tuple(shape) == image.data.shape
    text = (project / "denoised/exposures.csg").read_text()
    assert "  micrograph_blob_denoised:\n    metafile: '>exposures.cs'\n" in text
    assert restore("denoise -m J12/exposures.csg -p Models/model.safetensors -o denoised") == 0
    assert "3 of 3 micrographs are already denoised" in capsys.readouterr().err


def test_a_group_is_denoised_as_its_star_is_and_comes_back_as_a_group(project, capsys):
    assert (
        restore(
            "denoise -m J12/exposures.csg -p Models/model.safetensors -o denoised --replace_raw"
        )
        == 0
    )
    assert capsys.readouterr().out.strip().endswith("denoised/exposures.csg")
    before, after = np.load("J12/exposures.cs"), np.load("denoised/exposures.cs")
    assert sorted(after["uid"].tolist()) == sorted(before["uid"].tolist())
    assert all(
        name.startswith(">J2/Micrographs/mic_000") for name in texts(after["micrograph_blob/path"])
    )
    again = read_micrographs("denoised/exposures.csg")
    assert check_files(again.micrographs) == (list(again.micrographs), [])
    for micrograph in again.micrographs:
        wanted = read_image(project / "Reference/Micrographs" / micrograph.image.name).data
        assert np.abs(read_image(micrograph.image).data - wanted).max() < 1e-3 * wanted.std()
    text = (project / "denoised/exposures.csg").read_text()
    assert text.count("metafile: '>exposures.cs'") == 3 and text.count("3") >= 3


def test_cryosparc_tools_reads_the_denoised_exposures(project):
    dataset = pytest.importorskip("cryosparc.dataset", reason="cryosparc-tools is not installed")
    assert (
        restore(
            "denoise -m J12/exposures.csg -p Models/model.safetensors -o denoised --replace_raw"
        )
        == 0
    )
    blob, rest = (
        dataset.Dataset.load(f"J12/{name}.cs")
        for name in ("exposures", "J12_passthrough_exposures")
    )
    wanted, joined = (
        dataset.Dataset.innerjoin(blob, rest),
        dataset.Dataset.load("denoised/exposures.cs"),
    )
    joined = joined.query({"uid": wanted["uid"].tolist()})
    assert set(joined.fields()) == set(wanted.fields())
    order = np.argsort(wanted["uid"]), np.argsort(joined["uid"])
    same = [name for name in wanted.fields() if not name.startswith("micrograph_blob/")]
    assert len(same) == 13
    for name in (*same, "micrograph_blob/psize_A", "micrograph_blob/import_sig"):
        assert (np.asarray(wanted[name])[order[0]] == np.asarray(joined[name])[order[1]]).all(), (
            name
        )
    assert [tuple(shape) for shape in joined["micrograph_blob/shape"]] == [(192, 192)] * 3


def test_one_table_is_denoised_beside_its_images_again_and_again(project, capsys):
    save(project / "J12/all.cs", of_star("J2/micrographs_ctf.star", project))
    line = "denoise -m J12/all.cs -p Models/model.safetensors --replace_raw"
    assert restore(line) == 0
    files = [project / "J12/all_denoised.cs", project / "J12/all_denoised.csg"]
    before = [file.stat().st_mtime_ns for file in files]
    assert (
        texts(np.load(files[0])["micrograph_blob/path"])[0]
        == "J2/Micrographs/mic_0001_DW_denoised.mrc"
    )
    assert restore(line) == 0
    assert "3 of 3 micrographs are already denoised" in capsys.readouterr().err
    assert [file.stat().st_mtime_ns for file in files] == before


def test_exposures_denoised_into_the_working_directory_are_listed_there_and_not_as_the_raw_ones(
    project, monkeypatch, tmp_path
):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.chdir(scratch)
    model = project / "Models/model.safetensors"
    assert restore(f"denoise -m {project}/J12/exposures.csg -p {model} -o .") == 0
    names = texts(np.load("exposures.cs")["micrograph_blob_denoised/path"])
    assert sorted(names) == [f">J2/Micrographs/mic_000{n}_DW.mrc" for n in (1, 2, 3)]
    assert all((scratch / name.removeprefix(">")).is_file() for name in names)


def test_a_bad_micrograph_is_left_out_of_table_and_group(project, capsys):
    bad = project / "J2/Micrographs/mic_0002_DW.mrc"
    bad.write_bytes(bad.read_bytes()[:5000])
    assert restore("denoise -m J12/exposures.csg -p Models/model.safetensors -o denoised") == 1
    assert "1 of 3 micrographs were not denoised" in capsys.readouterr().err
    assert len(np.load("denoised/exposures.cs")) == 2
    text = (project / "denoised/exposures.csg").read_text()
    assert text.count("num_items: 2") == 2 and text.count("num_items: [2]") == 2


@pytest.mark.parametrize(
    ("column", "value", "words"),
    [
        ("ctf/df1_A", np.nan, "row 2: ctf/df1_A is nan"),
        ("micrograph_blob/psize_A", np.nan, "row 2: micrograph_blob/psize_A is nan"),
        ("micrograph_blob/psize_A", -3.0, "row 2: micrograph_blob/psize_A is -3"),
        ("micrograph_blob/idx", 4, "row 2: micrograph_blob/idx is 4"),
        ("micrograph_blob/path", b"J2/gone.mrc", ": there is no such file"),
    ],
)
def test_one_bad_row_is_skipped_and_named_and_the_rest_are_done(
    project, capsys, column, value, words
):
    rows = of_star("J2/micrographs_ctf.star", project)
    rows[column][1] = value
    save(project / "J2/e.cs", rows)
    assert restore("denoise -m J2/e.cs -p Models/model.safetensors -o denoised") == 1
    messages = capsys.readouterr().err
    assert "1 of 3 micrographs were not denoised" in messages and words in messages
    good = ["mic_0001", "mic_0003"]
    named = texts(np.load("denoised/e.cs")["micrograph_blob/path"])
    assert [name.rpartition("/")[2][:8] for name in named] == good
    assert sorted(path.name[:8] for path in (project / "denoised").rglob("*.mrc")) == good
    line = "evaluate -m J2/e.cs -p Models/model.safetensors -o evaluation --resamples=20"
    assert restore(line) == 1
    messages = capsys.readouterr().err
    assert "1 of 3 micrographs were not evaluated" in messages and words in messages


def test_all_bad_rows_are_named_where_none_may_be_skipped(project, capsys):
    rows = of_star("J2/micrographs_ctf.star", project)
    rows["ctf/df1_A"][1], rows["micrograph_blob/psize_A"][2] = np.nan, 0
    save(project / "J2/e.cs", rows)
    assert restore("prepare -m J2/e.cs -r 9 -f new.hdf") == 1
    messages = capsys.readouterr().err
    assert (
        "row 2: ctf/df1_A is nan" in messages and "row 3: micrograph_blob/psize_A is 0" in messages
    )


def test_exposures_are_evaluated(project, capsys):
    assert restore("evaluate -m J12/exposures.csg -p Models/model.safetensors -o evaluation") == 0
    assert "On 1 micrograph never trained on" in capsys.readouterr().out


def test_a_file_of_anothers_stops_it_before_anything_is_denoised(project, capsys):
    (project / "denoised").mkdir()
    (project / "denoised/exposures.cs").write_text("mine")
    line = "denoise -m J12/exposures.csg -p Models/model.safetensors -o denoised"
    assert restore(line) == 1
    assert (
        "denoised/exposures.cs: a CS file stands here that restore did not write"
        in capsys.readouterr().err
    )
    assert [file.name for file in (project / "denoised").iterdir()] == ["exposures.cs"]
    assert restore(f"{line} --overwrite") == 0
    assert len(np.load("denoised/exposures.cs")) == 3


def test_a_table_without_ctf_says_what_to_give(project, capsys):
    assert restore("denoise -m J12/exposures.cs -p Models/model.safetensors -o denoised") == 1
    messages = capsys.readouterr().err
    assert "J12/exposures.csg, which joins it with the others" in messages
    assert not (project / "denoised").exists() or not list((project / "denoised").iterdir())


def test_the_angles_of_a_group_are_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    uid, turned = np.arange(1, 9, dtype="<u8"), Rotation.random(8, np.random.default_rng(1))
    for name, rotations in (
        ("a", turned),
        ("b", turned * Rotation.from_euler("z", 10, degrees=True)),
    ):
        pose = rotations.as_rotvec().astype("<f4")
        save(tmp_path / f"{name}_particles.cs", table({"uid": uid, "alignments3D/pose": pose}))
        save(
            tmp_path / f"{name}_blob.cs",
            table({"uid": uid[::-1], "blob/psize_A": np.ones(8, "<f4")}),
        )
        text = (
            f"results:\n  blob:\n    metafile: '>{name}_blob.cs'\n  alignments3D:\n    metafile: "
            f"'>{name}_particles.cs'\n"
        )
        (tmp_path / f"{name}.csg").write_text(text)
    assert restore("angles a.csg b.csg --sym C1") == 0
    assert "10" in capsys.readouterr().out
