"""Frames in, attention maps of every class out: the work of one CNN actor."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from attn.maps.gradcam import AlphaReduce, GradCam
from attn.models.checkpoint import Cnn
from attn.schema import FEATURES, GRID, LOGITS, MAPS

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class ComputeMaps:
    """Runs a CNN over batches of frames and keeps the requested columns.

    The trunk may run in low precision; the head and the maps are always computed in fp32, and stored as fp16: a
    ReLU mask that flips near 0 would change a map, a rounded result hardly does. fp32 means fp32: TF32, which cuDNN
    uses by default, is turned off in this process; who wants its speed wants bf16.

    Args:
        cnn: what to run.
        columns: which of maps, logits, features, grid to return.
        precision: fp32, bf16 or fp16, of the trunk.
        device: where.
        alpha_reduce: whether gradients are averaged over the places of a map, or summed.
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
        self._mean = torch.tensor(cnn.mean, device=self._device).view(3, 1, 1) * 255
        self._std = torch.tensor(cnn.std, device=self._device).view(3, 1, 1) * 255

    @property
    def route(self) -> str:
        """How the maps are computed, see `GradCam`."""
        return self._gradcam.route

    @torch.inference_mode()
    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        """Columns [frame, …] of uint8 images [frame, row, col, rgb]."""
        writable = np.require(images, requirements="W")  # torch takes no read-only memory, Ray's objects are
        batch = torch.from_numpy(writable).to(self._device, non_blocking=True).permute(0, 3, 1, 2)
        activations = self._activations((batch.float() - self._mean) / self._std)
        found = self._found(activations)
        return {name: found[name].cpu().numpy() for name in self._columns}

    def _activations(self, batch: Tensor) -> Tensor:
        low = self._dtype != torch.float32
        with torch.autocast(self._device.type, dtype=self._dtype, enabled=low):
            return self._backbone.trunk(batch).float()

    def _found(self, activations: Tensor) -> dict[str, Tensor]:
        maps, logits = self._gradcam(activations)
        return {
            MAPS: maps.half(),
            LOGITS: logits,
            FEATURES: activations.mean(dim=(-2, -1)).half(),
            GRID: activations.half(),
        }
