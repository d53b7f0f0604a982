import re

import pytest
import torch

from attn.errors import UsageError
from attn.models.backbone import Backbone, build_backbone
from attn.models.fit import import_fitting
from attn.models.weights_file import WeightsFile, read_weights_file


@pytest.fixture
def trained(randomise) -> Backbone:
    torch.manual_seed(1)
    return randomise(build_backbone("small_cnn", 5))


@pytest.fixture
def drawn() -> Backbone:
    torch.manual_seed(2)
    return build_backbone("small_cnn", 5).eval()


def file_of(tensors) -> WeightsFile:
    return WeightsFile("w.pth", dict(tensors), "")


def agree(one: Backbone, other: Backbone) -> set[str]:
    """Names of the tensors that are equal in both."""
    weights = other.export_weights()
    return {key for key, tensor in one.export_weights().items() if torch.equal(tensor, weights[key])}


def test_all_weights_arrive(drawn, trained):
    assert import_fitting(drawn, file_of(trained.export_weights()), may_draw=False, must_draw=False) is False
    assert agree(drawn, trained) == set(trained.export_weights())


def test_half_precision_files_become_fp32(drawn, trained):
    halves = {key: tensor.half() for key, tensor in trained.export_weights().items()}
    import_fitting(drawn, file_of(halves), may_draw=False, must_draw=False)
    assert drawn.classifier.weight.dtype == torch.float32
    assert torch.equal(drawn.classifier.weight, trained.classifier.weight.half().float())


@pytest.mark.parametrize("may_draw", [True, False])
def test_training_keeps_a_classifier_for_the_same_classes(drawn, trained, may_draw):
    assert import_fitting(drawn, file_of(trained.export_weights()), may_draw=may_draw, must_draw=False) is False
    assert torch.equal(drawn.classifier.weight, trained.classifier.weight)


def test_training_for_other_classes_draws_a_classifier(drawn, trained):
    before = drawn.classifier.weight.clone()
    assert import_fitting(drawn, file_of(trained.export_weights()), may_draw=True, must_draw=True)
    assert torch.equal(drawn.classifier.weight, before)
    assert agree(drawn, trained) == drawn.names_below(drawn.trunk)


def test_training_for_another_number_of_classes_draws_a_classifier(trained):
    drawn = build_backbone("small_cnn", 7)
    assert import_fitting(drawn, file_of(trained.export_weights()), may_draw=True, must_draw=False)
    assert drawn.num_classes == 7
    assert torch.equal(drawn.trunk[0][0][0].weight, trained.trunk[0][0][0].weight)


def test_training_may_start_without_a_classifier(drawn, trained):
    trunk = {key: tensor for key, tensor in trained.export_weights().items() if key.startswith("features.")}
    assert import_fitting(drawn, file_of(trunk), may_draw=True, must_draw=False)
    assert agree(drawn, trained) == set(trunk)


def test_nothing_else_may_start_without_a_classifier(drawn, trained):
    trunk = {key: tensor for key, tensor in trained.export_weights().items() if key.startswith("features.")}
    with pytest.raises(UsageError, match=r"w\.pth: missing classifier\..*can only start a training"):
        import_fitting(drawn, file_of(trunk), may_draw=False, must_draw=False)


def test_a_drawn_classifier_keeps_the_layers_before_it():
    torch.manual_seed(0)
    trained, drawn = build_backbone("convnext_tiny", 3), build_backbone("convnext_tiny", 4)
    with torch.no_grad():
        trained.head[1][0].weight.fill_(0.25)
    import_fitting(drawn, file_of(trained.export_weights()), may_draw=True, must_draw=False)
    assert torch.equal(drawn.head[1][0].weight, trained.head[1][0].weight)

    trunk = {key: tensor for key, tensor in trained.export_weights().items() if key.startswith("features.")}
    drawn = build_backbone("convnext_tiny", 4)
    assert import_fitting(drawn, file_of(trunk), may_draw=True, must_draw=False)
    assert (drawn.head[1][0].weight == 1).all()


def test_wrong_number_of_classes_is_refused(trained):
    with pytest.raises(UsageError, match=r"w\.pth: the classifier has 5 outputs, not 7"):
        import_fitting(
            build_backbone("small_cnn", 7), file_of(trained.export_weights()), may_draw=False, must_draw=False
        )


