"""The embedded data set, as `attn.synthetic.render` writes it: UCF101's layout, with its Web images in `images`."""

import dataclasses

from attn.datasets import ucf101
from attn.datasets.protocol import Benchmark
from attn.storage.filesystem import join


def benchmark(root: str, images: str | None) -> Benchmark:
    """The embedded data set: every fourth frame of its short clips, top-1 accuracy, mean of three splits.

    Args:
        root: local or remote folder that was rendered to.
        images: other Web images than its own.

    Raises:
        UsageError: as for UCF101; fewer than three videos per class leave lists empty.
    """
    found = ucf101.benchmark(root, images or join(root, "images"))
    return dataclasses.replace(found, name="synthetic", stride=4)
