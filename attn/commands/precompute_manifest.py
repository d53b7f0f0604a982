"""Manifest of an attention store, from the flags of precompute and the CNN that fills it."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from attn.commands.precompute_options import PrecomputeOptions
from attn.models.checkpoint import Cnn
from attn.models.open_clip_networks import is_open_clip
from attn.models.timm_networks import is_timm
from attn.schema import SIMILARITY
from attn.stages.attention import all_maps
from attn.storage.manifest import Manifest
from attn.storage.store_manifest import made_by

PACKAGES = ("torch", "torchvision", "ray", "pyarrow", "av", "pillow", "numpy")
"""Packages whose versions are recorded."""


def attention_manifest(options: PrecomputeOptions, cnn: Cnn, sampling: dict[str, Any]) -> Manifest:
    """Manifest of the store that a CNN fills.

    Args:
        options: flags of precompute.
        cnn: the CNN.
        sampling: record of the sampling.

    Raises:
        UsageError: the network has no maps of the kind of `--map-kind`.
    """
    with torch.inference_mode():
        probe = torch.zeros(1, cnn.channels, cnn.input_size, cnn.input_size)
        activations = cnn.backbone.eval().trunk(probe)
    compute = all_maps(cnn.backbone, options.map_kind, options.alpha_reduce)
    if options.map_kind == SIMILARITY:
        compute(activations)  # refuses networks that have none
    _, num_channels, height, width = activations.shape
    return Manifest(
        class_names=cnn.class_names,
        backbone=cnn.backbone_name,
        weights_sha256=cnn.weights_sha256,
        map_layer=cnn.backbone.map_layer,
        alpha_reduce=options.alpha_reduce,
        map_kind=options.map_kind,
        input_size=cnn.input_size,
        mean=cnn.mean,
        std=cnn.std,
        preprocessing=str(cnn.resampling),
        sampling=sampling,
        precision=options.precision,
        columns=tuple(sorted(set(options.columns))),
        num_channels=num_channels,
        map_shape=(height, width),
        flow=None if cnn.flow is None else dataclasses.asdict(cnn.flow),
        informative={
            "map_route": compute.route,
            **made_by(_packages(cnn)),
            "options": dataclasses.asdict(options),
        },
    )


def _packages(cnn: Cnn) -> Sequence[str]:
    if is_open_clip(cnn.backbone_name):
        return (*PACKAGES, "timm", "open_clip_torch")
    return (*PACKAGES, "timm") if is_timm(cnn.backbone_name) else PACKAGES
