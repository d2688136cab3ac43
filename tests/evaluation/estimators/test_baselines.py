"""The filters that need no network: the Wiener filter that two halves imply, and the best low-pass
filter.
"""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from restore.evaluation.estimators.baselines import lowpass_filter, smoothed, wiener_filter
from restore.evaluation.estimators.decomposition import PAIRS, filtered, overall


def table_of(signal, noise):
    """The table of halves with these variances in each ring."""
    signal, noise = (torch.as_tensor(values, dtype=torch.float64) for values in (signal, noise))
    table = torch.full((len(PAIRS), len(signal)), torch.nan, dtype=torch.float64)
    table[PAIRS.index(("M1", "M1"))] = table[PAIRS.index(("M2", "M2"))] = signal + noise
    table[PAIRS.index(("M1", "M2"))] = signal
    return table


def test_the_wiener_filter_of_a_half_is_its_correlation_with_the_other():
    frc = torch.full((9,), 0.3)
    assert torch.allclose(wiener_filter(frc), frc)
    assert torch.allclose(
        wiener_filter(frc, images=2), torch.full((9,), 2 * 0.3 / 1.3)
    )  # SNR 2 · 3/7


def test_where_there_is_no_signal_nothing_passes():
    transfer = wiener_filter(torch.tensor([0.9, 0.9, 0.9, -0.2, -0.2, torch.nan, -0.1, -0.3]))
    assert (transfer[:2] > 0.5).all() and (transfer[4:] == 0).all()


def test_a_curve_is_smoothed_over_three_rings_and_two_at_the_ends():
    assert torch.allclose(smoothed(torch.tensor([[1.0, 3, 8, 1]])), torch.tensor([[2, 4, 4, 4.5]]))


@given(st.lists(st.tuples(st.integers(-2, 100), st.integers(10, 200)), min_size=2, max_size=9))
def test_no_other_cutoff_brings_a_low_pass_nearer_to_the_signal(rings):
    table = table_of(*zip(*rings, strict=True))
    last, best = lowpass_filter(table)
    indices = torch.arange(len(rings))
    others = torch.stack([(indices <= cutoff).double() for cutoff in indices])
    correlations = overall(filtered(table.expand(len(rings), -1, -1), others))[
        "correlation_denoised"
    ]
    if correlations.isnan().all():  # no signal at all
        return
    assert float(overall(filtered(table, best))["correlation_denoised"]) == pytest.approx(
        float(correlations.nan_to_num(-1).max())
    )
    assert (best[last + 1 :] == 0).all()


def test_a_low_pass_ends_where_the_signal_does_and_has_the_best_scale():
    table = table_of([2.0, 1, 1, 0, 0], [1.0, 1, 1, 1, 1])
    last, transfer = lowpass_filter(table)
    assert int(last) == 2
    assert torch.allclose(transfer, torch.tensor([4 / 7, 4 / 7, 4 / 7, 0, 0], dtype=torch.float64))
    error = [
        overall(filtered(table, transfer * scale))["signal_to_error_denoised"]
        for scale in (0.9, 1.0, 1.1)
    ]
    assert error[1] > max(error[0], error[2])


def test_filters_are_found_for_a_whole_stack_at_once():
    tables = torch.stack([table_of([2.0, 1, 0], [1.0, 1, 1]), table_of([2.0, 0, 0], [1.0, 9, 1])])
    last, transfer = lowpass_filter(tables)
    assert last.tolist() == [1, 0] and transfer.shape == (2, 3)
    assert torch.equal(transfer[1], lowpass_filter(tables[1])[1])
