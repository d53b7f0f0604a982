"""One training as plain data: what a worker must know, wherever it runs."""

import dataclasses
from collections.abc import Sequence
from typing import Literal

import numpy as np

from attn.engine.options import TrainCnnOptions


@dataclasses.dataclass(frozen=True)
class TrainJob:
    """Everything decided on the driver, before any worker starts.

    Attributes:
        options: flags; those that were left to the program are resolved in the fields below.
        class_names: of the outputs.
        names: of the images, relative to their folder.
        paths: of the images, local or URLs.
        labels: their class ids.
        input_size: side of the CNN's input, in pixels.
        cache_key: of the prepared images.
        cache_folder: on each machine; None for a temporary one.
        fresh: the part of the network that was just drawn.
        freeze_batchnorm: keep its statistics.
        run_url: folder beside the output.
    """

    options: TrainCnnOptions
    class_names: tuple[str, ...]
    names: Sequence[str]
    paths: Sequence[str]
    labels: np.ndarray
    input_size: int
    cache_key: str
    cache_folder: str | None
    fresh: Literal["all", "classifier", "nothing"]
    freeze_batchnorm: bool
    run_url: str
