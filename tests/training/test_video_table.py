import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attn.training.video_table import VideoTable

VIDEOS = st.dictionaries(
    st.text("abc01_", min_size=1, max_size=4), st.tuples(st.integers(0, 4), st.integers(1, 300)), max_size=25
)


def table_of(videos: dict[str, tuple[int, int]]) -> VideoTable:
    return VideoTable.of({v: label for v, (label, _) in videos.items()}, {v: count for v, (_, count) in videos.items()})


@given(VIDEOS, st.randoms())
def test_sorted_by_class_and_then_by_id_whatever_the_order(videos, random):
    table = table_of(videos)
    keys = list(zip(table.labels.tolist(), table.video_ids, strict=True))
    assert keys == sorted((label, video) for video, (label, _) in videos.items())
    assert table.num_frames.tolist() == [videos[video][1] for video in table.video_ids]
    again = table_of(dict(random.sample(list(videos.items()), len(videos))))
    assert again.video_ids == table.video_ids


@given(VIDEOS)
def test_rows_follow_each_other(videos):
    table, row = table_of(videos), 0
    for first, count in zip(table.first_row.tolist(), table.num_frames.tolist(), strict=True):
        assert first == row
        row += count
    assert table.rows == row


def test_frames_of_other_videos_are_not_counted():
    table = VideoTable.of({"b": 1, "a": 1}, {"a": 3, "b": 5, "c": 100})
    assert (table.video_ids, table.rows, table.first_row.tolist()) == (("a", "b"), 8, [0, 3])


def test_no_videos():
    table = VideoTable.of({}, {"a": 3})
    assert (table.video_ids, table.rows) == ((), 0)
    assert (table.labels.dtype, table.num_frames.dtype) == (np.int64, np.int64)
    share, first_row = table.share(1, 3)
    assert (share.video_ids, first_row) == ((), 0)


@given(VIDEOS, st.integers(1, 40))
def test_shares_hold_every_row_once_and_in_order(videos, workers):
    table = table_of(videos)
    row, ids, labels, num_frames = 0, [], [], []
    for worker in range(workers):
        share, first_row = table.share(worker, workers)
        assert first_row == row
        row += share.rows
        ids += share.video_ids
        labels += share.labels.tolist()
        num_frames += share.num_frames.tolist()
    assert (tuple(ids), row) == (table.video_ids, table.rows)
    assert labels == table.labels.tolist()
    assert num_frames == table.num_frames.tolist()


@given(VIDEOS, st.integers(1, 10))
def test_shares_are_as_equal_as_whole_videos_allow(videos, workers):
    table = table_of(videos)
    longest = max(table.num_frames.tolist(), default=0)
    for worker in range(workers):
        share, first_row = table.share(worker, workers)
        assert abs(first_row - table.rows * worker / workers) <= longest / 2
        assert abs(share.rows - table.rows / workers) <= longest


def test_a_worker_alone_has_all():
    table = table_of({"a": (0, 3), "b": (1, 4)})
    share, first_row = table.share(0, 1)
    assert (share.video_ids, first_row) == (("a", "b"), 0)


@pytest.mark.parametrize("workers", [3, 7])
def test_more_workers_than_videos_leave_some_with_none(workers):
    shares = [table_of({"a": (0, 3), "b": (1, 4)}).share(worker, workers)[0] for worker in range(workers)]
    assert sorted(len(share.video_ids) for share in shares) == [0] * (workers - 2) + [1, 1]


def test_videos_of_several_classes_or_none_have_a_mask_in_every_share():
    classes = {"c": [], "a": [2, 0], "b": (1,)}
    table = VideoTable.of_label_sets(classes, {"a": 3, "b": 4, "c": 5, "d": 6}, num_classes=4)
    assert (table.video_ids, table.rows) == (("a", "b", "c"), 12)
    mask = [[1, 0, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]]
    np.testing.assert_array_equal(table.targets, np.array(mask, bool))
    shares = [table.share(worker, 2)[0].targets for worker in range(2)]
    np.testing.assert_array_equal(np.concatenate(shares), table.targets)
    with pytest.raises(ValueError, match="several classes or none"):
        _ = table.labels
