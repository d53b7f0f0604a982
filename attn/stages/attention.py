"""Computation of attention maps of all classes from frames: the work of one CNN actor."""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from attn.maps.gradcam import AlphaReduce, GradCam
from attn.maps.similarity import similarity_maps
from attn.models.backbone import Backbone
from attn.models.checkpoint import Cnn
from attn.models.clip_split import cell_embeddings
from attn.schema import FEATURES, GRADCAM, GRID, LOGITS, MAPS, SIMILARITY

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclasses.dataclass(frozen=True)
class Similarity:
    """Maps of all classes of a zero-shot classifier by the similarity of cells and class texts; see `GradCam`.

    Attributes:
        backbone: network in eval mode.
    """

    backbone: Backbone
    route = SIMILARITY

    @torch.no_grad()
    def __call__(self, activations: Tensor) -> tuple[Tensor, Tensor]:
        """Compute maps [image, class, row, col] and logits [image, class] of a batch.

        Raises:
            UsageError: the network has no embeddings of cells.
        """
        cells = cell_embeddings(self.backbone.head, activations)
        return similarity_maps(cells, self.backbone.classifier.weight), self.backbone.head(activations)


def all_maps(backbone: Backbone, map_kind: str, alpha_reduce: AlphaReduce) -> GradCam | Similarity:
    """Return a function from activations to the maps of all classes and the logits.

    Args:
        backbone: network in eval mode.
        map_kind: `gradcam` or `similarity`.
        alpha_reduce: `mean` or `sum` of the gradients over the cells of a map.
    """
    return Similarity(backbone) if map_kind == SIMILARITY else GradCam.of(backbone.head, alpha_reduce=alpha_reduce)


class ComputeMaps:
    """Run a CNN on batches of frames and return the requested columns.

    The trunk may run in low precision. The head and the maps are always computed in fp32 and stored as fp16: a ReLU
    mask that flips near 0 would change a map, while a rounded result hardly changes it. With fp32, TF32 is turned off
    in this process, although cuDNN uses it by default; bf16 is the option for speed.

    Args:
        cnn: CNN to run.
        columns: columns to return: maps, logits, features, grid.
        precision: precision of the trunk: fp32, bf16 or fp16.
        device: device to run on.
        alpha_reduce: `mean` or `sum` of the gradients over the cells of a map.
        map_kind: `gradcam` or `similarity`.
    """

    def __init__(
        self,
        cnn: Cnn,
        *,
        columns: Sequence[str],
        precision: str,
        device: str,
        alpha_reduce: AlphaReduce = "mean",
        map_kind: str = GRADCAM,
    ):
        torch.backends.cudnn.allow_tf32 = False
        self._columns, self._device, self._dtype = tuple(columns), torch.device(device), DTYPES[precision]
        self._backbone = cnn.backbone.to(self._device).eval().to(memory_format=torch.channels_last)
        self._all_maps = all_maps(self._backbone, map_kind, alpha_reduce)
        mean, std = (torch.tensor(values, device=self._device).view(-1, 1, 1) * 255 for values in cnn.normalisation)
        self._mean, self._std = mean, std

    @property
    def route(self) -> str:
        """Name of the route by which the maps are computed, see `all_maps`."""
        return self._all_maps.route

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Compute columns [frame, …] from images [frame, row, col, rgb] or stacks of flow [frame, row, col, chan]."""
        writable = np.require(images, requirements="W")  # torch needs writable memory, Ray's objects are read-only
        batch = torch.from_numpy(writable).to(self._device, non_blocking=True).permute(0, 3, 1, 2)
        activations = self._activations((batch.float() - self._mean) / self._std)
        found = self._found(activations)
        return {name: found[name]().cpu().numpy() for name in self._columns}

    def _activations(self, batch: Tensor) -> Tensor:
        low = self._dtype != torch.float32
        with torch.autocast(self._device.type, dtype=self._dtype, enabled=low):
            return self._backbone.trunk(batch).float()

    def _found(self, activations: Tensor) -> dict[str, Callable[[], Tensor]]:
        """Columns by name, computed on demand: maps of all classes need far more memory than the others."""
        if MAPS in self._columns:
            maps, logits = self._all_maps(activations)
        else:
            maps, logits = activations, None
        return {
            MAPS: maps.half,
            LOGITS: lambda: self._backbone.head(activations) if logits is None else logits,
            FEATURES: lambda: activations.mean(dim=(-2, -1)).half(),
            GRID: activations.half,
        }
