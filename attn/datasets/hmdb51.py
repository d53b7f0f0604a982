"""HMDB51: 6,766 clips of 51 actions; three splits, each with one list per class.

    <class>/<video>.avi
    testTrainMulti_7030_splits/<class>_test_splitK.txt    `<video>.avi <flag>`: 1 train (70 per class), 2 test (30 per
                                                          class), 0 unused

Source: Kuehne et al. 2011.
"""

import posixpath
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from attn.datasets.entries import Entry, SplitList, numbered_lines, split_list
from attn.datasets.protocol import Benchmark, Split, check_images
from attn.errors import UsageError, some
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.listing import names_in
from attn.storage.location import Location
from attn.video.file_names import is_video, video_id_of

Part = Literal["train", "test", "both"]
LISTS = "testTrainMulti_7030_splits"
"""Folder of the lists in the official archive."""

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


def benchmark(root: str, images: str | None) -> Benchmark:
    """HMDB51 with its three official splits, top-1 accuracy.

    Args:
        root: local or remote folder of the videos, which contains the lists' folder or the lists themselves.
        images: folder of Web images of these classes.

    Raises:
        UsageError: the folder or the lists are missing, a list is wrong, or `images` is not a folder.
    """
    check_images(images)
    lists = _lists(root)
    names = tuple(sorted({label for found in lists.values() for label in found}))
    for number, found in sorted(lists.items()):
        if lacking := sorted(set(names) - found.keys()):
            raise UsageError(f"{shown(root)}: split {number} has no list of {some(lacking)}. Add the missing lists.")
    splits = [
        Split(f"split{number}", *(_split(found.values(), names, part) for part in ("train", "test")))
        for number, found in sorted(lists.items())
    ]
    return Benchmark("hmdb51", names, root, images, 5, "top_1", tuple(splits))


def _lists(root: str) -> dict[int, dict[str, str]]:
    """URLs of all lists, by split and class."""
    for folder in (join(root, LISTS), root):
        place = Location.at(folder)
        with place.errors():
            names = names_in(place) if place.is_folder() else ()
        lists: dict[int, dict[str, str]] = {}
        for match in filter(None, map(_FILE.fullmatch, sorted(names))):
            lists.setdefault(int(match["split"]), {})[match["label"]] = join(folder, match[0])
        if lists:
            return lists
    raise UsageError(
        f"{shown(root)}: no lists <class>_test_split<number>.txt found. Put the official folder {LISTS} into it."
    )


def _split(urls: Iterable[str], class_names: Sequence[str], part: Part) -> SplitList:
    entries: list[Entry] = []
    for url in urls:
        entries += parse_list(Location.at(url).read_text(), posixpath.basename(url), shown(url), part)
    return split_list(entries, class_names)
