import pickle
from pathlib import Path

import pytest
import torch
from ray.train import Checkpoint

from attn.engine.training.checkpoint import load_state, save_state
from attn.models.backbone import build_backbone
from attn.models.finetune import Batch, Normaliser, make_optimizer, set_rates, train_mode, update

NORMALISE = Normaliser((0.5, 0.5, 0.5), (0.5, 0.5, 0.5), torch.device("cpu"))


def network(seed):
    torch.manual_seed(seed)
    backbone = build_backbone("small_cnn", 2)
    return backbone, make_optimizer(backbone, backbone.classifier, lr=0.1, fresh_lr=0.2, momentum=0.9, weight_decay=0.0)


def step(backbone, optimizer):
    train_mode(backbone, freeze_batchnorm=False)
    set_rates(optimizer, 0, 3)
    pixels = torch.randint(0, 256, (4, 32, 32, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    update(backbone, optimizer, NORMALISE, Batch(pixels, torch.tensor([0, 1, 0, 1]), 4))


def test_a_restored_training_steps_as_the_unbroken_one(tmp_path):
    backbone, optimizer = network(seed=0)
    step(backbone, optimizer)
    save_state(tmp_path, backbone, optimizer, {"epochs": [{"epoch": 1}]})
    other, its_optimizer = network(seed=1)
    assert load_state(Checkpoint(str(tmp_path)), other, its_optimizer) == {"epochs": [{"epoch": 1}]}
    step(backbone, optimizer)
    step(other, its_optimizer)
    expected = backbone.export_weights()
    assert all(torch.equal(expected[name], tensor) for name, tensor in other.export_weights().items())


def test_nothing_in_a_checkpoint_is_executed(tmp_path):
    backbone, optimizer = network(seed=0)
    save_state(tmp_path, backbone, optimizer, {})
    torch.save({"state": Path("/"), "param_groups": []}, tmp_path / "optimizer.pt")
    with pytest.raises(pickle.UnpicklingError):
        load_state(Checkpoint(str(tmp_path)), backbone, optimizer)
