"""Check 11 of the faithfulness checks, the part about what is selected."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from attn.mining.hardest import hardest


def slow_hardest(losses: list[float], num_hard: int) -> list[int]:
    left, chosen = list(range(len(losses))), []
    while left and len(chosen) < num_hard:
        best = left[0]
        for index in left:
            if losses[index] > losses[best]:
                best = index
        chosen.append(best)
        left.remove(best)
    return chosen


@settings(deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.25, 0.5, 1.0, 1.5, 7.0]), max_size=40), st.integers(1, 45))
def test_check_11_selects_exactly_the_largest_and_of_equal_ones_the_earlier(losses, num_hard):
    assert hardest(torch.tensor(losses), num_hard).tolist() == slow_hardest(losses, num_hard)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_check_11_selects_exactly_the_largest_of_many(dtype):
    losses = torch.randn(512, generator=torch.Generator().manual_seed(0)).relu().to(dtype)
    assert (losses == 0).sum() > 200  # ties in plenty
    for num_hard in (1, 64, 400, 511):
        assert hardest(losses, num_hard).tolist() == slow_hardest(losses.tolist(), num_hard)


@pytest.mark.parametrize("num_hard", [128, 129, 1000])
def test_no_more_candidates_than_are_kept(num_hard):
    losses = torch.rand(128, generator=torch.Generator().manual_seed(0))
    assert sorted(hardest(losses, num_hard).tolist()) == list(range(128))


def test_all_losses_equal():
    assert hardest(torch.zeros(300), 5).tolist() == [0, 1, 2, 3, 4]


def test_a_loss_that_is_not_a_number_is_not_hidden():
    assert hardest(torch.tensor([1.0, float("nan"), 2.0]), 1).tolist() == [1]


def test_no_candidates():
    assert hardest(torch.zeros(0), 5).tolist() == []
