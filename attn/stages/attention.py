"""Computation of attention maps of all classes from frames: the work of one CNN actor."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from attn.maps.gradcam import AlphaReduce, GradCam
from attn.models.checkpoint import Cnn
from attn.schema import FEATURES, GRID, LOGITS, MAPS

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


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
    """

    def __init__(
        self,
        cnn: Cnn,
        *,
        columns: Sequence[str],
        precision: str,
        device: str,
        alpha_reduce: AlphaReduce = "mean",
    ):
        torch.backends.cudnn.allow_tf32 = False
        self._columns, self._device, self._dtype = tuple(columns), torch.device(device), DTYPES[precision]
        self._backbone = cnn.backbone.to(self._device).eval().to(memory_format=torch.channels_last)
        self._gradcam = GradCam.of(self._backbone.head, alpha_reduce=alpha_reduce)
        mean, std = (torch.tensor(values, device=self._device).view(-1, 1, 1) * 255 for values in cnn.normalisation)
        self._mean, self._std = mean, std

    @property
    def route(self) -> str:
        """Name of the route by which the maps are computed, see `GradCam`."""
        return self._gradcam.route

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
            maps, logits = self._gradcam(activations)
        else:
            maps, logits = activations, None
        return {
            MAPS: maps.half,
            LOGITS: lambda: self._backbone.head(activations) if logits is None else logits,
            FEATURES: lambda: activations.mean(dim=(-2, -1)).half(),
            GRID: activations.half,
        }
