import subprocess
import sys

LOADS = """
import sys
from attn.models.backbone import build_backbone
from attn.models.imagenet import imagenet_class_names
net = build_backbone("mobilenet_v2_w035", len(imagenet_class_names()))
assert "timm" not in sys.modules, "timm was loaded"
assert "sympy" not in sys.modules and "torch._dynamo.utils" not in sys.modules, "the compiler was loaded"

import torch, torchvision
boxes = torch.tensor([[0, 0.0, 0, 4, 4]])
images = torch.arange(64.0).reshape(1, 1, 8, 8)
print(torchvision.ops.roi_align(images, boxes, 2).tolist())

from torch._dynamo.utils import is_compile_supported
assert sys.modules["torchvision.ops.roi_align"].is_compile_supported("cpu") == is_compile_supported("cpu")
print(torch.compile(lambda x: x + 1, backend="eager")(torch.zeros(1)).tolist())
"""


def test_networks_come_without_the_compiler_which_works_when_it_is_asked():
    run = subprocess.run([sys.executable, "-c", LOADS], capture_output=True, text=True, timeout=200, check=False)
    assert run.returncode == 0, run.stderr
    import torch
    from torchvision.ops import roi_align

    expected = roi_align(torch.arange(64.0).reshape(1, 1, 8, 8), torch.tensor([[0, 0.0, 0, 4, 4]]), 2).tolist()
    assert run.stdout == f"{expected}\n[1.0]\n"
