"""Options for filling attention, flow and frame stores; the docstring of a field is its help text."""

import dataclasses
from collections.abc import Collection
from typing import TYPE_CHECKING, ClassVar, Literal

from attn.training.finetune_config import Rgb

if TYPE_CHECKING:  # --help does not need it
    from attn.video.sample import Sampling

Column = Literal["maps", "logits", "features", "grid", "attention"]
Precision = Literal["fp32", "bf16", "fp16"]
MapKind = Literal["gradcam", "similarity"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FillOptions:
    """Options of every job that fills a store with rows of videos."""

    videos: str | None
    """Videos: a folder tree, a folder of tar shards, a single file or a glob, local or s3://."""
    out: str
    """Store to create or complete, local or s3://."""
    lists: tuple[str, ...] = ()
    """Split lists: process only videos named in at least one of them (default: all videos)."""
    stride: int
    """Sampling stride S: use frames 0, S, 2S, …"""
    fps: float | None = None
    """Sampling rate in frames per second, by time stamp; replaces --stride (default: sample by --stride)."""
    actors: tuple[int, int] | None = None
    """Minimum and maximum number of actors with the model (default: 1 to all GPUs; without GPUs, one per CPU core). The
    pool grows as machines join."""
    gpus_per_actor: float | None = None
    """GPUs per actor, 0 for the CPU (default: 1 if the cluster has a GPU, otherwise 0)."""
    batch_size: int = 64
    """Frames that the model processes at one time."""
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

    @property
    def sampling(self) -> "Sampling":
        """Rule that selects the frames to keep."""
        from attn.video.sample import Fps, Stride

        return Fps(self.fps) if self.fps is not None else Stride(self.stride)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrecomputeOptions(FillOptions):
    LATER: ClassVar[Collection[str]] = ("clip", "clip_every", "crops", "map_kind")

    videos: str | None = None
    """Videos: a folder tree, a folder of tar shards, a single file or a glob, on a disk or S3. Not with --flow."""
    flow: str | None = None
    """Flow store, for a network of train_cnn or train_clip_cnn with --modality flow. Rows, sampling and preprocessing
    are those of the store."""
    weights: str
    """Weights of the CNN: a .safetensors checkpoint, a .pth state dict (with --backbone and --classes), or
    `imagenet`."""
    backbone: str | None = None
    """torchvision name of the CNN, timm:<name> or open_clip:<name> (default: read from a .safetensors checkpoint)."""
    classes: str | None = None
    """Class list, one name per line, or UCF101's classInd.txt (default: read from a .safetensors checkpoint)."""
    labels: str | None = None
    """Labels of videos whose folder is not named after a class: lines `<video> <class>`, a CSV or a Parquet file.
    Videos already in the store keep their labels."""
    stride: int = 5
    """Sampling stride S: use frames 0, S, 2S, …"""
    columns: tuple[Column, ...] = ("maps", "logits")
    """Columns to store for each frame. features: pooled activations; grid: all activations. With --clip, for each clip:
    logits and attention."""
    precision: Precision = "fp32"
    """Precision of the CNN's trunk. The maps are always computed in fp32."""
    alpha_reduce: Literal["mean", "sum"] = "mean"
    """Reduction of gradients over a map: mean, as in the paper, or sum, as in the original Grad-CAM. With sum, maps are
    rows × cols times as large."""
    map_kind: MapKind = "gradcam"
    """Kind of the maps. With similarity, they are cosines of each cell's embedding and the text embedding of each
    class, for checkpoints of zero_shot only."""
    mean: Rgb | None = None
    """Channel means of the CNN's input, 0–1 (default: the checkpoint's, otherwise the network's)."""
    std: Rgb | None = None
    """Channel standard deviations of the CNN's input (default: the checkpoint's, otherwise the network's)."""
    input_size: int | None = None
    """Side of the square input, in pixels (default: the checkpoint's, otherwise the network's, mostly 224)."""
    clip: tuple[int, int] | None = None
    """Number and distance of the frames of a clip, for a network of train_clip_cnn, which stores a row per clip. Frames
    are sampled as in its training."""
    clip_every: int | None = None
    """Distance of the first frames of two clips (default: number times distance of the frames of a clip)."""
    crops: Literal[1, 3] = 1
    """Windows of a clip: the middle one, or the left and the right one too, whose probabilities are averaged."""


def _usual_preprocessing() -> str:
    from attn.video.transform import BILINEAR  # it imports Pillow, which --help does not need

    return str(BILINEAR)


@dataclasses.dataclass(frozen=True)
class FramesOptions:
    LATER: ClassVar[Collection[str]] = ("preprocessing",)

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
    preprocessing: str = dataclasses.field(default_factory=_usual_preprocessing)
    """Preprocessing of the frames, as in the manifest of a store."""
