"""UCF101: 13,320 clips of 101 actions, cut from 25 groups of recordings per class; three splits that keep groups whole.

    UCF-101/<Class>/v_<Class>_gGG_cCC.avi
    ucfTrainTestlist/classInd.txt       `<id> <Class>`, ids from 1
    ucfTrainTestlist/trainlistKK.txt    `<Class>/<video>.avi <id>`
    ucfTrainTestlist/testlistKK.txt     `<Class>/<video>.avi`

A class is named by the folder, never by the file: class list and folder say `HandstandPushups` where the files say
`v_HandStandPushups_g01_c01.avi`.

Source: Soomro, Zamir, Shah 2012.
"""

import re
from collections.abc import Iterator

from attn.classes import parse_class_list
from attn.datasets.entries import Entry, numbered_lines
from attn.errors import UsageError
from attn.storage.filesystem import open_filesystem, read_text
from attn.video.names import folder_of, is_video, video_id_of

_LINE = re.compile(r"(?P<path>.+?)(?:\s+(?P<class_number>\d+))?")
_VIDEO_ID = re.compile(r"v_.+_g(?P<group>\d+)_c\d+")


def read_class_index(url: str) -> tuple[str, ...]:
    """Class names of a `classInd.txt`, in the order of their ids.

    Raises:
        UsageError: it is missing, or no class list.
    """
    return parse_class_list(read_text(*open_filesystem(url)).splitlines(), where=url)


def group_of(video_id: str) -> int:
    """Number of the recording a clip was cut from, counted within its class: 7 for `v_Archery_g07_c02`.

    Clips of one group share people and place, so they belong on one side of any split.

    Raises:
        UsageError: no UCF101 name.
    """
    match = _VIDEO_ID.fullmatch(video_id)
    if match is None:
        raise UsageError(f"{video_id}: no group in the name; UCF101 names a clip v_<Class>_g<group>_c<clip>")
    return int(match["group"])


def parse_list(text: str, where: str) -> Iterator[Entry]:
    """Videos of a train or test list.

    Args:
        text: of the file.
        where: what to call the file in an error.

    Raises:
        UsageError: the first line of another form.
    """
    for place, line in numbered_lines(text, where):
        match = _LINE.fullmatch(line)
        path = match["path"] if match else ""
        if not (is_video(path) and folder_of(path)):
            raise UsageError(f"{place}: {line[:60]!r} is no entry of a UCF101 list, `<Class>/<video>.avi [<id>]`")
        yield Entry(video_id_of(path), folder_of(path), place)
