"""cryoSPARC's tables and groups: what is read, what is written, and what cryosparc-tools makes of
it.
"""

import base64
import io
import re
import zlib

import numpy as np
import pytest
from cryosparc_files import GROUP, exposures, job, save, table

from restore.errors import UserError
from restore.io.cryosparc.datasets import read_dataset
from restore.io.cryosparc.groups import read_group
from restore.io.cryosparc.tables import cs_bytes, read_cs, text_column, texts
from restore.io.particles import read_particles

MADE_BY_TOOLS = (
    "eNqb7BfqGxDJyPCNoVo9JbU4uUjdSiFaQ700M0VdR0HdptRCXVNHQUM9NzO5KD+9KLEgIz4pJz9JvyCxJAOkoCbY0A"
    "C7iuKMxIJUiBkmQErDSEcTu0nFmVWp8Y5glWkm6pqxQEZaflFJUWJefH5RSirIQW6JOcWpQHGImVYKGsY6QLNqFSgH"
    "XIwMEOBlpJ+ol1uUzMDADOSxAPHZMz32TAjZpCSwNEyWgaHBHirZAJQ9vBJDFgAJSk8X"
)

WRAPPED = """\
results:
    blob:
        metafile: '>my files/J12_passthrough_exposures_accepted_with_a_name_that_is_very_long_and
            has blanks.cs'
        num_items:
        - 3
"""
EXPORTED = """\
created: xxxx-xx-xx xx:xx:xx.xxxxxx
group:
  description: All particles that were processed, including alignments
  name: particles
  title: All particles
  type: particle
results:
  alignments3D:
    metafile: '>J350_particles_exported.cs'
    num_items: 456024
    type: particle.alignments3D
  blob:
    metafile: '>J350_particles_exported.cs'
    num_items: 456024
    type: particle.blob
version: v4.4.1
"""
"""An exported group of cryoSPARC 4.4.1, from the README of a public repository, less some of its
slots.
"""


def refused(call, *arguments):
    with pytest.raises(UserError) as caught:
        call(*arguments)
    return str(caught.value)


def group(folder, text, name="g.csg"):
    path = folder / name
    path.write_text(text)
    return path


# Tables


def test_a_table_comes_out_as_it_went_in():
    table = exposures(["J2/a.mrc", "J2/bé.mrc", "J2/long name.mrc"])
    back = np.load(io.BytesIO(cs_bytes({name: table[name] for name in table.dtype.names})))
    assert back.dtype == table.dtype and back.tobytes() == table.tobytes()


def test_texts_of_any_bytes_survive():
    column = np.array([b"J2/a\xff.mrc", "J2/é.mrc".encode()])
    assert texts(column)[1] == "J2/é.mrc"
    assert text_column(texts(column)).tolist() == column.tolist()
    assert texts(np.array(["J2/é.mrc"])) == ["J2/é.mrc"]


@pytest.mark.parametrize("magic", [b"\x94CSDAT", b"\x95CSDAT"])
def test_the_compressed_stream_is_refused_with_its_cure(tmp_path, magic):
    (tmp_path / "a.cs").write_bytes(magic + b"more")
    assert (
        "compressed stream format. A .cs file of cryoSPARC is needed: save it again with "
        "cryosparc-tools"
    ) in refused(read_cs, tmp_path / "a.cs")


def test_a_header_of_many_columns_is_read(tmp_path):
    table = np.zeros(
        2, dtype=[(f"alignments_class_{index}/pose", "<f4", (3,)) for index in range(400)]
    )
    assert read_cs(save(tmp_path / "a.cs", table)).dtype == table.dtype


# cryosparc-tools itself, where it is installed


def same_columns(theirs, ours):
    """Whether a Dataset of cryosparc-tools holds the columns of a table: names, types and values,
    the texts as texts.
    """
    assert theirs.fields() == list(ours.dtype.names)
    for name in ours.dtype.names:
        column = ours[name]
        wanted = np.array(texts(column), dtype=object) if column.dtype.kind == "S" else column
        values = np.asarray(theirs[name])
        assert (
            values.dtype == wanted.dtype
            and values.shape == wanted.shape
            and (values == wanted).all()
        ), name


def test_cryosparc_tools_reads_what_is_written_and_writes_what_is_read(tmp_path):
    dataset = pytest.importorskip("cryosparc.dataset", reason="cryosparc-tools is not installed")
    table = exposures(["J2/a.mrc", "J2/bé.mrc", "J2/long name.mrc"])
    (tmp_path / "ours.cs").write_bytes(cs_bytes({name: table[name] for name in table.dtype.names}))
    theirs = dataset.Dataset.load(tmp_path / "ours.cs")
    same_columns(theirs, table)
    theirs.save(tmp_path / "theirs.cs")
    back = read_cs(tmp_path / "theirs.cs")
    same_columns(theirs, back)
    numbers = [name for name in table.dtype.names if table.dtype[name].kind != "S"]
    assert all(back.dtype[name] == table.dtype[name] for name in numbers)
    theirs.save(tmp_path / "stream.cs", format=dataset.CSDAT_FORMAT)
    assert "compressed stream format" in refused(read_cs, tmp_path / "stream.cs")


