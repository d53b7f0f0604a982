"""TV Human Interactions: 200 television clips of four interactions, and 100 clips without any, which are not used.

    <class>_%04d.avi        handShake, highFive, hug, kiss 1 to 50; negative 1 to 100; all in one folder

Source: Patron-Perez et al. 2010; the sets are those of the data set's README.
"""

import glob

from attn.datasets.entries import SplitList
from attn.datasets.protocol import Benchmark, Split, check_images
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.filesystem import join
from attn.storage.listing import names_in
from attn.storage.location import Location

# fmt: off
SET_1 = {
    "handShake": (2, 14, 15, 16, 18, 19, 20, 21, 24, 25, 26, 27, 28, 32, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50),
    "highFive": (1, 6, 7, 8, 9, 10, 11, 12, 13, 23, 24, 25, 27, 28, 29, 30, 31, 32, 33, 34, 35, 44, 45, 47, 48),
    "hug": (2, 3, 4, 11, 12, 15, 16, 17, 18, 20, 21, 27, 29, 30, 31, 32, 33, 34, 35, 36, 42, 44, 46, 49, 50),
    "kiss": (1, 7, 8, 9, 10, 11, 12, 13, 14, 16, 17, 18, 22, 23, 24, 26, 29, 31, 35, 36, 38, 39, 40, 41, 42),
}
# fmt: on
"""Clip numbers of the first set; the second set has all others."""
CLASSES = tuple(SET_1)
CLIPS_PER_CLASS = 50
POSITIVES = "[hk]*_[0-9][0-9][0-9][0-9].avi"
"""Pattern that matches the clips of the four interactions, but not `negative`."""


def benchmark(root: str, images: str | None) -> Benchmark:
    """TVHI as used by Li et al.: the 200 positive clips, all frames, mean average precision over four classes.

    Fold 1 trains on set 1 and tests on set 2, fold 2 the other way round: the README gives no order.

    Args:
        root: local or remote folder of the clips; missing clips are reported later by name.
        images: folder of HII, or of other Web images of these classes.

    Raises:
        UsageError: none of the clips exists, or `images` is not a folder.

    Source: Li et al. 2017, sections 4.1.1 and 4.4.
    """
    check_images(images)
    folder = Location.at(root)
    one, other = sets()
    with folder.errors():
        present = set(names_in(folder))
    if not present & {f"{video_id}.avi" for video_id in one | other}:
        raise UsageError(f"{shown(root)}: no clips of TVHI found. Name the folder of handShake_0001.avi and others.")
    folds = (Split("fold1", one, other), Split("fold2", other, one))
    return Benchmark("tvhi", CLASSES, join(glob.escape(root), POSITIVES), images, 1, "map_noninterpolated", folds)


def sets() -> tuple[SplitList, SplitList]:
    """The two sets of 100 videos each, video ID → class name."""
    numbers = [(name, number) for name in CLASSES for number in range(1, CLIPS_PER_CLASS + 1)]
    one = {f"{name}_{number:04}": name for name, number in numbers if number in SET_1[name]}
    other = {f"{name}_{number:04}": name for name, number in numbers if number not in SET_1[name]}
    return one, other
