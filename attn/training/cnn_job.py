"""Training of a CNN as plain data for the workers."""

import dataclasses
import hashlib
from typing import Literal

from attn.training.cnn_options import TrainCnnOptions
from attn.training.pictures import Pictures, WebImages

Fresh = Literal["all", "classifier", "nothing"]


@dataclasses.dataclass(frozen=True)
class TrainJob:
    """Training as plain data for the workers, on any machine.

    Attributes:
        options: command-line options; automatic ones are resolved in the fields below.
        class_names: class names, in the order of the outputs.
        pictures: training images.
        epochs: number of epochs.
        cache_folder: folder of the pixel cache on each machine; None for a temporary folder.
        fresh: part of the network with random initial weights.
        freeze_batchnorm: whether BatchNorm statistics are frozen.
        partial_batchnorm: whether those of the first layer are updated although the others are frozen.
        run_url: URL of the run folder.
        mixed: Web images that are mixed with the frames; None for frames only.
        start_share: share of the initial weights in the averaged weights.
        mixed_folder: folder of the pixel cache of `mixed` on each machine; None to use `cache_folder`.
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
    partial_batchnorm: bool = False

    @property
    def own_key(self) -> str:
        """Key of the temporary files of this training, which may share a machine with others on the same images."""
        return hashlib.sha256(f"{self.pictures.cache_key}\n{self.run_url}".encode()).hexdigest()[:16]
