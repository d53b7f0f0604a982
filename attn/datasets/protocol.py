"""Protocol of a data set: classes, URLs, and the training and test videos of its splits."""

import dataclasses
from collections.abc import Callable, Hashable
from typing import Literal

from attn.datasets.entries import SplitList
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.listing import names_in
from attn.storage.location import Location


@dataclasses.dataclass(frozen=True)
class Split:
    """Training and test videos of one split, without overlap.

    Attributes:
        name: name of the split, valid as a folder name.
        train: training videos, video ID → class name.
        test: test videos, video ID → class name.
    """

    name: str
    train: SplitList
    test: SplitList

    def __post_init__(self) -> None:
        if shared := sorted(self.train.keys() & self.test.keys()):
            raise UsageError(
                f"{self.name}: {len(shared)} videos are in both the training and the test list, such as {shared[0]!r}. "
                "Use the lists of one split."
            )


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """Data set as used in its paper's tables.

    Attributes:
        name: name of the data set.
        class_names: names of the classes; the position is the class ID.
        videos: URL of the videos, for `list_videos`.
        images: folder of Web images with one folder per class; None if there are none.
        stride: stride of the frames read, 1 for all frames.
        figure: key of the reported metric, as in `attn.eval.summary`, averaged over the splits.
        splits: splits in the order of their numbers.
        group_of: function from a video ID to the recording that the video was cut from, counted within its class. None
            if recordings are unknown, or every video is its own recording.
        across_classes: whether groups may contain videos of several classes, which then stay together.
        unlabelled: number of videos under the URL that are in no split, if they may be used.
    """

    name: str
    class_names: tuple[str, ...]
    videos: str
    images: str | None
    stride: int
    figure: Literal["top_1", "map_noninterpolated"]
    splits: tuple[Split, ...]
    group_of: Callable[[str], Hashable] | None = None
    across_classes: bool = False
    unlabelled: int = 0

    @property
    def labels(self) -> SplitList:
        """Class names of all videos in any split; a flat folder does not give them."""
        return {
            video_id: name
            for split in self.splits
            for part in (split.train, split.test)
            for video_id, name in part.items()
        }


def leave_one_out(labels: SplitList, group_of: Callable[[str], int], prefix: str) -> tuple[Split, ...]:
    """One split per group number, in ascending order, which tests the videos of this number.

    Args:
        labels: videos in the order of the splits' lists.
        group_of: function from a video ID to its group number, counted over all classes or within each.
        prefix: name of a split without its number.
    """
    groups = {video_id: group_of(video_id) for video_id in labels}
    return tuple(
        Split(
            f"{prefix}{left_out}",
            {video_id: name for video_id, name in labels.items() if groups[video_id] != left_out},
            {video_id: name for video_id, name in labels.items() if groups[video_id] == left_out},
        )
        for left_out in sorted(set(groups.values()))
    )


def check_groups(split: Split, group_of: Callable[[str], Hashable]) -> None:
    """Refuse clips of one recording on both sides of a split, which would test memorised people and places.

    Args:
        split: split to check.
        group_of: function from a video ID to its recording, counted within its class.

    Raises:
        UsageError: a group is on both sides; the message names two of its videos.
    """
    groups = {(name, group_of(video_id)): video_id for video_id, name in split.train.items()}
    for video_id, name in split.test.items():
        if twin := groups.get((name, group_of(video_id))):
            raise UsageError(
                f"{split.name}: test video {video_id} and training video {twin} share a group. Correct the lists."
            )


def check_folder(url: str, way_out: str) -> None:
    """Refuse a URL that is not a folder.

    Args:
        url: local path or URL.
        way_out: instruction to the user, without a full stop.
    """
    folder = Location.at(url)
    with folder.errors():
        if not folder.is_folder():
            if not folder.is_local:
                names_in(folder)  # raises if the bucket is missing
            raise UsageError(f"{shown(url)}: not a folder. {way_out}.")


def check_images(url: str | None) -> None:
    """Refuse a URL of Web images that is not a folder."""
    if url is not None:
        check_folder(url, "Arrange the Web images as <folder>/<class>/<image>")
