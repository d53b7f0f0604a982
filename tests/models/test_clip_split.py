"""Image encoders of open_clip: one of each kind, cut into trunk and head."""

import copy
import pickle
from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F

from attn.errors import UsageError
from attn.maps.gradcam import GradCam
from attn.models.backbone import build_backbone
from attn.models.clip_split import cell_embeddings
from tests.clip_towers import TOWERS, whole_clip

pytestmark = pytest.mark.usefixtures("tiny_clips")

NUM_CLASSES = 5


class Tower(NamedTuple):
    """Network, side lengths of the grid, channels that the maps weight, and map layer."""

    name: str
    grid: tuple[int, int]
    chan: int
    map_layer: str


CASES = [
    Tower("tiny-ViT", (4, 4), 32, "visual.transformer.resblocks.1"),
    Tower("tiny-ViT-wide", (4, 6), 32, "visual.transformer.resblocks.1"),
    Tower("tiny-ViT-avg", (4, 4), 32, "visual.transformer.resblocks.2"),
    Tower("tiny-CoCa", (4, 4), 32, "visual.transformer.resblocks.2"),
    Tower("tiny-RN", (3, 3), 256, "visual.layer4"),
    Tower("tiny-ConvNeXt", (2, 2), 64, "visual.trunk.forward_features"),
    Tower("tiny-Sigmoid", (4, 4), 24, "visual.trunk.forward_features"),
    Tower("tiny-timm-ViT", (10, 10), 64, "visual.trunk.blocks.4"),
]


@pytest.fixture(scope="module", params=CASES, ids=lambda case: case.name)
def case(request):
    """Network, its backbone and open_clip's own model with equal weights, and two images."""
    return request.param, *pair(request.param.name)


