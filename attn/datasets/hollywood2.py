"""Hollywood2: clips of 12 actions from films; a clip may show several of them.

    AVIClips/actioncliptrain#####.avi, AVIClips/actioncliptest#####.avi
    ClipSets/<Class>_train.txt, ClipSets/<Class>_test.txt        `<clip>  1` or `<clip>  -1`, one line per clip

Source: Marszalek, Laptev, Schmid 2009; the order of the classes is that of the released code of Sharma et al. 2015.
"""

import dataclasses
import glob
from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Bool

from attn.classes import class_ids, class_mask
from attn.datasets.entries import LabelSets, numbered_lines
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.location import Location

CLASSES = (
    *("AnswerPhone", "DriveCar", "Eat", "FightPerson", "GetOutCar", "HandShake"),
    *("HugPerson", "Kiss", "Run", "SitDown", "SitUp", "StandUp"),
)
VIDEOS, LISTS = "AVIClips", "ClipSets"

_SIGNS = {"1": True, "-1": False}


@dataclasses.dataclass(frozen=True)
class Hollywood2:
    """Lists of Hollywood2; the reported metric is the mean average precision over the classes.

    Attributes:
        videos: URL of the clips of both parts, for `list_videos`.
        train: training clips.
        test: test clips.
    """

    videos: str
    train: LabelSets
    test: LabelSets


def read_lists(root: str) -> Hollywood2:
    """Read the lists of both parts. Whether the clips exist is not checked.

    Args:
        root: local or remote folder that contains `AVIClips` and `ClipSets`.

    Raises:
        UsageError: a list is missing or wrong, the lists of a part name different clips, or a clip is in both parts.
    """
    train, test = (_read_part(join(root, LISTS), part) for part in ("train", "test"))
    if shared := sorted(train.keys() & test.keys()):
        raise UsageError(
            f"{shown(root)}: {len(shared)} clips are in both the training and the test lists, such as {shared[0]!r}. "
            "Use the official lists."
        )
    return Hollywood2(join(glob.escape(root), VIDEOS, "actionclip*.avi"), train, test)


def label_mask(labels: LabelSets, class_names: Sequence[str] = CLASSES) -> Bool[np.ndarray, "video cls"]:
    """Mask of the classes of each video, in the order of the mapping."""
    ids = class_ids(class_names)
    return class_mask([[ids[name] for name in names] for names in labels.values()], len(class_names))


def _read_part(lists: str, part: Literal["train", "test"]) -> LabelSets:
    labels: LabelSets = {}
    first = join(lists, f"{CLASSES[0]}_{part}.txt")
    for name in CLASSES:
        url = join(lists, f"{name}_{part}.txt")
        shows = _read_list(url)
        if name == CLASSES[0]:
            labels = dict.fromkeys(shows, ())
        if odd := sorted(labels.keys() ^ shows.keys()):
            raise UsageError(
                f"{shown(url)}: its clips differ from those of {shown(first)}, such as {odd[0]!r}. Correct the lists."
            )
        labels = {clip: (*names, name) if shows[clip] else names for clip, names in labels.items()}
    return labels


def _read_list(url: str) -> dict[str, bool]:
    """Clips of one list, and whether they show its class."""
    shows: dict[str, bool] = {}
    for place, line in numbered_lines(Location.at(url).read_text(), shown(url)):
        clip, _, sign = line.partition(" ")
        if sign.strip() not in _SIGNS:
            raise UsageError(f"{place}: {line[:60]!r} is not a Hollywood2 entry. Write `<clip>  <1 or -1>`.")
        if clip in shows:
            raise UsageError(f"{place}: clip {clip!r} appears twice. Remove one of the lines.")
        shows[clip] = _SIGNS[sign.strip()]
    if not shows:
        raise UsageError(f"{shown(url)}: no clips listed. Check that it is the right list.")
    return shows
