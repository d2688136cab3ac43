"""Whether one correlation curve is better than another: never by chance alone, always where it
plainly is.
"""

import torch

from restore.maps.fsc import ShellAxis, shell_correlation
from restore.maps.fsc_inflation import components
from restore.structure.evidence import Difference, difference

SIDE = 32
AXIS = ShellAxis((SIDE,) * 3, (2.0, 2.0, 2.0))


def curve(seed, noise):
    """The FSC of two halves of a fixed signal."""
    generator = torch.Generator().manual_seed(seed)
    signal = torch.randn((1, SIDE, SIDE, SIDE), generator=torch.Generator().manual_seed(0))
    halves = [signal + noise * torch.randn(signal.shape, generator=generator) for _ in range(2)]
    return shell_correlation(*halves, AXIS)


def test_repeats_of_one_experiment_are_alike_and_their_difference_scatters_as_its_error_says():
    differences = [
        difference(curve(seed, 1.0), curve(seed + 100, 1.0), components(AXIS))
        for seed in range(200, 230)
    ]
    assert all(difference_.verdict == "alike" for difference_ in differences)
    scatter = torch.tensor([difference_.mean for difference_ in differences]).square().mean().sqrt()
    assert 0.6 < float(scatter) / differences[0].error < 1.5


def test_less_noise_is_better_and_more_is_worse():
    less, more = curve(1, 0.9), curve(2, 1.0)
    assert difference(more, less, components(AXIS)).verdict == "better"
    assert difference(less, more, components(AXIS)).verdict == "worse"


def test_a_difference_that_nobody_would_see_is_none():
    assert Difference(0.004, 1e-6, 20).verdict == "alike"


def test_shells_count_up_to_the_last_in_which_one_of_the_curves_says_something():
    first, second, samples = torch.zeros(17), torch.zeros(17), torch.full((17,), 1000.0)
    first[:6], second[:9], second[12] = 1, 1, 0.1
    result = difference(first, second, samples)
    assert result.shells == 8 and abs(result.mean - 3 / 8) < 1e-6
    second[3] = 0  # a dip ends nothing
    assert difference(first, second, samples).shells == 8


def test_an_agreement_that_chance_could_make_does_not_count():
    first, second = torch.zeros(17), torch.zeros(17)
    second[:9] = 0.5
    assert difference(first, second, torch.full((17,), 30.0)).shells == 0


def test_curves_that_fall_at_once_are_no_evidence():
    nothing = torch.zeros(17)
    assert difference(nothing, nothing, torch.ones(17)).verdict == "alike"
