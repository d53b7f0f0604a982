"""The facts of a data set that the tables of a paper need: its classes, where it lies, who is trained and tested on."""

import dataclasses
from collections.abc import Callable, Hashable
from typing import Literal

from attn.datasets.entries import SplitList
from attn.errors import UsageError
from attn.storage.filesystem import is_local, open_filesystem, storage_errors
from attn.storage.listing import names_in
from attn.storage.reasons import shown


@dataclasses.dataclass(frozen=True)
class Split:
    """Videos to train and to test on; none on both sides.

    Attributes:
        name: fit for a folder's name.
        train: video id → class name.
        test: the same.
    """

    name: str
    train: SplitList
    test: SplitList

    def __post_init__(self) -> None:
        if shared := sorted(self.train.keys() & self.test.keys()):
            raise UsageError(
                f"{self.name}: {len(shared)} videos are trained and tested on, such as {shared[0]!r}; "
                "take the lists of one split"
            )


@dataclasses.dataclass(frozen=True)
class Benchmark:
    """One data set as its paper's tables use it.

    Attributes:
        name: of the data set.
        class_names: a class's id is its place.
        videos: what `list_videos` takes.
        images: folder of Web images with one folder per class; None where there are none.
        stride: of the frames read, 1 for all.
        figure: key of the figure that is reported, as `attn.eval.summary` names it; the mean over the splits.
        splits: in the order of their numbers.
        group_of: recording that a video was cut from, counted within its class, by video id; None where that is not
            known, or each video is one of its own.
        across_classes: groups may have videos of several classes, which then stay together.
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

    @property
    def labels(self) -> SplitList:
        """Class names of all videos that occur in a split: a flat folder does not say them."""
        return {
            video_id: name
            for split in self.splits
            for part in (split.train, split.test)
            for video_id, name in part.items()
        }


def check_folder(url: str, way_out: str) -> None:
    """Refuses a place that is no folder.

    Args:
        url: local or remote.
        way_out: what to tell the user.
    """
    fs, path = open_filesystem(url)
    with storage_errors(url):
        if not fs.isdir(path):
            if not is_local(fs):
                names_in(fs, path)  # which knows a missing bucket
            raise UsageError(f"{shown(url)} is no folder; {way_out}")


def check_images(url: str | None) -> None:
    """Refuses a place of Web images that is no folder."""
    if url is not None:
        check_folder(url, "lay the Web images out as <folder>/<class>/<image>")
