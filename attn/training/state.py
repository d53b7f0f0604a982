"""State of a training after a validation, stored as the files of a checkpoint.

`weights.safetensors`: current weights; `kept.safetensors`: weights of the best validation, if they differ;
`optimizer.pt`: tensors and numbers, loaded with `weights_only=True`; `state.json`: everything else.
"""

import dataclasses
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

WEIGHTS, KEPT, OPTIMIZER, RECORD = "weights.safetensors", "kept.safetensors", "optimizer.pt", "state.json"


@dataclasses.dataclass(frozen=True)
class State:
    """Everything that a training needs to resume.

    Attributes:
        weights: current weights, on any device.
        kept: weights of the best validation; empty if they are the current ones.
        optimizer: state of the optimizer.
        record: rows of metrics (`rows`) and model-specific entries, in JSON types.
    """

    weights: dict[str, Tensor]
    kept: dict[str, Tensor]
    optimizer: dict[str, Any]
    record: dict[str, Any]

    @property
    def best(self) -> dict[str, Tensor]:
        """Weights of the best validation."""
        return self.kept or self.weights

    def files(self) -> Iterator[tuple[str, bytes]]:
        """Yield names and contents, one at a time so that not all are in memory at once."""
        yield WEIGHTS, safetensors.torch.save(plain(self.weights))
        if self.kept:
            yield KEPT, safetensors.torch.save(self.kept)
        moments = io.BytesIO()
        torch.save(self.optimizer, moments)
        yield OPTIMIZER, moments.getvalue()
        yield RECORD, json.dumps(self.record, ensure_ascii=False).encode()

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> "State":
        """Create a state from the files of a checkpoint, on the CPU."""
        record = json.loads(files[RECORD])
        if "epochs" in record:  # name of the rows in older checkpoints of CNNs
            record["rows"] = record.pop("epochs")
        return cls(
            weights=safetensors.torch.load(files[WEIGHTS]),
            kept=safetensors.torch.load(files[KEPT]) if KEPT in files else {},
            optimizer=torch.load(io.BytesIO(files[OPTIMIZER]), map_location="cpu", weights_only=True),
            record=record,
        )


def plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return contiguous copies on the CPU, which later steps do not modify."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
