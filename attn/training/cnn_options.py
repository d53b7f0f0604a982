"""Options of a CNN's training; the docstring of a field is the help text of its flag."""

import dataclasses
from typing import Literal

from attn.training.finetune_config import FinetuneConfig, Rgb


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainCnnOptions(FinetuneConfig):
    images: str | None = None
    """Web images, one folder per class, local or s3://. Give one of --images, --videos and --flow."""
    videos: str | None = None
    """Training videos (requires --split): a folder tree, a folder of tar shards, a file or a glob, local or s3://."""
    split: str | None = None
    """List of training videos: an official list, lines `<video> <class>`, a CSV or a Parquet file. Official lists are
    UCF101's trainlistKK.txt and the folder of HMDB51's lists. Videos that are not in the list are never read."""
    modality: Literal["rgb", "flow"] = "rgb"
    """Input of the CNN. rgb: images or frames. flow: stacks of consecutive optical flows of --flow. With --weights of a
    CNN of images, the first convolution begins with its mean over R, G and B (cross-modality initialisation)."""
    flow: str | None = None
    """Flow store of the training videos (requires --split and --modality flow), local or s3://."""
    flow_stack: int | None = None
    """Number of flows in a stack (default: that of --weights, otherwise 5)."""
    fraction: float = 1.0
    """Share of the listed videos of each class to use, at least two. Smaller shares are subsets of larger ones."""
    stride: int = 5
    """Sampling stride S: use frames 0, S, 2S, … of each video."""
    fps: float | None = None
    """Sampling rate in frames per second, by time stamp; replaces --stride (default: sample by --stride)."""
    frames: str | None = None
    """Frame store for the decoded frames, local or s3:// (default: frames/ in the run's folder beside --out). Any
    training with the same input size and sampling can share it."""
    mix_images: str | None = None
    """Web images, one folder per class, mixed half and half with frames in every update to prevent forgetting. Local or
    s3://. Images that the training of --weights held out stay held out, except for a few if it used --near-duplicates;
    if --weights has no record of its training, all are used."""
    mix_cache: str | None = None
    """Folder for the resized images of --mix-images, shared by all trainings that mix them (default: that of
    --cache)."""
    allow_missing: bool = False
    """Train on the listed videos that exist, even if others are missing."""
    max_failed_fraction: float = 0.01
    """Largest allowed share of unreadable videos, 0 to 1; if more are unreadable, the job exits with code 3."""
    backbone: str
    """torchvision name of the CNN, timm:<name>, open_clip:<name>, or `small_cnn`."""
    out: str
    """Checkpoint to write, a .safetensors file."""
    weights: str | None = None
    """Initial weights: a .safetensors checkpoint, a .pth state dict, or `imagenet` (default: random)."""
    classes: str | None = None
    """Class list (default: sorted folder names of --images, or with --videos the classes of --split). The default order
    is that of --weights if it has the same classes as --split."""
    mean: Rgb | None = None
    """Channel means of the input, 0–1 (default: those of --weights, otherwise ImageNet's)."""
    std: Rgb | None = None
    """Channel standard deviations of the input (default: those of --weights, otherwise ImageNet's)."""
    input_size: int | None = None
    """Side of the square input, in pixels (default: that of --weights, otherwise 224)."""
    epochs: int | None = None
    """Passes over the training images (default: 30 on Web images, 10 on frames)."""
    batch_size: int = 32
    """Images per update over all workers; with --mix-images, half of them are frames."""
    validation_fraction: float | None = None
    """Share of the images or whole videos of each class held out for validation. The epoch with the best validation
    result is saved (default: 0.3 of the images, or 0.1 of the videos if more than two remain for training)."""
    near_duplicates: float | None = None
    """Colour similarity from which a Web image counts as a duplicate and is left out (default: keep all). Images are
    compared within their class, and the first is kept. 0.88 finds resized, recompressed and slightly cropped copies."""
    batchnorm: Literal["auto", "frozen", "partial", "train"] = "auto"
    """BatchNorm statistics. Frozen keeps the loaded ones, partial updates those of the first layer only, and train
    updates all. auto: train without --weights, partial if --weights of images begin a CNN of flow, otherwise frozen."""
    workers: int = 1
    """Number of Ray Train workers."""
    gpu: bool | None = None
    """Use one GPU per worker (default: if the cluster has a GPU)."""
    cpus_per_worker: int | None = None
    """Maximum number of CPUs, and so of threads, per worker (default: all available; on a GPU, its share)."""
    allow_untrained: bool = False
    """Exit with code 0 even if the training has learnt nothing."""
    seed: int = 0
    """Random seed of the fraction, the validation split, the order, the flips and new layers."""
    cache: str | None = None
    """Folder for the resized images, reused by later runs (default: a temporary folder). An image of 224 pixels takes
    150 KB; all training videos of UCF101 take 53 GB."""
