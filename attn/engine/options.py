"""Every flag of every job, as frozen dataclasses: the field's docstring is its help text.

No torch, no ray: a script that imports this answers `--help` at once.
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
    """Videos: a folder tree, one file or a glob; local or s3://."""
    out: str
    """Folder for the tar shards; local or s3://."""
    shard_mb: int = 64
    """Size at which a shard is closed, in MB. A video is never split."""
    name: str = "videos"
    """First part of the shard names: <name>-000000.tar."""
    classes: str | None = None
    """Class list; a video's label is its parent folder where that is one of these. Default: every parent folder."""
    overwrite: bool = False
    """Replace shards of that name that stand in the folder."""


@dataclasses.dataclass(frozen=True)
class PrecomputeOptions:
    videos: str
    """Videos: a folder tree, a folder of tar shards, one file or a glob; local or s3://."""
    out: str
    """Attention store to write or to finish; local or s3://."""
    weights: str
    """CNN: a .safetensors checkpoint, a state dict as .pth (give --backbone and --classes), or `imagenet`."""
    backbone: str | None = None
    """torchvision name of the CNN; read from a .safetensors checkpoint."""
    classes: str | None = None
    """Class list, one name a line or UCF101's classInd.txt; read from a .safetensors checkpoint."""
    labels: str | None = None
    """Labels of videos whose folder is not named as a class: lines `<video> <class>`, a csv or a parquet; done videos
    keep what they have."""
    lists: tuple[str, ...] = ()
    """Split lists: take the videos that one of them names (default: all that are found)."""
    stride: int = 5
    """Keep the frames 0, S, 2S, …"""
    fps: float | None = None
    """Keep this many frames a second, by time stamp, instead of a stride."""
    columns: tuple[Column, ...] = ("maps", "logits")
    """Columns to store of every frame. features: pooled activations; grid: all activations."""
    actors: tuple[int, int] | None = None
    """Smallest and largest number of CNN actors, as machines join (default: 1 to all GPUs; without one, CPU cores)."""
    gpus_per_actor: float | None = None
    """GPUs of one CNN actor, 0 for the CPU (default: 1 where the cluster has a GPU, else 0)."""
    batch_size: int = 64
    """Frames in one forward pass."""
    precision: Precision = "fp32"
    """Arithmetic of the CNN's trunk; the maps themselves are always computed in fp32."""
    alpha_reduce: Literal["mean", "sum"] = "mean"
    """Gradients averaged over the places of a map, as the paper says, or summed, as Grad-CAM's authors did: maps that
    are rows × cols as large."""
    mean: Rgb | None = None
    """Channel means of the CNN's input, 0–1 (default: the checkpoint's, else ImageNet's)."""
    std: Rgb | None = None
    """Channel standard deviations of the CNN's input (default: the checkpoint's, else ImageNet's)."""
    input_size: int | None = None
    """Side of the square input, in pixels (default: the checkpoint's, else 224)."""
    decoder: Literal["auto", "pyav", "decord"] = "auto"
    """auto and pyav: PyAV, right on every file and faster. decord: that one where it is right, PyAV elsewhere."""
    decode_timeout_s: float = 60.0
    """A decoder that yields no frame for so long is ended and its video counts as failed."""
    part_mb: int = 128
    """Size at which an output part is closed, in MB before compression. A video is never split."""
    max_failed_fraction: float = 0.01
    """Exit with 3 when a larger share of the videos failed."""
    overwrite: bool = False
    """Remove the store that stands at --out and start anew."""
    dry_run: bool = False
    """Say what would be done (videos, frames, bytes, actors) and do nothing."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainCnnOptions(FinetuneConfig):
    images: str | None = None
    """Web images: a folder with one folder per class; local or s3://. Give this or --videos."""
    videos: str | None = None
    """Training videos: a folder tree, a folder of tar shards, one file or a glob; local or s3://. Needs --split."""
    split: str | None = None
    """List of training videos, the only ones that are touched: the data set's own (UCF101's trainlistKK.txt, a folder
    of HMDB51's lists), lines `<video> <class>`, a csv or a parquet."""
    fraction: float = 1.0
    """Share of the listed videos of each class that is used, two at least; a smaller share lies within a larger."""
    stride: int = 5
    """Keep the frames 0, S, 2S, … of the videos."""
    fps: float | None = None
    """Keep this many frames a second, by time stamp, instead of a stride."""
    frames: str | None = None
    """Frame store: the videos' frames, decoded once, for any training of the same input size and sampling; local or
    s3:// (default: the folder frames within the one beside --out)."""
    mix_images: str | None = None
    """Web images with one folder per class, of which every update learns as many as of frames, so that fine-tuning does
    not forget them; local or s3://. Images that the training of --weights held out stay held out, but for a few if it
    had --near-duplicates; without a record of that, all are used."""
    mix_cache: str | None = None
    """Folder for the resized images of --mix-images, for all trainings that mix them (default: that of --cache)."""
    allow_missing: bool = False
    """Train on the listed videos that are there although others are not."""
    max_failed_fraction: float = 0.01
    """Exit with 3 when a larger share of the videos cannot be read."""
    backbone: str
    """torchvision name of the CNN, or `small_cnn`."""
    out: str
    """Checkpoint to write, one .safetensors file."""
    weights: str | None = None
    """Start from a .safetensors checkpoint, a .pth state dict, or `imagenet` (default: random)."""
    classes: str | None = None
    """Class list (default: the image folders' names, sorted; with --videos those of the split list, in the order of
    the start checkpoint where it has the same)."""
    mean: Rgb | None = None
    """Channel means of the input, 0–1 (default: the start checkpoint's, else ImageNet's)."""
    std: Rgb | None = None
    """Channel standard deviations of the input (default: the start checkpoint's, else ImageNet's)."""
    input_size: int | None = None
    """Side of the square input, in pixels (default: the start checkpoint's, else 224)."""
    epochs: int | None = None
    """Passes over the training images (default: 30 over Web images, 10 over frames)."""
    batch_size: int = 32
    """Images of one update, all workers together; with --mix-images half of them are frames."""
    validation_fraction: float | None = None
    """Share of each class held out, of its images or of its videos as a whole; the epoch that is best on it is kept
    (default: 0.3 of the images, 0.1 of the videos, where more than two are left to learn from)."""
    near_duplicates: float | None = None
    """Leave out Web images whose colours repeat those of an earlier image of their class, from this similarity on;
    0.88 finds resized, recompressed and slightly cropped copies (default: keep all)."""
    batchnorm: Literal["auto", "frozen", "train"] = "auto"
    """frozen: statistics stay as loaded. auto: frozen with start weights, else train."""
    workers: int = 1
    """Ray Train workers."""
    gpu: bool | None = None
    """One GPU per worker (default: where the cluster has one)."""
    cpus_per_worker: int | None = None
    """CPUs, and with them threads, of a worker at most (default: all that it can have; beside a GPU, its share)."""
    allow_untrained: bool = False
    """Exit with 0 although the training has learnt nothing."""
    seed: int = 0
    """Random state of the fraction, what is held out, the order, the flips and new layers."""
    cache: str | None = None
    """Folder for the resized images, read again by the next run (default: a temporary folder). 150 KB an image of 224
    pixels: 53 GB for all training videos of UCF101."""


