"""What a training of an EnergyNet is known by."""

import dataclasses
import json
from pathlib import Path

import pytest

from attn.engine.options import TrainEnergyNetOptions
from attn.engine.training.energynet_plan import make_energy_training
from attn.errors import UsageError


@pytest.fixture
def options(planted, tmp_path):
    return TrainEnergyNetOptions(
        store=str(planted / "store"), split=str(planted / "train.txt"), out=str(tmp_path / "energynet")
    )


def decisive(options, **change):
    return make_energy_training(dataclasses.replace(options, **change))[0].decisive


def test_settings_that_came_later_are_named_only_where_they_are_not_as_usual(options):
    """`decisive` is what a training of before there was a choice wrote, so that it goes on."""
    usual = decisive(options)
    assert sorted(usual) == sorted(
        [
            *("energy_margin", "triplet_margin", "triplet_weight", "embedding_dim", "hidden_dim"),
            *("normalise_embedding", "map_scale", "candidates_initial", "candidates_final", "num_hard", "num_random"),
            *("switch_threshold", "lr", "momentum", "weight_decay", "updates", "look_every", "patience"),
            *("holdout_fraction", "seed", "fingerprint", "class_names", "videos", "concepts"),
        ]
    )
    for change in ({"rank_by": "ranking"}, {"monitor_smoothing": 0.5}):
        assert decisive(options, **change) == usual | change


def test_another_setting_of_them_is_another_training(options):
    run = make_energy_training(options)[0]
    run.begin({})
    assert "rank_by" not in json.loads(Path(run.url, "run.json").read_text())["decisive"]
    assert make_energy_training(options)[0].report() is None
    with pytest.raises(UsageError, match=r"other options \(rank_by: \"ranking\" here, null there\)"):
        make_energy_training(dataclasses.replace(options, rank_by="ranking"))[0].report()
