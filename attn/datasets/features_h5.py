"""Feature files in the layout of the released code of the soft-attention LSTM.

    <part>_features.h5        dataset `features`, float32 [frames of all videos, chan · row · col], channels outermost
    <part>_framenum.txt       number of frames of each video, one per line
    <part>_filename.txt       path of each video
    <part>_labels.txt         class id of each video, or a comma-separated 0 or 1 per class

A row is in the order of the column `grid` of a store, so nothing is reordered. MATLAB wrote the released files with the
axes [col, row, chan], innermost first, which is the same order of bytes.

Source: released code of Sharma et al. 2015.
"""

import contextlib
import dataclasses
import importlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from attn.datasets.entries import numbered_lines
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.video.file_names import video_id_of
from attn.video.ids import tell_apart, without_extension

DATASET = "features"
ROWS_AT_ONCE = 256
"""Rows read at a time; they take 51 MB with 7×7 cells of 1024 channels."""


@dataclasses.dataclass(frozen=True)
class FeatureVideos:
    """Videos of one part, in the order of their rows.

    Attributes:
        video_ids: file names without extension, or paths without extension where names are not unique.
        num_frames: number of frames of each video.
        labels: class ids, or a mask of the classes of each video.
    """

    video_ids: tuple[str, ...]
    num_frames: Int[np.ndarray, "video"]
    labels: Int[np.ndarray, "video"] | Bool[np.ndarray, "video cls"]


class FeatureVideo(NamedTuple):
    """Features of one video to write.

    Attributes:
        path: path of the video.
        label: class id, or 0 and 1 for each class.
        grids: feature maps of its frames, in order.
    """

    path: str
    label: int | tuple[int, ...]
    grids: Float[np.ndarray, "frame chan row col"]


class FrameGrid(NamedTuple):
    """Feature maps of one frame; `frame` is its index among the frames in the file."""

    video_id: str
    frame: int
    grid: Float[np.ndarray, "chan row col"]


def read_videos(folder: str, part: str) -> FeatureVideos:
    """Read the three text files of a part.

    Args:
        folder: local or remote folder of the files.
        part: prefix of the files, such as `train`.

    Raises:
        UsageError: a file is missing or wrong, or the files list different numbers of videos.
    """
    paths = [line for _, line in _lines(folder, part, "filename")]
    counts = [_number(place, line) for place, line in _lines(folder, part, "framenum")]
    labels = [[_number(place, one) for one in line.split(",")] for place, line in _lines(folder, part, "labels")]
    if not len(paths) == len(counts) == len(labels):
        raise UsageError(
            f"{shown(join(folder, part))}: {len(paths)} file names, {len(counts)} frame counts and {len(labels)} "
            "labels. Correct the files, one line per video."
        )
    widths = {len(label) for label in labels}
    if len(widths) != 1 or (widths != {1} and any(one > 1 for label in labels for one in label)):
        raise UsageError(
            f"{shown(join(folder, part))}_labels.txt: neither one class id per line nor 0 and 1 per class. Correct it."
        )
    ids = tell_apart(paths, lambda path, level: without_extension(path) if level else video_id_of(path), levels=2)
    table = np.array(labels)
    return FeatureVideos(tuple(ids), np.array(counts), table[:, 0] if widths == {1} else table.astype(bool))


def read_features(folder: str, part: str, *, map_shape: tuple[int, int] = (7, 7)) -> Iterator[FrameGrid]:
    """Read the feature maps of all frames of a part, video by video.

    Args:
        folder: local or remote folder of the files.
        part: prefix of the files.
        map_shape: rows and columns of a map.

    Raises:
        UsageError: as for `read_videos`; h5py is missing; the file of features is missing, damaged or does not fit the
            text files.
    """
    videos, url = read_videos(folder, part), join(folder, f"{part}_features.h5")
    h5py, location = _h5py(), Location.at(url)
    opened = contextlib.nullcontext(location.path) if location.is_local else location.open()
    with location.errors(), opened as source, h5py.File(source, "r") as file:
        if DATASET not in file:
            raise UsageError(f"{shown(url)}: no dataset {DATASET!r} in the file. Give the right file.")
        yield from grids_of(file[DATASET], videos, url, map_shape=map_shape)


def grids_of(features: Any, videos: FeatureVideos, url: str, *, map_shape: tuple[int, int]) -> Iterator[FrameGrid]:
    """Feature maps of all frames, from an array whose rows are read in slices.

    Args:
        features: [frame, chan · row · col], an HDF5 dataset or an array.
        videos: videos of these frames.
        url: URL of the file, for messages.
        map_shape: rows and columns of a map.

    Raises:
        UsageError: the shape of the array does not fit the videos or the map.
    """
    height, width = map_shape
    rows = int(videos.num_frames.sum())
    if len(features.shape) != 2 or features.shape[0] != rows or features.shape[1] % (height * width):
        raise UsageError(
            f"{shown(url)}: features of shape {tuple(features.shape)}, but {rows} frames are listed, with maps of "
            f"{height}×{width}. Give the files of one part."
        )
    frames = iter(np.repeat(videos.video_ids, videos.num_frames).tolist())
    number = itertools.chain.from_iterable(map(range, videos.num_frames.tolist()))
    for start in range(0, rows, ROWS_AT_ONCE):
        chunk = np.asarray(features[start : start + ROWS_AT_ONCE])
        for grid in chunk.reshape(len(chunk), -1, *map_shape):
            yield FrameGrid(next(frames), next(number), grid)


def write_features(folder: str, part: str, videos: Iterable[FeatureVideo]) -> None:
    """Write the four files of a part; the features appear last and complete, or not at all.

    Args:
        folder: local or remote folder, created if needed.
        part: prefix of the files.
        videos: videos to write; only one is in memory at a time.

    Raises:
        UsageError: h5py is missing, a video has another number of values per frame, or the storage returns an error.
    """
    h5py, features, lines = _h5py(), None, {"framenum": [], "filename": [], "labels": []}
    with (Location.at(folder) / f"{part}_features.h5").atomic_path() as file:
        with h5py.File(file, "w") as target:
            for path, label, grids in videos:
                values = grids.reshape(len(grids), -1)
                if features is None:
                    row = (1, values.shape[1])
                    features = target.create_dataset(DATASET, (0, row[1]), "<f4", maxshape=(None, None), chunks=row)
                if values.shape[1] != features.shape[1]:
                    raise UsageError(f"{path}: {values.shape[1]} values per frame instead of {features.shape[1]}.")
                features.resize(len(features) + len(values), axis=0)
                features[len(features) - len(values) :] = values
                lines["framenum"].append(str(len(grids)))
                lines["filename"].append(path)
                lines["labels"].append(str(label) if isinstance(label, int) else ",".join(map(str, label)))
        for name, written in lines.items():
            text = "".join(f"{line}\n" for line in written)
            (Location.at(folder) / f"{part}_{name}.txt").write_atomic(text.encode())


def _lines(folder: str, part: str, name: str) -> Iterator[tuple[str, str]]:
    url = join(folder, f"{part}_{name}.txt")
    return numbered_lines(Location.at(url).read_text(), shown(url))


def _number(place: str, text: str) -> int:
    if not (text.strip().isascii() and text.strip().isdigit()):
        raise UsageError(f"{place}: {text[:60]!r} is not a number. Correct the line.")
    return int(text)


def _h5py() -> Any:
    """Module h5py, imported here because it is an optional dependency."""
    try:
        return importlib.import_module("h5py")
    except ImportError as error:
        raise UsageError(f"HDF5 files: h5py is missing ({error}). Run pip install 'attn[h5]'.") from error
