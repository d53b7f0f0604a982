"""Training of an EnergyNet as plain data for the workers."""

import dataclasses
from typing import Any

from attn.concepts.concept_vectors import ConceptVectors
from attn.storage.store import AttentionStore
from attn.training.energy_config import WINDOW, EnergyConfig
from attn.training.energynet_options import TrainEnergyNetOptions
from attn.training.video_table import VideoTable


@dataclasses.dataclass(frozen=True)
class EnergyJob:
    """Training as plain data for the workers, on any machine.

    Attributes:
        options: command-line options.
        store_urls: absolute URLs of the stores of the training maps.
        map_source: entries about the maps for the report.
        train: training videos.
        held_out: videos for validation; may be empty.
        concepts: one vector per class.
        map_shape: number of rows and columns of each map.
        run_url: URL of the run folder.
    """

    options: TrainEnergyNetOptions
    store_urls: tuple[str, ...]
    map_source: dict[str, Any]
    train: VideoTable
    held_out: VideoTable
    concepts: ConceptVectors
    map_shape: tuple[int, int]
    run_url: str

    @property
    def config(self) -> EnergyConfig:
        """Training settings."""
        return self.options

    @property
    def window(self) -> int:
        """Side of the window of a residual network's UnAtt energy."""
        return min(WINDOW, *self.map_shape)

    def open_stores(self) -> list[AttentionStore]:
        """Open the stores of the training maps.

        Raises:
            UsageError: a store does not exist or is not finished.
        """
        return [AttentionStore.open(url, allow_partial=self.options.allow_partial) for url in self.store_urls]
