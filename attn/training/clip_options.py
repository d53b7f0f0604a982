"""Options of a training of a network of clips, whose docstrings are the help texts of the flags."""

import dataclasses
from typing import Literal

from attn.stages.clip_config import ClipConfig
from attn.training.worker_options import WorkerOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainClipCnnOptions(WorkerOptions, ClipConfig):
    modality: Literal["rgb", "flow"]
    """Input of the network: frames, or optical flow, whose network can teach one of frames."""
    frames: str | None = None
    """Frame store of the training videos, for rgb; local or s3://."""
    flow: str | None = None
    """Flow store of the training videos, for flow, and for rgb with a teacher; local or s3://."""
    teacher: str | None = None
    """Trained network of flow, whose attention map the motion map learns. It is only used in training."""
    split: str
    """List of training videos: an official list, lines `<video> <class>`, a CSV or a Parquet file."""
    classes: str | None = None
    """List of all classes, one per line, whose order is that of the outputs (default: the sorted names of --split)."""
    weights: str | None = None
    """Initial weights: kinetics for those of torchvision, downloaded once, or a file with torchvision's names (default:
    random)."""
    out: str
    """File of the trained network, ending in .safetensors, local or s3://."""
    fraction: float = 1.0
    """Share of the listed videos of each class to use, at least two. Smaller shares are subsets of larger ones."""
    cache: str | None = None
    """Local folder on each machine for frames and flow, which are memory-mapped (default: a temporary folder)."""
