"""Particles from RELION's and cryoSPARC's files, and which of one file is which of another."""

import re
from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from restore.errors import UserError
from restore.io.cryosparc.tables import read_cs
from restore.io.particles import Particles, coordinates_apart_px, match, read_particles
from restore.io.star import Block, StarFile, write_star
from restore.particles.extraction.windows import corners_px
from restore.symmetry import from_euler_deg

OPTICS = Block(
    "optics",
    ("rlnOpticsGroup", "rlnImagePixelSize", "rlnMicrographPixelSize"),
    (("1", "2.0", "1.0"), ("2", "3.0", "1.5")),
)
COLUMNS = (
    "rlnImageName",
    "rlnMicrographName",
    "rlnCoordinateX",
    "rlnCoordinateY",
    "rlnAngleRot",
    "rlnAngleTilt",
    "rlnAnglePsi",
    "rlnOriginXAngst",
    "rlnOriginYAngst",
    "rlnRandomSubset",
    "rlnOpticsGroup",
)
ROWS = (
    ("000001@E/a.mrcs", "M/a.mrc", "10", "20", "12.3", "45.6", "78.9", "1", "-2", "1", "1"),
    ("000002@E/a.mrcs", "M/a.mrc", "30", "40", "-112.3", "145.6", "-8.9", "3", "4", "2", "2"),
)
CS = [
    ("uid", "<u8"),
    ("blob/path", "S60"),
    ("blob/idx", "<u4"),
    ("blob/psize_A", "<f4"),
    ("alignments3D/pose", "<f4", (3,)),
    ("alignments3D/split", "<u4"),
    ("location/micrograph_path", "S60"),
    ("location/micrograph_shape", "<u4", (2,)),
    ("location/center_x_frac", "<f4"),
    ("location/center_y_frac", "<f4"),
    ("location/micrograph_psize_A", "<f4"),
]


def star(folder, columns=COLUMNS, rows=ROWS, optics=OPTICS, name="particles"):
    path = folder / "run_data.star"
    blocks = (optics, Block(name, tuple(columns), tuple(map(tuple, rows))))
    write_star(path, StarFile(tuple(block for block in blocks if block)))
    return path


def without(*columns):
    kept = [index for index, column in enumerate(COLUMNS) if column not in columns]
    return {
        "columns": [COLUMNS[index] for index in kept],
        "rows": [[row[index] for index in kept] for row in ROWS],
    }


def changed(column, value, row=1):
    rows = [list(row) for row in ROWS]
    rows[row][COLUMNS.index(column)] = value
    return rows


def cs(folder, count=4, name="particles.cs", fields=CS):
    rng = np.random.default_rng(3)
    table = np.zeros(count, dtype=fields)
    whole = np.zeros(count, dtype=CS)
    whole["uid"] = rng.integers(1, 2**63, count)
    whole["blob/path"] = b">J5/extract/004356277541886112345_a.mrc"
    whole["blob/idx"], whole["blob/psize_A"] = np.arange(count), 2.0
    whole["alignments3D/pose"] = Rotation.random(count, rng).as_rotvec()
    whole["alignments3D/split"] = np.arange(count) % 2
    whole["location/micrograph_path"], whole["location/micrograph_shape"] = (
        b"J2/imported/004356277541886112345_a.mrc",
        (300, 500),
    )
    whole["location/center_x_frac"] = (np.arange(count) + 1) * 0.1
    whole["location/center_y_frac"], whole["location/micrograph_psize_A"] = 0.5, 1.0
    for field in table.dtype.names:
        table[field] = whole[field]
    with (folder / name).open("wb") as file:
        np.save(file, table)
    return folder / name


def same(first, second):
    return np.degrees((first.inv() * second).magnitude()).max() < 1e-4


def some(count=6, **columns):
    """Particles with nothing but what is asked for."""
    return Particles("some.star", Rotation.identity(count), **columns)


def pairs(first, second, tolerance_px=5.0):
    match_ = match(first, second, tolerance_px)
    return match_.way, list(zip(match_.first.tolist(), match_.second.tolist(), strict=True))