def pair(name):
    model = whole_clip(name)
    backbone = build_backbone(f"open_clip:{name}", NUM_CLASSES).eval()
    backbone.import_weights({f"visual.{key}": tensor for key, tensor in model.visual.state_dict().items()})
    size = TOWERS[name]["vision_cfg"]["image_size"]
    images = torch.randn(2, 3, *(size if isinstance(size, list) else (size, size)))
    images[..., : images.shape[3] // 2] += 2  # cells that are all alike have maps near 0, with large rounding errors
    return backbone, model, images


def logits_of(backbone, model, images):
    """Logits by definition, from open_clip's own embedding."""
    return F.normalize(model.encode_image(images), dim=-1) @ backbone.classifier.weight.T + backbone.classifier.bias


def test_head_of_trunk_is_open_clips_own_embedding_and_a_linear_layer(case, assert_close_to_largest):
    expected, backbone, model, images = case
    with torch.inference_mode():
        activations = backbone.trunk(images)
        assert activations.shape[2:] == expected.grid
        assert_close_to_largest(backbone.head(activations), logits_of(backbone, model, images), 1e-5)
    assert backbone.map_layer == expected.map_layer
    assert backbone.names_below(backbone.head).isdisjoint(backbone.names_below(backbone.trunk))
    assert backbone.names_below(backbone.classifier) == {"classifier.weight", "classifier.bias"}


@pytest.mark.parametrize(("dtype", "relative"), [(torch.float64, 1e-10), (torch.float32, 1e-5)])
def test_maps_are_those_of_open_clips_own_network_one_class_at_a_time(case, dtype, relative, assert_close_to_largest):
    expected, backbone, model, images = case
    backbone, model, images = (copy.deepcopy(each).to(dtype) for each in (backbone, model, images))
    cam = GradCam.of(backbone.head)
    with torch.inference_mode():
        maps, _ = cam(backbone.trunk(images))
    assert cam.route == "vjp"
    assert maps.amax() > 0
    assert_close_to_largest(maps, gradcam(expected, backbone, model, images), relative)


def gradcam(expected, backbone, model, images):
    """Maps by definition: one class and one backward pass at a time, with a hook on open_clip's own layer."""
    kept = []

    def keep(_, __, output):
        kept.append(output.detach().requires_grad_())
        return kept[0]

    inner = getattr(model.visual, "trunk", None)
    if expected.map_layer.endswith("forward_features"):
        embeddings = model.visual.head(inner.forward_head(keep(None, None, inner.forward_features(images))))
    else:
        hook = model.get_submodule(expected.map_layer).register_forward_hook(keep)
        embeddings = model.encode_image(images)
        hook.remove()
    logits = F.normalize(embeddings, dim=-1) @ backbone.classifier.weight.T
    maps = []
    for c in range(NUM_CLASSES):
        (gradient,) = torch.autograd.grad(logits[:, c].sum(), kept[0], retain_graph=True)
        activations, weights = (as_grid(each, expected) for each in (kept[0].detach(), gradient))
        maps.append((weights.mean((2, 3), keepdim=True) * activations).sum(1).relu())
    return torch.stack(maps, dim=1)


def as_grid(features, expected):
    """Features as image × channel × row × col, without the class token."""
    if features.dim() == 4:
        return features
    rows, cols = expected.grid
    patches = features[:, -rows * cols :]
    return torch.stack([patches[:, row * cols : (row + 1) * cols] for row in range(rows)], 1).permute(0, 3, 1, 2)


def has_tokens(case):
    return "RN" not in case.name and "ConvNeXt" not in case.name


@pytest.mark.parametrize("case", [*filter(has_tokens, CASES)], ids=lambda case: case.name, indirect=True)
def test_a_planted_patch_is_in_its_row_and_column(case):
    expected, backbone, _, images = case
    rows, cols = expected.grid
    high, wide = images.shape[2] // rows, images.shape[3] // cols
    for row, col in ((0, cols - 1), (rows - 1, 0), (rows // 2, cols // 2 - 1)):
        planted = images.clone()
        planted[:, :, row * high : (row + 1) * high, col * wide : (col + 1) * wide] += 3
        with torch.inference_mode():
            changed = (backbone.trunk(planted) - backbone.trunk(images))[:, : expected.chan].norm(dim=1)
        assert (changed.flatten(1).argmax(1) == row * cols + col).all()


@pytest.mark.parametrize("name", ["tiny-ViT", "tiny-ViT-avg"])
def test_cells_of_a_transformer_are_its_own_output_tokens(name, assert_close_to_largest):
    backbone, model, images = pair(name)
    model.visual.output_tokens, model.visual.final_ln_after_pool = True, False
    with torch.inference_mode():
        cells = cell_embeddings(backbone.head, backbone.trunk(images))
        _, tokens = model.visual(images)
        assert_close_to_largest(cells.flatten(2).transpose(1, 2), tokens @ model.visual.proj, 1e-5)


def test_cells_of_a_resnet_are_what_attention_pooling_averages(assert_close_to_largest):
    backbone, model, images = pair("tiny-RN")
    pool = model.visual.attnpool
    with torch.inference_mode():
        pool.k_proj.weight.zero_()  # all keys are equal, so the query takes the mean of all values
        grid = backbone.trunk(images)
        cells = cell_embeddings(backbone.head, grid).flatten(2)
        of_mean = pool.c_proj(pool.v_proj(grid.mean((2, 3)) + pool.positional_embedding[0]))
        assert_close_to_largest((cells.sum(2) + of_mean) / (cells.shape[2] + 1), pool(grid), 1e-5)


@pytest.mark.parametrize("name", ["tiny-ConvNeXt", "tiny-Sigmoid", "tiny-timm-ViT"])
def test_cells_of_other_encoders_are_embeddings_of_one_cell_alone(name, assert_close_to_largest):
    backbone, model, images = pair(name)
    trunk = model.visual.trunk
    with torch.inference_mode():
        cells = cell_embeddings(backbone.head, backbone.trunk(images))
        features = trunk.forward_features(images)
        for row, col in ((0, 1), (1, 0), (1, 1)):
            if features.dim() == 4:
                alone = features[:, :, row : row + 1, col : col + 1]
            else:
                alone = features[:, [row * cells.shape[3] + col + trunk.num_prefix_tokens]]
            expected = model.visual.head(trunk.forward_head(alone))
            assert_close_to_largest(cells[:, :, row, col], expected, 1e-5)


def test_pooling_without_cells_is_refused():
    backbone, _, images = pair("tiny-CoCa")
    with torch.inference_mode(), pytest.raises(UsageError, match=r"CoCa's pooling has no embedding of a cell\."):
        cell_embeddings(backbone.head, backbone.trunk(images))


@pytest.mark.parametrize("name", ["tiny-ViT", "tiny-RN", "tiny-ConvNeXt"])
def test_a_step_of_training_is_that_of_open_clips_own_network(name, assert_close_to_largest):
    backbone, model, images = pair(name)
    linear = copy.deepcopy(backbone.classifier)
    before = {key: tensor.clone() for key, tensor in model.visual.state_dict().items()}
    embed = torch.nn.ModuleDict({"visual": model.visual, "classifier": linear})
    for each, run in (
        (backbone.eval(), backbone),
        (embed.eval(), lambda x: linear(F.normalize(model.visual(x), dim=-1))),
    ):
        backbone.head.train()  # gradients reach the class token
        optimizer = torch.optim.SGD(each.parameters(), lr=0.01)
        F.cross_entropy(run(images), torch.tensor([1, 4])).backward()
        optimizer.step()
    weights, after = backbone.export_weights(), model.visual.state_dict()
    moved = [key for key in after if (after[key] - before[key]).abs().max() > 0]
    assert any("conv1" in key or "stem" in key for key in moved)
    for key in moved:
        assert_close_to_largest(weights[f"visual.{key}"] - before[key], after[key] - before[key], 1e-3)


def test_travels_between_processes():
    backbone, _, images = pair("tiny-ViT")
    copied = pickle.loads(pickle.dumps(backbone))  # noqa: S301
    assert torch.equal(copied(images), backbone(images))
    assert copied.export_weights().keys() == backbone.export_weights().keys()


def test_random_weights_depend_on_the_seed_only():
    def weights():
        torch.manual_seed(3)
        return build_backbone("open_clip:tiny-RN", 3).export_weights()

    first, second = weights(), weights()
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_an_encoder_without_one_grid_is_refused():
    with torch.device("meta"), pytest.raises(UsageError, match=r"open_clip:EVA02-B-16: .*Give another --backbone\.$"):
        build_backbone("open_clip:EVA02-B-16", 5)
