"""Data of TSRNet's tables: untrimmed videos in two parts, their labels and segments, and trimmed videos."""

import dataclasses

from attn.commands.reproduction.data import is_to_be_rendered, render, root_of
from attn.commands.reproduction.reproduce_options import TsrnetTablesOptions
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.synthetic.actions import ACTIONS
from attn.synthetic.untrimmed import render_untrimmed
from attn.synthetic.untrimmed_set import UntrimmedSet, open_set

THUMOS14 = {
    "videos": "videos",
    "training_labels": "validation_set.mat",
    "test_labels": "test_set_final.mat",
    "annotation": "annotation",
    "classes": "classInd.txt",
}
"""Names of the parts of THUMOS14 in its folder. Its training videos are those of the validation set."""


@dataclasses.dataclass(frozen=True)
class UntrimmedVideos:
    """Data set of the tables; all entries but names are URLs.

    Attributes:
        name: name of the data set.
        videos: untrimmed videos of both parts.
        training_labels: classes of the training videos.
        test_labels: classes of the test videos.
        annotation: temporal annotation of the test videos.
        subset: subset of the annotation; None for the only one.
        meta: file with the lengths of the test videos; None if the annotation has them.
        classes: class list; None if the labels name the classes.
        images: Web images; None if there are none.
        trimmed: trimmed videos; None if there are none.
        trimmed_split: list of the trimmed videos.
        stride: stride of the frames.
    """

    name: str
    videos: str
    training_labels: str
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
    return UntrimmedVideos(
        name=options.dataset,
        videos=made.videos,
        training_labels=made.training_labels,
        test_labels=made.test_labels,
        annotation=made.annotation,
        subset="test",
        meta=None,
        classes=join(made.root, "classInd.txt"),
        images=options.images or (join(root, "images") if rendered else None),
        trimmed=options.trimmed or (join(root, "UCF-101") if rendered else None),
        trimmed_split=options.trimmed_split or (join(root, "ucfTrainTestlist/trainlist01.txt") if rendered else None),
        stride=options.stride or 2,
    )


def render_all(options: TsrnetTablesOptions) -> None:
    """Render the parts of the synthetic data set that are not complete."""
    if is_to_be_rendered(options):
        render(options)
    if options.dataset == "synthetic" and options.root is None and open_set(_untrimmed_root(options)) is None:
        render_untrimmed(_untrimmed_root(options), training=options.render_untrimmed, test=options.render_untrimmed)


def _untrimmed_root(options: TsrnetTablesOptions) -> str:
    root = root_of(options)
    return join(root, "untrimmed") if options.dataset == "synthetic" else root


def _thumos14(root: str, options: TsrnetTablesOptions) -> UntrimmedVideos:
    parts = {name: join(root, place) for name, place in THUMOS14.items()}
    for url in parts.values():
        if not Location.at(url).exists():
            raise UsageError(
                f"{shown(url)}: missing. --dataset thumos14 needs it beside {', '.join(THUMOS14.values())}."
            )
    return UntrimmedVideos(
        name="thumos14",
        **parts,
        subset="test",
        meta=parts["test_labels"],
        images=options.images,
        trimmed=options.trimmed,
        trimmed_split=options.trimmed_split,
        stride=options.stride or 1,
    )
