"""Options of a TSRNet's training; the docstring of a field is the help text of its flag."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from attn.settings import Point
from attn.stages.tsrnet_config import TsrnetConfig
from attn.training.worker_options import WorkerOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainTsrnetOptions(WorkerOptions, TsrnetConfig):
    config: str | None = None
    """Settings found by a search (best.json), used in place of the defaults; local or s3://. Flags override the
    file."""
    store: str
    """Attention store with the column features of the untrimmed training videos, local or remote. It is of one stream,
    RGB or flow: train one network for each."""
    labels: str
    """Classes of the untrimmed training videos, without times: THUMOS14's validation_set.mat, a split list, or a table
    with a column labels, in which a video may have several classes or none (background)."""
    classes: str | None = None
    """File of class names (default: the names in --labels; a .mat file has only numbers, and needs UCF101's
    classInd.txt)."""
    trimmed: str | None = None
    """Attention store with the column features of trimmed videos of the same stream. Knowledge is transferred from
    those whose class is among the classes of --labels."""
    trimmed_split: str | None = None
    """List of the trimmed videos, in any format of split lists."""
    class_map: str | None = None
    """File of lines `<source> <target>`: class names of trimmed videos and their names in --labels, if they differ.
    A tab separates names that contain blanks."""
    init: str | None = None
    """Trained TSRNet, a file or its folder, whose weights other than those of the classifier are the initial ones."""
    out: str
    """Output folder for the network, its metrics and its report, local or s3://."""
    cache: str | None = None
    """Local folder on each machine for the features, which are memory-mapped (default: a temporary folder)."""
    allow_partial: bool = False
    """Read stores whose precompute has not finished."""

    def settle(self, point: Mapping[str, Any]) -> Point:
        """Adjust a point as `TsrnetConfig` does; without trimmed videos, nothing is transferred."""
        settled = super().settle(point)
        return {**settled, "transfer": self.transfer} if self.trimmed is None and "transfer" in settled else settled
