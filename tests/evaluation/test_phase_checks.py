"""Denoised halves of another program whose phases are not those of the raw halves."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from half_pairs import half_pair

from restore import fourier
from restore.ctf import ctf, ctf_sign
from restore.errors import UserError
from restore.evaluation.aggregate import EvaluationSettings
from restore.evaluation.measure import views_of_images
from restore.evaluation.phase_checks import require_same_phases
from restore.evaluation.source import DenoisedHalves, source_of
from restore.micrograph import CTFParameters, Micrograph
from restore.preprocessing import Recipe

PIXEL_A, SHAPE = 4.0, (192, 224)
CTF = CTFParameters(12000.0, 11800.0, 10.0, 300.0, 2.7, 0.1)
MICROGRAPH = Micrograph("a.mrc", Path("a.mrc"), PIXEL_A, 0, CTF)
SAMPLING = (SHAPE, (PIXEL_A, PIXEL_A))
RECIPES = {flip: Recipe(max_resolution_A=9.0, phase_flip=flip) for flip in (False, True)}


def filtered(image, transfer):
    return fourier.image_of(fourier.spectrum_of(image) * transfer, SHAPE)


def exposure(seed=0, noise=3.0, signal=1.0):
    """Two halves whose signal was multiplied by the CTF."""
    clean, _ = half_pair(SHAPE, 0.0, seed, power=600.0)
    generator = torch.Generator().manual_seed(100 + seed)
    imaged = signal * filtered(clean, ctf(CTF, *SAMPLING))
    return tuple(50 + imaged + noise * torch.randn(SHAPE, generator=generator) for _ in range(2))


def denoised(halves, flipped, cutoff_per_A=1 / 10):
    """The halves below a cutoff, with flipped phases or not."""
    transfer = fourier.soft_lowpass(fourier.frequency_per_A(*SAMPLING), 0, cutoff_per_A)
    sign = ctf_sign(CTF, *SAMPLING) if flipped else 1
    return tuple(filtered(half, transfer * sign) for half in halves)


def check(halves, others, flip, ctf=CTF):
    micrograph = replace(MICROGRAPH, ctf=ctf)
    views = views_of_images(halves, others, MICROGRAPH, RECIPES[flip])
    require_same_phases(views, micrograph, flip)


@pytest.mark.parametrize("flip", [False, True])
def test_other_phases_than_the_raw_halves_are_rejected_with_the_remedy(flip):
    halves = exposure()
    with pytest.raises(UserError) as caught:
        check(halves, denoised(halves, not flip), flip)
    words = ["are", "are not"] if not flip else ["are not", "are"]
    assert "phases of the denoised halves {} flipped, and those of the raw ones {} (".format(
        *words
    ) in str(caught.value)
    assert str(caught.value).endswith(f"give `phase_flip={not flip}`.")


@pytest.mark.parametrize("flip", [False, True])
def test_the_check_is_part_of_an_evaluation(flip):
    halves = exposure()
    source = source_of(DenoisedHalves(["folder"], recipe=RECIPES[flip]))
    compared = source.comparison(EvaluationSettings(), torch.device("cpu"))
    compared(halves, denoised(halves, flip), MICROGRAPH)
    with pytest.raises(UserError, match="phases of the denoised halves"):
        compared(halves, denoised(halves, not flip), MICROGRAPH)


@pytest.mark.parametrize("flip", [False, True])
def test_a_smooth_denoiser_of_the_signal_alone_is_recognised_too(flip):
    halves = exposure()
    of_signal = denoised((exposure(noise=0.0)[0],) * 2, not flip, 1 / 12)
    with pytest.raises(UserError, match="phases of the denoised halves"):
        check(halves, of_signal, flip)


NOTHING = {
    "equal phases": lambda halves: denoised(halves, False),
    "as they are": lambda halves: halves,
    "of noise alone": lambda _: denoised(exposure(1, signal=0.0), False),
    "smooth noise": lambda _: denoised(exposure(1, signal=0.0), False, 1 / 60),
    "another field": lambda _: denoised(exposure(2), True),
    "inverted": lambda halves: tuple(-half for half in denoised(halves, False)),
    "no more than the first ring": lambda halves: denoised(halves, True, 1 / 25),
    "a lattice": lambda _: (lattice(), lattice()),
}


def lattice():
    image = torch.zeros(SHAPE)
    image[::4, ::4] = 1
    return image + 0.001 * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("kind", NOTHING)
def test_nothing_is_said_of_equal_phases_or_of_images_that_do_not_show_them(kind):
    halves = exposure()
    check(halves, NOTHING[kind](halves), False)


@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_said_of_unrelated_images_by_chance(seed):
    check(exposure(3), denoised(exposure(10 + seed, signal=0.0), False, 1 / 30), False)


def test_a_border_without_data_changes_nothing():
    halves = exposure()
    bordered = [[image.clone() for image in pair] for pair in (halves, denoised(halves, True))]
    for image in (*bordered[0], *bordered[1]):
        image[:40] = 0
    with pytest.raises(UserError, match="`phase_flip=True`"):
        check(*map(tuple, bordered), False)
    same = [half.clone() for half in denoised(halves, False)]
    for half in same:
        half[:40] = 0
    check(tuple(bordered[0]), tuple(same), False)


def test_without_a_ctf_nothing_is_checked():
    halves = exposure()
    check(halves, denoised(halves, True), False, ctf=None)
    check(halves, denoised(halves, True), False, ctf=replace(CTF, defocus_u_A=1e40))
