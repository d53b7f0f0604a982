"""Item number → class, name, group, split and random state, so that n items are the first n of any more.

Items go round the classes, and the videos of a class round 25 groups. Nothing depends on how many are rendered, in
which order, or by how many processes.
"""

from enum import IntEnum

import numpy as np

from attn.synthetic.actions import ACTIONS

GROUPS, SPLITS = 25, (1, 2, 3)


class Stream(IntEnum):
    """What a random state is for."""

    IMAGE = 0
    VIDEO = 1
    GROUP = 2


def random_state(seed: int, stream: Stream, *item: int) -> np.random.Generator:
    """The generator of one item, independent of every other's."""
    return np.random.default_rng((seed, stream, *item))


def class_of(item: int) -> int:
    """Class id of an item."""
    return item % len(ACTIONS)


def group_of(item: int) -> int:
    """Group of a video within its class, 1 to 25."""
    return item // len(ACTIONS) % GROUPS + 1


def image_name(item: int) -> str:
    """`<Class>/<Class>_<number>.jpg`, below the image folder."""
    action = ACTIONS[class_of(item)]
    return f"{action}/{action}_{item // len(ACTIONS):05d}.jpg"


def video_name(item: int) -> str:
    """`<Class>/v_<Class>_gGG_cCC.avi`, UCF101's way."""
    action, clip = ACTIONS[class_of(item)], item // len(ACTIONS) // GROUPS + 1
    return f"{action}/v_{action}_g{group_of(item):02d}_c{clip:02d}.avi"


def is_test(item: int, split: int) -> bool:
    """Whether a video is tested on in a split: a third of the groups, others in every split."""
    return group_of(item) % len(SPLITS) == split % len(SPLITS)
