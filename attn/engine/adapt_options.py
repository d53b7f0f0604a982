"""Flags of jobs/adapt_cnn.py."""

import dataclasses
from typing import Literal

from attn.engine.options import Rgb


@dataclasses.dataclass(frozen=True)
class AdaptOptions:
    weights: str
    """CNN with BatchNorm, or any with --images: a .safetensors checkpoint, a state dict as .pth (give --backbone and
    --classes), or `imagenet`."""
    videos: str
    """Target videos: a folder tree, a folder of tar shards, one file or a glob; local or s3://."""
    out: str
    """Checkpoint to write, one .safetensors file; local or s3://."""
    images: str | None = None
    """For a CNN without BatchNorm: the Web images that it has learnt, one folder per class. The channels of its map
    layer get the spread on frames that they have on them."""
    backbone: str | None = None
    """torchvision name of the CNN; read from a .safetensors checkpoint."""
    classes: str | None = None
    """Class list, one name a line or UCF101's classInd.txt; read from a .safetensors checkpoint. With weights that
    have no classifier, --out has none either and can only start a training."""
    features_only: bool = False
    """Leave the classifier out: --out can then only start a training, of any classes."""
    mean: Rgb | None = None
    """Channel means of the CNN's input, 0–1 (default: the checkpoint's, else ImageNet's)."""
    std: Rgb | None = None
    """Channel standard deviations of the CNN's input (default: the checkpoint's, else ImageNet's)."""
    input_size: int | None = None
    """Side of the square input, in pixels (default: the checkpoint's, else 224)."""
    lists: tuple[str, ...] = ()
    """Split lists: take the videos that one of them names, of HMDB51's the training videos (default: all that are
    found). Statistics of the very videos that are tested on are transductive: say so beside the result."""
    stride: int = 5
    """Choose among the frames 0, S, 2S, …"""
    fps: float | None = None
    """Choose among so many frames a second, by time stamp, instead of a stride."""
    frames: int = 2000
    """Frames in all, and Web images of --images. Frames are spread over the videos and over their whole length; at most
    so many videos are opened. They are held in memory: 150 KB each at 224 pixels."""
    batch_size: int = 64
    """Frames in one forward pass, 32 or more; the statistics are the average over the passes."""
    seed: int = 0
    """Random state of the order of the frames, and of the choice of videos if there are more than frames."""
    allow_few: bool = False
    """Take fewer than 128 frames, but 32 at least: the statistics are then uncertain by a quarter of what they move."""
    allow_adapted: bool = False
    """Start from a checkpoint that was adapted before; its statistics are replaced."""
    decoder: Literal["auto", "pyav", "decord"] = "auto"
    """auto and pyav: PyAV, right on every file and faster. decord: that one if it is right, PyAV elsewhere."""
    decode_timeout_s: float = 60.0
    """A decoder that yields no frame for so long is ended and its video counts as failed."""
    max_failed_fraction: float = 0.01
    """Exit with 3, and write nothing, when a larger share of the videos failed."""
    dry_run: bool = False
    """Say what would be done (videos, frames, memory) and do nothing."""
