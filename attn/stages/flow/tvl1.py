"""TV-L1 optical flow of a whole batch of pairs at once, on CPU or GPU.

The flow u minimises, over the image, λ |I1(x + u) − I0(x)| + |∇u|. Around a flow u₀ the first term is made linear:
ρ(u) = I1(x + u₀) + ∇I1(x + u₀) · (u − u₀) − I0. An auxiliary flow v couples both terms, and two steps alternate:

    v = u + clip(−ρ(u) / |∇I1|², −λθ, λθ) ∇I1          exact minimum of the data term
    u = v + θ div p,   p = (p + τ/θ ∇u) / (1 + τ/θ |∇u|)   total variation, by its dual p

The steps run at each level of a pyramid, and I1 is warped several times per level. A pair has converged when its mean
squared step is below ε². It leaves the batch then, so its flow does not depend on the other pairs.

Source: Zach, Pock, Bischof, DAGM 2007; Sánchez Pérez, Meinhardt-Llopis, Facciolo, IPOL 2013; parameters and median
filter of OpenCV's `DualTVL1OpticalFlow`. Differs: the border is repeated outwards instead of 0, which would let a flow
across the border grow with each warp; only every fifth step is checked for convergence.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor
from torch.nn import functional as F

from attn.stages.flow.median import median_5x5

GREY = (0.299, 0.587, 0.114)
CHECK_EVERY = 5
"""Steps between two checks for convergence; a GPU has to wait for each check."""
LEAST_SIZE = 16
"""Smallest side of a level of the pyramid, in pixels."""
FLAT = 1e-6
"""Squared slope of an image, (grey values per pixel)², below which it is the rounding error of a constant."""
CPU_PAIRS = 4
"""Pairs at one time on a CPU, whose cache holds no more at 128 pixels. A GPU takes the whole batch."""

Flow = Float[Tensor, "pair 2 row col"]
Images = Float[Tensor, "pair 1 row col"]


@dataclasses.dataclass(frozen=True)
class TvL1Parameters:
    """Parameters of TV-L1.

    Attributes:
        attachment: λ, weight of the data term, for grey values from 0 to 255.
        tightness: θ, coupling of v and u.
        time_step: τ, step of the dual variable.
        levels: number of levels of the pyramid, if the image is large enough.
        level_scale: side of a level relative to the one below.
        warps: number of warps per level.
        median_rounds: largest number of rounds per warp; the flow is median-filtered before each of them.
        steps: largest number of steps per round.
        convergence: ε, in pixels.
    """

    attachment: float = 0.15
    tightness: float = 0.3
    time_step: float = 0.25
    levels: int = 5
    level_scale: float = 0.8
    warps: int = 5
    median_rounds: int = 10
    steps: int = 30
    convergence: float = 0.01


class TvL1:
    """Flow of pairs of frames by TV-L1."""

    def __init__(self, parameters: TvL1Parameters | None = None, *, device: str = "cpu"):
        self._parameters, self._device = parameters or TvL1Parameters(), torch.device(device)

    @torch.inference_mode()
    def __call__(self, pairs: UInt8[np.ndarray, "pair 2 row col 3"]) -> Float32[np.ndarray, "pair 2 row col"]:
        """Compute the flow from the first to the second frame of each pair, in pixels: to the right, then down."""
        at_once = CPU_PAIRS if self._device.type == "cpu" else max(len(pairs), 1)
        chunks = [pairs[start : start + at_once] for start in range(0, len(pairs), at_once)]
        return np.concatenate([self._flow(chunk).cpu().numpy() for chunk in chunks])

    def _flow(self, pairs: UInt8[np.ndarray, "pair 2 row col 3"]) -> Flow:
        images = torch.from_numpy(np.require(pairs, requirements="W")).to(self._device).float()
        grey = (images @ torch.tensor(GREY, device=self._device)).round()  # as 8-bit grey images
        return tv_l1(grey[:, :1], grey[:, 1:], self._parameters)


def tv_l1(first: Images, second: Images, parameters: TvL1Parameters) -> Flow:
    """Flow from the first to the second images, in pixels: to the right, then down.

    Args:
        first, second: grey values, 0 to 255.
        parameters: parameters of the algorithm.
    """
    levels = list(_pyramid(torch.cat([first, second], 1), parameters))
    flow = levels[-1].new_zeros(len(first), 2, *levels[-1].shape[-2:])
    for images in reversed(levels):
        flow = _resized_flow(flow, (images.shape[-2], images.shape[-1]))
        flow = _level(images[:, :1], images[:, 1:], flow, parameters)
    return flow


def _pyramid(images: Float[Tensor, "pair 2 row col"], parameters: TvL1Parameters) -> Iterator[Tensor]:
    """Images at each level, from the finest. The last levels are left out if they were too small."""
    yield images
    for _ in range(parameters.levels - 1):
        height, width = (round(side * parameters.level_scale) for side in images.shape[-2:])
        if min(height, width) < LEAST_SIZE:
            return
        images = F.interpolate(images, (height, width), mode="bilinear", align_corners=False)
        yield images


def _resized_flow(flow: Flow, size: tuple[int, int]) -> Flow:
    (height, width), (rows, cols) = flow.shape[-2:], size
    if (height, width) == size:
        return flow
    larger = F.interpolate(flow, size, mode="bilinear", align_corners=False)
    return larger * larger.new_tensor([cols / width, rows / height]).view(2, 1, 1)


def _level(first: Images, second: Images, flow: Flow, parameters: TvL1Parameters) -> Flow:
    """Flow at one level of the pyramid, from a first estimate."""
    slopes = torch.cat([second, *_central_differences(second)], 1)
    dual = flow.new_zeros(len(flow), 2, 2, *flow.shape[-2:])
    for _ in range(parameters.warps):
        warped = _warped(slopes, flow)
        offset = warped[:, :1] - first - (warped[:, 1:] * flow).sum(1, keepdim=True)
        flow, dual = _Relaxation(offset, warped[:, 1:], flow, dual, parameters).solved()
    return flow


def _central_differences(images: Images) -> tuple[Images, Images]:
    """Slopes to the right and down; at the border, half the difference to the neighbour."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    right = (padded[..., 1:-1, 2:] - padded[..., 1:-1, :-2]) / 2
    return right, (padded[..., 2:, 1:-1] - padded[..., :-2, 1:-1]) / 2