@dataclasses.dataclass(frozen=True)
class FramesOptions:
    videos: str
    """Videos, as for precompute."""
    lists: tuple[str, ...]
    """Split lists: the videos that one of them names."""
    out: str
    """Frame store to write or to finish; local or s3://."""
    input_size: int
    """Side of the square frames, in pixels."""
    stride: int
    """Keep the frames 0, S, 2S, …"""
    max_failed_fraction: float = 0.01
    """Exit with 3 when a larger share of the videos cannot be read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainEnergyNetOptions(EnergyConfig, ConceptConfig):
    config: str | None = None
    """Settings that a search has found (best.json), in place of the defaults; flags beside it count more. Local or
    s3://."""
    store: str
    """Attention store with the training videos; local or s3://."""
    out_of_fold: tuple[str, ...] = ()
    """Attention stores that together hold the training videos, each made by a CNN that was not fine-tuned on the videos
    it holds; the EnergyNet is then learnt from their maps (default: from those of --store, as the paper does)."""
    split: str
    """List of training videos: the data set's own (UCF101's trainlistKK.txt, HMDB51's folder of lists), lines
    `<video> <class>`, a csv or a parquet."""
    out: str
    """Folder for the EnergyNet, its metrics and its report; local or s3://."""
    fraction: float = 1.0
    """Share of the listed videos of each class to use, two at least; smaller ones lie within larger ones."""
    workers: int = 1
    """Ray Train workers."""
    gpu: bool | None = None
    """One GPU per worker (default: where the cluster has one)."""
    map_memory_gb: float | None = None
    """Memory for the maps of one worker (default: half of what its machine has left, shared by the workers there)."""
    allow_untrained: bool = False
    """Exit with 0 although the training has learnt nothing."""
    allow_missing: bool = False
    """Train on the videos the store has although the list names others."""
    allow_partial: bool = False
    """Read a store whose precompute has not finished."""
