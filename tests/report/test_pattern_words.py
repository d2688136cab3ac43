"""Lattices and spikes are named, and where they come from."""

from restore.evaluation.records import Group, Lattice, Spike
from restore.report.pattern_words import lattice_remark, pattern_warnings, spike_words

RAW = Lattice("raw", 18.0, 8.0, 0.01)
OWN = Lattice("denoised", 9.0, 4.0, 0.02)
SPIKE = Spike("denoised", 9.0, 0.62, 0.2)


def group(lattices=(), spikes=()):
    return Group(name="all", micrographs=3, lattices=lattices, spikes=spikes)


def test_nothing_is_said_of_nothing():
    assert pattern_warnings(group()) == [] and spike_words(()) == ""


def test_a_lattice_of_the_camera_and_one_of_the_denoising_are_told_apart():
    camera, own = pattern_warnings(group((RAW, OWN)))
    assert camera.startswith("There is a lattice in the raw images: a period of 18.0 Å (8.0 pixels")
    assert "counts as signal" in camera
    assert "in the denoised images that the raw images do not have" in own
    assert "9.0 Å (4.0 pixels), with 2.0 % of the variance" in own


def test_a_lattice_that_the_denoised_images_have_from_the_raw_ones_is_named_once():
    (camera,) = pattern_warnings(group((RAW, Lattice("denoised", 18.0, 8.0, 0.1))))
    assert "in the raw images" in camera


def test_many_periods_are_named_by_the_strongest_three():
    many = tuple(Lattice("denoised", 10.0 + n, 5.0, 0.001 * (n + 1)) for n in range(5))
    (warning,) = pattern_warnings(group(many))
    assert "periods of 14.0 Å (5.0 pixels), 13.0 Å (5.0 pixels) and 12.0 Å (5.0" in warning
    assert "and 2 more, with 1.5 % of the variance" in warning


def test_a_spike_is_named_with_its_place_and_height_and_its_origin():
    (warning,) = pattern_warnings(group(spikes=(SPIKE,)))
    assert "a spike at 9.0 Å (0.620, above 0.200 in the rings around it)" in warning
    assert "comes from the denoising" in warning
    (raw,) = pattern_warnings(group(spikes=(SPIKE, Spike("raw", 9.0, 0.5, 0.1))))
    assert "correlation of the raw halves has a spike" in raw and "counts as signal" in raw
    assert spike_words((SPIKE, Spike("denoised", 4.5, 0.3, 0.1))) == (
        " Spikes at 9.0 and 4.5 Å (denoised)."
    )


def test_the_remark_on_one_micrograph_names_the_image():
    assert lattice_remark((OWN,)) == (
        "There is a lattice in the denoised image: a period of 9.0 Å (4.0 pixels), with 2.0 % of "
        "the variance."
    )
