"""Halves that cannot be learned from are named, those that can are not."""

import logging

import pytest
import torch
from half_pairs import as_prepared, half_pair

from restore.errors import UserError
from restore.evaluation.estimators.half_pairs import correlation_map, finding_of
from restore.micrograph import CTFParameters
from restore.preprocessing import Prepared, Recipe, prepare_alike
from restore.training.halves import check_halves
from restore.training.patches import PatchFile, PatchWriter

SHAPE = (192, 224)
CTF = CTFParameters(12000.0, 11800.0, 10.0, 300.0, 2.7, 0.1)


def pair(seed=0, noise=2.0):
    return torch.stack(list(half_pair(SHAPE, noise, seed)))


WRONG = {
    "identical": lambda halves: torch.stack([halves[0], halves[0]]),
    "inverted": lambda halves: torch.stack([halves[0], -halves[1]]),
    "shifted": lambda halves: torch.stack([halves[0], halves[1].roll((7, -12), (0, 1))]),
    "flipped": lambda halves: torch.stack([halves[0], halves[1].flip(0)]),
    "unrelated": lambda halves: torch.stack([halves[0], pair(seed=99)[1]]),
}


@pytest.mark.parametrize("seed", range(4))
def test_good_halves_are_usable(seed):
    assert finding_of(pair(seed)) == "usable"


@pytest.mark.parametrize("problem", WRONG)
@pytest.mark.parametrize("seed", range(3))
def test_every_problem_is_called_by_its_name(problem, seed):
    assert finding_of(WRONG[problem](pair(seed))) == problem


@pytest.mark.parametrize("flip", [(1,), (0, 1)])
def test_a_mirrored_or_turned_half_is_flipped_too(flip):
    halves = pair()
    assert finding_of(torch.stack([halves[0], halves[1].flip(flip)])) == "flipped"


def test_a_small_image_without_anything_in_common_is_unclear():
    assert finding_of(torch.randn(2, 64, 64, generator=torch.Generator().manual_seed(0))) in (
        "unclear",
        "usable",
    )


def rows_without_data(height):
    return torch.arange(SHAPE[0])[:, None].expand(SHAPE) < height


def with_border(halves, height=6):
    """The halves as preparation makes them if their first rows hold no data."""
    recipe = Recipe(max_resolution_A=5.0, phase_flip=True)
    images = [half.masked_fill(rows_without_data(height), 0) for half in 20 + halves]
    return prepare_alike(images, 2.0, CTF, recipe)


def prepared_finding(halves, height):
    prepared = with_border(halves, height)
    assert prepared[0].blank is not None
    return finding_of(torch.stack([half.image for half in prepared]), prepared[0].blank)


@pytest.mark.parametrize("height", [2, 6, 40])
@pytest.mark.parametrize("seed", range(2))
def test_identical_halves_with_a_border_are_identical(seed, height):
    half = pair(seed)[0]
    assert prepared_finding(torch.stack([half, 3 * half]), height) == "identical"


@pytest.mark.parametrize("height", [2, 6, 40])
@pytest.mark.parametrize("noise", [0.25, 1.0])
def test_good_halves_with_a_border_are_usable(noise, height):
    assert prepared_finding(pair(noise=noise), height) == "usable"


def test_a_correlation_map_is_made_on_the_images_device():
    halves = torch.empty((2, *SHAPE), device="meta")
    assert correlation_map(halves[0], halves[1]).device.type == "meta"


def test_a_correlation_map_is_highest_at_the_shift():
    halves = pair()
    correlation = correlation_map(halves[0], halves[1].roll((-3, 5), (0, 1)))
    assert divmod(int(correlation.argmax()), SHAPE[1]) == (3, SHAPE[1] - 5)


@pytest.fixture
def patches(tmp_path):
    def make(pairs):
        path = tmp_path / "patches.hdf"
        with PatchWriter(path, Recipe(phase_flip=False), "float32") as writer:
            for index, halves in enumerate(pairs):
                even, odd = (
                    half if isinstance(half, Prepared) else as_prepared(half) for half in halves
                )
                writer.add(f"mic{index}.mrc", even, odd)
            writer.finish({})
        return PatchFile(path)

    return make


@pytest.mark.parametrize("problem", WRONG)
def test_a_set_of_such_halves_is_rejected_with_a_name_and_a_cure(patches, problem):
    words = {"flipped": "upside down", "unrelated": "no signal in common"}.get(problem, problem)
    with pytest.raises(UserError, match=rf"mic0\.mrc.*{words}|{words}.*") as caught:
        check_halves(patches([WRONG[problem](pair(seed)) for seed in range(2)]))
    assert "mic0.mrc" in str(caught.value) and "2 of the 2" in str(caught.value)


def test_a_set_of_identical_halves_with_borders_is_rejected(patches):
    pairs = [with_border(WRONG["identical"](pair(seed))) for seed in range(2)]
    with pytest.raises(UserError, match=r"halves of mic0\.mrc are identical"):
        check_halves(patches(pairs))


def test_one_bad_pair_among_good_ones_is_a_warning(patches, caplog):
    caplog.set_level(logging.WARNING)
    check_halves(patches([pair(0), pair(1), WRONG["shifted"](pair(2))]))
    assert "mic2.mrc are shifted" in caplog.text and "1 of the 3" in caplog.text


def test_good_halves_raise_no_word(patches, caplog):
    check_halves(patches([pair(0), pair(1)]))
    assert not caplog.records
