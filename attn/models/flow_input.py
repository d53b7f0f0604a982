"""Stacks of optical flow, which a CNN can take instead of images."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from attn.errors import UsageError
from attn.models.network_input import Rgb
from attn.storage.error_messages import shown
from attn.storage.manifest import FLOW_FIELDS, FlowManifest

MEAN: Rgb = (0.0, 0.0, 0.0)
STD: Rgb = (0.226, 0.226, 0.226)
"""Normalisation of the integers of a flow store, in units of 255 as for images: the mean of ImageNet's three.

Source: Wang et al. 2016 (TSN), released code.
"""


@dataclasses.dataclass(frozen=True)
class FlowInput:
    """Input of a CNN of optical flow.

    Attributes:
        length: L, number of consecutive flows in a stack. The input has 2L channels: flow to the right and down of the
            first frame, then of the next ones.
        kind: fields of a flow store that decide its kind of flow, in JSON types.
    """

    length: int
    kind: Mapping[str, Any]

    @classmethod
    def of(cls, manifest: FlowManifest, length: int) -> "FlowInput":
        """Stacks of the flow of a store."""
        return cls(length, manifest.of(FLOW_FIELDS))

    @property
    def channels(self) -> int:
        """Number of input channels, 2L."""
        return 2 * self.length

    def check(self, manifest: FlowManifest, *, store: str, weights: str) -> None:
        """Refuse flow of another kind than the CNN has learnt from.

        Raises:
            UsageError: the store has such flow; the message shows the difference.
        """
        other = manifest.of(FLOW_FIELDS)
        different = [
            f"{name}: {other.get(name)} here, {self.kind.get(name)} there"
            for name in FLOW_FIELDS
            if other.get(name) != self.kind.get(name)
        ]
        if different:
            raise UsageError(
                f"{shown(store)}: flow of another kind than {shown(weights)} has learnt from ({'; '.join(different)}). "
                "Give a flow store made with the same flags."
            )
