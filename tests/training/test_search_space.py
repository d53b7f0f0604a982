import dataclasses
import random

import pytest

from attn.errors import UsageError
from attn.stages.soft_attention_config import SoftAttentionConfig
from attn.training.energy_config import EnergyConfig
from attn.training.search_space import Choice, Range, check_space, grid, searchable, usual_point

BASE = EnergyConfig()


@pytest.mark.parametrize(
    ("space", "words"),
    [
        ({}, "the search space is empty"),
        ({"lr": Range(1e-2, 1e-5)}, "lr: the range from 0.01 to 1e-05 is empty"),
        ({"lr": Range(1e-2, 1e-2)}, "is empty"),
        ({"lr": Range(0, 1, log=True)}, "lr: a log range cannot start at 0"),
        ({"lr": Range(float("nan"), 1)}, "finite"),
        ({"lr": Range(0.1, float("inf"))}, "finite"),
        ({"lr": Range(-1, 1)}, "--lr -1"),
        ({"triplet_margin": Range(0.5, 3)}, "--triplet-margin 3"),
        ({"embedding_dim": Range(0.5, 8)}, "embedding_dim: 0.5 is not of type int"),
        ({"embedding_dim": Choice(())}, "embedding_dim: the list of values is empty"),
        ({"embedding_dim": Choice((8, 8))}, "List each value once"),
        ({"embedding_dim": Choice(([8], [9]))}, "Give numbers, strings"),
        ({"lr": Range(False, True)}, "finite numbers"),
        ({"embedding_dim": Choice((8, "16"))}, "'16' is not of type int"),
        ({"embedding_dim": Choice((True, 8))}, "True is not of type int"),
        ({"map_scale": Choice(("rms", "std"))}, "'std' is unknown. Choose from rms, none"),
        ({"normalise_embedding": Choice((0, 1))}, "0 is not of type bool"),
        ({"start_share": Choice((0.5, "half"))}, "'half' is not of type float"),
        ({"start_share": Range(0.5, 1)}, "--start-share 1"),
        ({"seed": Choice((0, 1))}, "seed: cannot be searched. Choose from residual, start_share, mirror"),
        ({"recipe": Choice(("steady", "paper"))}, "recipe: cannot be searched"),
        ({"margin": Range(0, 1)}, "margin: cannot be searched"),
        ({"num_hard": Choice((256, 512))}, "num_hard: at least 256, above the largest candidates_initial, 128"),
        (
            {"candidates_initial": Choice((64, 128)), "num_hard": Range(200, 300)},
            "num_hard: at least 200, above the largest candidates_initial, 128",
        ),
        (
            {"candidates_final": Choice((32, 64))},
            "candidates_final: at most 64, below the smallest candidates_initial, 128",
        ),
    ],
)
def test_a_space_that_cannot_be_trained_is_refused(space, words):
    with pytest.raises(UsageError, match=words) as refused:
        check_space(space, BASE)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["all", "margins", "mining", "network"])
def test_the_named_spaces_hold_the_defaults(name, spaces):
    check_space(spaces[name], BASE)
    assert usual_point(spaces[name], BASE) == {setting: getattr(BASE, setting) for setting in spaces[name]}


def test_all_that_the_paper_leaves_open_is_searched(spaces):
    named = {"energy_margin", "triplet_margin", "triplet_weight", "embedding_dim", "hidden_dim", "lr"}
    mining = {"candidates_initial", "candidates_final", "num_hard", "num_random", "switch_threshold"}
    assert set(spaces["all"]) == named | mining
    assert set(spaces["all"]) <= set(searchable(BASE))


def test_every_settled_draw_of_a_soft_attention_lstm_is_valid():
    base, draws = SoftAttentionConfig(attention_layers=2), random.Random(0)
    space = {
        "pooling": Choice(("attention", "average")),
        "attention": Choice(("additive", "hidden")),
        "attention_layers": Choice((1, 3)),
        "attention_penalty": Range(0, 10),
        "lr": Range(1e-5, 1e-2, log=True),
    }
    check_space(space, base)
    for names in [list(space), ["pooling"], ["attention"], ["attention_penalty", "pooling"]] * 20:
        ends = {name: draws.choice(space[name].ends()) for name in names}
        dataclasses.replace(base, **base.settle(ends)).check()
    assert base.settle({"pooling": "average"}) == {"pooling": "average", "attention_layers": 1}
    assert base.settle({"attention_layers": 3}) == {"attention_layers": 3}
    assert usual_point(space, base)["lr"] == base.learning_rate == 1e-4


def test_every_settled_draw_can_be_trained(spaces):
    rng = random.Random(1)
    bound = 0
    for _ in range(500):
        point = {
            name: rng.choice(domain.values) if isinstance(domain, Choice) else rng.uniform(domain.low, domain.high)
            for name, domain in spaces["all"].items()
        }
        settled = BASE.settle(point)
        EnergyConfig(**settled).check()
        bound += settled != point
        assert {name: settled[name] for name in settled if name not in ("num_hard", "candidates_final")} == {
            name: point[name] for name in point if name not in ("num_hard", "candidates_final")
        }
    assert 50 < bound < 450


def test_a_setting_that_is_not_searched_is_bound_too():
    assert BASE.settle({"candidates_initial": 32}) == {"candidates_initial": 32, "num_hard": 32}
    assert BASE.settle({"candidates_initial": 1024}) == {"candidates_initial": 1024, "candidates_final": 1024}
    assert BASE.settle({"lr": 1.0}) == {"lr": 1.0}


def test_a_grid_has_every_combination_that_can_be_trained_once():
    space = {"candidates_initial": Choice((64, 128)), "num_hard": Choice((32, 128)), "lr": Choice((0.1, 0.2, 0.3))}
    points = grid(space, BASE)
    expected = {(m, k, lr) for m in (64, 128) for k in (32, 128) for lr in (0.1, 0.2, 0.3) if k <= m}
    assert len(points) == len(expected) == 9
    assert {(p["candidates_initial"], p["num_hard"], p["lr"]) for p in points} == expected
    assert points == grid(space, BASE)


def test_a_grid_keeps_combinations_that_bind_only_what_is_not_searched():
    assert len(grid({"candidates_initial": Choice((16, 32, 1024))}, BASE)) == 3


def test_a_grid_needs_values():
    with pytest.raises(UsageError, match="lr is a range"):
        grid({"lr": Range(0.1, 1)}, BASE)


def test_usual_values_outside_the_space_are_left_to_the_sampler():
    assert usual_point({"lr": Range(1e-2, 1), "embedding_dim": Choice((64,))}, BASE) == {"embedding_dim": 64}