def test_a_relion_31_file_is_read_with_its_optics(tmp_path):
    particles = read_particles(star(tmp_path))
    assert same(
        particles.rotations, from_euler_deg(np.array([[12.3, 45.6, 78.9], [-112.3, 145.6, -8.9]]))
    )
    assert (
        particles.image_names == ("000001@E/a.mrcs", "000002@E/a.mrcs")
        and particles.micrograph_names == ("M/a.mrc",) * 2
    )
    assert particles.coordinates_px.tolist() == [[10, 20], [30, 40]]
    assert particles.origins_A.tolist() == [[1, -2], [3, 4]]
    assert (particles.image_pixel_size_A.tolist(), particles.micrograph_pixel_size_A.tolist()) == (
        [2, 3],
        [1, 1.5],
    )
    assert (particles.half_sets.tolist(), particles.optics_groups, particles.uids) == (
        [1, 2],
        ("1", "2"),
        None,
    )


@pytest.mark.parametrize("name", ["", "images"])
def test_a_flat_file_is_read_with_its_shifts_in_pixels(tmp_path, name):
    columns = [column.replace("XAngst", "X").replace("YAngst", "Y") for column in COLUMNS[:-1]]
    rows = [[*row[:-1], "14", "40000"] for row in ROWS]
    columns += ["rlnDetectorPixelSize", "rlnMagnification"]
    particles = read_particles(star(tmp_path, columns, rows, None, name))
    assert (
        particles.image_pixel_size_A == pytest.approx(3.5)
        and particles.micrograph_pixel_size_A is None
    )
    assert particles.origins_A == pytest.approx(np.array([[3.5, -7], [10.5, 14]]))
    assert particles.optics_groups is None


@pytest.mark.parametrize(
    ("movie_A", "image_A", "micrograph_A"),
    [("0.4125", "1.65", None), ("0.834", "0.834", 0.834)],
)
def test_the_pixel_size_of_a_movie_is_not_taken_for_that_of_its_micrograph(
    tmp_path, movie_A, image_A, micrograph_A
):
    """Super-resolution movies are binned; where even the particle images are not, there is only one
    size.
    """
    names = ("rlnOpticsGroup", "rlnImagePixelSize", "rlnMicrographOriginalPixelSize")
    optics = Block("optics", names, (("1", image_A, movie_A), ("2", image_A, movie_A)))
    particles = read_particles(star(tmp_path, optics=optics))
    assert particles.movie_pixel_size_A == pytest.approx(float(movie_A))
    assert particles.micrograph_pixel_size_A == (micrograph_A and pytest.approx(micrograph_A))


@pytest.mark.parametrize("side", [3838, 3710, 4092, 5760, 8184, 11520])
def test_every_whole_pixel_of_a_cryosparc_micrograph_is_where_its_window_is_cut(tmp_path, side):
    """As 32-bit fractions, half of them come out just below the whole number."""
    whole = np.arange(1, side)
    path = cs(tmp_path, len(whole))
    with path.open("rb") as file:
        data = np.load(file)
    data["location/micrograph_shape"] = side, side
    data["location/center_x_frac"] = data["location/center_y_frac"] = (whole / side).astype("<f4")
    with path.open("wb") as file:
        np.save(file, data)
    corners = corners_px(read_particles(path).coordinates_px, 64)
    assert np.array_equal(corners, np.stack([whole - 32, whole - 32], axis=1))
    unrounded = np.float64(data["location/center_x_frac"]) * side
    assert (np.trunc(unrounded) < whole).mean() > 0.3


@pytest.mark.parametrize("cryosparc_A", [0.825, 0.4125, 1.65])
def test_particles_of_binned_movies_are_matched_by_their_coordinates(tmp_path, cryosparc_A):
    """RELION's table has only the movie's 0.4125 Å; its micrographs are binned to 0.825 Å, or not
    (cryoSPARC's to 1.65 Å or 0.825 Å, so that its coordinates differ by its own pixel size).
    """
    places = np.random.default_rng(4).uniform(100, 3700, (400, 2))
    names = ("a.mrc",) * 400
    relion_A = 0.825 if cryosparc_A == 0.825 else 0.4125
    relion = some(
        400,
        micrograph_names=names,
        coordinates_px=places,
        movie_pixel_size_A=np.full(400, 0.4125),
    )
    order = np.random.default_rng(5).permutation(400)
    cryosparc = some(
        400,
        micrograph_names=names,
        coordinates_px=places[order] * relion_A / cryosparc_A,
        micrograph_pixel_size_A=np.full(400, cryosparc_A),
    )
    for first, second in ((relion, cryosparc), (cryosparc, relion)):
        matches = match(first, second, 5)
        rows = (matches.first, matches.second)
        of_relion, of_cryosparc = rows if first is relion else rows[::-1]
        assert len(of_relion) == 400 and np.array_equal(order[of_cryosparc], of_relion)
        assert coordinates_apart_px(first, second, matches).max() < 1e-9


