import dataclasses

import pytest

from attn.engine.train_cnn import train_cnn
from attn.errors import UsageError
from attn.models.checkpoint import load_checkpoint


def test_two_workers_learn_what_one_learns(trained, tmp_path):
    two = dataclasses.replace(trained, out=str(tmp_path / "cnn.safetensors"), workers=2)
    assert train_cnn(two) == 0
    one, other = (load_checkpoint(options.out) for options in (trained, two))
    assert other.trained["images"] == one.trained["images"]
    for name, tensor in other.backbone.export_weights().items():
        assert (tensor - one.backbone.export_weights()[name]).abs().max() < 1e-4


def test_a_loss_that_is_not_finite_ends_it_with_epoch_and_update(ray_local, training, tmp_path):
    wild = dataclasses.replace(training, out=str(tmp_path / "cnn.safetensors"), head_lr=1e30)
    with pytest.raises(UsageError, match=r"not finite at epoch 1, update [123]; lower --lr"):
        train_cnn(wild)
    assert not list(tmp_path.iterdir())
