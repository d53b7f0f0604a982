"""RAFT, the optical flow networks of torchvision."""

import numpy as np
import torch
from jaxtyping import Float32, UInt8
from torch import nn

from attn.errors import UsageError
from attn.models.imagenet import downloaded
from attn.models.torchvision_models import load_torchvision
from attn.models.weights_file import WeightsFile, read_weights_file

RAFT = ("raft_small", "raft_large")
LEAST_SIZE, SIZE_STEP = 128, 8
"""Smallest side of a frame, and the number that divides it, in pixels."""
UPDATES = 12
"""Number of refinements of the flow."""


def load_raft(name: str, weights: str) -> tuple[nn.Module, str]:
    """Load a network and return it with the SHA-256 of its weights.

    Args:
        name: one of `RAFT`.
        weights: name of torchvision's weights of this network, such as C_T_V2, which are downloaded once; or a file.

    Raises:
        UsageError: the weights do not exist, cannot be downloaded or belong to another network.
    """
    file = _file(name, weights)
    net = load_torchvision().get_model(name, weights=None)
    try:
        net.load_state_dict(file.tensors)
    except RuntimeError as error:
        first = " ".join(str(error).split(":", 1)[-1].split())[:160]
        raise UsageError(f"{weights}: not weights of {name} ({first}…). Give others with --weights.") from error
    return net.eval(), file.sha256


def _file(name: str, weights: str) -> WeightsFile:
    published = {each.name: each.url for each in load_torchvision().get_model_weights(name)}
    if weights in published:
        return read_weights_file(str(downloaded(published[weights], weights)))
    if "." not in weights:
        raise UsageError(f"--weights {weights}: unknown. Give a file, or one of {', '.join(published)}.")
    return read_weights_file(weights)


class Raft:
    """Flow of pairs of frames by a network of `load_raft`.

    Source: Teed and Deng, ECCV 2020.
    """

    def __init__(self, net: nn.Module, *, device: str):
        torch.backends.cudnn.allow_tf32 = False  # so that rows of a GPU and of a CPU agree
        self._net, self._device = net.to(device), torch.device(device)

    @torch.inference_mode()
    def __call__(self, pairs: UInt8[np.ndarray, "pair 2 row col 3"]) -> Float32[np.ndarray, "pair 2 row col"]:
        """Compute the flow from the first to the second frame of each pair, in pixels: to the right, then down."""
        images = torch.from_numpy(np.require(pairs, requirements="W")).to(self._device)
        first, second = (images.permute(1, 0, 4, 2, 3).float() / 127.5 - 1).unbind()
        return self._net(first, second, num_flow_updates=UPDATES)[-1].cpu().numpy()
