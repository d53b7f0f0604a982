"""A CNN's training that is possible: plain data for its workers, and the network and videos that it begins with."""

import dataclasses
import hashlib
from typing import Literal, NamedTuple

from attn.engine.filling import StorePlan
from attn.engine.options import TrainCnnOptions
from attn.engine.training.run import TrainRun
from attn.engine.training.training_videos import TrainingVideos
from attn.models.checkpoint import Cnn
from attn.stages.pictures import Pictures, WebImages

Fresh = Literal["all", "classifier", "nothing"]


@dataclasses.dataclass(frozen=True)
class TrainJob:
    """One training as plain data: what a worker must know, wherever it runs.

    Attributes:
        options: flags; those that were left to the program are resolved in the fields below.
        class_names: of the outputs.
        pictures: what is learnt from.
        mixed: Web images that are learnt beside frames; None for frames alone.
        epochs: passes over it.
        cache_folder: on each machine; None for a temporary one.
        fresh: the part of the network that was just drawn.
        freeze_batchnorm: keep its statistics.
        run_url: folder beside the output.
        start_share: share of the start in the weights that are kept.
        mixed_folder: on each machine, for the images of `mixed`; None for the folder of the other pictures.
    """

    options: TrainCnnOptions
    class_names: tuple[str, ...]
    pictures: Pictures
    epochs: int
    cache_folder: str | None
    fresh: Fresh
    freeze_batchnorm: bool
    run_url: str
    mixed: WebImages | None = None
    start_share: float = 0.0
    mixed_folder: str | None = None

    @property
    def own_key(self) -> str:
        """Names what is this training's alone on a machine: others may learn from the same pictures beside it."""
        return hashlib.sha256(f"{self.pictures.cache_key}\n{self.run_url}".encode()).hexdigest()[:16]


class PlannedTraining(NamedTuple):
    """A training that is possible.

    Attributes:
        run: its folder.
        job: what its workers must know; of videos the pictures are still to come.
        cnn: they start from it.
        footage: the videos, None for Web images.
        frames: how theirs come to stand in a store.
    """

    run: TrainRun
    job: TrainJob
    cnn: Cnn
    footage: TrainingVideos | None = None
    frames: StorePlan | None = None
