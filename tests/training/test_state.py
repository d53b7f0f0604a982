import io
import json
import pickle
from pathlib import Path

import pytest
import torch

from attn.models.backbone import build_backbone
from attn.models.finetune import Batch, Normaliser, make_optimizer, set_rates, train_mode, update
from attn.training.state import State, plain

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


def test_a_restored_training_steps_as_the_unbroken_one():
    backbone, optimizer = network(seed=0)
    step(backbone, optimizer)
    record = {"rows": [{"epoch": 1}], "kept_epoch": 1}
    state = State.of(dict(State(backbone.export_weights(), {}, optimizer.state_dict(), record).files()))
    other, its_optimizer = network(seed=1)
    other.import_weights(state.weights)
    its_optimizer.load_state_dict(state.optimizer)
    assert state.record == record
    assert same(state.best, backbone.export_weights())
    step(backbone, optimizer)
    step(other, its_optimizer)
    assert same(other.export_weights(), backbone.export_weights())


def test_the_weights_of_the_best_epoch_are_kept_beside_those_of_now():
    backbone, optimizer = network(seed=0)
    best = plain(backbone.export_weights())
    step(backbone, optimizer)
    assert not same(best, backbone.export_weights())
    state = State.of(dict(State(backbone.export_weights(), best, optimizer.state_dict(), {}).files()))
    assert same(state.best, best)
    assert same(state.weights, backbone.export_weights())


def test_a_state_from_before_the_common_format_is_read():
    backbone, optimizer = network(seed=0)
    files = dict(State(backbone.export_weights(), {}, optimizer.state_dict(), {}).files())
    files["state.json"] = json.dumps({"epochs": [{"epoch": 1}], "kept_epoch": 1}).encode()
    assert State.of(files).record == {"rows": [{"epoch": 1}], "kept_epoch": 1}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], tensor) for name, tensor in other.items())


def test_nothing_in_a_state_is_executed():
    backbone, optimizer = network(seed=0)
    files = dict(State(backbone.export_weights(), {}, optimizer.state_dict(), {}).files())
    trap = io.BytesIO()
    torch.save({"state": Path("/"), "param_groups": []}, trap)
    with pytest.raises(pickle.UnpicklingError):
        State.of({**files, "optimizer.pt": trap.getvalue()})