def test_a_table_that_cryosparc_tools_wrote_is_read(tmp_path):
    """Made by Dataset([...]).save(path) of cryosparc-tools 5.0.3, compressed with zlib and written
    in base 64.
    """
    path = tmp_path / "made.cs"
    path.write_bytes(zlib.decompress(base64.b64decode(MADE_BY_TOOLS)))
    dataset = read_cs(path)
    assert dataset.dtype.descr == [
        ("uid", "<u8"),
        ("micrograph_blob/path", "|S10"),
        ("micrograph_blob/shape", "<u4", (2,)),
        ("micrograph_blob/psize_A", "<f4"),
    ]
    assert (
        dataset["uid"].tolist() == [1, 2, 2**63]
        and dataset["micrograph_blob/shape"].tolist() == [[3, 4]] * 3
    )
    assert texts(dataset["micrograph_blob/path"]) == ["J2/a.mrc", "J2/bb.mrc", "J2/é.mrc"]


# Groups


def test_a_group_is_read(tmp_path):
    tables = read_group(group(tmp_path, GROUP))
    assert tables.metafiles == {
        "ctf": ">J12_passthrough_exposures.cs",
        "micrograph_blob": ">exposures.cs",
        "mscope_params": ">J12_passthrough_exposures.cs",
    }
    assert tables.files == [tmp_path / "J12_passthrough_exposures.cs", tmp_path / "exposures.cs"]
    assert tables.version == "v4.5.3"
    assert read_group(group(tmp_path, EXPORTED)).metafiles["blob"] == ">J350_particles_exported.cs"
    name = (
        ">my files/J12_passthrough_exposures_accepted_with_a_name_that_is_very_long_and has "
        "blanks.cs"
    )
    assert read_group(group(tmp_path, WRAPPED)).metafiles == {"blob": name}


def test_groups_are_read_as_pyyaml_reads_them(tmp_path):
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    for text in (GROUP, EXPORTED, WRAPPED):
        theirs = yaml.safe_load(text)["results"]
        tables = read_group(group(tmp_path, text))
        assert tables.metafiles == {slot: result["metafile"] for slot, result in theirs.items()}
        written = yaml.safe_load(tables.of("it's new.cs", 7))
        for result in theirs.values():
            is_list = isinstance(result["num_items"], list)
            result |= {"metafile": ">it's new.cs", "num_items": [7] if is_list else 7}
        assert written == yaml.safe_load(text) | {"results": theirs}


def test_a_group_is_written_with_all_else_as_it_was(tmp_path):
    before, after = (
        GROUP.splitlines(),
        read_group(group(tmp_path, GROUP)).of("new.cs", 2).splitlines(),
    )
    kept = re.compile(r" +(metafile|num_items):.*| +- 3")
    assert [line for line in after if not kept.fullmatch(line)] == [
        line for line in before if not kept.fullmatch(line)
    ]
    assert [line.strip() for line in after if kept.fullmatch(line)] == [
        "metafile: '>new.cs'",
        "num_items: 2",
        "metafile: '>new.cs'",
        "num_items: [2]",
        "metafile: '>new.cs'",
        "num_items: [2]",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "it names no metafile"),
        ("results: {}\n", "it names no metafile"),
        ("just words\n", 'line 1: "just words" is not understood'),
        ("results:\n\tctf: 1\n", 'line 2: "ctf: 1" is not understood'),
        ("results:\n  ctf:\n    metafile:\n", "results, ctf: 0 metafiles are named"),
        (
            "results:\n  ctf:\n    metafile: ['>a.cs', '>b, c.cs']\n",
            "results, ctf: 2 metafiles are named",
        ),
        (
            "results:\n  ctf:\n    metafile:\n    - '>a.cs'\n    - '>b.cs'\n",
            "results, ctf: 2 metafiles are named",
        ),
        ("results:\n  ctf:\n    type: x\n  ctf:\n    type: y\n", 'line 4: "ctf:" occurs twice'),
    ],
)
def test_what_is_no_group_is_refused(tmp_path, text, words):
    assert words in refused(read_group, group(tmp_path, text))


def test_a_group_that_is_missing_or_no_text_is_refused(tmp_path):
    assert "there is no such file" in refused(read_group, tmp_path / "none.csg")
    (tmp_path / "b.csg").write_bytes(b"\xff\xfe\x00")
    assert "the file is not text" in refused(read_group, tmp_path / "b.csg")


# Groups of tables


