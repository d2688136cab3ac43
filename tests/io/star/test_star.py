"""STAR files lose nothing on the way in and out."""

import shutil
import subprocess
import time

import pytest
from folders import SHARED
from hypothesis import given
from hypothesis import strategies as st

from restore.errors import UserError
from restore.io.star import Block, StarFile, parse_star, read_star, write_star
from restore.io.star.tokens import quoted, split_line

STARS = [
    "k2/micrographs_ctf.star",
    "star/betagal_micrographs_ctf_relion31.star",
    "star/betagal_refine_job019_D2.star",
    "star/betagal_postprocess_job030.star",
]


@pytest.fixture
def shared_data():
    def find(name):
        if not (SHARED / name).is_file():
            pytest.skip(f"there is no {SHARED / name}")
        return SHARED / name

    return find


value = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n"), max_size=12
).filter(lambda text: not ("'" in text and '"' in text))
name = st.text("abcXYZ019", min_size=1, max_size=8)


@st.composite
def blocks(draw):
    columns = tuple(draw(st.lists(name, min_size=1, max_size=4, unique=True)))
    row = st.tuples(*[value] * len(columns))
    is_loop = draw(st.booleans())
    rows = tuple(draw(st.lists(row, min_size=0 if is_loop else 1, max_size=5 if is_loop else 1)))
    comments = tuple(f"# {text}" for text in draw(st.lists(name, max_size=2)))
    return Block(draw(st.one_of(st.just(""), name)), columns, rows, is_loop, comments)


@given(
    st.lists(blocks(), min_size=1, max_size=3, unique_by=lambda block: block.name),
    st.sampled_from(["\n", "\r\n"]),
)
def test_what_is_written_is_read_back(blocks, newline):
    star = StarFile(tuple(blocks), newline=newline)
    back = parse_star(star.text())
    for one, two in zip(star.blocks, back.blocks, strict=True):
        assert (one.name, one.columns, one.rows, one.comments) == (
            two.name,
            two.columns,
            two.rows,
            two.comments,
        )
        assert one.is_loop == two.is_loop
    assert back.text() == star.text()


@given(st.lists(value, min_size=1, max_size=5))
def test_quoting_and_splitting_are_inverse(values):
    assert split_line(" ".join(map(quoted, values))) == (values, "")


@pytest.mark.parametrize("which", STARS)
def test_an_unchanged_file_is_written_byte_for_byte(shared_data, which, tmp_path):
    write_star(tmp_path / "out.star", read_star(shared_data(which)))
    assert (tmp_path / "out.star").read_bytes() == shared_data(which).read_bytes()


@pytest.mark.parametrize("which", STARS)
def test_starfile_reads_the_same_values_from_a_table_laid_out_afresh(shared_data, which, tmp_path):
    starfile = pytest.importorskip("starfile")
    star = read_star(shared_data(which))
    for block in star.blocks:
        star = star.with_block(block.keeping(range(len(block.rows))))
    write_star(tmp_path / "out.star", star)
    theirs = starfile.read(shared_data(which), always_dict=True)
    ours = starfile.read(tmp_path / "out.star", always_dict=True)
    assert list(ours) == list(theirs) == [block.name for block in star.blocks]
    for block, table in theirs.items():
        if isinstance(table, dict):
            assert ours[block] == table
        else:
            assert ours[block].equals(table)
    assert (tmp_path / "out.star").read_text() != "" and star.blocks[0].verbatim is None


def test_number_formats_and_the_version_comment_survive_a_change_unlike_with_starfile(
    shared_data, tmp_path
):
    """Why the starfile package is not used: it drops comments, reformats numbers, and names no row
    of a ragged table.
    """
    starfile = pytest.importorskip("starfile")
    source = shared_data("star/betagal_refine_job019_D2.star")
    star = read_star(source)
    particles = star.block("particles")
    assert particles is not None
    write_star(tmp_path / "ours.star", star.with_block(particles.keeping(range(10))))
    ours = (tmp_path / "ours.star").read_text()
    assert "1.840663e+05" in ours and ours.count("# version 30001") == 2
    starfile.write(
        starfile.read(source, always_dict=True), tmp_path / "theirs.star", overwrite=True
    )
    theirs = (tmp_path / "theirs.star").read_text()
    assert "1.840663e+05" not in theirs and "# version 30001" not in theirs


def test_a_changed_block_leaves_the_others_as_they_were(shared_data):
    source = shared_data("star/betagal_micrographs_ctf_relion31.star")
    star = read_star(source)
    block = star.block("micrographs")
    assert block is not None
    text = star.with_block(block.keeping([2])).text()
    head = source.read_text().split("data_micrographs")[0]
    assert text.startswith(head)
    assert text.count("frameImage.mrc ") == 1 and "20170629_00023_frameImage.mrc" in text


STRANGE = (
    "# head\r\n\r\ndata_\r\n# inside\r\nloop_\r\n_rlnMicrographName #1\r\n_rlnVoltage\r\n"
    "'my mic.mrc' 300.0 # remark\r\n\r\na#b\u3000c.mrc 1.0e+02\r\ndata_1.mrc 200\r\n"
    "data_values # here\r\n_rlnX \"it's\"\r\n_rlnEmpty ''\r\n# the end"
)


