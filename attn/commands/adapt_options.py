"""Flags of jobs/adapt_cnn.py."""

import dataclasses
from typing import Literal

from attn.training.finetune_config import Rgb


@dataclasses.dataclass(frozen=True)
class AdaptOptions:
    weights: str
    """Weights of the CNN: a .safetensors checkpoint, a .pth state dict (with --backbone and --classes), or `imagenet`.
    A CNN without BatchNorm needs --images."""
    videos: str
    """Target videos: a folder tree, a folder of tar shards, a single file or a glob, local or s3://."""
    out: str
    """Checkpoint to write, a .safetensors file, local or s3://."""
    images: str | None = None
    """Web images that a CNN without BatchNorm was trained on, one folder per class. The channels of its map layer are
    rescaled so that their spread on frames equals their spread on these images."""
    backbone: str | None = None
    """torchvision name of the CNN, timm:<name> or open_clip:<name> (default: read from a .safetensors checkpoint)."""
    classes: str | None = None
    """Class list, one name per line, or UCF101's classInd.txt (default: read from a .safetensors checkpoint). If the
    weights have no classifier, --out has none either and can only initialise a training."""
    features_only: bool = False
    """Omit the classifier; --out can then only initialise a training, with any classes."""
    mean: Rgb | None = None
    """Channel means of the CNN's input, 0–1 (default: the checkpoint's, otherwise ImageNet's)."""
    std: Rgb | None = None
    """Channel standard deviations of the CNN's input (default: the checkpoint's, otherwise ImageNet's)."""
    input_size: int | None = None
    """Side of the square input, in pixels (default: the checkpoint's, otherwise the network's, mostly 224)."""
    lists: tuple[str, ...] = ()
    """Split lists: use only videos named in at least one of them (default: all videos). HMDB51's lists select their
    training videos. Adapting to the test videos is transductive: report it with the result."""
    stride: int = 5
    """Sampling stride S: choose among frames 0, S, 2S, …"""
    fps: float | None = None
    """Sampling rate of the frames to choose from, in frames per second; replaces --stride (default: use --stride)."""
    frames: int = 2000
    """Total number of frames, and of Web images with --images. Frames are spread over the videos and their whole
    length; at most this many videos are opened. All frames are held in memory, 150 KB each at 224 pixels."""
    batch_size: int = 64
    """Frames per forward pass, at least 32. The statistics are averaged over the passes."""
    seed: int = 0
    """Random seed of the frame order and, with more videos than frames, of the choice of videos."""
    allow_few: bool = False
    """Allow fewer than 128 frames, but at least 32. The error of the statistics is then about a quarter of their
    change."""
    allow_adapted: bool = False
    """Allow weights that are already adapted; their statistics are replaced."""
    decoder: Literal["auto", "pyav", "decord"] = "auto"
    """Video decoder. auto, pyav: PyAV, correct on every file and faster. decord: decord for files that it decodes
    correctly, otherwise PyAV."""
    decode_timeout_s: float = 60.0
    """Seconds without a new frame after which decoding is stopped and the video counts as failed."""
    max_failed_fraction: float = 0.01
    """Largest allowed share of failed videos, 0 to 1. If more fail, nothing is written and the exit code is 3."""
    dry_run: bool = False
    """Report the videos, frames and memory of the run, and exit."""
