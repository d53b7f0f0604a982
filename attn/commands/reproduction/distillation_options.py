"""Flags of jobs/reproduce.py --paper attention_distillation."""

import dataclasses
from typing import Any, ClassVar, Literal

from attn.commands.reproduction.reproduce_options import BenchmarkTablesOptions
from attn.stages.clip_config import ClipConfig

DistillationVariant = Literal["rgb", "attention", "distilled", "shuffled", "teacher"]
DISTILLATION_VARIANTS: dict[DistillationVariant, dict[str, Any]] = {
    "rgb": {"attention": "none"},
    "attention": {},
    "distilled": {},
    "shuffled": {"shuffle_teacher": True},
    "teacher": {},
}
"""Settings in which the networks of the tables differ."""
TAUGHT: frozenset[DistillationVariant] = frozenset({"distilled", "shuffled"})
"""Networks that need a teacher."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DistillationTablesOptions(BenchmarkTablesOptions):
    PATHS: ClassVar[tuple[str, ...]] = (*BenchmarkTablesOptions.PATHS, "boxes")
    COUNTS: ClassVar[tuple[str, ...]] = (*BenchmarkTablesOptions.COUNTS, "input_size", "clip_every")
    SETTLED: ClassVar[tuple[str, ...]] = (
        *(*BenchmarkTablesOptions.SETTLED, "weights", "render_videos"),
        *("flow_algorithm", "flow_weights", "flow_bound", "clip_every", "crops", "boxes"),
    )

    paper: Literal["attention_distillation"]
    """attention_distillation: Liu et al. 2019. Without this flag, the tables of Li et al. 2017 are made."""
    dataset: Literal["ucf101", "hmdb51", "something_v2", "synthetic", "labelled"]
    """Data set. With synthetic, videos whose class is only in the motion are rendered first; with labelled, it is your
    own videos with --labels."""
    variants: tuple[DistillationVariant, ...] = tuple(DISTILLATION_VARIANTS)
    """Networks of the tables. With rgb, frames are pooled on average; with attention, by attention without a teacher.
    With distilled, the network is the student of a flow teacher, and with shuffled, of one that sees another video.
    With teacher, the flow teacher is in the tables too, by itself and fused with the distilled network."""
    weights: str | None = None
    """Start weights of all networks: kinetics, or a file with torchvision's names (default: kinetics; random for
    small_clip_cnn)."""
    stride: int | None = None
    """Keep frames 0, S, 2S, … (default: 1)."""
    input_size: int | None = None
    """Side of the square frames in pixels (default: 128; synthetic: 64)."""
    flow_algorithm: Literal["dis", "tvl1", "raft_small", "raft_large"] = "dis"
    """Algorithm of the flow, see precompute_flow."""
    flow_weights: str | None = None
    """Weights of RAFT: torchvision's name, such as C_T_V2, or a file."""
    flow_bound: float | None = None
    """Largest component of the flow, in pixels (default: 20; synthetic: 4)."""
    clip_every: int | None = None
    """Distance of the first frames of two test clips, in kept frames (default: length times step of a clip)."""
    crops: Literal[1, 3] = 1
    """Windows of a test clip: the middle one, or the left and the right one too."""
    boxes: str | None = None
    """Folder of boxes of the action in the test videos, see evaluate (synthetic: rendered). Without them, the tables
    say nothing about localisation."""
    clip_cnn: ClipConfig = dataclasses.field(default_factory=ClipConfig)
    """Settings of all networks, flow and frames alike; their seed is taken from --seeds."""
    data_settings: bool = True
    """Replace settings that are left at their defaults by those of the data set. For synthetic, these are a small
    network, short clips, a higher learning rate and fewer epochs, and no held-out videos."""