def _warped(images: Float[Tensor, "pair chan row col"], flow: Flow) -> Float[Tensor, "pair chan row col"]:
    """Images at the places where the flow leads, by bicubic interpolation; the border is repeated outwards."""
    height, width = flow.shape[-2:]
    cols = torch.arange(width, device=flow.device) + flow[:, 0]
    rows = torch.arange(height, device=flow.device).view(-1, 1) + flow[:, 1]
    places = torch.stack([2 * cols / (width - 1) - 1, 2 * rows / (height - 1) - 1], -1)
    return F.grid_sample(images, places, mode="bicubic", padding_mode="border", align_corners=True)


class _Relaxation:
    """Alternating steps of u, v and p after one warp.

    Args:
        offset: ρ(0), so that ρ(u) = offset + slopes · u.
        slopes: ∇I1, warped.
        flow: u.
        dual: p; axes: component of the flow, direction of the derivative.
        parameters: parameters of the algorithm.
    """

    def __init__(
        self,
        offset: Images,
        slopes: Flow,
        flow: Flow,
        dual: Float[Tensor, "pair 2 2 row col"],
        parameters: TvL1Parameters,
    ):
        self._parameters = parameters
        self._offset, self._slopes, self._flow, self._dual = offset, slopes, flow.clone(), dual
        steepness = (slopes**2).sum(1, keepdim=True)
        self._inverse = torch.where(steepness > FLAT, -1 / steepness.clamp_min(FLAT), 0)
        self._pairs = torch.arange(len(flow), device=flow.device)
        self._found = flow.clone(), dual.clone()

    def solved(self) -> tuple[Flow, Float[Tensor, "pair 2 2 row col"]]:
        """Flow and dual variable after convergence, or after the largest number of steps."""
        for _ in range(self._parameters.median_rounds):
            if not len(self._pairs):
                break
            self._flow = median_5x5(self._flow)
            for step in range(1, self._parameters.steps + 1):
                change = self._step()
                if step % CHECK_EVERY == 0 and self._all_converged(change):
                    break
        self._put(slice(None))
        return self._found

    def _step(self) -> Float[Tensor, " pair"]:
        """One step of all variables; returns the mean squared step of each pair's flow."""
        own, flow, dual, slopes = self._parameters, self._flow, self._dual, self._slopes
        most = own.attachment * own.tightness
        residual = torch.addcmul(self._offset, slopes[:, :1], flow[:, :1]).addcmul_(slopes[:, 1:], flow[:, 1:])
        gain = residual.mul_(self._inverse).clamp_(-most, most)
        nearer = torch.addcmul(flow, gain, slopes)
        after = nearer.add_(_divergence(dual), alpha=own.tightness)
        change = (after - flow).square_().sum(1).mean((-2, -1))
        slopes_of_flow = _forward_differences(after)
        rate = own.time_step / own.tightness
        right, down = slopes_of_flow.unbind(2)
        length = (right * right).addcmul_(down, down).sqrt_().unsqueeze(2)  # vector_norm takes ten times as long
        self._dual = dual.add_(slopes_of_flow, alpha=rate).div_(length.mul_(rate).add_(1))
        self._flow = after
        return change

    def _all_converged(self, change: Float[Tensor, " pair"]) -> bool:
        """Take converged pairs out of the batch; return whether none is left."""
        moving = change > self._parameters.convergence**2
        left = int(moving.sum())
        if left < len(moving):
            self._put(~moving)
            self._pairs, self._offset, self._inverse = (
                one[moving] for one in (self._pairs, self._offset, self._inverse)
            )
            self._slopes, self._flow, self._dual = (one[moving] for one in (self._slopes, self._flow, self._dual))
        return not left

    def _put(self, which: Tensor | slice) -> None:
        """Record flow and dual variable of some of the pairs that are left."""
        flow, dual = self._found
        flow[self._pairs[which]], dual[self._pairs[which]] = self._flow[which], self._dual[which]


def _divergence(dual: Float[Tensor, "pair 2 2 row col"]) -> Flow:
    """Divergence by backward differences, the negative adjoint of `_forward_differences`."""
    right, down = dual[:, :, 0], dual[:, :, 1]
    found = right + down
    found[..., 1:].sub_(right[..., :-1])
    found[..., 1:, :].sub_(down[..., :-1, :])
    return found


def _forward_differences(flow: Flow) -> Float[Tensor, "pair 2 2 row col"]:
    """Slopes to the right and down of both components, 0 in the last column or row."""
    found = torch.zeros(flow.shape[0], 2, 2, *flow.shape[-2:], device=flow.device, dtype=flow.dtype)
    torch.sub(flow[..., 1:], flow[..., :-1], out=found[:, :, 0, :, :-1])
    torch.sub(flow[..., 1:, :], flow[..., :-1, :], out=found[:, :, 1, :-1])
    return found