@pytest.mark.parametrize("may_draw", [True, False])
def test_missing_and_unknown_tensors_are_named(drawn, trained, may_draw):
    weights = trained.export_weights()
    weights["features.0.0.wait"] = weights.pop("features.0.0.weight")
    complaint = "w.pth: the weights do not fit small_cnn (missing features.0.0.weight; unknown features.0.0.wait). Give"
    with pytest.raises(UsageError, match=re.escape(complaint)):
        import_fitting(drawn, file_of(weights), may_draw=may_draw, must_draw=False)


def test_many_missing_tensors_are_counted(drawn):
    with pytest.raises(UsageError, match=r"missing features\.0\.0\.weight, .*, .* and \d+ more; unknown fc"):
        import_fitting(drawn, file_of({"fc": torch.zeros(5)}), may_draw=False, must_draw=False)


@pytest.mark.parametrize("may_draw", [True, False])
def test_wrong_shape_is_named(drawn, trained, may_draw):
    weights = {**trained.export_weights(), "features.0.0.weight": torch.zeros(24, 1, 3, 3)}
    with pytest.raises(UsageError, match=r"features\.0\.0\.weight has shape \(24, 1, 3, 3\), not \(24, 3, 3, 3\)"):
        import_fitting(drawn, file_of(weights), may_draw=may_draw, must_draw=False)


def test_files_that_do_not_count_batches_are_taken(drawn, trained):
    weights = {key: tensor for key, tensor in trained.export_weights().items() if "num_batches" not in key}
    import_fitting(drawn, file_of(weights), may_draw=False, must_draw=False)
    assert set(weights) <= agree(drawn, trained)


def test_googlenets_auxiliary_classifiers_are_dropped(randomise):
    from torchvision.models import googlenet

    net = randomise(googlenet(num_classes=5, aux_logits=True, init_weights=True, transform_input=True))
    drawn = build_backbone("googlenet", 5).eval()
    import_fitting(drawn, file_of(net.state_dict()), may_draw=False, must_draw=False)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(drawn(images), net(images))


def test_published_densenet_names_are_understood():
    weights = build_backbone("densenet121", 5).export_weights()
    old = {re.sub(r"(norm|conv)([12])\.", r"\1.\2.", key): tensor for key, tensor in weights.items() if "layer" in key}
    assert any("denselayer1.norm.1.weight" in key for key in old)
    rest = {key: tensor for key, tensor in weights.items() if "layer" not in key}
    drawn = build_backbone("densenet121", 5)
    import_fitting(drawn, file_of(old | rest), may_draw=False, must_draw=False)
    assert all(torch.equal(tensor, weights[key]) for key, tensor in drawn.export_weights().items())


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_a_damaged_tensor_is_named(drawn, trained, value):
    weights = trained.export_weights()
    weights["features.0.0.weight"] = weights["features.0.0.weight"].clone()
    weights["features.0.0.weight"].view(-1)[-1] = value
    with pytest.raises(UsageError, match=r"w\.pth: features\.0\.0\.weight contains NaN or infinity"):
        import_fitting(drawn, file_of(weights), may_draw=False, must_draw=False)


@pytest.mark.parametrize("as_zip", [True, False])
def test_a_number_spread_over_the_shape_of_a_weight_is_taken(drawn, trained, tmp_path, as_zip):
    weights = trained.export_weights()
    ones = {key: torch.ones(1).expand(len(value)) for key, value in weights.items() if key.endswith("running_var")}
    zeros = {"classifier.weight": torch.zeros(1, 1).expand_as(weights["classifier.weight"])}
    assert ones
    torch.save(weights | ones | zeros, tmp_path / "w.pth", _use_new_zipfile_serialization=as_zip)
    import_fitting(drawn, read_weights_file(str(tmp_path / "w.pth")), may_draw=False, must_draw=False)
    loaded = drawn.export_weights()
    assert all(torch.equal(loaded[key], tensor) for key, tensor in (weights | ones | zeros).items())


@pytest.mark.usefixtures("limited_memory")
@pytest.mark.parametrize("rows", [10**5, 2])
def test_a_number_spread_over_any_other_shape_is_refused_before_it_is_looked_at(drawn, trained, tmp_path, rows):
    """Memory for 10 billion numbers is more than there is."""
    spread = {"features.0.0.weight": torch.zeros(1).expand(rows, rows)}
    torch.save(trained.export_weights() | spread, tmp_path / "w.pth")
    with pytest.raises(UsageError, match=rf"features\.0\.0\.weight has shape \({rows}, {rows}\), not \(24, 3, 3, 3\)"):
        import_fitting(drawn, read_weights_file(str(tmp_path / "w.pth")), may_draw=False, must_draw=False)
