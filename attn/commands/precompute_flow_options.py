"""Flags of jobs/precompute_flow.py."""

import dataclasses
from typing import Literal

from attn.commands.precompute_options import FillOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class PrecomputeFlowOptions(FillOptions):
    videos: str
    """Videos: a folder tree, a folder of tar shards, a single file or a glob, local or s3://."""
    algorithm: Literal["dis", "tvl1", "raft_small", "raft_large"] = "dis"
    """Algorithm. dis: dense inverse search of OpenCV (pip install 'attn[flow]'), fast on a CPU. tvl1: TV-L1, as in most
    published flow networks. raft_small, raft_large: networks of torchvision."""
    weights: str | None = None
    """Weights of RAFT: torchvision's name, such as C_T_V2, which are downloaded once, or a file."""
    input_size: int
    """Side of the square frames, in pixels. Frames are resized before the flow is computed."""
    bound: float = 20.0
    """Largest component of the flow, in pixels; larger ones are clipped. The store has 127 steps up to it."""
    preprocessing: str | None = None
    """Preprocessing of the frames, as in the manifest of a store (default: centred square, bilinear)."""
    stride: int = 1
    """Sampling stride S: use frames 0, S, 2S, … Each row has the flow to the next used frame."""
