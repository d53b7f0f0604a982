"""Settings of the soft-attention LSTM: the table of defaults, derived numbers, refusals by the name of the flag."""

import math
import re
from typing import Any

import pytest

from attn.errors import UsageError
from attn.stages.soft_attention_config import SoftAttentionConfig

NAN, INF = math.nan, math.inf


def test_the_table_of_defaults():
    config = SoftAttentionConfig()
    config.check()
    forms = (config.attention, config.attention_layers, config.lstm_layers, config.hidden_dim)
    assert forms == ("additive", 1, 1, 512)
    assert (config.ce_reduction, config.penalty_reduction, config.penalty_target) == ("mean", "sum", "1")
    assert (config.attention_penalty, config.dropout, config.dropout_sites) == (0, 0.5, "all")
    assert (config.optimizer, config.learning_rate, config.batch, config.epochs) == ("adam", 1e-4, 128, 15)
    assert config.decay == pytest.approx(6.7e-7, rel=0.01)
    assert (config.window_frames, config.window_stride, config.skip) == (30, 1, 1)
    assert (config.holdout_fraction, config.test_aggregation, config.init) == (0.15, "mean", "torch")


@pytest.mark.parametrize(
    ("settings", "lr", "decay"),
    [
        ({"optimizer": "sgd"}, 0.384, 6.7e-7),
        ({"optimizer": "sgd", "ce_reduction": "sum"}, 1e-4, 2e-5),
        ({"optimizer": "adam_released", "ce_reduction": "sum"}, 2e-4, 2e-5),
        ({"optimizer": "sgd", "batch": 64, "window_frames": 15}, 0.096, 1.33e-6),
        ({"optimizer": "sgd", "lr": 0.0384, "weight_decay": 5.2e-9}, 0.0384, 5.2e-9),
    ],
)
def test_derived_numbers(settings, lr, decay):
    config = SoftAttentionConfig(**settings)
    config.check()
    assert config.learning_rate == pytest.approx(lr)
    assert config.decay == pytest.approx(decay, rel=0.01)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        *(({name: 0}, f"{name} 0: must be at least 1") for name in ("hidden_dim", "lstm_layers", "attention_layers")),
        *(({name: 0}, f"{name} 0: must be at least 1") for name in ("window_frames", "window_stride", "batch")),
        *(({name: 0}, f"{name} 0: must be at least 1") for name in ("epochs", "look_every")),
        *(({"attention_penalty": one}, f"attention_penalty {one}: must be 0 or more") for one in (-1.0, NAN, INF)),
        *(({"weight_decay": one}, f"weight_decay {one}: must be 0 or more") for one in (-1.0, NAN, INF)),
        *(({"lr": one}, f"lr {one}: must be above 0") for one in (0.0, -1.0, NAN, INF)),
        *(({"dropout": one}, f"dropout {one}: must be from 0 to below 1") for one in (1.0, -0.1, NAN)),
        ({"holdout_fraction": 1.0}, "holdout_fraction 1.0: must be from 0 to below 1"),
        ({"seed": -1}, "seed -1: must be 0 or more"),
        *(({"fps": one}, f"fps {one}: must be from 1 to 30") for one in (0, 31)),
        *(({"last_steps": one}, f"last_steps {one}: must be from 1 to --window-frames (30)") for one in (0, 31)),
        ({"pooling": "max", "attention_penalty": 1.0}, "attention_penalty 1.0: needs --pooling attention"),
        ({"attention": "hidden", "attention_layers": 3}, "attention_layers 3: needs --attention additive"),
        ({"retrain": True, "holdout_fraction": 0.0}, "retrain True: needs a --holdout-fraction above 0"),
    ],
)
def test_a_wrong_setting_is_named(settings: dict[str, Any], complaint: str):
    name, rest = complaint.split(" ", 1)
    with pytest.raises(UsageError, match=rf"^--{name.replace('_', '-')} {re.escape(rest)}\.$"):
        SoftAttentionConfig(**settings).check()


def test_votes_need_one_class_per_video():
    voting = SoftAttentionConfig(test_aggregation="mode")
    voting.check()
    with pytest.raises(UsageError, match=r"^--test-aggregation mode: needs videos of one class each\.$"):
        voting.check(multi_label=True)
