"""State of a training after a validation, as the files of a checkpoint.

`weights.safetensors`: current weights; `kept.safetensors`: those of the best validation, if they differ;
`optimizer.pt`: tensors and numbers, read without unpickling anything else; `state.json`: everything else.
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
        record: rows of metrics (`rows`) and further entries of the model, in JSON types.
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
        """Names and contents, one at a time so that not all are in memory at once."""
        yield WEIGHTS, safetensors.torch.save(plain(self.weights))
        if self.kept:
            yield KEPT, safetensors.torch.save(self.kept)
        moments = io.BytesIO()
        torch.save(self.optimizer, moments)
        yield OPTIMIZER, moments.getvalue()
        yield RECORD, json.dumps(self.record, ensure_ascii=False).encode()

    @classmethod
    def of(cls, files: Mapping[str, bytes]) -> "State":
        """Read the files of a checkpoint, on the CPU."""
        record = json.loads(files[RECORD])
        if "epochs" in record:  # name of the rows in checkpoints of CNNs that were begun before all had one format
            record["rows"] = record.pop("epochs")
        return cls(
            weights=safetensors.torch.load(files[WEIGHTS]),
            kept=safetensors.torch.load(files[KEPT]) if KEPT in files else {},
            optimizer=torch.load(io.BytesIO(files[OPTIMIZER]), map_location="cpu", weights_only=True),
            record=record,
        )


def plain(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Contiguous copies on the CPU, which later steps do not change."""
    return {
        name: tensor.detach().cpu().clone(memory_format=torch.contiguous_format) for name, tensor in tensors.items()
    }