def test_columns_that_only_help_may_be_missing(tmp_path):
    particles = read_particles(star(tmp_path, COLUMNS[4:7], [row[4:7] for row in ROWS], None))
    assert same(
        particles.rotations, from_euler_deg(np.array([[12.3, 45.6, 78.9], [-112.3, 145.6, -8.9]]))
    )
    assert [
        value for name, value in vars(particles).items() if name not in ("source", "rotations")
    ] == [None] * 17


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (without("rlnAngleRot"), "rlnAngleRot is missing"),
        (without("rlnAngleRot", "rlnAnglePsi"), "rlnAngleRot, rlnAnglePsi are missing"),
        (
            {"rows": changed("rlnAngleTilt", "steep")},
            'data_particles, row 2: rlnAngleTilt is "steep"',
        ),
        (
            {"rows": changed("rlnCoordinateX", "nan", 0)},
            'data_particles, row 1: rlnCoordinateX is "nan"',
        ),
        (
            {"rows": changed("rlnOpticsGroup", "7")},
            'row 2: rlnOpticsGroup is "7". The groups in data_optics are 1, 2',
        ),
        ({"rows": ()}, "the table has no rows"),
        (
            {"columns": ("rlnMicrographName",), "rows": (("a.mrc",),), "name": "micrographs"},
            "no table has rlnImageName",
        ),
        (
            {
                "columns": [*COLUMNS[4:7], "rlnDetectorPixelSize", "rlnMagnification"],
                "rows": (("1", "2", "3", "14", "0"),),
                "optics": None,
            },
            "rlnMagnification is 0",
        ),
    ],
)
def test_a_bad_star_file_is_refused_by_row_and_column(tmp_path, change, words):
    with pytest.raises(UserError, match=re.escape(words)):
        read_particles(star(tmp_path, **change))


def test_cryosparcs_poses_are_relions_rotations(tmp_path):
    """The rotation vector of rot = 90° is a quarter turn about z, that of tilt = 90° about y."""
    path = cs(tmp_path, 3)
    table = np.load(path)
    table["alignments3D/pose"] = [
        [0, 0, np.pi / 2],
        [0, np.pi / 2, 0],
        Rotation.from_euler("ZYZ", [10, 20, 30], degrees=True).as_rotvec(),
    ]
    with path.open("wb") as file:
        np.save(file, table)
    expected = from_euler_deg(np.array([[90.0, 0, 0], [0, 90, 0], [10, 20, 30]]))
    assert same(read_particles(path).rotations, expected)


def test_what_else_a_cryosparc_file_holds(tmp_path):
    particles = read_particles(cs(tmp_path))
    assert particles.image_names[:2] == tuple(
        f"00000{n}@J5/extract/004356277541886112345_a.mrc" for n in (1, 2)
    )
    assert particles.coordinates_px == pytest.approx(
        np.array([[50, 150], [100, 150], [150, 150], [200, 150]])
    )
    assert particles.half_sets.tolist() == [1, 2, 1, 2]
    assert (particles.image_pixel_size_A.tolist(), particles.micrograph_pixel_size_A.tolist()) == (
        [2] * 4,
        [1] * 4,
    )
    assert len(set(particles.uids.tolist())) == 4


def test_a_cryosparc_file_of_poses_alone_will_do(tmp_path):
    particles = read_particles(cs(tmp_path, fields=[CS[4]]))
    assert (
        len(particles) == 4
        and particles.uids is None
        and particles.image_names is None
        and particles.coordinates_px is None
    )


def test_bad_cryosparc_files_are_refused(tmp_path):
    def message(path):
        with pytest.raises(UserError) as caught:
            read_particles(path)
        return str(caught.value)

    assert "there is no such file" in message(tmp_path / "none.cs")
    assert "alignments3D/pose is missing" in message(cs(tmp_path, fields=CS[:3]))
    assert "the table has no rows" in message(cs(tmp_path, 0))
    path = cs(tmp_path)
    path.write_bytes(path.read_bytes()[:-20])
    assert "cannot be read as a table" in message(path)
    path.write_text("not a table")
    assert "cannot be read as a table" in message(path)
    path.write_bytes(b"")
    assert "cannot be read as a table" in message(path)
    path.write_bytes(b"\x94CSDAT and more")
    assert "compressed stream format" in message(path)
    with path.open("wb") as file:
        np.save(file, np.zeros((3, 3)))
    assert "no table with named columns" in message(path)
    table = np.zeros(2, dtype=CS)
    table["alignments3D/pose"][1, 2] = np.nan
    with path.open("wb") as file:
        np.save(file, table)
    assert "row 2: alignments3D/pose is [0.0, 0.0, nan]" in message(path)


