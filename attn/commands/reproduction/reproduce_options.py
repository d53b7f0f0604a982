"""Flags of jobs/reproduce.py and jobs/demo.py."""

import dataclasses
from typing import Literal

from attn.concepts.concept_config import Aggregation
from attn.training.energy_config import EnergyConfig
from attn.training.finetune_config import Rgb

PLAN = "plan.json"
"""File in the output folder with the options and steps of a reproduction."""


@dataclasses.dataclass(frozen=True)
class ReproduceOptions:
    dataset: Literal["ucf101", "tvhi", "ut_interaction", "synthetic", "labelled"]
    """Data set. synthetic is rendered first; labelled is your own videos with --labels."""
    out: str
    """Output folder for lists, CNNs, stores, EnergyNets, scores and tables; local or s3://."""
    root: str | None = None
    """Data set in its official layout, or your own videos; local or s3:// (synthetic: rendered into <out>/data)."""
    labels: str | None = None
    """Table of labels for --dataset labelled, with columns video_id, label and optionally group; .csv or .parquet."""
    parts: int = 3
    """Number of cross-validation parts for --dataset labelled; groups are never divided."""
    images: str | None = None
    """Web images, one folder per class; local or s3://. Without them, CNNs are trained on --weights and frames only."""
    web_cnn: str | None = None
    """Checkpoint of a CNN trained on Web images of the same classes, to use instead of training one."""
    recipe: Literal["steady", "paper"] = "steady"
    """Settings of all trainings. steady is made for few labels: CNNs are adapted to the training videos without their
    labels, and fine-tuning mixes Web images into the frames. paper uses the paper's settings, and plain ones if the
    paper gives none, without adaptation or mixing."""
    adapt: bool = True
    """Adapt the CNNs to the training videos before using labels. A CNN without BatchNorm needs --images for this."""
    adapt_to: Literal["training", "all"] = "training"
    """Videos for adaptation and calibration, used without labels. With training, the training videos of each split;
    with all, all videos under --root, once for all splits: this is transductive, because it includes test videos."""
    backbones: tuple[str, ...] | None = None
    """CNNs by torchvision's names, or timm:<name> (default: resnet101, for tvhi also vgg16; synthetic: small_cnn)."""
    weights: str | None = None
    """Start weights of the CNNs before Web images: imagenet, or a file (default: imagenet; synthetic: random)."""
    fractions: tuple[float, ...] | None = None
    """Shares of the training videos (default: 0.05 0.1 0.2 0.33 0.5 1; tvhi and ut_interaction: 1)."""
    splits: tuple[int, ...] = ()
    """Splits to run, numbered from 1 (default: all)."""
    seeds: tuple[int, ...] = (0,)
    """Random seeds. All experiments run once with each seed."""
    image_epochs: int | None = None
    """Epochs over the Web images (default: 30; synthetic: 10)."""
    frame_epochs: int | None = None
    """Epochs over the frames of training videos (default: 10; synthetic: 5)."""
    energynet: EnergyConfig = dataclasses.field(default_factory=EnergyConfig)
    """Settings of the EnergyNets; their seed is taken from --seeds."""
    word_vectors: str | None = None
    """Word vectors for the class names (default: one-hot vectors)."""
    aggregation: Aggregation | None = None
    """Method that combines the word vectors of a class name (default: fisher with --word-vectors, else onehot)."""
    near_duplicates: float | None = None
    """Colour similarity from which an image counts as a near-duplicate. Near-duplicates of an earlier image of their
    class are left out (default: keep all)."""
    map_source: Literal["same_cnn", "out_of_fold"] | None = None
    """CNNs that compute the EnergyNets' training maps. With same_cnn, the CNN fine-tuned on the same videos, as in the
    paper; with out_of_fold, CNNs that have not seen the video, each fine-tuned on all folds but one (default:
    out_of_fold; with --recipe paper, same_cnn)."""
    folds: int = 3
    """Number of folds for --map-source out_of_fold. Each adds one CNN to fine-tune."""
    allow_missing: bool = False
    """Leave out listed videos that are missing. Test videos that cannot be read are left out too."""
    max_failed_fraction: float = 0.01
    """Largest share of a step's videos that may be unreadable. The step fails if there are more."""
    no_image: bool = True
    """Also fine-tune CNNs on all training videos without Web images."""
    stride: int | None = None
    """Keep frames 0, S, 2S, … (default: 5 for ucf101, ut_interaction and labelled, 4 for synthetic, 1 for tvhi)."""
    mean: Rgb | None = None
    """Channel means of the CNN's input, 0–1 (default: those of the start checkpoint, else ImageNet's)."""
    std: Rgb | None = None
    """Channel standard deviations of the input (default: those of the start checkpoint, else ImageNet's)."""
    input_size: int | None = None
    """Side length of the square input in pixels (default: the network's, mostly 224; synthetic: 112)."""
    actors: tuple[int, int] | None = None
    """Minimum and maximum number of CNN actors of a precompute step (default: as many as fit)."""
    side_by_side: int | None = None
    """Maximum number of steps in parallel (default: one per GPU; without GPUs, one per four CPUs but at least two)."""
    render_images: int = 4000
    """Number of Web images to render for --dataset synthetic."""
    render_videos: int = 320
    """Number of videos to render for --dataset synthetic."""
    beside: str | None = None
    """Output folder of another reproduction of the same data set, e.g. one with --recipe paper. The tables show both,
    with paired differences."""
    dry_run: bool = False
    """List the steps without running them."""


@dataclasses.dataclass(frozen=True)
class DemoOptions:
    out: str = "demo-out"
    """Output folder of the demo."""
    seed: int = 0
    """Random seed of the trainings. The rendered data does not depend on it."""
    images: int = 4000
    """Number of Web images to render."""
    videos: int = 320
    """Number of videos to render, spread over the classes."""
    epochs: int = 10
    """Epochs over the Web images."""
