"""Data set of untrimmed videos in two parts, training and test, with labels and temporal annotation in separate files.

    <root>/videos/video_<part>_0000001.mp4
    <root>/classInd.txt          `<id> <Class>`, ids from 1
    <root>/training_labels.csv   `video_id,labels`, without times: one row per class, an empty label for background
    <root>/test_labels.csv
    <root>/annotation.json       ActivityNet's form, with durations; subsets training and test
    <root>/thumos14/             THUMOS14's form, test part: <Class>_test.txt, Ambiguous_test.txt, detclasslist.txt

A training needs only the first three; the temporal annotation is for evaluation.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Literal

from attn.classes import parse_class_list
from attn.datasets.activitynet import ground_truth_json
from attn.datasets.own_list import text_of_label_sets
from attn.datasets.segments import GroundTruth
from attn.datasets.thumos14 import annotation_files
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.listing import names_in
from attn.storage.location import Location
from attn.synthetic.annotated_video import AnnotatedVideo

Part = Literal["training", "test"]
PARTS: tuple[Part, ...] = ("training", "test")
CLASSES, ANNOTATION = "classInd.txt", "annotation.json"


@dataclasses.dataclass(frozen=True)
class UntrimmedSet:
    """Files of a complete data set.

    Attributes:
        root: URL of its folder.
        class_names: names of the classes.
    """

    root: str
    class_names: tuple[str, ...]

    @property
    def videos(self) -> str:
        """URL of the folder with the videos of both parts."""
        return join(self.root, "videos")

    @property
    def training_labels(self) -> str:
        """URL of the table of the training videos and their classes, without times."""
        return join(self.root, "training_labels.csv")

    @property
    def test_labels(self) -> str:
        """URL of the table of the test videos and their classes, without times."""
        return join(self.root, "test_labels.csv")

    @property
    def annotation(self) -> str:
        """URL of the temporal annotation in ActivityNet's form, with the subsets training and test."""
        return join(self.root, ANNOTATION)

    @property
    def thumos14(self) -> str:
        """URL of the folder with the temporal annotation of the test part in THUMOS14's form."""
        return join(self.root, "thumos14")


def video_name(part: Part, item: int) -> str:
    """Return the ID of a video, numbered from 1 within its part."""
    return f"video_{part}_{item + 1:07d}"


def open_set(root: str) -> UntrimmedSet | None:
    """Return the data set in a folder; None if it is missing or was not written to its end."""
    folder = Location.at(root)
    with folder.errors():
        if ANNOTATION not in names_in(folder):
            return None
    listed = folder / CLASSES
    names = parse_class_list(listed.read_text().splitlines(), where=str(listed))
    return UntrimmedSet(root, names)


def new_set(root: str, class_names: Sequence[str], counts: Mapping[Part, int]) -> UntrimmedSet:
    """Return a data set whose videos can now be written; those of an interrupted run are overwritten.

    Args:
        root: URL of the folder, local or remote.
        class_names: names of the classes.
        counts: number of videos of each part.

    Raises:
        UsageError: a part has no videos, or the folder holds a complete data set or videos that would not be
            overwritten.
    """
    if empty := [part for part in PARTS if counts[part] < 1]:
        raise UsageError(f"{shown(root)}: would have no {empty[0]} videos. Ask for at least one.")
    made = UntrimmedSet(root, tuple(class_names))
    if open_set(root) is not None:
        raise UsageError(f"{shown(root)}: has untrimmed videos already. Choose another folder.")
    expected = {f"{video_name(part, item)}.mp4" for part, count in counts.items() for item in range(count)}
    videos = Location.at(made.videos)
    with videos.errors():
        others = sorted(name for name in names_in(videos) if not name.startswith(".") and name not in expected)
    if others:
        raise UsageError(
            f"{shown(made.videos)}: contains another file, {others[0]}. Choose another folder or empty it."
        )
    return made


def finish_set(made: UntrimmedSet, parts: Mapping[Part, Sequence[AnnotatedVideo]]) -> None:
    """Write the labels and the annotation of all videos. `annotation.json`, written last, marks the set as complete.

    Raises:
        UsageError: a part shows no action.
    """
    for part in PARTS:
        if not any(video.segments for video in parts[part]):
            raise UsageError(f"{shown(made.root)}: no {part} video shows an action. Ask for more videos.")
    truths = {part: _truth(part, parts[part], made.class_names) for part in PARTS}
    texts = {
        join(made.root, CLASSES): "".join(f"{i} {name}\n" for i, name in enumerate(made.class_names, 1)),
        made.training_labels: _labels(parts["training"]),
        made.test_labels: _labels(parts["test"]),
        **{join(made.thumos14, name): text for name, text in annotation_files(truths["test"]).items()},
    }
    for url, text in texts.items():
        Location.at(url).write_atomic(text.encode())
    Location.at(made.annotation).write_atomic(ground_truth_json(*truths.values()))


def _truth(part: Part, videos: Sequence[AnnotatedVideo], class_names: tuple[str, ...]) -> GroundTruth:
    return GroundTruth(
        class_names,
        frozenset(video.video_id for video in videos),
        [one for video in videos for one in video.segments],
        [one for video in videos for one in video.ambiguous],
        {video.video_id: video.duration_s for video in videos},
        part,
    )


def _labels(videos: Sequence[AnnotatedVideo]) -> str:
    return text_of_label_sets({video.video_id: video.classes for video in videos})
