"""Video-level classes of untrimmed videos, from files without times of actions."""

from collections.abc import Iterable, Mapping
from typing import Literal

from attn.classes import ClassFinder
from attn.commands.evaluate_detection_files import id_finder
from attn.datasets.entries import LabelSets, numbered_lines
from attn.datasets.split import classes_of_list, has_times, read_label_sets, read_recordings, read_split
from attn.datasets.thumos14 import plain_id
from attn.datasets.thumos14_meta import read_facts
from attn.datasets.ucf101 import read_class_index
from attn.errors import UsageError, some
from attn.storage.error_messages import shown
from attn.storage.location import Location

META = ".mat"


def read_classes(labels: str, classes: str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the classes of the videos.

    Args:
        labels: URL of the labels.
        classes: URL of a class list; None for the classes that the labels name.
        known: classes of the store, one of which a label may name by its number.

    Raises:
        UsageError: a file is missing or wrong, contains times of actions, or has only numbers of classes.
    """
    _check_without_times(labels)
    if classes is not None:
        return read_class_index(classes)
    if labels.endswith(META):
        raise UsageError(f"{shown(labels)}: has only numbers of classes. Give --classes classInd.txt of UCF101.")
    return classes_of_list(labels, known, part="train")


def read_labels(
    labels: str, class_names: tuple[str, ...], present: Iterable[str], *, part: Literal["train", "test"] = "train"
) -> LabelSets:
    """Classes of each listed video; a background video has none.

    Args:
        labels: URL of the labels.
        class_names: names of the classes.
        present: IDs of the stored videos.
        part: part to read from lists that contain both.

    Raises:
        UsageError: as `read_label_sets`, or a number of a class is beyond the class list.
    """
    if not labels.endswith(META):
        stored = frozenset(present)
        return _as_stored(read_label_sets(labels, class_names, part=part, present=stored), stored, labels)
    sets = {plain_id(one.video_id): sorted(one.class_ids) for one in read_facts(labels)}
    if beyond := sorted(video for video, ids in sets.items() if ids and ids[-1] > len(class_names)):
        raise UsageError(
            f"{shown(labels)}: video {beyond[0]} has class {sets[beyond[0]][-1]}, but the class list has "
            f"{len(class_names)}. Give UCF101's classInd.txt."
        )
    return {video: tuple(class_names[number - 1] for number in ids) for video, ids in sets.items()}


def _as_stored(sets: LabelSets, stored: frozenset[str], labels: str) -> LabelSets:
    """Label sets by the IDs of the stored videos, which mirrors of ActivityNet begin with `v_`."""
    meant = id_finder(stored)
    found = {one if one in stored else meant(one) if meant(one) in stored else one: sets[one] for one in sets}
    if len(found) < len(sets):
        raise UsageError(f"{shown(labels)}: lists a video with and without `v_`. Remove one of its lines.")
    return found


def recordings_of(labels: str, listed: LabelSets) -> dict[str, str]:
    """Recording of each video; THUMOS14's videos are recordings of their own."""
    return {one: one for one in listed} if labels.endswith(META) else read_recordings(labels, listed, part="train")


def read_trimmed(
    url: str, class_names: tuple[str, ...], class_map: str | None, present: Iterable[str]
) -> dict[str, int]:
    """Class ID of each trimmed video whose class is among the classes of the untrimmed ones.

    Args:
        url: URL of the list of trimmed videos.
        class_names: classes of the untrimmed videos.
        class_map: URL of a file of lines `<source> <target>`; None if the names are the same.
        present: IDs of the stored videos.

    Raises:
        UsageError: a file is missing or wrong, or no class is shared.
    """
    listed = read_split(url, part="train", present=list(present))
    renamed, find = {} if class_map is None else read_class_map(class_map, class_names), ClassFinder(class_names)
    if unknown := sorted(renamed.keys() - set(listed.values())):
        raise UsageError(f"{shown(str(class_map))}: {some(unknown)} is not a class of {shown(url)}. Correct the line.")
    found = {video_id: find(renamed.get(name, name)) for video_id, name in listed.items()}
    shared = {video_id: number for video_id, number in found.items() if number is not None}
    if not shared:
        raise UsageError(
            f"{shown(url)}: no class is among those of --labels ({', '.join(class_names[:3])}, …). Give videos of the "
            "same classes, or their names with --class-map."
        )
    return shared


def read_class_map(url: str, class_names: tuple[str, ...]) -> Mapping[str, str]:
    """Class name of each source class in an overlap list, a file of lines `<source> <target>`.

    Args:
        url: URL of the file; a tab separates names that contain blanks.
        class_names: classes of the untrimmed videos, which the targets must be.

    Raises:
        UsageError: the file is missing, a line has another form, a target is unknown, or a source appears twice.
    """
    lines = list(numbered_lines(Location.at(url).read_text(), shown(url)))
    renamed: dict[str, str] = {}
    for place, line in lines:
        parts = line.split("\t") if "\t" in line else line.split()
        if len(parts) != 2:
            raise UsageError(f"{place}: {line[:60]!r} is not a pair of names. Write `<source> <target>`, or use a tab.")
        source, target = (part.strip() for part in parts)
        if ClassFinder(class_names)(target) is None:
            raise UsageError(f"{place}: {target!r} is not a class of --labels. Correct the line.")
        if source in renamed:
            raise UsageError(f"{place}: {source!r} appears twice. Remove one of the lines.")
        renamed[source] = target
    return renamed


def _check_without_times(labels: str) -> None:
    """Refuse temporal annotations, so that a training cannot use them."""
    if labels.endswith(META):
        return
    if labels.lower().endswith(".json") or has_times(labels, part="train"):
        raise UsageError(
            f"{shown(labels)}: has times of actions, which a training from video labels must not see. Give a table "
            "with the columns video_id and labels only; jobs/video_labels.py makes it."
        )
