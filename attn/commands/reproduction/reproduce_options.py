"""Flags of jobs/reproduce.py and jobs/demo.py."""

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from attn.concepts.concept_config import Aggregation
from attn.datasets.benchmark_names import BenchmarkName
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.stages.tsrnet_config import TsrnetConfig
from attn.training.energy_config import EnergyConfig
from attn.training.finetune_config import Rgb

PLAN = "plan.json"
"""File in the output folder with the options and steps of a reproduction."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TablesOptions:
    """Options of the tables of any paper.

    Attributes:
        PATHS: fields with URLs, which are made absolute.
        COUNTS: fields that must be 1 or more.
        SETTLED: fields that must not change within a folder. The others select steps, locate the data, or limit
            resources.
    """

    PATHS: ClassVar[tuple[str, ...]] = ("out", "root", "weights")
    COUNTS: ClassVar[tuple[str, ...]] = ("stride", "side_by_side", "render_videos")
    SETTLED: ClassVar[tuple[str, ...]] = ("dataset", "input_size", "stride")

    paper: str
    """Paper. attention_transfer: Li et al. 2017. soft_attention: Sharma et al. 2015. tsrnet: Zhang et al. 2019.
    attention_distillation: Liu et al. 2019. With --help, --paper soft_attention and the like list their flags."""
    dataset: str
    out: str
    """Output folder for lists, networks, stores, scores and tables; local or s3://."""
    root: str | None = None
    """Data set in its official layout, or your own videos; local or s3:// (synthetic: rendered into <out>/data)."""
    weights: str | None = None
    """Start weights of the CNNs before Web images: imagenet, or a file (default: imagenet; synthetic: random)."""
    seeds: tuple[int, ...] = (0,)
    """Random seeds. All experiments run once with each seed."""
    allow_missing: bool = False
    """Leave out listed videos that are missing. Test videos that cannot be read are left out too."""
    max_failed_fraction: float = 0.01
    """Largest share of a step's videos that may be unreadable. The step fails if there are more."""
    stride: int | None = None
    """Keep frames 0, S, 2S, … (default: 5 for ucf101, ut_interaction and labelled, 4 for synthetic, 1 for tvhi)."""
    input_size: int | None = None
    """Side length of the square input in pixels (default: the network's, mostly 224; synthetic: 112)."""
    actors: tuple[int, int] | None = None
    """Minimum and maximum number of CNN actors of a precompute step (default: as many as fit)."""
    side_by_side: int | None = None
    """Maximum number of steps in parallel (default: one per GPU; without GPUs, one per four CPUs but at least two)."""
    render_videos: int = 320
    """Number of videos to render for --dataset synthetic."""
    dry_run: bool = False
    """List the steps without running them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ImageTablesOptions(TablesOptions):
    """Options of tables whose CNNs may learn Web images first."""

    PATHS: ClassVar[tuple[str, ...]] = (*TablesOptions.PATHS, "images")
    COUNTS: ClassVar[tuple[str, ...]] = (*TablesOptions.COUNTS, "image_epochs", "render_images")
    SETTLED: ClassVar[tuple[str, ...]] = (*TablesOptions.SETTLED, "image_epochs", "mean", "std")

    images: str | None = None
    """Web images, one folder per class; local or s3://. Without them, CNNs are trained on --weights and frames only."""
    image_epochs: int | None = None
    """Epochs over the Web images (default: 30; synthetic: 10)."""
    mean: Rgb | None = None
    """Channel means of the CNN's input, 0–1 (default: those of the start checkpoint, else ImageNet's)."""
    std: Rgb | None = None
    """Channel standard deviations of the input (default: those of the start checkpoint, else ImageNet's)."""
    render_images: int = 4000
    """Number of Web images to render for --dataset synthetic."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchmarkTablesOptions(TablesOptions):
    """Options of tables about the splits of a data set of clips."""

    PATHS: ClassVar[tuple[str, ...]] = (*TablesOptions.PATHS, "labels")
    SETTLED: ClassVar[tuple[str, ...]] = (*TablesOptions.SETTLED, "parts")

    labels: str | None = None
    """Table of labels for --dataset labelled, with columns video_id, label and optionally group; .csv or .parquet."""
    parts: int = 3
    """Number of cross-validation parts for --dataset labelled; groups are never divided."""
    splits: tuple[int, ...] = ()
    """Splits to run, numbered from 1 (default: all)."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReproduceOptions(BenchmarkTablesOptions, ImageTablesOptions):
    RENAMED: ClassVar[Mapping[str, str]] = {"--no-no-image": "--no-image-free"}
    PATHS: ClassVar[tuple[str, ...]] = (*ImageTablesOptions.PATHS, "labels", "word_vectors", "web_cnn")
    COUNTS: ClassVar[tuple[str, ...]] = (*ImageTablesOptions.COUNTS, "frame_epochs", "input_size")
    SETTLED: ClassVar[tuple[str, ...]] = (
        *(*ImageTablesOptions.SETTLED, "parts"),
        *("frame_epochs", "aggregation", "near_duplicates", "recipe", "adapt", "adapt_to", "web_cnn"),
    )

    paper: Literal["attention_transfer", "soft_attention", "tsrnet", "attention_distillation"] = "attention_transfer"
    dataset: Literal["ucf101", "tvhi", "ut_interaction", "synthetic", "labelled"]
    """Data set. synthetic is rendered first; labelled is your own videos with --labels."""
    web_cnn: str | None = None
    """Checkpoint to use instead of training on Web images, of the same classes. It is a CNN that was trained on them,
    or one of zero_shot."""
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
    fractions: tuple[float, ...] | None = None
    """Shares of the training videos (default: 0.05 0.1 0.2 0.33 0.5 1; tvhi and ut_interaction: 1)."""
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
    image_free: bool = True
    """Also fine-tune CNNs on all training videos without Web images."""
    beside: str | None = None
    """Output folder of another reproduction of the same data set, e.g. one with --recipe paper. The tables show both,
    with paired differences."""


