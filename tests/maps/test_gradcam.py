import copy
import math

import pytest
import torch
from torch import nn

from attn.maps.energy import window_energy
from attn.maps.gradcam import ROUTES, GradCam, attention_maps
from attn.models.backbone import BACKBONE_NAMES, build_backbone
from tests.backbones import siblings_long

NUM_CLASSES = 5
ROUTE_OF = {
    **dict.fromkeys(("vgg16", "vgg16_bn"), "mlp"),
    **dict.fromkeys(("squeezenet1_0", "squeezenet1_1"), "conv_pool"),
    "convnext_tiny": "vjp",
}


@pytest.fixture(scope="module", params=siblings_long([*BACKBONE_NAMES, "mobilenet_v2_w035"]))
def pass_forward(request):
    """A backbone in eval mode, and images and activations of a non-square batch, as they leave inference mode."""
    torch.manual_seed(0)
    backbone = build_backbone(request.param, NUM_CLASSES)
    images = torch.randn(2, 3, 64, 96)
    for module in backbone.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = 1
    with torch.inference_mode():
        backbone.trunk(images)  # BatchNorm learns these images, or GoogLeNet's activations underflow
        return backbone.eval(), images, backbone.trunk(images)


def test_maps_of_every_backbone_are_those_of_one_class_at_a_time(
    pass_forward, one_class_at_a_time, assert_close_to_largest
):
    backbone, images, activations = pass_forward
    gradcam = GradCam.of(backbone.head)
    maps, logits = gradcam(activations)

    expected_maps, expected_logits = one_class_at_a_time(activations, backbone.head)
    assert gradcam.route == ROUTE_OF.get(backbone.name, "pool_linear")
    assert maps.min() >= 0
    assert maps.shape[-1] > maps.shape[-2]
    assert_close_to_largest(maps, expected_maps, 1e-5)
    if backbone.name.startswith("resnet"):
        # Rounding errors of a sum over channels grow like its square root; the order of the sum is the processor's.
        bound = math.sqrt(activations.shape[1]) * torch.finfo(torch.float32).eps
        assert (maps - expected_maps).norm() <= bound * expected_maps.norm()
    assert_close_to_largest(logits, expected_logits, 1e-5)
    with torch.inference_mode():
        assert_close_to_largest(logits, backbone(images), 1e-5)


def test_maps_of_every_backbone_are_exact_in_fp64(pass_forward, one_class_at_a_time, assert_close_to_largest):
    backbone, _, activations = pass_forward
    head, activations = copy.deepcopy(backbone.head).double(), activations.double()
    with torch.inference_mode():
        maps, logits = attention_maps(activations, head)
    expected_maps, expected_logits = one_class_at_a_time(activations, head)
    assert_close_to_largest(maps, expected_maps, 1e-12)
    assert_close_to_largest(logits, expected_logits, 1e-12)


# One head of each kind, small enough to try everything on.
HEADS = {
    "pool_linear": lambda: [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(), nn.Linear(8, NUM_CLASSES)],
    "conv_pool": lambda: [
        *(
            nn.Dropout(),
            nn.Conv2d(8, NUM_CLASSES, 1),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d((1, 1)),
            nn.Flatten(),
        ),
    ],
    "mlp": lambda: [
        *(nn.MaxPool2d(2, 2), nn.AdaptiveAvgPool2d((3, 3)), nn.Flatten()),
        *(nn.Linear(72, 16), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(16, 12), nn.ReLU(), nn.Dropout()),
        nn.Linear(12, NUM_CLASSES),
    ],
    "vjp": lambda: [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, NUM_CLASSES)],
}


@pytest.fixture(params=HEADS)
def head(request) -> nn.Sequential:
    torch.manual_seed(3)
    return nn.Sequential(*HEADS[request.param]()).double().eval()


def test_the_head_chooses_the_route(head, request):
    assert GradCam.of(head).route == request.node.callspec.params["head"]


@pytest.mark.parametrize("route", [route for route in ROUTES if route != "vjp"])
def test_closed_forms_agree_with_the_general_way(route, relu_features, assert_close_to_largest):
    torch.manual_seed(4)
    head = nn.Sequential(*HEADS[route]()).double().eval()
    activations = relu_features(3, 8, 5, 9)
    maps, logits = GradCam.of(head, route=route)(activations)
    general_maps, general_logits = GradCam.of(head, route="vjp")(activations)
    assert_close_to_largest(maps, general_maps, 1e-13)
    assert_close_to_largest(logits, general_logits, 1e-13)


def test_sum_form_is_cells_times_mean_form_and_decides_alike(head, relu_features, assert_close_to_largest):
    activations = relu_features(4, 8, 5, 7)
    mean_maps, mean_logits = attention_maps(activations, head)
    sum_maps, sum_logits = attention_maps(activations, head, alpha_reduce="sum")
    assert torch.equal(mean_logits, sum_logits)
    assert_close_to_largest(sum_maps, 35 * mean_maps, 1e-14)
    assert torch.equal(window_energy(sum_maps).argmax(dim=1), window_energy(mean_maps).argmax(dim=1))


# Not conv_pool: there a ReLU follows the bias, which therefore decides where the gradient passes.
@pytest.mark.parametrize("head", ["pool_linear", "mlp", "vjp"], indirect=True)
def test_bias_of_the_last_linear_layer_changes_logits_but_no_map(head, relu_features):
    activations = relu_features(2, 8, 6, 6)
    maps, logits = attention_maps(activations, head)
    with torch.no_grad():
        head[-1].bias += torch.arange(NUM_CLASSES)
    shifted_maps, shifted_logits = attention_maps(activations, head)
    assert torch.equal(shifted_maps, maps)
    assert torch.allclose(shifted_logits - logits, torch.arange(NUM_CLASSES).double())
    assert not torch.equal(shifted_logits.argmax(dim=1), logits.argmax(dim=1))


