"""Command-line flags of the jobs as frozen dataclasses; the docstring of a field is its help text.

This module imports neither torch nor ray, so that `--help` is fast.
"""

import dataclasses
from typing import Literal

from attn.concepts.concept_config import ConceptConfig
from attn.stages.energy_config import EnergyConfig
from attn.stages.finetune_config import FinetuneConfig

Rgb = tuple[float, float, float]
Column = Literal["maps", "logits", "features", "grid"]
Precision = Literal["fp32", "bf16", "fp16"]


@dataclasses.dataclass(frozen=True)
class PackOptions:
    videos: str
    """Videos to pack: a folder tree, a single file or a glob, local or s3://."""
    out: str
    """Output folder for the tar shards, local or s3://."""
    shard_mb: int = 64
    """Size at which a shard is closed, in MB. A video is never split."""
    name: str = "videos"
    """Prefix of the shard names: <name>-000000.tar."""
    classes: str | None = None
    """Class list. A video's label is the name of its parent folder if the list contains it (default: every folder is a
    class)."""
    overwrite: bool = False
    """Replace existing shards with this --name in the output folder."""


@dataclasses.dataclass(frozen=True)
class PrecomputeOptions:
    videos: str
    """Videos: a folder tree, a folder of tar shards, a single file or a glob, local or s3://."""
    out: str
    """Attention store to create or complete, local or s3://."""
    weights: str
    """Weights of the CNN: a .safetensors checkpoint, a .pth state dict (with --backbone and --classes), or
    `imagenet`."""
    backbone: str | None = None
    """torchvision name of the CNN (default: read from a .safetensors checkpoint)."""
    classes: str | None = None
    """Class list, one name per line, or UCF101's classInd.txt (default: read from a .safetensors checkpoint)."""
    labels: str | None = None
    """Labels of videos whose folder is not named after a class: lines `<video> <class>`, a CSV or a Parquet file.
    Videos already in the store keep their labels."""
    lists: tuple[str, ...] = ()
    """Split lists: process only videos named in at least one of them (default: all videos)."""
    stride: int = 5
    """Sampling stride S: use frames 0, S, 2S, …"""
    fps: float | None = None
    """Sampling rate in frames per second, by time stamp; replaces --stride (default: sample by --stride)."""
    columns: tuple[Column, ...] = ("maps", "logits")
    """Columns to store for each frame. features: pooled activations; grid: all activations."""
    actors: tuple[int, int] | None = None
    """Minimum and maximum number of CNN actors (default: 1 to all GPUs; without GPUs, one per CPU core). The pool grows
    as machines join."""
    gpus_per_actor: float | None = None
    """GPUs per CNN actor, 0 for the CPU (default: 1 if the cluster has a GPU, otherwise 0)."""
    batch_size: int = 64
    """Frames per forward pass."""
    precision: Precision = "fp32"
    """Precision of the CNN's trunk. The maps are always computed in fp32."""
    alpha_reduce: Literal["mean", "sum"] = "mean"
    """Reduction of gradients over a map: mean, as in the paper, or sum, as in the original Grad-CAM. With sum, maps are
    rows × cols times as large."""
    mean: Rgb | None = None
    """Channel means of the CNN's input, 0–1 (default: the checkpoint's, otherwise ImageNet's)."""
    std: Rgb | None = None
    """Channel standard deviations of the CNN's input (default: the checkpoint's, otherwise ImageNet's)."""
    input_size: int | None = None
    """Side of the square input, in pixels (default: the checkpoint's, otherwise 224)."""
    decoder: Literal["auto", "pyav", "decord"] = "auto"
    """Video decoder. auto, pyav: PyAV, correct on every file and faster. decord: decord for files that it decodes
    correctly, otherwise PyAV."""
    decode_timeout_s: float = 60.0
    """Seconds without a new frame after which decoding is stopped and the video counts as failed."""
    part_mb: int = 128
    """Size at which an output part is closed, in MB before compression. A video is never split."""
    max_failed_fraction: float = 0.01
    """Largest allowed share of failed videos, 0 to 1; if more fail, the job exits with code 3."""
    overwrite: bool = False
    """Remove the existing store at --out and start from scratch."""
    dry_run: bool = False
    """Report the videos, frames, bytes and actors of the run, and exit."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainCnnOptions(FinetuneConfig):
    images: str | None = None
    """Web images, one folder per class, local or s3://. Give either --images or --videos."""
    videos: str | None = None
    """Training videos (requires --split): a folder tree, a folder of tar shards, a file or a glob, local or s3://."""
    split: str | None = None
    """List of training videos: an official list, lines `<video> <class>`, a CSV or a Parquet file. Official lists are
    UCF101's trainlistKK.txt and the folder of HMDB51's lists. Videos that are not in the list are never read."""
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
    """torchvision name of the CNN, or `small_cnn`."""
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
    batchnorm: Literal["auto", "frozen", "train"] = "auto"
    """BatchNorm statistics. frozen: keep the loaded ones. train: update them. auto: frozen with --weights, otherwise
    train."""
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


@dataclasses.dataclass(frozen=True)
class FramesOptions:
    videos: str
    """Videos: a folder tree, a folder of tar shards, a single file or a glob, local or s3://."""
    lists: tuple[str, ...]
    """Split lists: decode only videos named in at least one of them."""
    out: str
    """Frame store to create or complete, local or s3://."""
    input_size: int
    """Side of the square frames, in pixels."""
    stride: int
    """Sampling stride S: use frames 0, S, 2S, …"""
    max_failed_fraction: float = 0.01
    """Largest allowed share of unreadable videos, 0 to 1; if more are unreadable, the job exits with code 3."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainEnergyNetOptions(EnergyConfig, ConceptConfig):
    config: str | None = None
    """Settings found by a search (best.json), used in place of the defaults; local or s3://. Flags override the
    file."""
    store: str
    """Attention store that holds the training videos, local or s3://."""
    out_of_fold: tuple[str, ...] = ()
    """Attention stores with out-of-fold maps of the training videos (default: train on --store, as the paper does).
    Each is made by a CNN that was not fine-tuned on the videos in it; together they hold all training videos."""
    split: str
    """List of training videos: an official list, lines `<video> <class>`, a CSV or a Parquet file. Official lists are
    UCF101's trainlistKK.txt and the folder of HMDB51's lists."""
    out: str
    """Output folder for the EnergyNet, its metrics and its report, local or s3://."""
    fraction: float = 1.0
    """Share of the listed videos of each class to use, at least two. Smaller shares are subsets of larger ones."""
    workers: int = 1
    """Number of Ray Train workers."""
    gpu: bool | None = None
    """Use one GPU per worker (default: if the cluster has a GPU)."""
    map_memory_gb: float | None = None
    """Memory for the maps of one worker, in GB (default: half of the machine's available memory, shared by its
    workers)."""
    allow_untrained: bool = False
    """Exit with code 0 even if the training has learnt nothing."""
    allow_missing: bool = False
    """Train on the listed videos that the store has, even if others are missing."""
    allow_partial: bool = False
    """Read a store whose precompute has not finished."""
