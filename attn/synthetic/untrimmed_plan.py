"""Content of untrimmed videos: which are background, and which classes the actions of the others have."""

from collections.abc import Sequence
from math import floor

import numpy as np

from attn.classes import check_class_names
from attn.errors import UsageError

SEVERAL_CLASSES = 0.5
"""Share of two classes among the videos with several actions."""


def check_plan(class_names: Sequence[str], clips: tuple[int, int], background_share: float) -> None:
    """Refuse settings without a plan.

    Args:
        class_names: classes of the actions.
        clips: smallest and largest number of actions in a video.
        background_share: share of videos without an action.

    Raises:
        UsageError: no class is given, or one is given twice; the numbers are reversed or below 1; or the share is not
            from 0 to below 1.
    """
    check_class_names(class_names, where="class names")
    if not 1 <= clips[0] <= clips[1]:
        raise UsageError(
            f"--clips {clips[0]} {clips[1]}: not a range. Give the smallest and the largest number, at least 1."
        )
    if not 0 <= background_share < 1:
        raise UsageError(f"--background-share {background_share:g}: out of range. Give a number from 0 to below 1.")


def classes_of_video(
    item: int,
    class_names: Sequence[str],
    rng: np.random.Generator,
    *,
    clips: tuple[int, int] = (1, 4),
    background_share: float = 0.2,
) -> list[str]:
    """Draw the classes of a video's actions in order; empty for a background video.

    Background videos are spread evenly over the items, and the others cycle through the classes: each has one or two,
    the second drawn at random.

    Args:
        item: number of the video from 0.
        class_names: classes of the actions.
        rng: random generator.
        clips: smallest and largest number of actions.
        background_share: share of videos without an action.
    """
    before = floor(item * background_share)
    if floor((item + 1) * background_share) > before:
        return []
    count = int(rng.integers(clips[0], clips[1] + 1))
    main = class_names[(item - before) % len(class_names)]
    others = [name for name in class_names if name != main]
    if count == 1 or not others or rng.random() >= SEVERAL_CLASSES:
        return [main] * count
    other = others[rng.integers(len(others))]
    of_other = int(rng.integers(1, count))
    return rng.permutation([main] * (count - of_other) + [other] * of_other).tolist()
