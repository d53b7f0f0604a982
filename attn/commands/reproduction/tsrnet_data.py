"""Data of TSRNet's tables: untrimmed videos in two parts, their labels and segments, and trimmed videos."""

import dataclasses

from attn.commands.evaluate_detection_files import read_truth
from attn.commands.reproduction.data import is_to_be_rendered, render, root_of
from attn.commands.reproduction.reproduce_options import TsrnetTablesOptions
from attn.commands.split_check import present_videos
from attn.commands.video_labels import META, read_classes, read_labels, read_trimmed
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.synthetic.actions import ACTIONS
from attn.synthetic.untrimmed import render_untrimmed
from attn.synthetic.untrimmed_set import UntrimmedSet, open_set
from attn.video.source import list_videos

THUMOS14 = {
    "videos": "videos",
    "test_labels": "test_set_final.mat",
    "annotation": "annotation",
    "classes": "classInd.txt",
}
"""Names of the parts of THUMOS14 in its folder, without the labels of its training videos."""
THUMOS14_TRAINING = {
    "validation": ("validation set of THUMOS14", "validation_set.mat"),
    "reduced": ("THUMOS14reduced", "validation_reduced.csv"),
}
"""Names of its two training sets in the literature, and of the files of their labels.

STPN was trained on the second one; W-TALC, 3C-Net, A2CL-PT and TSRNet on the first one.
"""


@dataclasses.dataclass(frozen=True)
class UntrimmedVideos:
    """Data set of the tables; all entries but names are URLs.

    Attributes:
        name: name of the data set.
        videos: untrimmed videos of both parts.
        training_set: name of the training videos.
        training_labels: classes of the training videos.
        training_classes: class list of the networks; None if the labels name the classes.
        test_labels: classes of the test videos.
        annotation: temporal annotation of the test videos.
        subset: subset of the annotation; None for the only one.
        meta: file with the lengths of the test videos; None if the annotation has them.
        classes: class list of the test labels and of the Web images; None if the labels name the classes.
        images: Web images; None if there are none.
        trimmed: trimmed videos; None if there are none.
        trimmed_split: list of the trimmed videos.
        stride: stride of the frames.
    """

    name: str
    videos: str
    training_set: str
    training_labels: str
    training_classes: str | None
    test_labels: str
    annotation: str
    subset: str | None
    meta: str | None
    classes: str | None
    images: str | None
    trimmed: str | None
    trimmed_split: str | None
    stride: int


def open_untrimmed(options: TsrnetTablesOptions) -> UntrimmedVideos:
    """Open the data set; for a synthetic one that is not yet rendered, return the files that it will have.

    Raises:
        UsageError: files are missing.
    """
    root = root_of(options)
    if options.dataset == "thumos14":
        return _thumos14(root, options)
    rendered = options.dataset == "synthetic"
    made = open_set(_untrimmed_root(options))
    if made is None and rendered and options.root is None:
        made = UntrimmedSet(_untrimmed_root(options), tuple(ACTIONS))
    if made is None:
        raise UsageError(f"--root {shown(root)}: no complete set of untrimmed videos. Make one with join_clips.")
    classes = join(made.root, "classInd.txt")
    return UntrimmedVideos(
        name=options.dataset,
        videos=made.videos,
        training_set=f"training part of {options.dataset}",
        training_labels=made.training_labels,
        training_classes=classes,
        test_labels=made.test_labels,
        annotation=made.annotation,
        subset="test",
        meta=None,
        classes=classes,
        images=options.images or (join(root, "images") if rendered else None),
        trimmed=options.trimmed or (join(root, "UCF-101") if rendered else None),
        trimmed_split=options.trimmed_split or (join(root, "ucfTrainTestlist/trainlist01.txt") if rendered else None),
        stride=options.stride or 2,
    )


def render_all(options: TsrnetTablesOptions) -> None:
    """Render the parts of the synthetic data set that are not complete."""
    if is_to_be_rendered(options):
        render(options)
    if _lacks_untrimmed(options):
        render_untrimmed(_untrimmed_root(options), training=options.render_untrimmed, test=options.render_untrimmed)


def waits_for_rendering(options: TsrnetTablesOptions) -> bool:
    """Whether a part of the synthetic data set is not complete, so that its lists cannot be read yet."""
    return is_to_be_rendered(options) or _lacks_untrimmed(options)


def _lacks_untrimmed(options: TsrnetTablesOptions) -> bool:
    rendered = options.dataset == "synthetic" and options.root is None
    return rendered and open_set(_untrimmed_root(options)) is None


def _untrimmed_root(options: TsrnetTablesOptions) -> str:
    root = root_of(options)
    return join(root, "untrimmed") if options.dataset == "synthetic" else root


def _thumos14(root: str, options: TsrnetTablesOptions) -> UntrimmedVideos:
    parts = {name: join(root, place) for name, place in THUMOS14.items()}
    training_set, labels = THUMOS14_TRAINING[options.training_set]
    for url in (*parts.values(), join(root, labels)):
        path = Location.at(url)
        if not path.exists():
            raise UsageError(
                f"{shown(url)}: missing. --dataset thumos14 needs it beside {', '.join(THUMOS14.values())}."
            )
    return UntrimmedVideos(
        name="thumos14",
        **parts,
        training_set=training_set,
        training_labels=join(root, labels),
        training_classes=parts["classes"] if labels.endswith(META) else None,
        subset="test",
        meta=parts["test_labels"],
        images=options.images,
        trimmed=options.trimmed,
        trimmed_split=options.trimmed_split,
        stride=options.stride or 1,
    )


def described_training_set(videos: UntrimmedVideos) -> str:
    """Name of the training videos, with the numbers of videos and of classes.

    Raises:
        UsageError: the labels cannot be read.
    """
    names = read_classes(videos.training_labels, videos.training_classes, ())
    count = len(read_labels(videos.training_labels, names, ()))
    return f"{videos.training_set} ({count} videos, {len(names)} classes)"


def check_files(videos: UntrimmedVideos, options: TsrnetTablesOptions) -> None:
    """Check all lists, their videos and the annotation of the test videos before the first step.

    Raises:
        UsageError: a file is missing or wrong, lists do not fit together, or a listed video is missing.
    """
    found = {video.video_id for video in list_videos(videos.videos)}
    names = read_classes(videos.training_labels, videos.training_classes, ())
    training = read_labels(videos.training_labels, names, found)
    known = read_classes(videos.test_labels, videos.classes, ())
    test = read_labels(videos.test_labels, known, found, part="test")
    listed = [
        (training, found, videos.videos, videos.training_labels),
        (test, found, videos.videos, videos.test_labels),
    ]
    if videos.trimmed is not None and videos.trimmed_split is not None:
        clips = {video.video_id for video in list_videos(videos.trimmed)}
        trimmed = read_trimmed(videos.trimmed_split, names, options.class_map, clips)
        listed.append(
            ({one: (names[place],) for one, place in trimmed.items()}, clips, videos.trimmed, videos.trimmed_split)
        )
    for sets, present, folder, where in listed:
        present_videos(
            sets, present, store=folder, where=where, allow_missing=options.allow_missing, way_out="add them"
        )
    read_truth(videos.annotation, subset=videos.subset, meta=videos.meta)
