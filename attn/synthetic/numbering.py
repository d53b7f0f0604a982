"""Class, name, group, split and random state of an item, derived from its number only.

Items cycle through the classes, and the videos of a class through 25 groups. The result does not depend on how many
items are rendered, in which order, or by how many processes: n items are the first n of any larger number.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np

from attn.synthetic.actions import ACTIONS

GROUPS, SPLITS = 25, (1, 2, 3)


class Stream(IntEnum):
    """Purpose of a random state."""

    IMAGE = 0
    VIDEO = 1
    GROUP = 2
    MOTION_VIDEO = 3
    MOTION_GROUP = 4
    UNTRIMMED = 5
    UNTRIMMED_GROUP = 6


def random_state(seed: int, stream: Stream, *item: int) -> np.random.Generator:
    """Return the random generator of one item, independent of all others."""
    return np.random.default_rng((seed, stream, *item))


def class_of(item: int, classes: Sequence[str] = ACTIONS) -> int:
    """Return the class ID of an item."""
    return item % len(classes)


def group_of(item: int, classes: Sequence[str] = ACTIONS) -> int:
    """Return the group of a video within its class, 1 to 25."""
    return item // len(classes) % GROUPS + 1


def image_name(item: int) -> str:
    """Return the path of an image below the image folder: `<Class>/<Class>_<number>.jpg`."""
    action = ACTIONS[class_of(item)]
    return f"{action}/{action}_{item // len(ACTIONS):05d}.jpg"


def video_name(item: int, classes: Sequence[str] = ACTIONS) -> str:
    """Return the path of a video as in UCF101: `<Class>/v_<Class>_gGG_cCC.avi`."""
    action, clip = classes[class_of(item, classes)], item // len(classes) // GROUPS + 1
    return f"{action}/v_{action}_g{group_of(item, classes):02d}_c{clip:02d}.avi"


def is_test(item: int, split: int, classes: Sequence[str] = ACTIONS) -> bool:
    """Return whether a video is in the test part of a split: a third of the groups, different in each."""
    return group_of(item, classes) % len(SPLITS) == split % len(SPLITS)
