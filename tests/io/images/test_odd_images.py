"""Images as instruments and people leave them: packed, TIFF, either byte order, odd headers, odd
names.
"""

import bz2
import gzip
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import tifffile
from mrcfile.dtypes import fei1_dtype_big_endian, fei2_dtype_big_endian

from restore.cli.main import main
from restore.denoising.targets import OutputSettings, plan
from restore.errors import UserError
from restore.io.denoised_halves import denoised_halves
from restore.io.half_names import Suffixes, is_half
from restore.io.images.image import read_image, read_image_header
from restore.io.images.maps import read_map, read_map_header
from restore.io.micrographs import Needs, read_micrographs
from restore.micrograph import Micrograph
from restore.model.checkpoint import Model, save_model
from restore.model.network import NetworkSettings, build_network
from restore.preprocessing import Recipe

DATA = np.random.default_rng(4).integers(0, 100, (13, 21)).astype(np.float32)
PACKERS = {".gz": gzip.compress, ".bz2": bz2.compress}


def mrc(path, data=DATA, pixel_size_A=1.25, **more):
    with mrcfile.new(path, data, overwrite=True, **more) as file:
        file.voxel_size = pixel_size_A
    return path


def tiff(path, data=DATA, **more):
    tifffile.imwrite(path, data, **({"photometric": "minisblack"} | more))
    return path


@pytest.mark.parametrize("compression", ["gzip", "bzip2"])
@pytest.mark.parametrize("ending", [".mrc", ".mrcs", ".map", ".MRC"])
@pytest.mark.parametrize("kind", ["f4", "i1", ">i2", "u2", "f2"])
def test_a_packed_image_is_read_as_mrcfile_reads_it(tmp_path, compression, ending, kind):
    packed = {"gzip": ".gz", "bzip2": ".bz2"}[compression]
    path = mrc(tmp_path / f"a b{ending}{packed}", DATA.astype(kind), compression=compression)
    image, header = read_image(path), read_image_header(path)
    assert np.array_equal(image.data, mrcfile.read(path)) and image.data.dtype == np.float32
    assert header.shape == (13, 21)
    assert header.pixel_size_A == image.pixel_size_A == pytest.approx(1.25)


