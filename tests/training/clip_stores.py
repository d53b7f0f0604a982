"""Stores of frames and flow with blobs, one of which moves; written without a decoder."""

import numpy as np

from attn.storage.manifest import FlowManifest, FrameManifest
from attn.video.transform import BILINEAR
from tests.stores import write_store

CLASSES, SIDE, BLOB = ("Down", "Up"), 32, 8
ALIGNED = {"input_size": SIDE, "preprocessing": str(BILINEAR), "sampling": {"stride": 1}}


def frame_manifest(**change):
    return FrameManifest(**{**ALIGNED, **change})


def flow_manifest(**change):
    return FlowManifest(**{"algorithm": "dis", "parameters": {}, "bound_px": 20.0, **ALIGNED, **change})


def blobs(random: np.random.Generator, label: int, frames: int, *, tinted: bool = False):
    """Frames and flow of a grey video with two equal blobs side by side, one of which moves up or down.

    Args:
        random: random generator.
        label: 0 for down, 1 for up.
        frames: number of frames.
        tinted: whether the blobs have the colour of the class, so that single frames tell it.

    Returns:
        Frames [frame, row, col, rgb], flow [frame, chan, row, col], and the left column of the moving blob.
    """
    speed = 2 if label == 0 else -2
    left, right = (int(place) + offset for place, offset in zip(random.integers(0, 8, 2), (0, 16), strict=True))
    moving, still = (left, right) if random.random() < 0.5 else (right, left)
    places = (random.integers(0, SIDE) + speed * np.arange(frames)) % (SIDE - BLOB)
    images = np.full((frames, SIDE, SIDE, 3), 90, np.uint8) + random.integers(0, 9, (frames, SIDE, SIDE, 3), np.uint8)
    flow = np.zeros((frames, 2, SIDE, SIDE), np.int8)
    colour = np.array([(240, 60, 60), (60, 60, 240)][label] if tinted else (220, 220, 220))
    high = int(random.integers(0, SIDE - BLOB))
    for image, motion, row in zip(images, flow, places.tolist(), strict=True):
        image[high : high + BLOB, still : still + BLOB] = colour
        image[row : row + BLOB, moving : moving + BLOB] = colour
        motion[1, row : row + BLOB, moving : moving + BLOB] = np.sign(speed) * 100
    return images, flow, moving


def plant(folder, *, videos: int = 24, tinted: bool = True):
    """Write `frames`, `flow`, `train.txt` and `test.txt` with videos of 4 to 12 frames."""
    random = np.random.default_rng(0)
    frames, flow, lines = {}, {}, []
    for number in range(videos):
        label = number % 2
        name = f"v_{CLASSES[label]}_g{number // 2 + 1:02}_c01"
        images, motion, _ = blobs(random, label, int(random.integers(4, 13)), tinted=tinted)
        frames[name], flow[name] = {"image": images}, {"flow": motion}
        lines.append(f"{CLASSES[label]}/{name}.avi")
    write_store(str(folder / "frames"), frame_manifest(), frames, part_bytes=100_000)
    write_store(str(folder / "flow"), flow_manifest(), flow, part_bytes=100_000)
    trained = videos * 2 // 3
    (folder / "train.txt").write_text("".join(f"{line} {i % 2 + 1}\n" for i, line in enumerate(lines[:trained])))
    (folder / "test.txt").write_text("".join(f"{line}\n" for line in lines[trained:]))
    return folder
