"""UCF101: 13,320 clips of 101 actions, cut from 25 groups of recordings per class; three splits that keep groups whole.

    UCF-101/<Class>/v_<Class>_gGG_cCC.avi
    ucfTrainTestlist/classInd.txt       `<id> <Class>`, ids from 1
    ucfTrainTestlist/trainlistKK.txt    `<Class>/<video>.avi <id>`
    ucfTrainTestlist/testlistKK.txt     `<Class>/<video>.avi`

The class is given by the folder, never by the file: class list and folder have `HandstandPushups`, the files have
`v_HandStandPushups_g01_c01.avi`.

Source: Soomro, Zamir, Shah 2012.
"""

import re
from collections.abc import Iterator, Sequence

from attn.classes import parse_class_list
from attn.datasets.entries import Entry, SplitList, numbered_lines, split_list
from attn.datasets.protocol import Benchmark, Split, check_folder, check_groups, check_images
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.location import Location
from attn.video.file_names import folder_of, is_video, video_id_of

_LINE = re.compile(r"(?P<path>.+?)(?:\s+(?P<class_number>\d+))?")
_VIDEO_ID = re.compile(r"v_.+_g(?P<group>\d+)_c\d+")

VIDEOS, LISTS = "UCF-101", "ucfTrainTestlist"
SPLITS = (1, 2, 3)


def benchmark(root: str, images: str | None) -> Benchmark:
    """UCF101 as used by Li et al.: every fifth frame, top-1 accuracy, mean of the three splits.

    Whether all listed videos exist is not checked; tar shards in the folder of the videos are accepted too.

    Args:
        root: local or remote folder that contains `UCF-101` and `ucfTrainTestlist`.
        images: folder of BU101, or of other Web images of these classes.

    Raises:
        UsageError: a folder or list is missing, a list is wrong, or a group is on both sides of a split.

    Source: Li et al. 2017, section 4.5.
    """
    for name in (VIDEOS, LISTS):
        check_folder(join(root, name), f"Arrange UCF101 as {VIDEOS}/<Class>/v_<Class>_gGG_cCC.avi and {LISTS}/*.txt")
    check_images(images)
    lists = join(root, LISTS)
    names = read_class_index(join(lists, "classInd.txt"))
    splits = tuple(_read_split(lists, number, names) for number in SPLITS)
    return Benchmark("ucf101", names, join(root, VIDEOS), images, 5, "top_1", splits, group_of)


def _read_split(lists: str, number: int, class_names: Sequence[str]) -> Split:
    train, test = (read_list(join(lists, f"{part}list{number:02}.txt"), class_names) for part in ("train", "test"))
    split = Split(f"split{number}", train, test)
    check_groups(split, group_of)
    return split


def read_list(url: str, class_names: Sequence[str]) -> SplitList:
    """Videos of a training or test list and their classes.

    Raises:
        UsageError: the list is missing, is empty, or has a wrong line.
    """
    split = split_list(parse_list(Location.at(url).read_text(), shown(url)), class_names)
    if not split:
        raise UsageError(f"{shown(url)}: no videos listed. Check that it is the right list.")
    return split


def read_class_index(url: str) -> tuple[str, ...]:
    """Class names of a class list, such as `classInd.txt`, in the order of their IDs.

    Raises:
        UsageError: the file is missing, or is not a class list.
    """
    return parse_class_list(Location.at(url).read_text().splitlines(), where=shown(url))


def group_of(video_id: str) -> int:
    """Number of the recording that a clip was cut from, counted within its class: 7 for `v_Archery_g07_c02`.

    Clips of one group share people and places, so they belong on one side of any split.

    Raises:
        UsageError: the ID is not a UCF101 name.
    """
    if (group := group_in_name(video_id)) is None:
        raise UsageError(f"{video_id}: no group in the name. Name it v_<Class>_g<group>_c<clip>.")
    return int(group)


def group_in_name(video_id: str) -> str | None:
    """Digits of the group in a UCF101 name; None for other names."""
    match = _VIDEO_ID.fullmatch(video_id)
    return None if match is None else match["group"]


def parse_list(text: str, where: str) -> Iterator[Entry]:
    """Videos of a training or test list.

    Args:
        text: text of the file.
        where: URL of the file, for messages.

    Raises:
        UsageError: a line has another form.
    """
    for place, line in numbered_lines(text, where):
        match = _LINE.fullmatch(line)
        path = match["path"] if match else ""
        if not (is_video(path) and folder_of(path)):
            raise UsageError(f"{place}: {line[:60]!r} is not a UCF101 entry. Write `<Class>/<video>.avi [<id>]`.")
        yield Entry(video_id_of(path), folder_of(path), place, path)
