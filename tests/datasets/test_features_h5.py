"""Official feature files: the same order of values as our grid, and text files that agree."""

import numpy as np
import pytest

from attn.datasets.features_h5 import (
    ROWS_AT_ONCE,
    FeatureVideo,
    FeatureVideos,
    grids_of,
    read_features,
    read_videos,
    write_features,
)
from attn.errors import UsageError

PATHS = ("wave/a.avi", "wave/b.c.avi", "kick/a.avi")
COUNTS, CHANNELS, SHAPE = (3, 1, 2), 4, (7, 7)


def write_texts(folder, *, names=PATHS, counts=COUNTS, labels=(1, 0, 12)) -> None:
    for name, values in (("filename", names), ("framenum", counts), ("labels", labels)):
        (folder / f"train_{name}.txt").write_text("".join(f"{value}\n" for value in values))


def authors_rows(cubes: np.ndarray) -> np.ndarray:
    """Rows from which the authors' `reshape(…, [frame, 49, chan], order='F')` makes these cubes [frame, cell, chan]."""
    return np.stack([cube.reshape(-1, order="F") for cube in cubes])


def cubes_of(frames: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(frames, 49, CHANNELS)).astype(np.float32)


def test_the_authors_cubes_are_our_grids(tmp_path):
    write_texts(tmp_path)
    cubes = cubes_of(sum(COUNTS))
    rows = authors_rows(cubes)
    np.testing.assert_array_equal(rows.reshape(len(rows), 49, CHANNELS, order="F"), cubes)
    found = list(grids_of(rows, read_videos(str(tmp_path), "train"), "x.h5", map_shape=SHAPE))
    for frame, cube in zip(found, cubes, strict=True):
        assert frame.grid.shape == (CHANNELS, *SHAPE)
        for row, col, chan in ((0, 0, 0), (2, 5, 3), (6, 1, 1)):
            assert frame.grid[chan, row, col] == cube[7 * row + col, chan]
    places = [(frame.video_id, frame.frame) for frame in found]
    assert places == [("wave/a", 0), ("wave/a", 1), ("wave/a", 2), ("b.c", 0), ("kick/a", 0), ("kick/a", 1)]


def test_frames_of_a_long_file_keep_their_places():
    count = 2 * ROWS_AT_ONCE + 3
    videos = FeatureVideos(("a", "b"), np.array([ROWS_AT_ONCE - 1, ROWS_AT_ONCE + 4]), np.array([0, 1]))
    rows = np.arange(count, dtype=np.float32)[:, None].repeat(2, 1)
    found = list(grids_of(rows, videos, "x.h5", map_shape=(1, 2)))
    assert [frame.grid[0, 0, 0] for frame in found] == list(range(count))
    assert (found[-1].video_id, found[-1].frame) == ("b", ROWS_AT_ONCE + 3)


def test_labels_of_one_class_and_of_several(tmp_path):
    write_texts(tmp_path)
    np.testing.assert_array_equal(read_videos(str(tmp_path), "train").labels, [1, 0, 12])
    write_texts(tmp_path, labels=("0,1,1", "0,0,0", "1,0,0"))
    labels = read_videos(str(tmp_path), "train").labels
    assert labels.dtype == bool
    np.testing.assert_array_equal(labels, [[0, 1, 1], [0, 0, 0], [1, 0, 0]])


@pytest.mark.parametrize(
    ("texts", "complaint"),
    [
        ({"counts": (3, 1)}, "3 file names, 2 frame counts and 3 labels"),
        ({"counts": (3, -1, 2)}, r"train_framenum\.txt, line 2: '-1' is not a number"),
        ({"labels": (1, 0, "one")}, r"train_labels\.txt, line 3: 'one' is not a number"),
        ({"labels": (1, 0, "0,1")}, "neither one class id per line nor 0 and 1 per class"),
        ({"labels": ("0,2", "0,1", "1,1")}, "neither one class id per line nor 0 and 1 per class"),
        ({"names": (), "counts": (), "labels": ()}, "neither one class id"),
    ],
)
def test_texts_that_disagree_are_refused(tmp_path, texts, complaint):
    write_texts(tmp_path, **texts)
    with pytest.raises(UsageError, match=complaint):
        read_videos(str(tmp_path), "train")


@pytest.mark.parametrize("shape", [(5, 49), (7, 49), (6, 50), (6 * 49,)])
def test_features_of_another_shape_are_refused(tmp_path, shape):
    write_texts(tmp_path)
    videos = read_videos(str(tmp_path), "train")
    with pytest.raises(UsageError, match=r"x\.h5: features of shape .+ but 6 frames are listed, with maps of 7×7"):
        list(grids_of(np.zeros(shape), videos, "x.h5", map_shape=SHAPE))


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    write_texts(tmp_path)
    with pytest.raises(UsageError, match=r"h5py is missing \(.+\)\. Run pip install 'attn\[h5\]'"):
        next(read_features(str(tmp_path), "train"))


def test_an_official_file_is_read(tmp_path):
    h5py = pytest.importorskip("h5py")
    write_texts(tmp_path)
    cubes = cubes_of(sum(COUNTS))
    with h5py.File(tmp_path / "train_features.h5", "w") as file:
        file["features"] = authors_rows(cubes)
    found = np.stack([frame.grid for frame in read_features(str(tmp_path), "train")])
    np.testing.assert_array_equal(found.reshape(-1, CHANNELS, 49).transpose(0, 2, 1), cubes)


@pytest.mark.parametrize("labels", [(1, 0, 12), ((0, 1), (0, 0), (1, 1))])
@pytest.mark.parametrize("storage", ["local", "s3"])
def test_written_files_are_read_back(request, tmp_path, labels, storage):
    h5py = pytest.importorskip("h5py")
    folder = request.getfixturevalue("s3") if storage == "s3" else str(tmp_path / "new")
    grids = cubes_of(sum(COUNTS)).transpose(0, 2, 1).reshape(-1, CHANNELS, *SHAPE)
    parts = np.split(grids, np.cumsum(COUNTS)[:-1])
    write_features(folder, "train", [FeatureVideo(*one) for one in zip(PATHS, labels, parts, strict=True)])
    videos = read_videos(folder, "train")
    assert videos.num_frames.tolist() == list(COUNTS)
    np.testing.assert_array_equal(videos.labels, labels)
    np.testing.assert_array_equal([frame.grid for frame in read_features(folder, "train")], grids)
    if storage == "local":
        with h5py.File(tmp_path / "new" / "train_features.h5", "r") as file:
            assert (file["features"].dtype, file["features"].shape) == (np.dtype("<f4"), (6, 49 * CHANNELS))


def test_videos_of_two_networks_are_not_written(tmp_path):
    pytest.importorskip("h5py")
    videos = [FeatureVideo("a.avi", 0, np.zeros((1, 4, 7, 7))), FeatureVideo("b.avi", 0, np.zeros((1, 5, 7, 7)))]
    with pytest.raises(UsageError, match=r"b\.avi: 245 values per frame instead of 196"):
        write_features(str(tmp_path), "train", videos)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_not_hdf5_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    write_texts(tmp_path)
    (tmp_path / "train_features.h5").write_bytes(b"not an HDF5 file")
    with pytest.raises(UsageError, match=r"train_features\.h5: "):
        next(read_features(str(tmp_path), "train"))
    with h5py.File(tmp_path / "train_features.h5", "w") as file:
        file["others"] = np.zeros((6, 49))
    with pytest.raises(UsageError, match="no dataset 'features'"):
        next(read_features(str(tmp_path), "train"))
