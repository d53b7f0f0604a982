"""Domain shift that breaks plain SGD: warning and exit code 4; the steady recipe trains well.

A network whose BatchNorm statistics come from noise is trained on two classes of images.
"""

import dataclasses
import json
import logging
from pathlib import Path

import pytest
import torch
from torch.nn import BatchNorm2d

from attn.commands.train_cnn import train_cnn
from attn.engine.exit_codes import EXIT_UNTRAINED
from attn.models.backbone import build_backbone
from attn.models.checkpoint import load_checkpoint

BACKBONE = "mobilenet_v2_w010"
PLAIN = {"warmup": 0, "clip_norm": 0.0, "balanced": False}  # the paper's recipe, except the learning rates


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Checkpoint of five other classes, so that the training needs a new classifier."""
    torch.manual_seed(1)
    backbone = build_backbone(BACKBONE, 5).train()
    for layer in backbone.modules():
        if isinstance(layer, BatchNorm2d):
            layer.momentum = None  # cumulative average
    with torch.no_grad():
        backbone((torch.rand(64, 3, 32, 32) - 0.5) / 0.25)
    path = tmp_path_factory.mktemp("start") / "start.pth"
    torch.save({name: tensor.clone() for name, tensor in backbone.export_weights().items()}, path)
    return str(path)


@pytest.fixture
def options(training, weights, tmp_path):
    """Options of a training of 40 updates in this process, with a high learning rate."""

    return dataclasses.replace(
        training,
        backbone=BACKBONE,
        weights=weights,
        out=str(tmp_path / "cnn.safetensors"),
        std=(0.2,) * 3,
        epochs=10,
        batch_size=4,
        lr=1e-2,
        head_lr=3e-2,
        allow_untrained=False,
    )


def report_of(options):
    return json.loads(Path(options.out.replace(".safetensors", ".train"), "report.json").read_text())


def test_a_training_that_collapses_says_so_and_ends_with_4(options, caplog):
    plain = dataclasses.replace(options, **PLAIN)
    with caplog.at_level(logging.INFO):
        assert train_cnn(plain) == EXIT_UNTRAINED == 4
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    told = [text for text in warnings if text.startswith("epoch ")]
    assert len([text for text in told if "all validation images are predicted as one class" in text]) == 1
    assert len([text for text in told if "the training loss is" in text and "(chance: 0.693)" in text]) == 1
    reasons = report_of(plain)["untrained"]
    assert reasons
    assert [text for text in warnings if text.startswith("untrained: ")] == [f"untrained: {text}" for text in reasons]
    cnn = load_checkpoint(plain.out)  # it can be loaded
    assert cnn.trained["untrained"] == reasons

    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert train_cnn(plain) == EXIT_UNTRAINED
    assert "is already finished" in caplog.text
    assert f"untrained: {reasons[0]}" in caplog.text
    assert train_cnn(dataclasses.replace(plain, allow_untrained=True)) == 0


def test_the_steady_recipe_survives_the_same_rate(options):
    assert train_cnn(options) == 0
    report = report_of(options)
    assert report["untrained"] == []
    assert report["validation_accuracy"] > 0.6
