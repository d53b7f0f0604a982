#!/usr/bin/env python3
"""Benchmark of the attention maps of all classes, relative to a forward pass and to loops over the classes.

It prints one row per network and number of classes: seconds per batch for the forward pass, for the forward pass with
all maps, and their ratio; and seconds for one call per class of Captum and of pytorch-grad-cam, if installed. The loops
are timed for a few classes and extrapolated.

It runs without Ray and needs only torch, torchvision, jaxtyping, NumPy and Pillow:
`PYTHONPATH=. python3 bench/gradcam.py --device cuda`. With timm, `--backbones` takes its networks too, such as
`timm:resnet50 timm:convnext_tiny timm:vit_small_patch16_224`.
"""

import argparse
import dataclasses
import importlib.util
import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from attn.maps.gradcam import GradCam
from attn.models.backbone import build_backbone

HEADER = (
    *("device", "precision", "backbone", "route", "classes", "forward s", "with maps s", "ratio", "frames/s"),
    *("captum s", "captum / ours", "grad-cam s", "grad-cam / ours"),
)
NOT_INSTALLED, NOT_MEASURED = "not installed", "*not measured*"
BATCH_SIZE = {"cpu": 8, "cuda": 64}


@dataclasses.dataclass(frozen=True)
class Case:
    """Settings of one row."""

    device: str
    precision: str
    backbone: str
    classes: int


class LowPrecisionTrunk(nn.Module):
    """Trunk as in the batch job: optionally in bf16, with activations in fp32."""

    def __init__(self, trunk: nn.Module, case: Case) -> None:
        super().__init__()
        self.trunk, self.case = trunk, case

    def forward(self, images: Tensor) -> Tensor:
        with torch.autocast(self.case.device, dtype=torch.bfloat16, enabled=self.case.precision == "bf16"):
            return self.trunk(images).float()


def main() -> None:
    flags = parse()
    print(f"torch {torch.__version__}, {platform.processor() or platform.machine()}, {torch.get_num_threads()} threads")
    clock = "CPU seconds" if flags.cpu_time else "seconds"
    print(f"images of 224×224, random weights; {clock}, median of {flags.repeats} interleaved repeats")
    print(f"loops over the classes: {flags.loop_classes} classes timed, extrapolated to all\n")
    print_row(HEADER)
    print_row(["---"] * len(HEADER))
    for device in flags.device:
        for precision in flags.precision:
            for backbone in flags.backbones:
                for classes in flags.classes:
                    print_row(row_of(Case(device, precision, backbone, classes), flags))


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", nargs="+", choices=BATCH_SIZE, default=list(BATCH_SIZE))
    parser.add_argument("--precision", nargs="+", choices=("fp32", "bf16"), default=["fp32"])
    parser.add_argument("--backbones", nargs="+", default=["resnet50", "mobilenet_v2", "vgg16", "squeezenet1_0"])
    parser.add_argument("--classes", nargs="+", type=int, default=[10, 101, 400, 1000])
    parser.add_argument("--batch-size", type=int, help="frames per pass (default: 8 on cpu, 64 on cuda)")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--loop-classes", type=int, default=2, help="number of classes to time in loops; 0: skip loops")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="measure CPU seconds, for shared machines; requires OMP_NUM_THREADS=1, not for cuda",
    )
    return parser.parse_args()


def row_of(case: Case, flags: argparse.Namespace) -> list[str]:
    cells = [case.device, case.precision, case.backbone]
    if case.device == "cuda" and not torch.cuda.is_available():
        return [*cells, "", str(case.classes), *[NOT_MEASURED] * (len(HEADER) - 5)]
    torch.manual_seed(0)
    backbone = build_backbone(case.backbone, case.classes).eval().to(case.device)
    backbone.to(memory_format=torch.channels_last)
    net = nn.Sequential(LowPrecisionTrunk(backbone.trunk, case), backbone.head)
    batch_size = flags.batch_size or BATCH_SIZE[case.device]
    images = torch.randn(batch_size, 3, 224, 224, device=case.device).to(memory_format=torch.channels_last)
    gradcam = GradCam.of(backbone.head)
    ways = {
        "forward": torch.inference_mode()(lambda images: net(images)),
        "ours": torch.inference_mode()(lambda images: gradcam(net[0](images))),
        **class_loops(net, flags.loop_classes),
    }
    seconds = interleaved(ways, images, flags)
    return [*cells, gradcam.route, str(case.classes), *figures(seconds, case.classes, batch_size, flags)]


def class_loops(net: nn.Sequential, classes: int) -> dict[str, Callable[[Tensor], object]]:
    """Loops over classes with the installed libraries; Captum returns raw maps, pytorch-grad-cam scaled ones."""
    loops: dict[str, Callable[[Tensor], object]] = {}
    if classes and importlib.util.find_spec("captum"):
        from captum.attr import LayerGradCam

        attribution = LayerGradCam(net, net[0])
        loops["captum"] = lambda images: [
            attribution.attribute(images, target=c, relu_attributions=True) for c in range(classes)
        ]
    if classes and importlib.util.find_spec("pytorch_grad_cam"):
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        cam = GradCAM(model=net, target_layers=[net[0]])

        def grad_cam(images: Tensor) -> None:
            for c in range(classes):
                targets: list[Any] = [ClassifierOutputTarget(c)] * len(images)
                cam(input_tensor=images, targets=targets)

        loops["grad-cam"] = grad_cam
    return loops


def interleaved(
    ways: dict[str, Callable[[Tensor], object]], images: Tensor, flags: argparse.Namespace
) -> dict[str, list[float]]:
    """Seconds of each function, measured in turns so that other load affects all equally."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    clock = time.process_time if flags.cpu_time else time.perf_counter
    for repeat in range(flags.repeats + 1):
        for name, way in ways.items():
            synchronize(images.device)
            start = clock()
            way(images)
            synchronize(images.device)
            if repeat:  # the first round is a warm-up
                seconds[name].append(clock() - start)
    return seconds


def synchronize(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def figures(seconds: dict[str, list[float]], classes: int, batch_size: int, flags: argparse.Namespace) -> list[str]:
    forward, ours = statistics.median(seconds["forward"]), statistics.median(seconds["ours"])
    ratio = statistics.median(b / a for a, b in zip(seconds["forward"], seconds["ours"], strict=True))
    columns = [f"{forward:.4f}", f"{ours:.4f}", f"{ratio:.3f}", f"{batch_size / ours:.1f}"]
    for name in ("captum", "grad-cam"):
        if name in seconds:
            loop = statistics.median(seconds[name]) * classes / flags.loop_classes
            columns += [f"{loop:.2f}", f"{loop / ours:.0f}×"]
        else:
            columns += [NOT_INSTALLED if flags.loop_classes else NOT_MEASURED] * 2
    return columns


def print_row(cells: list[str] | tuple[str, ...]) -> None:
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