@pytest.mark.parametrize("packed", PACKERS)
def test_the_header_of_a_packed_file_needs_only_its_beginning(tmp_path, packed):
    noise = np.random.default_rng(1).normal(size=(1200, 1000)).astype(np.float32)
    whole = PACKERS[packed](mrc(tmp_path / "a.mrc", noise).read_bytes())
    path = tmp_path / f"a.mrc{packed}"
    path.write_bytes(whole[: len(whole) // 2])
    assert read_image_header(path).shape == (1200, 1000)
    with pytest.raises(
        UserError, match=r"a\.mrc\.\w+: the file is cut short: .*\. Copy it again\."
    ):
        read_image(path)


@pytest.mark.parametrize("packed", PACKERS)
def test_a_packed_file_of_a_short_image_or_of_none_is_refused(tmp_path, packed):
    path, content = tmp_path / f"a.mrc{packed}", mrc(tmp_path / "a.mrc").read_bytes()
    path.write_bytes(PACKERS[packed](content[:-8]))
    with pytest.raises(
        UserError, match=r"only 271 of 273 pixels could be read\. The file is cut short"
    ):
        read_image(path)
    path.write_bytes(PACKERS[packed](b"no image"))
    with pytest.raises(UserError, match="it has 8 bytes"):
        read_image_header(path)
    with pytest.raises(UserError, match="there is no such file"):
        read_image(tmp_path / f"none.mrc{packed}")


def test_a_packed_file_with_a_wrong_bit_is_refused(tmp_path):
    path = tmp_path / "a.mrc.gz"
    content = bytearray(gzip.compress(mrc(tmp_path / "a.mrc").read_bytes()))
    content[-5] ^= 1  # in the checksum of what is packed
    path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"a\.mrc\.gz: what is packed in the file is damaged \(CRC check failed"
    ):
        read_image(path)


def test_bytes_after_a_packed_image_are_warned_of(tmp_path, caplog):
    path = tmp_path / "a.mrc.gz"
    path.write_bytes(gzip.compress(mrc(tmp_path / "a.mrc").read_bytes() + b"extra!"))
    assert np.array_equal(read_image(path).data, DATA)
    assert "there are 6 bytes after the image; they are not used" in caplog.text


def test_a_packed_map_is_read_as_emdb_has_it(tmp_path):
    volume = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    path = mrc(tmp_path / "emd_1.map.gz", volume, compression="gzip")
    assert np.array_equal(read_map(read_map_header(path)), volume[None])


@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8", ">u2", "f2"])
def test_a_tiff_image_is_read_upside_down(tmp_path, kind, compression):
    byteorder = ">" if kind[0] == ">" else "<"
    path = tiff(
        tmp_path / "µ a_DW.tif", DATA.astype(kind), compression=compression, byteorder=byteorder
    )
    image = read_image(path)
    assert np.array_equal(image.data, DATA[::-1]) and image.data.dtype == np.float32
    assert image.data.flags.c_contiguous and image.data.flags.writeable
    assert (
        read_image_header(path).shape == (13, 21) and read_image_header(path).pixel_size_A is None
    )


@pytest.mark.parametrize(
    "more", [{"rowsperstrip": 2}, {"tile": (16, 16)}, {"bigtiff": True}, {"predictor": True}]
)
def test_a_tiff_image_may_be_laid_out_in_any_way(tmp_path, more):
    path = tiff(tmp_path / "a.TIFF", DATA.astype("u2"), compression="lzw", **more)
    assert np.array_equal(read_image(path).data, DATA[::-1])


def test_relion_has_the_rows_of_a_tiff_image_as_we_have_them(tmp_path):
    program = shutil.which("relion_image_handler")
    if program is None:
        pytest.skip("relion_image_handler is not installed")
    mrc(tmp_path / "zero.mrc", np.zeros_like(DATA))
    line = [program, "--i", "zero.mrc", "--add", tiff(tmp_path / "a.tif").name, "--o", "sum.mrc"]
    subprocess.run(line, cwd=tmp_path, check=True, capture_output=True)
    assert np.array_equal(mrcfile.read(tmp_path / "sum.mrc"), read_image(tmp_path / "a.tif").data)


def test_a_tiff_file_that_is_not_one_grey_image_is_refused(tmp_path):
    path = tmp_path / "a.tif"
    for data, more, words in [
        (np.stack([DATA, DATA]), {}, "it is a stack of 2 images"),
        (
            np.stack([DATA] * 3, -1).astype("u1"),
            {"photometric": "rgb"},
            "its pixels are colours or not numbers",
        ),
        (DATA.astype("c8"), {}, "its pixels are colours or not numbers"),
        (np.full_like(DATA, 7), {}, "all of its pixels are 7"),
        (np.where(DATA > 98, np.float32("nan"), DATA), {}, "of its 273 pixels are NaN or infinite"),
    ]:
        tiff(path, data, **more)
        with pytest.raises(UserError, match=words):
            read_image(path)
    path.write_bytes(b"some text " * 20)
    with pytest.raises(UserError, match=r"a\.tif: it is not a TIFF file"):
        read_image_header(path)
    with pytest.raises(UserError, match=r"none\.tif: there is no such file"):
        read_image(tmp_path / "none.tif")


@pytest.mark.parametrize("compression", [None, "lzw", "deflate"])
@pytest.mark.parametrize("part", [0, 5, 0.1, 0.5, 0.9])
def test_a_tiff_file_that_is_cut_short_is_refused(tmp_path, compression, part):
    noise = np.random.default_rng(1).integers(0, 999, (64, 64)).astype("u2")
    path = tiff(tmp_path / "a.tif", noise, compression=compression, rowsperstrip=8)
    content = path.read_bytes()
    path.write_bytes(content[: int(part * len(content)) if part < 1 else part])
    with pytest.raises(UserError, match=r"a\.tif.*(cut short|not a TIFF file)"):
        read_image(path)


def test_a_tiff_file_with_wrong_bytes_inside_is_refused(tmp_path):
    path = tiff(tmp_path / "a.tif", DATA.astype("u2"), compression="deflate")
    with tifffile.TiffFile(path) as file:
        start = file.pages[0].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[start : start + 20] = b"\xff" * 20
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.tif: the file is damaged or cut short"):
        read_image(path)


def test_tiff_without_tifffile_names_the_cure(tmp_path, monkeypatch):
    path = tiff(tmp_path / "a.tif")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    for read in read_image, read_image_header:
        with pytest.raises(
            UserError, match=r"tifffile is not installed.*: pip install tifffile imagecodecs"
        ):
            read(path)


@pytest.mark.parametrize("exttyp", ["FEI1", "FEI2", "SERI", "AGAR"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_extended_headers_are_stepped_over(tmp_path, exttyp, order):
    kinds = {"FEI1": fei1_dtype_big_endian, "FEI2": fei2_dtype_big_endian}
    extended = np.zeros(3, np.dtype(kinds.get(exttyp, "V1024")).newbyteorder(order))
    with mrcfile.new(tmp_path / "a.mrc", DATA.astype(f"{order}i2")) as file:
        file.set_extended_header(extended)
        file.header.exttyp = exttyp
        assert file.header.nsymbt == extended.nbytes > 0
    assert np.array_equal(read_image(tmp_path / "a.mrc").data, DATA)


def test_a_big_endian_image_without_a_voxel_size_is_read(tmp_path):
    path = mrc(tmp_path / "a.mrc", DATA.astype(">u2"), 0.0)
    assert struct.unpack(">i", path.read_bytes()[12:16]) == (6,)
    assert np.array_equal(read_image(path).data, DATA)
    assert read_image_header(path).pixel_size_A is None


@pytest.mark.parametrize(
    "name", ["a b_DW.mrc", "µ_DW.mrc.gz", "日本 語_DW.tif", "it's (1) [2]_DW.mrc.bz2"]
)
def test_links_spaces_and_letters_of_any_alphabet_are_followed(tmp_path, name):
    store, folder = tmp_path / "the store", tmp_path / "été & co"
    store.mkdir()
    folder.mkdir()
    if name.endswith("tif"):
        tiff(store / "1.dat", DATA[::-1])
    else:
        mrc(store / "1.dat", compression={".gz": "gzip", ".bz2": "bzip2"}.get(Path(name).suffix))
    (folder / name).symlink_to(store / "1.dat")
    assert np.array_equal(read_image(folder / name).data, DATA)
    with pytest.raises(UserError, match="there is no such file"):
        (folder / "gone.mrc").symlink_to(store / "2.dat")
        read_image(folder / "gone.mrc")


def test_a_pattern_finds_all_images_and_tells_halves_from_full_sums(tmp_path):
    names = [
        "a b_DW.mrc.gz",
        "a b_EVN.mrc.gz",
        "a b_ODD.mrc.gz",
        "µ_DW.tif",
        "µ_EVN.tif",
        "µ_ODD.TIF",
        "c_DW.mrc.bz2",
    ]
    for name in [*names, "notes.gz", "c_DW.txt", "thumb.png"]:
        (tmp_path / name).touch()
    assert [name for name in names if is_half(name, Suffixes())] == [
        name for name in names if "DW" not in name
    ]
    listed = read_micrographs(
        f"{tmp_path}/*", Suffixes(), 1.0, Needs(ctf=False, halves=True)
    ).micrographs
    assert [
        (micrograph.image.name, micrograph.even.name, micrograph.odd.name) for micrograph in listed
    ] == [
        ("a b_DW.mrc.gz", "a b_EVN.mrc.gz", "a b_ODD.mrc.gz"),
        ("c_DW.mrc.bz2", "c_EVN.mrc.bz2", "c_ODD.mrc.bz2"),
        ("µ_DW.tif", "µ_EVN.tif", "µ_ODD.tif"),
    ]


@pytest.mark.parametrize("ending", [".mrc.gz", ".mrc.bz2", ".tif", ".TIFF", ".mrcs", ".map.GZ"])
def test_what_is_denoised_is_mrc_whatever_it_was(ending):
    given = [Micrograph(f"job/a b.v2_DW{ending}", Path(f"/data/a b.v2_DW{ending}"), 1.0, 0)]
    beside, below = (
        plan(given, output, lambda micrograph: "f")[0]
        for output in (OutputSettings(), OutputSettings(output_directory=Path("out")))
    )
    assert (
        beside.subject.path == Path("/data/a b.v2_DW_denoised.mrc")
        and beside.subject.written_name == "job/a b.v2_DW_denoised.mrc"
    )
    assert below.subject.path == Path("out/job/a b.v2_DW.mrc")


def test_one_image_twice_packed_and_not_is_no_two_outputs(tmp_path):
    given = [
        Micrograph(name, tmp_path / name, 1.0, row)
        for row, name in enumerate(["a.mrc", "a.mrc.gz"])
    ]
    with pytest.raises(
        UserError, match=r"a\.mrc and a\.mrc\.gz would both be written to this file"
    ):
        plan(given, OutputSettings(), lambda micrograph: "f")


def test_denoised_halves_of_packed_ones_are_found_packed_or_not(tmp_path):
    for name in ("a_EVN.mrc.gz", "a_ODD.mrc.gz", "a_EVN_d.mrc", "a_ODD_d.mrc.gz"):
        (tmp_path / name).touch()
    even, odd = (tmp_path / f"a_{half}.mrc.gz" for half in ("EVN", "ODD"))
    micrograph = Micrograph("a_DW.mrc.gz", tmp_path / "a_DW.mrc.gz", 1.0, 0, None, even, odd)
    for folders in [], [tmp_path]:
        files = denoised_halves([micrograph], folders, "_d")[0]
        assert (files.even.name, files.odd.name) == ("a_EVN_d.mrc", "a_ODD_d.mrc.gz")


def test_odd_images_are_denoised_as_the_plain_one_is(tmp_path, monkeypatch):
    import torch

    monkeypatch.chdir(tmp_path)
    network = build_network(
        NetworkSettings("waunet", filters=2, blocks=1), torch.Generator().manual_seed(0)
    ).eval()
    save_model(
        Path("m.safetensors"), Model(network, Recipe(max_resolution_A=5.0, phase_flip=False))
    )
    data = np.random.default_rng(0).integers(0, 200, (64, 81)).astype("u2")
    Path("my mics").mkdir()
    mrc("my mics/plain.mrc", data, 0.0)
    mrc("my mics/a b.mrc.gz", data.astype(">u2"), compression="gzip")
    mrc("my mics/été.mrc.bz2", data.astype("f4"), compression="bzip2")
    tiff("my mics/µ.tif", data[::-1], compression="lzw")
    line = ["denoise", "-m", "my mics/*", "-p", "m.safetensors", "--pixel_size", "2", "-o", "out"]
    assert main([*line, "--precision", "float32"]) == 0
    outputs = {
        path.name: read_image(path).data
        for path in Path("out/my mics").iterdir()
        if path.suffix == ".mrc"
    }
    assert set(outputs) == {"plain.mrc", "a b.mrc", "été.mrc", "µ.mrc"}
    assert all(np.array_equal(output, outputs["plain.mrc"]) for output in outputs.values())
    assert np.ptp(outputs["plain.mrc"]) > 0
