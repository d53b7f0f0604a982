"""Every number that cannot be trained with is refused in one line, by the name of its flag."""

import dataclasses
import math
import re
from typing import Any

import pytest

from attn.errors import UsageError
from attn.training.energy_config import EnergyConfig, start_share
from attn.training.recipe import as_begun, paper_recipe

NAN, INF = math.nan, math.inf


def refuse(complaint: str, **settings: Any) -> None:
    with pytest.raises(UsageError, match=rf"^--{complaint}\.$"):
        EnergyConfig(**settings).check()


def test_the_papers_numbers_and_those_that_it_leaves_open():
    config = paper_recipe(EnergyConfig())
    config.check()
    paper = (config.energy_margin, config.triplet_margin, config.embedding_dim, config.lr, config.weight_decay)
    assert paper == (1, 0.5, 64, 1e-4, 5e-4)
    mining = (config.candidates_initial, config.candidates_final, config.num_hard, config.num_random)
    assert mining == (128, 512, 64, 8)
    assert (config.triplet_weight, config.switch_threshold, config.momentum, config.hidden_dim) == (1, 0.25, 0.9, 128)
    assert (config.monitor_smoothing, config.rank_by) == (0.98, "joint")
    assert (config.updates, config.look_every, config.holdout_fraction) == (20_000, 500, 0.1)
    assert (config.recipe, config.map_scale) == ("paper", "rms")
    assert not any((config.residual, config.mirror, config.centre, config.semi_hard))
    assert not config.normalise_embedding


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"lr": 0.003}, "--lr to 0.0001, not 0.003"),
        ({"residual": True}, "--residual to off, not on"),
        ({"mirror": True}, "--mirror to off, not on"),
        ({"centre": True}, "--centre to off, not on"),
        ({"semi_hard": True}, "--semi-hard to off, not on"),
    ],
)
def test_a_setting_that_contradicts_the_papers_recipe_is_refused(change, said):
    paper = paper_recipe(EnergyConfig())
    with pytest.raises(UsageError, match=rf"^--recipe paper: it sets {re.escape(said)}\. Omit one of the two flags\.$"):
        dataclasses.replace(paper, **change).check()
    EnergyConfig(**change).check()


def test_the_paper_says_nothing_of_the_length():
    dataclasses.replace(paper_recipe(EnergyConfig()), updates=10, look_every=5).check()


def test_what_was_begun_before_there_were_recipes_has_the_papers_settings_where_no_flag_says_otherwise():
    old = {"lr": 1e-4, "updates": 20_000, "look_every": 500}
    assert as_begun(EnergyConfig(seed=3), old) == paper_recipe(EnergyConfig(seed=3))
    given = EnergyConfig(lr=0.01, updates=70)
    assert as_begun(given, old | {"lr": 0.01, "updates": 70}) == dataclasses.replace(
        paper_recipe(given), lr=0.01, updates=70
    )
    # A rate that was given then and is the default now.
    assert as_begun(EnergyConfig(), old | {"lr": EnergyConfig().lr}).lr == EnergyConfig().lr


@pytest.mark.parametrize("value", [0, -1])
@pytest.mark.parametrize(
    "name", ["embedding_dim", "hidden_dim", "candidates_initial", "num_hard", "updates", "look_every"]
)
def test_one_or_more(name, value):
    EnergyConfig(**{"num_hard": 1, name: 1}).check()
    refuse(rf"{name.replace('_', '-')} {value}: must be at least 1", **{name: value})


@pytest.mark.parametrize("value", [-1, -0.001, NAN, INF])
@pytest.mark.parametrize("name", ["num_random", "patience", "seed", "triplet_weight", "weight_decay"])
def test_zero_or_more(name, value):
    EnergyConfig(**{name: 0}).check()
    EnergyConfig(**{name: 3}).check()
    refuse(rf"{name.replace('_', '-')} {value}: must be 0 or more", **{name: value})


@pytest.mark.parametrize("value", [0.0, -1.0, NAN, INF, -INF])
@pytest.mark.parametrize("name", ["energy_margin", "lr", "switch_threshold"])
def test_above_zero(name, value):
    EnergyConfig(**{name: 1e-9}).check()
    EnergyConfig(**{name: 1e9}).check()
    refuse(rf"{name.replace('_', '-')} {re.escape(str(value))}: must be above 0", **{name: value})


@pytest.mark.parametrize(
    ("name", "right", "wrong", "way_out"),
    [
        ("triplet_margin", [0.0, 2.0], [-0.01, 2.01, NAN, INF], "must be from 0 to 2"),
        ("momentum", [0.0, 0.999], [-0.1, 1.0, NAN, INF], "must be from 0 to below 1"),
        ("holdout_fraction", [0.0, 0.999], [-0.1, 1.0, NAN, INF], "must be from 0 to below 1"),
        ("monitor_smoothing", [0.0, 0.999], [-0.1, 1.0, NAN, INF], "must be from 0 to below 1"),
    ],
)
def test_bounded(name, right, wrong, way_out):
    for value in right:
        EnergyConfig(**{name: value}).check()
    for value in wrong:
        refuse(rf"{name.replace('_', '-')} {re.escape(str(value))}: {way_out}", **{name: value})


def test_no_fewer_candidates_later_than_at_first():
    EnergyConfig(candidates_initial=128, candidates_final=128).check()
    refuse(
        r"candidates-final 127: must be at least --candidates-initial \(128\)",
        candidates_initial=128,
        candidates_final=127,
    )


def test_no_more_hard_samples_than_candidates():
    EnergyConfig(candidates_initial=128, num_hard=128).check()
    refuse(r"num-hard 129: must be at most --candidates-initial \(128\)", candidates_initial=128, num_hard=129)


def test_every_number_is_checked():
    """So that a field added later is not forgotten: NaN, and a number below all ranges."""
    numbers = [field for field in dataclasses.fields(EnergyConfig) if isinstance(field.default, float | int)]
    for field in numbers:
        if isinstance(field.default, bool):
            continue
        for value in (-9, NAN) if isinstance(field.default, float) else (-9,):
            with pytest.raises(UsageError, match=rf"^--{field.name.replace('_', '-')} "):
                EnergyConfig(**{field.name: value}).check()


def test_the_learned_share_grows_with_the_number_of_videos():
    usual = EnergyConfig()
    assert [start_share(usual, videos) for videos in (0, 12.5, 50, 150)] == [1, 0.8, 0.5, 0.25]
    assert start_share(EnergyConfig(start_share=0.1), 25) == 0.1
    assert start_share(EnergyConfig(residual=False), 25) == start_share(paper_recipe(usual), 25) == 0