def test_python_objects_in_a_cryosparc_file_are_never_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("it was unpickled",))

    with (tmp_path / "trap.cs").open("wb") as file:
        np.save(file, np.array([Trap()], dtype=object), allow_pickle=True)
    with pytest.raises(UserError, match="cannot be read as a table"):
        read_cs(tmp_path / "trap.cs")


def test_image_names_are_matched_in_any_order_and_with_any_zeros():
    first = some(3, image_names=("000001@E/a.mrcs", "000002@E/a.mrcs", "000001@E/b.mrcs"))
    second = some(3, image_names=("1@E/b.mrcs", "2@E/a.mrcs", "3@E/a.mrcs"))
    assert pairs(first, second) == ("image name", [(1, 1), (2, 0)])


def test_exact_names_go_before_coordinates_and_coordinates_before_names_without_folders():
    names, places = ("1@E/a.mrcs", "2@E/a.mrcs"), np.array([[10.0, 10], [50, 50]])
    first = some(2, image_names=names, micrograph_names=("a.mrc",) * 2, coordinates_px=places)
    assert pairs(first, replace(first, coordinates_px=places[::-1])) == (
        "image name",
        [(0, 0), (1, 1)],
    )
    moved = replace(first, image_names=("1@F/a.mrcs", "2@F/a.mrcs"))
    assert pairs(first, replace(moved, coordinates_px=places[::-1])) == (
        "micrograph and coordinates",
        [(0, 1), (1, 0)],
    )
    assert pairs(first, replace(moved, coordinates_px=None))[1] == [(0, 0), (1, 1)]


def test_a_chance_hit_of_coordinates_does_not_keep_names_from_being_used():
    count = 8
    places = np.arange(2.0 * count).reshape(-1, 2) * 100
    first = some(
        count,
        image_names=tuple(f"{n}@E/a.mrcs" for n in range(1, count + 1)),
        micrograph_names=("a",) * count,
        coordinates_px=places,
    )
    flipped = np.column_stack([places[:, 0], places[::-1, 1]])
    flipped[0] = places[3]
    second = replace(
        first,
        image_names=tuple(f"{n}@F/a.mrcs" for n in range(1, count + 1)),
        coordinates_px=flipped,
    )
    way, partners = pairs(first, second)
    assert way.startswith("image name (") and partners == [(n, n) for n in range(count)]


def test_coordinates_are_matched_to_the_nearest_within_the_tolerance_in_the_same_micrograph():
    first = some(
        4,
        micrograph_names=("a", "a", "b", "b"),
        coordinates_px=np.array([[10.0, 10], [13, 10], [10, 10], [90, 90]]),
    )
    second = some(
        3,
        micrograph_names=("b", "a", "a"),
        coordinates_px=np.array([[10.0, 12], [12.5, 10], [80, 80]]),
    )
    assert pairs(first, second)[1] == [(1, 1), (2, 0)]
    assert pairs(first, second, 1.0)[1] == [(1, 1)]


def test_coordinates_of_binned_micrographs_are_scaled_by_the_pixel_sizes():
    places = np.array([[100.0, 200], [300, 400]])
    first = some(
        2,
        micrograph_names=("a", "a"),
        coordinates_px=places,
        micrograph_pixel_size_A=np.full(2, 1.0),
    )
    binned = replace(first, coordinates_px=places / 2, micrograph_pixel_size_A=np.full(2, 2.0))
    assert pairs(first, binned)[1] == [(0, 0), (1, 1)]
    assert coordinates_apart_px(first, binned, match(first, binned, 5)).tolist() == [0, 0]
    with pytest.raises(UserError):
        match(first, replace(binned, micrograph_pixel_size_A=None), 5)


def test_folders_of_micrographs_and_cryosparcs_import_numbers_are_left_aside():
    places = np.array([[100.0, 200]])
    first = some(1, micrograph_names=("MotionCorr/job002/a.mrc",), coordinates_px=places)
    second = some(
        1, micrograph_names=("J2/imported/004356277541886112345_a.mrc",), coordinates_px=places
    )
    assert pairs(first, second)[1] == [(0, 0)]
    assert pairs(
        some(1, image_names=("7@E/a.mrc",)),
        some(1, image_names=("000007@J5/004356277541886112345_a.mrc",)),
    )[1]


