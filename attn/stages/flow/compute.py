"""Computation of a flow store's column from pairs of frames."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import numpy as np

from attn.errors import UsageError
from attn.schema import FLOW
from attn.stages.flow import dis
from attn.stages.flow.quantise import quantised

FlowAlgorithm = Literal["dis", "tvl1", "raft_small", "raft_large"]
ALGORITHMS: tuple[FlowAlgorithm, ...] = get_args(FlowAlgorithm)

Estimator = Callable[[np.ndarray], np.ndarray]
"""Function from pairs of frames, uint8 [pair, 2, row, col, rgb], to flow in pixels, float32 [pair, 2, row, col]."""


@dataclasses.dataclass(frozen=True)
class FlowModel:
    """An algorithm with its parameters, which can be sent to other processes.

    Attributes:
        algorithm: name of the algorithm.
        parameters: parameters that decide the flow, in JSON types.
        net: network of the algorithm, if it has one.
    """

    algorithm: FlowAlgorithm
    parameters: Mapping[str, Any]
    net: Any = None

    @property
    def in_decode_tasks(self) -> bool:
        """Whether decode tasks compute the flow, because the algorithm needs neither torch nor a GPU."""
        return self.algorithm == "dis"

    def on(self, device: str) -> Estimator:
        """Function that computes the flow on a device; it does not change this model."""
        if self.algorithm == "dis":
            return dis.Dis()
        if self.algorithm == "tvl1":
            from attn.stages.flow.tvl1 import TvL1, TvL1Parameters

            return TvL1(TvL1Parameters(**self.parameters), device=device)
        from attn.models.raft import Raft

        return Raft(self.net, device=device)


def open_flow_model(algorithm: FlowAlgorithm, weights: str | None, *, size: int) -> FlowModel:
    """Load an algorithm, and check that it can work on frames of a size.

    Args:
        algorithm: name of the algorithm.
        weights: weights of RAFT, as in `load_raft`.
        size: side of the frames, in pixels.

    Raises:
        UsageError: a package or the weights are missing, the algorithm has no weights, or the size does not suit it.
    """
    if algorithm not in ALGORITHMS:
        raise UsageError(f"--algorithm {algorithm}: unknown. Choose one of {', '.join(ALGORITHMS)}.")
    if algorithm.startswith("raft"):
        return _raft(algorithm, weights, size)
    if weights is not None:
        raise UsageError(f"--weights {weights}: {algorithm} has no weights. Leave --weights out.")
    if algorithm == "dis":
        _check_size(algorithm, size, dis.LEAST_SIZE)
        dis.load_opencv()
        return FlowModel(algorithm, dict(dis.PARAMETERS))
    from attn.stages.flow.tvl1 import LEAST_SIZE, TvL1Parameters

    _check_size(algorithm, size, LEAST_SIZE)
    return FlowModel(algorithm, dataclasses.asdict(TvL1Parameters()))


def _raft(algorithm: FlowAlgorithm, weights: str | None, size: int) -> FlowModel:
    from attn.models.raft import LEAST_SIZE, SIZE_STEP, UPDATES, load_raft

    if weights is None:
        raise UsageError(
            f"--algorithm {algorithm}: needs weights. Give --weights C_T_V2, which torchvision downloads, or a file."
        )
    _check_size(algorithm, size, LEAST_SIZE, SIZE_STEP)
    net, sha256 = load_raft(algorithm, weights)
    return FlowModel(algorithm, {"updates": UPDATES, "weights_sha256": sha256}, net)


def _check_size(algorithm: str, size: int, least: int, step: int = 1) -> None:
    if size < least or size % step:
        multiple = f" and a multiple of {step}" if step > 1 else ""
        raise UsageError(f"--input-size {size}: {algorithm} needs at least {least} pixels{multiple}.")


class ComputeFlow:
    """Compute the column of a flow store from batches of pairs.

    Args:
        model: algorithm.
        bound_px: bound of the integers, in pixels.
        device: device of the computation.
    """

    def __init__(self, model: FlowModel, *, bound_px: float, device: str = "cpu"):
        self._estimate, self._bound_px = model.on(device), bound_px

    def __call__(self, pairs: np.ndarray) -> dict[str, np.ndarray]:
        """Compute int8 flow [pair, 2, row, col] from pairs [pair, 2, row, col, rgb]."""
        return {FLOW: quantised(self._estimate(pairs), self._bound_px)}