def test_a_strange_but_right_file_is_understood_and_kept():
    star = parse_star(STRANGE)
    assert star.text() == STRANGE
    assert [block.name for block in star.blocks] == ["", "values"]
    table, values = star.blocks
    assert table.column("rlnMicrographName") == ["my mic.mrc", "a#b\u3000c.mrc", "data_1.mrc"]
    assert table.column("rlnVoltage") == ["300.0", "1.0e+02", "200"]
    assert table.comments == ("# inside", "# remark") and values.comments == ("# here",)
    assert not values.is_loop and values.rows == (("it's", ""),)
    changed = star.with_block(table.with_column("rlnNew", ["1", "2", "3"])).text()
    assert (
        "\n" not in changed.replace("\r\n", "") and "# inside" in changed and "# remark" in changed
    )
    assert parse_star(changed).blocks[0].column("rlnNew") == ["1", "2", "3"]


def test_a_block_can_be_added_after_a_file_without_a_last_line_end():
    star = parse_star("data_a\nloop_\n_x\n1").with_block(Block("b", ("y",), (("2",),)))
    assert [block.rows for block in parse_star(star.text()).blocks] == [(("1",),), (("2",),)]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "data_m\nloop_\n_a\n_b\n1 2\n3\n",
            r"x.star, data_m, line 6: row 2 has 1 values, and there are 2 columns",
        ),
        ("data_m\nloop_\n_a\n_b\n1 2\nsome text after it\n", r"line 6: row 2 has 4 values"),
        ("data_m\nloop_\n_a\n1\n\ndata_m\nloop_\n_a\n1\n", r"two blocks called data_m"),
        ("data_m\nloop_\n_a\n_a\n1 2\n", r"data_m, line 4: _a is listed twice"),
        ("data_m\nloop_\n_a\n1\nloop_\n_b\n2\n", r"line 5: a second loop_"),
        ("data_m\nloop_\n_a\n1\n_b\n", r'line 5: "_b" comes after the rows'),
        ("data_m\nloop_\n_a\n;text\n", r"line 4: a value of several lines"),
        ("data_m\nloop_\n", r"line 2: loop_ is followed by no column"),
        ("data_m\n_a 1 2\n", r'line 2: the line is "_a 1 2"'),
        ("data_m\n_a\n", r'line 2: the line is "_a"'),
        ("data_m\nhello\n", r'line 2: "hello" stands where a table begins'),
        ("hello\ndata_m\n", r"text before the first data_ block"),
        ("", r"there is no data_ block"),
        ("MAP \x00\x01", r"there is no data_ block"),
    ],
)
def test_what_cannot_be_kept_whole_is_refused_with_its_place(text, words):
    with pytest.raises(UserError, match=words):
        parse_star(text, "x.star")


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"none\.star: there is no such file"):
        read_star(tmp_path / "none.star")
    with pytest.raises(UserError, match="cannot be read"):
        read_star(tmp_path)


def test_a_table_without_rows_and_bytes_that_are_no_utf8_are_kept(tmp_path):
    content = b"\ndata_m\n\nloop_ \n_a #1 \n\ndata_n\nloop_\n_b\n\xff.mrc\n"
    (tmp_path / "a.star").write_bytes(content)
    star = read_star(tmp_path / "a.star")
    assert star.blocks[0].rows == ()
    write_star(tmp_path / "b.star", star)
    assert (tmp_path / "b.star").read_bytes() == content


def test_records_refuse_what_is_ragged():
    with pytest.raises(ValueError, match="row 1 has 1 values for 2"):
        Block("m", ("a", "b"), (("1", "2"), ("3",)))
    with pytest.raises(ValueError, match="1 values for 2 rows"):
        Block("m", ("a",), (("1",), ("2",))).with_column("b", ["x"])
    with pytest.raises(KeyError):
        Block("m", ("a",), ()).column("b")
    with pytest.raises(ValueError, match="line break"):
        quoted("a\nb")


def test_ten_thousand_rows_take_less_than_half_a_second():
    row = " ".join(["  10863.857422"] * 30)
    text = "data_m\n\nloop_\n" + "".join(f"_c{n} #{n}\n" for n in range(30)) + f"{row}\n" * 10_000
    times = []
    for _ in range(3):
        start = time.process_time()
        star = parse_star(text)
        times.append(time.process_time() - start)
    assert len(star.blocks[0].rows) == 10_000
    assert min(times) < 0.5


def test_relion_reads_what_we_write(tmp_path):
    program = shutil.which("relion_star_printtable")
    if program is None:
        pytest.skip("relion_star_printtable is not installed")
    # RELION 3.1 does not know quotes, so that no name with a space can be in its STAR files at all.
    rows = (("Movies/a.mrc", "10863.857422"), ("Movies/été_b.mrc", "9836.475586"))
    star = StarFile((Block("micrographs", ("rlnMicrographName", "rlnDefocusU"), rows),))
    write_star(tmp_path / "a.star", star)
    command = [program, str(tmp_path / "a.star"), "data_micrographs", "rlnDefocusU"]
    out = subprocess.run(command, capture_output=True, text=True, check=True)
    assert [float(word) for word in out.stdout.split()] == [10863.857422, 9836.475586]
