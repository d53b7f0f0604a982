"""HMDB51: 6,766 clips of 51 actions; three splits, each with one list per class.

    <class>/<video>.avi
    <class>_test_splitK.txt    `<video>.avi <flag>`: 1 train (70 per class), 2 test (30 per class), 0 unused

Source: Kuehne et al. 2011.
"""

import re
from collections.abc import Iterator
from typing import Literal

from attn.datasets.entries import Entry, numbered_lines
from attn.errors import UsageError
from attn.video.file_names import is_video, video_id_of

Part = Literal["train", "test", "both"]

_FILE = re.compile(r"(?P<label>.+)_test_split(?P<split>\d+)\.txt")
_FLAGS: dict[str, str | None] = {"0": None, "1": "train", "2": "test"}


def split_number(file_name: str) -> int | None:
    """Number of the split that a file lists; None if the file is not a list of HMDB51."""
    match = _FILE.fullmatch(file_name)
    return int(match["split"]) if match else None


def parse_list(text: str, file_name: str, where: str, part: Part) -> Iterator[Entry]:
    """Videos of one part in the list of one class.

    Args:
        text: text of the file.
        file_name: name of the file, which contains the class.
        where: URL of the file, for messages.
        part: part to return; the list contains `train` and `test`.

    Raises:
        UsageError: the file's name contains no class, or a line has another form.
    """
    name = _FILE.fullmatch(file_name)
    if name is None:
        raise UsageError(f"{where}: not a list of HMDB51. Name it <class>_test_split<number>.txt.")
    for place, line in numbered_lines(text, where):
        video, _, flag = line.rpartition(" ")
        if flag not in _FLAGS or not is_video(video.strip()):
            raise UsageError(f"{place}: {line[:60]!r} is not an HMDB51 entry. Write `<video>.avi <0, 1 or 2>`.")
        if _FLAGS[flag] in ((part,) if part != "both" else ("train", "test")):
            yield Entry(video_id_of(video.strip()), name["label"], place, f"{name['label']}/{video.strip()}")