def test_the_tables_of_a_group_are_joined_by_uid(tmp_path):
    table = exposures(["a.mrc", "b.mrc", "c.mrc"])
    data = read_dataset(job(tmp_path, table))
    assert sorted(data.names()) == sorted(table.dtype.names) and len(data) == 3
    rows = np.argsort(table["uid"]), np.argsort(data.column("uid"))
    for name in table.dtype.names:
        column = data.column(name)
        assert column is not None and column.dtype == table[name].dtype
        assert (column[rows[1]] == table[name][rows[0]]).all(), name
    assert data.place("ctf/df1_A", 0) == f"{tmp_path}/J12_passthrough_exposures.cs, row 1"


def test_a_column_comes_from_its_slots_own_table(tmp_path):
    """The passthrough table, which the group names first, may hold the micrographs of an earlier
    job too.
    """
    table = exposures(["a.mrc", "b.mrc", "c.mrc"])
    path = job(tmp_path, table)
    older = table.copy()
    older["micrograph_blob/psize_A"] *= 2
    save(tmp_path / "J12_passthrough_exposures.cs", older)
    data = read_dataset(path)
    assert data.tables[0].path.name == "J12_passthrough_exposures.cs"
    assert (
        data.column("micrograph_blob/psize_A").tolist() == table["micrograph_blob/psize_A"].tolist()
    )


def test_tables_that_cannot_be_joined_are_refused(tmp_path):
    rows = exposures(["a.mrc", "b.mrc", "c.mrc"])
    path = job(tmp_path, rows)
    passthrough = np.load(tmp_path / "J12_passthrough_exposures.cs")
    save(tmp_path / "J12_passthrough_exposures.cs", passthrough[:2])
    message = refused(read_dataset, path)
    assert (
        "J12_passthrough_exposures.cs: 1 of the 3 uids of" in message
        and str(passthrough["uid"][2]) in message
    )
    passthrough["uid"][1] = passthrough["uid"][0]
    save(tmp_path / "J12_passthrough_exposures.cs", passthrough)
    assert "rows 1 and 2 both have uid" in refused(read_dataset, path)
    save(tmp_path / "J12_passthrough_exposures.cs", table({"ctf/df1_A": np.zeros(3)}))
    assert "uid is missing" in refused(read_dataset, path)
    (tmp_path / "J12_passthrough_exposures.cs").unlink()
    assert "J12_passthrough_exposures.cs: there is no such file" in refused(read_dataset, path)


def test_metafiles_without_the_mark_are_in_the_projects_folder(tmp_path):
    path = job(tmp_path / "J12", exposures(["a.mrc", "b.mrc", "c.mrc"]))
    path.write_text(path.read_text().replace(">", "J12/"))
    assert len(read_dataset(path)) == 3


# Particles


def particles(folder):
    count = 4
    uid = np.array([9, 2, 7, 4], dtype="<u8")
    pose = np.random.default_rng(1).normal(size=(count, 3)).astype("<f4")
    save(
        folder / "J30_particles.cs",
        table(
            {
                "uid": uid,
                "alignments3D/pose": pose,
                "alignments3D/split": np.array([0, 1, 0, 1], "<u4"),
            }
        ),
    )
    back = np.argsort(uid)
    location = {
        "uid": uid[back],
        "location/micrograph_path": np.array([b"J2/a.mrc"] * count),
        "location/micrograph_shape": np.array([[300, 500]] * count, "<u4"),
        "location/center_x_frac": np.array([0.9, 0.2, 0.7, 0.4], "<f4")[back],
        "location/center_y_frac": np.array([0.5] * count, "<f4"),
        "location/micrograph_psize_A": np.array([1.5] * count, "<f4"),
    }
    save(folder / "J30_passthrough_particles.cs", table(location))
    text = (
        "results:\n  alignments3D:\n    metafile: '>J30_particles.cs'\n  location:\n    metafile: "
        "'>J30_passthrough_particles.cs'\n"
    )
    (folder / "J30_particles.csg").write_text(text)
    return folder / "J30_particles.csg", pose


def test_particles_of_a_group_have_poses_and_places(tmp_path):
    path, pose = particles(tmp_path)
    grouped = read_particles(path)
    assert grouped.rotations.as_rotvec() == pytest.approx(pose, abs=1e-6)
    assert grouped.uids.tolist() == [9, 2, 7, 4] and grouped.half_sets.tolist() == [1, 2, 1, 2]
    assert grouped.coordinates_px == pytest.approx(
        np.array([[450, 150], [100, 150], [350, 150], [200, 150]])
    )


def test_a_passthrough_file_without_poses_names_the_group_that_has_them(tmp_path):
    path, _ = particles(tmp_path)
    message = refused(read_particles, tmp_path / "J30_passthrough_particles.cs")
    assert (
        "alignments3D/pose is missing. Every particle must have a pose: "
        f"give {path}, which joins it" in message
    )