def test_memory_budget_changes_no_result(head, relu_features, assert_close_to_largest):
    activations = relu_features(2, 8, 6, 6)
    whole, whole_logits = GradCam.of(head)(activations)
    for budget_bytes in (1, 3000):
        maps, logits = GradCam.of(head, budget_bytes=budget_bytes)(activations)
        assert_close_to_largest(maps, whole, 1e-14)
        assert torch.equal(logits, whole_logits)


@pytest.mark.parametrize(
    ("trunk", "head_dtype", "tolerance"),
    [
        (torch.float64, torch.float64, 1e-13),
        (torch.float32, torch.float64, 1e-13),
        (torch.float32, torch.float32, 1e-5),
        (torch.bfloat16, torch.float32, 1e-5),
        (torch.float16, torch.float32, 1e-5),
    ],
)
def test_maps_have_the_precision_of_the_head(
    head, trunk, head_dtype, tolerance, relu_features, one_class_at_a_time, assert_close_to_largest
):
    activations = relu_features(2, 8, 6, 6).to(trunk)
    head = head.to(head_dtype)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        maps, logits = GradCam.of(head)(activations)
    expected_maps, expected_logits = one_class_at_a_time(activations.to(head_dtype), head)
    assert maps.dtype == logits.dtype == head_dtype
    assert_close_to_largest(maps, expected_maps, tolerance)
    assert_close_to_largest(logits, expected_logits, tolerance)


def test_leaves_activations_weights_and_gradients_alone(head, relu_features):
    activations = relu_features(2, 8, 6, 6)
    before, weights = activations.clone(), copy.deepcopy(head.state_dict())
    maps, logits = GradCam.of(head)(activations)
    assert torch.equal(activations, before)
    assert all(torch.equal(weights[key], tensor) for key, tensor in head.state_dict().items())
    assert all(parameter.grad is None for parameter in head.parameters())
    assert not maps.requires_grad
    assert not logits.requires_grad


def test_frames_do_not_influence_each_other(head, relu_features, assert_close_to_largest):
    activations = relu_features(3, 8, 6, 6)
    maps, _ = attention_maps(activations, head)
    for i in range(3):
        assert_close_to_largest(attention_maps(activations[i : i + 1], head)[0], maps[i : i + 1], 1e-13)


def test_memory_layout_does_not_matter(head, relu_features, assert_close_to_largest):
    activations = relu_features(2, 8, 6, 5)
    maps, _ = attention_maps(activations, head)
    last = activations.to(memory_format=torch.channels_last)
    assert_close_to_largest(attention_maps(last, head.to(memory_format=torch.channels_last))[0], maps, 1e-13)


def test_no_frames_no_maps(head, relu_features):
    maps, logits = attention_maps(relu_features(0, 8, 6, 5), head)
    assert maps.shape == (0, NUM_CLASSES, 6, 5)
    assert logits.shape == (0, NUM_CLASSES)


def test_maps_of_a_class_are_captums(relu_features, assert_close_to_largest):
    captum = pytest.importorskip("captum.attr")
    torch.manual_seed(0)
    backbone = build_backbone("small_cnn", NUM_CLASSES).double().eval()
    images = torch.randn(2, 3, 48, 64, dtype=torch.float64)
    with torch.no_grad():
        maps, _ = attention_maps(backbone.trunk(images), backbone.head)
    layer_gradcam = captum.LayerGradCam(backbone, backbone.trunk)
    theirs = [layer_gradcam.attribute(images, target=c, relu_attributions=True) for c in range(NUM_CLASSES)]
    assert_close_to_largest(maps, torch.cat(theirs, dim=1).detach(), 1e-12)


def test_real_weights_and_a_real_photograph(real_data, one_class_at_a_time, assert_close_to_largest):
    from PIL import Image
    from torchvision.transforms.v2.functional import pil_to_tensor

    photograph = sorted((real_data / "sports" / "web").glob("*/*.jpg"))[0]
    image = pil_to_tensor(Image.open(photograph).convert("RGB").resize((224, 224))).float() / 127.5 - 1
    for name in ("squeezenet1_0", "mobilenet_v2"):
        backbone = build_backbone(name, 1000).eval()
        backbone.import_weights(torch.load(real_data / "weights" / f"{name}.pth", weights_only=True))
        with torch.inference_mode():
            activations = backbone.trunk(image[None])
        maps, logits = attention_maps(activations, backbone.head)
        best = logits[0].topk(5).indices
        expected, _ = one_class_at_a_time(activations, nn.Sequential(backbone.head, Pick(best)))
        assert_close_to_largest(maps[:, best], expected, 1e-5)


class Pick(nn.Module):
    """Some of the logits."""

    def __init__(self, classes: torch.Tensor) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, logits: torch.Tensor) -> torch.Tensor:
        return logits[:, self.classes]


def test_head_in_training_mode_is_refused(head):
    head[2].train()
    with pytest.raises(ValueError, match=r"head\.eval\(\)"):
        GradCam.of(head)


def test_head_in_half_precision_is_refused(head):
    with pytest.raises(ValueError, match="float32"):
        GradCam.of(head.bfloat16())


def test_route_that_does_not_fit_is_refused():
    head = nn.Sequential(*HEADS["vjp"]()).eval()
    with pytest.raises(ValueError, match=r"pool_linear does not support .*GELU"):
        GradCam.of(head, route="pool_linear")