Variant = Literal["attention", "average", "max", "hidden", "lambda1", "lambda10"]
VARIANTS: dict[Variant, dict[str, Any]] = {
    "attention": {},
    "average": {"pooling": "average"},
    "max": {"pooling": "max"},
    "hidden": {"attention": "hidden"},
    "lambda1": {"attention_penalty": 1.0},
    "lambda10": {"attention_penalty": 10.0},
}
"""Settings in which each network of the tables differs from the first."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SoftAttentionTablesOptions(BenchmarkTablesOptions, ImageTablesOptions):
    PATHS: ClassVar[tuple[str, ...]] = (*ImageTablesOptions.PATHS, "labels")
    COUNTS: ClassVar[tuple[str, ...]] = (*ImageTablesOptions.COUNTS, "input_size")
    SETTLED: ClassVar[tuple[str, ...]] = (
        *(*ImageTablesOptions.SETTLED, "parts", "backbone", "weights", "images", "cnn_epochs"),
    )

    paper: Literal["soft_attention"]
    """soft_attention: Sharma et al. 2015. Without this flag, the tables of Li et al. 2017 are made."""
    dataset: BenchmarkName | Literal["hollywood2", "labelled"]
    """Data set. With synthetic, it is rendered first; with labelled, it is your own videos with --labels. UCF-11 has
    three protocols. With ucf11, one group is left out; with ucf11_975, whole groups are nearest to the paper's 975
    training clips; with ucf11_random, the groups are ignored, so the accuracy is far too high."""
    variants: tuple[Variant, ...] = tuple(VARIANTS)
    """Networks of the tables. The LSTM attends (attention), or its grids are pooled (average, max). With hidden, the
    hidden state alone drives the attention, as in the paper's Eq. 4. With lambda1 and lambda10, λ is 1 and 10."""
    backbone: str | None = None
    """CNN of the activation grids: torchvision's name, or timm:<name> (default: googlenet; synthetic: small_cnn)."""
    weights: str | None = None
    """Weights of the CNN: imagenet, or a file (default: imagenet; synthetic: random). With Web images, the CNN is
    trained on them first."""
    stride: int | None = None
    """Keep frames 0, S, 2S, … (default: 1; synthetic: 4)."""
    cnn_epochs: int = 0
    """Epochs of fine-tuning the CNN on the same frames. Its vote and UnAtt are then in the tables too; with 0, they are
    not."""
    soft_attention: SoftAttentionConfig = dataclasses.field(default_factory=SoftAttentionConfig)
    """Settings of the LSTMs; their seed is taken from --seeds."""
    data_settings: bool = True
    """Replace settings that are left at their defaults by those of the data set. For hmdb51, these are the released
    hidden_dim 1024, attention_layers 3 and learning rate; for synthetic, window_frames 8 and batch 32."""


