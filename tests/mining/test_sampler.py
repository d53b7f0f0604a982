"""Check 10 of the faithfulness checks, and the distribution of all that is drawn, enumerated in slow loops."""

import itertools
from collections import Counter, defaultdict
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from attn.mining.sampler import UPDATES_AT_ONCE, Quadruples, QuadrupleSampler

# Labels and numbers of frames: a class of three videos, one of one, two of two; classes 1 and 4 have none.
LABELS, NUM_FRAMES, NUM_CLASSES = [0, 0, 0, 2, 3, 3, 5, 5], [4, 1, 2, 3, 1, 1, 2, 5], 6
VIDEO_OF_ROW = np.repeat(np.arange(len(LABELS)), NUM_FRAMES)


def sampler(
    labels: list[int] = LABELS,
    num_frames: list[int] = NUM_FRAMES,
    *,
    num_classes: int = NUM_CLASSES,
    samples: int = 200,
    seed: int = 0,
) -> QuadrupleSampler:
    return QuadrupleSampler(
        torch.tensor(labels), torch.tensor(num_frames), num_classes=num_classes, samples=samples, seed=seed
    )


def columns(drawn: Quadruples) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Rows and classes by branch, and has_positive, of all samples of all updates."""
    return drawn.rows.flatten(1).numpy(), drawn.classes.flatten(1).numpy(), drawn.has_positive.flatten().numpy()


def check_relations(drawn: Quadruples, labels: list[int], num_frames: list[int], num_classes: int) -> None:
    rows, classes, has_positive = columns(drawn)
    assert rows.min() >= 0
    assert rows.max() < sum(num_frames)
    assert classes.min() >= 0
    assert classes.max() < num_classes
    video = np.repeat(np.arange(len(labels)), num_frames)[rows]
    label = np.array(labels)[video]
    videos_of = Counter(labels)
    assert (rows[0] == rows[1]).all()  # F and c_fa share the frame
    assert (classes[0] != classes[1]).all()
    assert (classes[1:] == label[1:]).all()  # true maps
    assert (label[2] == label[1]).all()
    assert (label[3] != label[1]).all()
    assert (video[3] != video[1]).all()
    assert (has_positive == [videos_of[c] > 1 for c in label[1]]).all()
    assert ((video[2] != video[1]) == has_positive).all()


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(1, 5), max_size=4), min_size=2, max_size=6).filter(
        lambda classes: sum(bool(videos) for videos in classes) >= 2
    ),
    st.integers(0, 2**63),
)
def test_check_10_distinct_videos_and_relations_of_classes(classes, seed):
    labels = [label for label, videos in enumerate(classes) for _ in videos]
    num_frames = list(itertools.chain(*classes))
    drawn = sampler(labels, num_frames, num_classes=len(classes), samples=20, seed=seed).block(0)
    check_relations(drawn, labels, num_frames, len(classes))


@pytest.mark.parametrize("chance", [0.0, 1 - 2**-53])
@pytest.mark.parametrize("count", [1, 3, 2**20 + 1])
def test_check_10_holds_at_the_ends_of_the_random_numbers(chance, count):
    labels, num_frames = [0, 0, 1, 2, 2, 2], [count, 1, count, 1, 7, count]
    drawn = sampler(labels, num_frames, num_classes=5)._quadruples(torch.full((9, 3), chance, dtype=torch.float64))
    check_relations(drawn, labels, num_frames, 5)


def test_videos_of_one_frame():
    drawn = sampler([0, 0, 1], [1, 1, 1], num_classes=2).block(0)
    check_relations(drawn, [0, 0, 1], [1, 1, 1], 2)
    rows, _, _ = columns(drawn)
    assert set(rows[1]) == {0, 1, 2}


def test_every_frame_of_a_long_video_can_be_drawn():
    rows, _, _ = columns(sampler([0, 1], [2**27, 1], num_classes=2).block(0))
    assert set(rows[1] % 16) == set(range(16))


def expected_shares() -> dict[tuple[int, ...], Fraction]:
    """Probability of every (F, F+, F-, c_fa, c_gt), by the rule: class, then video, then frame, all alike."""
    rows_of = [np.flatnonzero(video == VIDEO_OF_ROW).tolist() for video in range(len(LABELS))]
    present = sorted(set(LABELS))
    videos_of = {c: [v for v, label in enumerate(LABELS) if label == c] for c in present}
    shares: defaultdict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for c in present:
        for video in videos_of[c]:
            others = [v for v in videos_of[c] if v != video] or [video]
            for other, far_class in itertools.product(others, [f for f in present if f != c]):
                for far in videos_of[far_class]:
                    share = Fraction(1, len(present) * (len(present) - 1) * (NUM_CLASSES - 1))
                    share /= len(videos_of[c]) * len(others) * len(videos_of[far_class])
                    frames = [rows_of[video], rows_of[other], rows_of[far]]
                    for key in itertools.product(*frames, [f for f in range(NUM_CLASSES) if f != c]):
                        shares[*key, c] += share / (len(frames[0]) * len(frames[1]) * len(frames[2]))
    return shares


@pytest.fixture(scope="module")
def drawn_often() -> list[tuple[int, ...]]:
    """(F, F+, F-, c_fa, c_gt) of 200,000 draws."""
    often = sampler(samples=2500)
    blocks = [columns(often.block(number)) for number in range(-(-200_000 // (2500 * UPDATES_AT_ONCE)))]
    rows, classes = (np.concatenate([block[i] for block in blocks], axis=1) for i in (0, 1))
    return list(zip(*rows[1:].tolist(), *classes[:2].tolist(), strict=True))


@pytest.mark.parametrize(
    "parts",
    [(4,), (0,), (1,), (2,), (3,), (0, 1), (0, 2), (0, 3), (1, 2), (2, 3), (0, 1, 2, 3, 4)],
    ids=lambda parts: "-".join(["anchor", "positive", "negative", "false", "true"][i] for i in parts),
)
def test_class_uniform_then_video_uniform_then_frame_uniform(drawn_often, parts):
    """Chi-square test of one, two or all of what is drawn, with a fixed seed."""
    shares: defaultdict[tuple[int, ...], Fraction] = defaultdict(Fraction)
    for key, share in expected_shares().items():
        shares[tuple(key[i] for i in parts)] += share
    assert sum(shares.values()) == 1
    found = Counter(tuple(key[i] for i in parts) for key in drawn_often)
    assert found.keys() <= shares.keys()
    observed = np.array([found[key] for key in shares])
    expected = np.array([float(share) for share in shares.values()]) * len(drawn_often)
    assert expected.min() > 5
    assert chisquare(observed, expected).pvalue > 1e-3


def equal(one: Quadruples, other: Quadruples) -> bool:
    return torch.equal(one.rows, other.rows) and torch.equal(one.classes, other.classes)


def test_what_is_drawn_follows_from_seed_and_block_alone():
    one, again = sampler(seed=7), sampler(seed=7)
    first = [one.block(number) for number in range(4)]
    torch.rand(5)  # another program draws
    assert all(equal(again.block(number), first[number]) for number in (3, 0, 2, 1, 0))


def test_seeds_and_blocks_draw_differently():
    drawn = [sampler(seed=seed).block(number) for seed, number in itertools.product(range(3), range(3))]
    assert not any(equal(*pair) for pair in itertools.combinations(drawn, 2))


def test_the_updates_of_a_block_draw_differently():
    rows = sampler().block(0).rows
    assert len({tuple(rows[:, update].flatten().tolist()) for update in range(UPDATES_AT_ONCE)}) == UPDATES_AT_ONCE


def test_the_random_state_of_the_process_is_left_alone():
    before = torch.get_rng_state()
    sampler().block(0)
    assert torch.equal(torch.get_rng_state(), before)


class Counted(TorchDispatchMode):
    """Counts the operations that run inside."""

    def __init__(self) -> None:
        super().__init__()
        self.operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.operations += 1
        return func(*args, **(kwargs or {}))


def operations(samples: int, videos: int) -> int:
    labels = torch.arange(videos) // 2
    drawing = QuadrupleSampler(labels, torch.ones_like(labels), num_classes=videos // 2, samples=samples, seed=0)
    with Counted() as counted:
        drawing.block(0)
    return counted.operations


def test_draws_without_a_loop_over_samples_or_videos():
    assert operations(1, 4) == operations(500, 400) < 150


@pytest.mark.parametrize(
    ("labels", "num_frames", "complaint"),
    [
        ([0, 1, 0], [1, 1, 1], "sorted by class"),
        ([0, 1], [1, 0], "have frames"),
        ([1, 1], [2, 2], "two classes"),
        ([], [], "two classes"),
    ],
)
def test_what_cannot_be_sampled_is_refused(labels, num_frames, complaint):
    with pytest.raises(ValueError, match=complaint):
        QuadrupleSampler(
            torch.tensor(labels, dtype=torch.int64),
            torch.tensor(num_frames, dtype=torch.int64),
            num_classes=3,
            samples=1,
            seed=0,
        )


@pytest.mark.parametrize("index", [3, slice(2, 5), slice(0, 0), torch.tensor([4, 1, 1])])
def test_some_of_the_quadruples(index):
    drawn = sampler(samples=6).block(0)
    some = drawn[index]

    def expected(values: Tensor) -> Tensor:
        return torch.stack([branch[index] for branch in values])

    assert torch.equal(some.rows, expected(drawn.rows))
    assert torch.equal(some.classes, expected(drawn.classes))
    assert torch.equal(some.has_positive, drawn.has_positive[index])