def test_names_that_two_folders_share_are_left_unmatched():
    first = some(3, image_names=("1@E/a.mrcs", "1@F/a.mrcs", "2@E/a.mrcs"))
    second = some(2, image_names=("1@G/a.mrcs", "2@G/a.mrcs"))
    assert pairs(first, second)[1] == [(2, 1)]


def test_cryosparc_files_are_matched_by_uid(tmp_path):
    particles = read_particles(cs(tmp_path))
    part = replace(
        particles,
        rotations=particles.rotations[:2],
        image_names=None,
        micrograph_names=None,
        coordinates_px=None,
        micrograph_pixel_size_A=None,
        image_pixel_size_A=None,
        half_sets=None,
        exported=None,
        uids=particles.uids[[3, 1]],
    )
    assert pairs(particles, part) == ("unique identifier", [(1, 1), (3, 0)])


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"image_names": ("1@a", "2@a", "01@a")}, "rows 1 and 3 both hold 01@a"),
        ({"uids": np.array([5, 6, 6])}, "rows 2 and 3 both hold uid 6"),
        (
            {
                "micrograph_names": ("m",) * 3,
                "coordinates_px": np.array([[1.0, 2], [3, 4], [1, 2]]),
            },
            "rows 1 and 3 both hold the place 1, 2 of m",
        ),
    ],
)
def test_a_particle_that_is_there_twice_is_refused_with_both_rows(columns, words):
    first = some(3, **columns)
    with pytest.raises(UserError, match=re.escape(words)):
        match(first, first, 5)


def test_where_nothing_matches_what_was_tried_is_said_with_an_example_of_each():
    first, second = some(1, image_names=("1@a.mrcs",)), some(1, image_names=("1@b.mrcs",))
    with pytest.raises(UserError, match=r"Tried: image name, image name \(.*1@a\.mrcs .*1@b\.mrcs"):
        match(first, second, 5)
    with pytest.raises(UserError, match="no column in common"):
        match(first, some(1, uids=np.array([3])), 5)


def test_a_record_with_a_column_of_another_length_cannot_be_made():
    with pytest.raises(ValueError, match="1 image_names for 2 particles"):
        some(2, image_names=("a",))


def test_the_real_refinements_hold_the_same_particles(shared_data):
    first, second, third = (
        read_particles(shared_data / "star" / f"betagal_refine_job0{job}_D2.star")
        for job in (19, 25, 29)
    )
    assert pairs(first, second)[0] == "image name"
    way, partners = pairs(first, third)
    assert way == "micrograph and coordinates" and len(partners) == 4501
    assert first.image_pixel_size_A == pytest.approx(1.244531)


# RELION 5 subtomograms


def subtomograms(job, order, names=True):
    images = tuple(f"Extract/{job}/Subtomograms/TS_0{i % 3}/{i // 3}_stack2d.mrcs" for i in order)
    tomogram_names = tuple(f"TS_0{i % 3}/{i // 3}" for i in order) if names else None
    rotations = Rotation.from_rotvec([(0.0, 0.0, float(i)) for i in order], degrees=True)
    return Particles(job, rotations, image_names=images, tomogram_names=tomogram_names)


@pytest.mark.parametrize("names", [True, False])
def test_subtomograms_of_two_jobs_are_matched_though_their_files_are_named_alike(names):
    first = subtomograms("job010", range(30), names)
    second = subtomograms("job020", [*reversed(range(3, 30))], names)
    matches = match(first, second, 5.0)
    assert matches.way == ("name in the tomogram" if names else "image name (the job left aside)")
    assert matches.first.tolist() == list(range(3, 30)) and matches.ambiguous == 0
    assert matches.second.tolist() == [29 - i for i in range(3, 30)]


def test_particles_that_share_a_name_are_counted_and_left_out():
    first = subtomograms("job010", range(30), names=False)
    here = (*first.image_names[:29], "here/only.mrcs")
    there = (*(name.replace("job010/Subtomograms", "x") for name in here[:29]), "there/only.mrcs")
    matches = match(replace(first, image_names=here), replace(first, image_names=there), 5.0)
    assert matches.way == "image name (the folder of its stack left aside)"
    assert matches.first.tolist() == [29] and matches.ambiguous == 29


def test_the_names_in_the_tomogram_are_read(tmp_path):
    columns = ("rlnTomoParticleName", *COLUMNS[4:7])
    path = star(tmp_path, columns, [("TS_01/1", "1", "2", "3"), ("TS_02/1", "4", "5", "6")], None)
    assert read_particles(path).tomogram_names == ("TS_01/1", "TS_02/1")