TsrnetVariant = Literal["two_stream", "srnet", "tsrnet", "tsrnet_ce"]
TSRNET_VARIANTS: dict[TsrnetVariant, dict[str, Any]] = {
    "two_stream": {"attention": "average"},
    "srnet": {},
    "tsrnet": {},
    "tsrnet_ce": {"trimmed_ce": True},
}
"""Settings in which each network of TSRNet's tables differs from SRNet."""
WITH_TRIMMED: frozenset[TsrnetVariant] = frozenset({"tsrnet", "tsrnet_ce"})
"""Networks that learn from trimmed videos too."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class TsrnetTablesOptions(ImageTablesOptions):
    PATHS: ClassVar[tuple[str, ...]] = (*ImageTablesOptions.PATHS, "trimmed", "trimmed_split", "class_map")
    COUNTS: ClassVar[tuple[str, ...]] = (*ImageTablesOptions.COUNTS, "input_size", "flow_epochs")
    SETTLED: ClassVar[tuple[str, ...]] = (
        *(*ImageTablesOptions.SETTLED, "backbone", "weights", "images", "trimmed", "trimmed_split", "class_map"),
        *("render_images", "render_videos", "render_untrimmed", "training_set"),
    )
    OF_FLOW: ClassVar[tuple[str, ...]] = ("flow", "flow_weights", "flow_epochs", "flow_cnn_lr", "flow_lr")
    """Settings of the flow stream, which may be added to a folder but must not change in it."""

    paper: Literal["tsrnet"]
    """tsrnet: Zhang et al. 2019. Without this flag, the tables of Li et al. 2017 are made."""
    dataset: Literal["synthetic", "untrimmed", "thumos14"]
    """Data set. With synthetic, it is rendered first. With untrimmed, --root was made by jobs/join_clips.py. With
    thumos14, --root holds videos/, validation_set.mat, test_set_final.mat, annotation/ and UCF101's classInd.txt."""
    training_set: Literal["validation", "reduced"] = "validation"
    """Training videos of --dataset thumos14. With validation, the 1010 videos of its validation set, of 101 classes.
    With reduced (THUMOS14reduced), those of <root>/validation_reduced.csv, which jobs/video_labels.py makes of the
    temporal annotation of the validation set: 200 videos of 20 classes."""
    trimmed: str | None = None
    """Trimmed videos from which knowledge is transferred; local or s3:// (synthetic: rendered). Without them, the
    tables have no TSRNets."""
    trimmed_split: str | None = None
    """List of the trimmed videos, in any format of split lists (synthetic: all)."""
    class_map: str | None = None
    """File of lines `<source> <target>`: class names of trimmed videos and those of untrimmed ones, if they differ."""
    variants: tuple[TsrnetVariant, ...] = tuple(TSRNET_VARIANTS)
    """Networks of the tables. With two_stream, samples have equal weights. With srnet, they have attention. With
    tsrnet, knowledge is transferred from trimmed videos, too; with tsrnet_ce, these are classified as well."""
    backbone: str | None = None
    """CNN of the features: torchvision's name, or timm:<name> (default: resnet101; synthetic: small_cnn)."""
    weights: str | None = None
    """Weights of the CNN: imagenet, or a file (default: imagenet; synthetic: random). With Web images, the CNN is
    trained on them first."""
    stride: int | None = None
    """Keep frames 0, S, 2S, … (default: 1; synthetic and untrimmed: 2)."""
    render_untrimmed: int = 40
    """Number of untrimmed training videos to render for --dataset synthetic, and of test videos."""
    flow: Literal["dis", "tvl1", "raft_small", "raft_large"] | None = None
    """Algorithm of a second stream of optical flow, as in jobs/precompute_flow.py (default: RGB only). Its CNN is
    trained on the trimmed videos, and the tables have rows of RGB, of flow and of both."""
    flow_weights: str | None = None
    """Weights of RAFT: torchvision's name, such as C_T_V2, which are downloaded once, or a file."""
    flow_epochs: int = 10
    """Epochs of the CNN of flow over the trimmed videos."""
    flow_cnn_lr: float | None = None
    """Learning rate of the CNN of flow (default: 0.005, as in TSN; synthetic: 0.01)."""
    flow_lr: float | None = None
    """Learning rate of the networks of flow (default: that of RGB; thumos14: 0.0005, as in the paper)."""
    theta: float = 0.5
    """θ: weight of RGB in the rows of both streams, 0 to 1; flow has 1 - θ."""
    tsrnet: TsrnetConfig = dataclasses.field(default_factory=TsrnetConfig)
    """Settings of the networks; their seed is taken from --seeds."""
    data_settings: bool = True
    """Replace settings that are left at their defaults by those of the data set. For synthetic and untrimmed, whose
    videos are few and short, these are smaller networks, fewer samples and updates, and a higher learning rate."""


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
