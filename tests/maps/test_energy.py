import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from attn.errors import UsageError
from attn.maps.energy import at_least_fp32, video_scores, window_energy


def slow_energy(one_map: Tensor, window: int) -> float:
    rows, cols = one_map.shape
    return max(
        sum(float(one_map[i + a, j + b]) for a in range(window) for b in range(window))
        for i in range(rows - window + 1)
        for j in range(cols - window + 1)
    )


@st.composite
def maps_and_windows(draw) -> tuple[Tensor, int]:
    rows, cols = draw(st.integers(3, 8)), draw(st.integers(3, 8))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    maps = torch.randn(2, 3, rows, cols, dtype=torch.float64, generator=generator).relu()
    return maps, draw(st.integers(1, min(rows, cols)))


def spikes(*cells: tuple[int, int, float], rows: int = 7, cols: int = 7) -> Tensor:
    one_map = torch.zeros(rows, cols)
    for row, col, value in cells:
        one_map[row, col] = value
    return one_map


@given(maps_and_windows())
def test_equals_slow_loops(drawn):
    maps, window = drawn
    energies = window_energy(maps, window=window)
    expected = [[slow_energy(one_map, window) for one_map in frame] for frame in maps]
    assert torch.allclose(energies, torch.tensor(expected, dtype=torch.float64), rtol=0, atol=1e-12)


@given(maps_and_windows(), st.floats(0, 1e6))
def test_scales_with_the_map(drawn, factor):
    maps, window = drawn
    assert torch.allclose(window_energy(maps * factor, window=window), window_energy(maps, window=window) * factor)


@given(maps_and_windows(), st.integers(0, 2**31))
def test_more_attention_never_lowers_it(drawn, seed):
    maps, window = drawn
    more = torch.rand(maps.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    assert (window_energy(maps + more, window=window) >= window_energy(maps, window=window)).all()


@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.integers(0, 4))
def test_does_not_depend_on_the_place(row, col, other_row, other_col):
    pattern = torch.arange(9.0).reshape(3, 3)
    here, there = torch.zeros(7, 7), torch.zeros(7, 7)
    here[row : row + 3, col : col + 3] = pattern
    there[other_row : other_row + 3, other_col : other_col + 3] = pattern
    assert window_energy(here) == window_energy(there) == 36


@pytest.mark.parametrize("cell", [(0, 0), (6, 6), (0, 6), (3, 2)])
def test_one_spike_counts_in_full_even_in_a_corner(cell):
    assert window_energy(spikes((*cell, 2.5))) == 2.5


def test_constant_map_fills_the_window():
    assert window_energy(torch.full((7, 7), 0.5)) == 4.5
    assert window_energy(torch.full((14, 14), 0.5), window=14) == 98


def test_spikes_add_up_within_a_window_only():
    assert window_energy(spikes((2, 2, 3.0), (4, 4, 5.0))) == 8
    assert window_energy(spikes((2, 2, 3.0), (5, 2, 5.0))) == 5


@pytest.mark.parametrize(("dtype", "result"), [(torch.float64, torch.float64), (torch.float32, torch.float32)])
@pytest.mark.parametrize("shape", [(7, 7), (4, 7, 9), (2, 3, 5, 6), (2, 3, 4, 5, 6), (0, 3, 7, 7)])
def test_any_number_of_axes_in_front(shape, dtype, result):
    energies = window_energy(torch.rand(shape, dtype=dtype))
    assert energies.shape == shape[:-2]
    assert energies.dtype == result


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_stored_maps_are_summed_in_fp32(dtype):
    maps = torch.full((7, 7), 1.0).index_put((torch.tensor([3]), torch.tensor([3])), torch.tensor(2048.0)).to(dtype)
    energy = window_energy(maps)
    assert energy.dtype == torch.float32
    assert energy == 2056  # in fp16, 2048 + 1 is 2048


def test_damaged_map_is_not_hidden():
    assert window_energy(spikes((0, 0, float("nan")))).isnan()


@pytest.mark.parametrize("window", [0, -1, 4])
def test_window_that_does_not_fit_is_refused(window):
    with pytest.raises(UsageError, match=rf"--window {window}: does not fit in maps of 3×5 cells"):
        window_energy(torch.zeros(2, 3, 5), window=window)


@given(st.permutations(range(6)))
def test_order_of_the_frames_does_not_matter(order):
    scores = torch.rand(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(video_scores(scores[list(order)]), video_scores(scores), rtol=0, atol=1e-15)


@given(st.integers(1, 5))
def test_frames_shown_several_times_do_not_matter(times):
    scores = torch.rand(6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(
        video_scores(scores.repeat_interleave(times, dim=0)), video_scores(scores), rtol=0, atol=1e-15
    )


def test_video_of_one_frame_scores_as_the_frame():
    energies = window_energy(torch.rand(1, 4, 7, 7))
    assert torch.equal(video_scores(energies), energies[0])


def test_video_score_is_the_mean():
    assert video_scores(torch.tensor([[1.0, 0.0], [2.0, 6.0]])).tolist() == [1.5, 3.0]


def test_video_without_frames_is_refused():
    with pytest.raises(ValueError, match="without frames"):
        video_scores(torch.zeros(0, 4))


def test_only_half_precision_is_widened():
    for dtype, wide in [(torch.float16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)]:
        assert at_least_fp32(torch.zeros(2, dtype=dtype)).dtype == wide


def test_energies_of_many_maps_are_those_of_each(monkeypatch):
    monkeypatch.setattr("attn.window_energy.MAPS_AT_ONCE", 4)
    maps = torch.rand(3, 3, 4, 5, generator=torch.Generator().manual_seed(5))
    expected = torch.stack([window_energy(one) for one in maps.flatten(0, 1)]).unflatten(0, (3, 3))
    assert torch.equal(window_energy(maps), expected)


def test_no_maps_have_no_energies():
    assert window_energy(torch.zeros(0, 4, 7, 7)).shape == (0, 4)
