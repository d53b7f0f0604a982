"""Flags of jobs/reproduce.py and jobs/demo.py."""

import dataclasses
from typing import Literal

from attn.concepts.concept_config import Aggregation
from attn.engine.options import Rgb
from attn.stages.energy_config import EnergyConfig


@dataclasses.dataclass(frozen=True)
class ReproduceOptions:
    dataset: Literal["ucf101", "tvhi", "ut_interaction", "synthetic", "labelled"]
    """Data set; synthetic is rendered first, labelled is own videos with --labels."""
    out: str
    """Folder for everything: lists, CNNs, stores, EnergyNets, scores, tables; local or s3://."""
    root: str | None = None
    """The data set in its official layout, or own videos; local or s3:// (synthetic: rendered into <out>/data)."""
    labels: str | None = None
    """labelled: table of video_id, label and, if some videos belong together, group; .csv or .parquet."""
    parts: int = 3
    """labelled: parts of the labelled videos, each tested after trainings on the others; groups stay whole."""
    images: str | None = None
    """Web images, one folder per class; local or s3://. Without them the CNNs start from --weights alone."""
    web_cnn: str | None = None
    """Checkpoint of a CNN that has learnt Web images of these classes, used in place of training one."""
    recipe: Literal["steady", "paper"] = "steady"
    """steady: CNNs are adapted to the training videos without their labels, and all trainings are made for few labels:
    fine-tuning learns the Web images beside the frames. paper: nothing is adapted or mixed, all settings are the
    paper's or, where it is silent, as plain as it describes them."""
    adapt: bool = True
    """Adapt the CNNs to the training videos before any label is used; a CNN without BatchNorm is left as it is."""
    adapt_to: Literal["training", "all"] = "training"
    """Videos that CNNs are adapted to and scores calibrated on, without labels. training: the training videos of each
    split. all: all videos under --root, once for all splits; the tested ones among them make it transductive."""
    backbones: tuple[str, ...] | None = None
    """CNNs (default: resnet101, for tvhi also vgg16; synthetic: small_cnn)."""
    weights: str | None = None
    """Start of the CNNs before any image of an action: imagenet, or a file (default: imagenet; synthetic: random)."""
    fractions: tuple[float, ...] | None = None
    """Shares of the training videos (default: 0.05 0.1 0.2 0.33 0.5 1; tvhi and ut_interaction: 1)."""
    splits: tuple[int, ...] = ()
    """Numbers of the splits, from 1 (default: all)."""
    seeds: tuple[int, ...] = (0,)
    """Random states; everything is done once with each."""
    image_epochs: int | None = None
    """Passes over the Web images (default: 30; synthetic: 10)."""
    frame_epochs: int | None = None
    """Passes over the frames of training videos (default: 10; synthetic: 5)."""
    energynet: EnergyConfig = dataclasses.field(default_factory=EnergyConfig)
    """Settings of the EnergyNets; their seed is that of the run."""
    word_vectors: str | None = None
    """Word vectors for the class names (default: one-hot vectors)."""
    aggregation: Aggregation | None = None
    """How the words of a name become one vector (default: fisher with --word-vectors, else onehot)."""
    near_duplicates: float | None = None
    """Leave out Web images whose colours repeat those of an earlier image of their class, from this similarity on
    (default: keep all)."""
    map_source: Literal["same_cnn", "out_of_fold"] | None = None
    """Training maps of the EnergyNets. same_cnn: of the CNN they score, which was fine-tuned on the same videos, as in
    the paper. out_of_fold: of CNNs that have not seen the video, each fine-tuned on all folds but one (default:
    out_of_fold, with --recipe paper same_cnn)."""
    folds: int = 3
    """Folds of the training videos for --map-source out_of_fold, each one more CNN to fine-tune."""
    allow_missing: bool = False
    """Leave out videos that the lists name but that are not there, in training and in test; of those that cannot be
    read, the ones that are tested on."""
    max_failed_fraction: float = 0.01
    """Give up a step when a larger share of its videos cannot be read."""
    no_image: bool = True
    """Also train the CNNs without Web images, on all training videos."""
    stride: int | None = None
    """Keep the frames 0, S, 2S, … (default: the data set's: ucf101 and ut_interaction 5, synthetic 4, tvhi 1)."""
    mean: Rgb | None = None
    """Channel means of the CNN's input, 0–1 (default: the start checkpoint's, else ImageNet's)."""
    std: Rgb | None = None
    """Channel standard deviations of the input (default: the start checkpoint's, else ImageNet's)."""
    input_size: int | None = None
    """Side of the square input, in pixels (default: 224; synthetic: 112)."""
    actors: tuple[int, int] | None = None
    """Smallest and largest number of CNN actors of a precompute (default: what fits)."""
    side_by_side: int | None = None
    """Steps at the same time (default: one per GPU, else one per four CPUs, two at least)."""
    render_images: int = 4000
    """Synthetic: Web images to render."""
    render_videos: int = 320
    """Synthetic: videos to render."""
    dry_run: bool = False
    """Say what would be done and do nothing."""


@dataclasses.dataclass(frozen=True)
class DemoOptions:
    out: str = "demo-out"
    """Folder for everything the demo makes."""
    seed: int = 0
    """Random state of the trainings; the pictures are always the same."""
    images: int = 4000
    """Web images to render."""
    videos: int = 320
    """Videos to render, spread over the classes."""
    epochs: int = 10
    """Passes over the Web images."""
