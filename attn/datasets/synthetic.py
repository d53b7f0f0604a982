"""Embedded data set, as written by `attn.synthetic.render`: UCF101's layout, with Web images in `images`."""

import dataclasses

from attn.datasets import ucf101
from attn.datasets.protocol import Benchmark
from attn.storage.filesystem import join


def benchmark(root: str, images: str | None) -> Benchmark:
    """Embedded data set: every fourth frame of its short clips, top-1 accuracy, mean of three splits.

    Args:
        root: local or remote folder with the rendered data set.
        images: Web images to use instead of its own.

    Raises:
        UsageError: as for UCF101; with fewer than three videos per class, some lists are empty.
    """
    found = ucf101.benchmark(root, images or join(root, "images"))
    return dataclasses.replace(found, name="synthetic", stride=4)


def benchmark_motion(root: str, images: str | None) -> Benchmark:
    """Embedded videos whose class is only in the motion: every frame, top-1 accuracy, mean of three splits.

    Args:
        root: local or remote folder with the rendered videos.
        images: Web images of the classes; there are none by default.

    Raises:
        UsageError: as for UCF101.
    """
    return dataclasses.replace(ucf101.benchmark(root, images), name="synthetic_motion", stride=1)
