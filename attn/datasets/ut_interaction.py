"""UT-Interaction, segmented clips: six interactions of two people, filmed in ten sequences per set.

    <index>_<sequence>_<class>.avi        in one folder; classes 0 to 5

In set 1, sequence 6 has no punch and sequence 8 has two, as in the published data set.

Source: Ryoo, Aggarwal 2010.
"""

import re

from attn.datasets.protocol import Benchmark, check_images, leave_one_out
from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.listing import names_in
from attn.storage.location import Location
from attn.video.file_names import is_video, video_id_of

CLASSES = ("handshake", "hug", "kick", "point", "punch", "push")

_VIDEO_ID = re.compile(rf"(?P<index>\d+)_(?P<sequence>\d+)_(?P<class_id>[0-{len(CLASSES) - 1}])")


def benchmark(root: str, images: str | None) -> Benchmark:
    """UT-Interaction with its usual protocol: leave one sequence out, one split per sequence, top-1 accuracy.

    Args:
        root: local or remote folder of the clips of one set.
        images: folder of Web images of these classes.

    Raises:
        UsageError: fewer than two sequences are found, a clip has another name, or `images` is not a folder.
    """
    check_images(images)
    folder = Location.at(root)
    with folder.errors():
        clips = sorted(_clip(video_id_of(name), root) for name in names_in(folder) if is_video(name))
    sequences = sorted({sequence for _, sequence, _, _ in clips})
    if len(sequences) < 2:
        raise UsageError(
            f"{shown(root)}: clips of {len(sequences)} sequences found, but leaving one out needs two. "
            "Name the folder of <index>_<sequence>_<class>.avi."
        )
    splits = leave_one_out({video_id: name for _, _, name, video_id in clips}, _sequence_of, "sequence")
    return Benchmark("ut_interaction", CLASSES, root, images, 5, "top_1", splits)


def _clip(video_id: str, root: str) -> tuple[int, int, str, str]:
    """Index, sequence, class name and ID of a clip, which sort by index."""
    match = _VIDEO_ID.fullmatch(video_id)
    if match is None:
        raise UsageError(
            f"{shown(root)}: {video_id} is not named <index>_<sequence>_<class 0 to 5>. Move it elsewhere."
        )
    return int(match["index"]), int(match["sequence"]), CLASSES[int(match["class_id"])], video_id


def _sequence_of(video_id: str) -> int:
    return int(video_id.split("_")[1])
