"""Data sets of tables without shares of labels: splits of videos with one class, several or none, and their lists.

<out>/splits/classes.txt
<out>/splits/<split>-train.txt, <split>-test.txt        tables of several classes end in .csv
"""

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Mapping
from typing import NamedTuple

from attn.commands.reproduction.data import is_to_be_rendered
from attn.commands.reproduction.lists import list_of_classes
from attn.commands.reproduction.reproduce_options import BenchmarkTablesOptions
from attn.commands.split_check import present_videos
from attn.datasets.entries import LabelSets
from attn.datasets.own_list import text_of_label_sets
from attn.datasets.protocol import Benchmark
from attn.datasets.split import split_text
from attn.datasets.ucf101 import group_in_name
from attn.errors import UsageError
from attn.eval.pooled import Figure
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.video.source import list_videos


class LabelledSplit(NamedTuple):
    """Training and test videos of a split, with the classes of each."""

    name: str
    train: LabelSets
    test: LabelSets


@dataclasses.dataclass(frozen=True)
class LabelledVideos:
    """Data set of the tables.

    Attributes:
        name: name of the data set.
        class_names: names of the classes.
        videos: URL of the videos, for `list_videos`.
        images: URL of Web images; None if there are none.
        stride: stride of the frames.
        figure: metric of the tables.
        splits: chosen splits.
        several: whether videos may have several classes, or none.
        recordings: recording of each video for the lists; None to leave them out.
        group_of: function from a video ID to its group, as in `Benchmark`, if groups may contain several classes.
    """

    name: str
    class_names: tuple[str, ...]
    videos: str
    images: str | None
    stride: int
    figure: Figure
    splits: tuple[LabelledSplit, ...]
    several: bool = False
    recordings: Mapping[str, str] | None = None
    group_of: Callable[[str], Hashable] | None = None


def of_benchmark(benchmark: Benchmark, options: BenchmarkTablesOptions) -> LabelledVideos:
    """Data set whose videos have one class each, with the splits of `--splits`."""
    usual = benchmark.stride if benchmark.name == "synthetic" else 1  # the papers read every frame
    chosen = [benchmark.splits[number - 1] for number in options.splits] or benchmark.splits
    sets = [[{video: (name,) for video, name in part.items()} for part in (one.train, one.test)] for one in chosen]
    return LabelledVideos(
        name=benchmark.name,
        class_names=benchmark.class_names,
        videos=benchmark.videos,
        images=benchmark.images,
        stride=options.stride or usual,
        figure=benchmark.figure,
        splits=tuple(LabelledSplit(one.name, *parts) for one, parts in zip(chosen, sets, strict=True)),
        recordings=_recordings(benchmark),
        group_of=benchmark.group_of if benchmark.across_classes else None,
    )


def _recordings(benchmark: Benchmark) -> dict[str, str] | None:
    """Recording of each video, for lists whose names do not contain it: trainings hold out whole recordings."""
    if benchmark.group_of is None or all(map(group_in_name, benchmark.labels)):
        return None
    recordings = {video_id: str(benchmark.group_of(video_id)) for video_id in benchmark.labels}
    return recordings if len(set(recordings.values())) < len(recordings) else None


def list_of(options: BenchmarkTablesOptions, videos: LabelledVideos, split: str, part: str) -> str:
    """URL of the list of the training or test videos of a split."""
    return join(options.out, "splits", f"{split}-{part}.{'csv' if videos.several else 'txt'}")


def write_lists(videos: LabelledVideos, options: BenchmarkTablesOptions) -> None:
    """Write the class list and the lists of all splits."""
    texts = {list_of_classes(options): "".join(f"{name}\n" for name in videos.class_names)}
    for url, text in (texts | dict(_lists(videos, options))).items():
        Location.at(url).write_atomic(text.encode())


def check_videos(videos: LabelledVideos, options: BenchmarkTablesOptions) -> None:
    """Check that all listed videos exist and that no list on record would change.

    Raises:
        UsageError: a video is missing, or finished steps have used another list.
    """
    for url, text in _lists(videos, options):
        file = Location.at(url)
        with file.errors():
            if file.exists() and file.read_text() != text:
                raise UsageError(
                    f"{options.out}: was made with other videos or labels ({url} would change). Choose another --out."
                )
    if is_to_be_rendered(options):
        return
    there = {video.video_id for video in list_videos(videos.videos)}
    for split in videos.splits:
        present_videos(
            dict.fromkeys((*split.train, *split.test), ""),
            there,
            store=videos.videos,
            where=split.name,
            allow_missing=options.allow_missing,
            way_out="add them",
        )


def _lists(videos: LabelledVideos, options: BenchmarkTablesOptions) -> Iterator[tuple[str, str]]:
    for split in videos.splits:
        for part, sets in (("train", split.train), ("test", split.test)):
            if not sets:
                raise UsageError(f"{split.name}: no {part} videos. Leave this split out with --splits.")
            url = list_of(options, videos, split.name, part)
            if videos.several:
                yield url, text_of_label_sets(sets)
            else:
                split_list = {video_id: name for video_id, (name,) in sets.items()}
                yield url, split_text(split_list, videos.class_names, videos.recordings, where=url)
