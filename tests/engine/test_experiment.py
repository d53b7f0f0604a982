"""The plan of the experiments, as data."""

import dataclasses

import pytest

from attn.datasets.protocol import Benchmark, Split
from attn.datasets.split import read_split
from attn.engine.experiment import make_steps, percent, write_lists
from attn.engine.options import ReproduceOptions

NAMES = ("Kick", "Wave")


def videos(first, last):
    return {f"v_{name}_g{group:02}_c01": name for group in range(first, last) for name in NAMES}


@pytest.fixture
def benchmark():
    splits = (Split("split1", videos(4, 14), videos(1, 4)), Split("split2", videos(1, 11), videos(11, 14)))
    return Benchmark("synthetic", NAMES, "videos", "images", 2, "top_1", splits)


@pytest.fixture
def options(tmp_path):
    return ReproduceOptions(
        dataset="synthetic", out=str(tmp_path), backbones=("small_cnn",), fractions=(0.2, 1.0), seeds=(0, 1)
    )


def test_every_step_comes_after_what_it_needs(benchmark, options):
    steps, _ = make_steps(benchmark, options)
    names = [step.name for step in steps]
    assert len(set(names)) == len(names)
    for place, step in enumerate(steps):
        assert set(step.needs) <= set(names[:place])


def test_every_set_of_scores_is_planned(benchmark, options):
    steps, cells = make_steps(benchmark, options)
    found = {(cell.seed, cell.split, cell.trained_on) for cell in cells}
    shares = ("web", "020", "100", "noimage")
    assert found == {(seed, split, share) for seed in (0, 1) for split in ("split1", "split2") for share in shares}
    assert {cell.scores for cell in cells} == {step.name for step in steps if step.job == "evaluate"}


def test_a_cell_reads_what_the_steps_before_it_write(benchmark, options):
    steps = {step.name: step for step in make_steps(benchmark, options)[0]}
    root = "small_cnn/seed1/split2/020"
    cnn, maps, net, scores = (steps[f"{root}/{name}"].options for name in ("cnn", "maps", "energynet", "scores"))
    assert cnn.weights == steps["small_cnn/seed1/web/cnn"].options.out
    assert maps.weights == cnn.out
    assert net.store == scores.store == maps.out
    assert scores.energynet == net.out
    assert cnn.split == net.split == scores.train_split
    assert maps.lists == (cnn.split, scores.split)
    assert (cnn.seed, net.seed) == (1, 1)
    assert cnn.frames == steps["frames"].options.out


def test_without_web_images_nothing_asks_for_them(benchmark, options):
    bare = dataclasses.replace(benchmark, images=None)
    steps, cells = make_steps(bare, dataclasses.replace(options, weights="imagenet"))
    assert {cell.trained_on for cell in cells} == {"020", "100"}
    assert not [step for step in steps if "web" in step.name]
    assert {step.options.weights for step in steps if step.job == "train_cnn"} == {"imagenet"}


def test_lists_hold_nested_shares_and_never_a_test_video(benchmark, options):
    write_lists(benchmark, options)
    for split in benchmark.splits:
        for seed in (0, 1):
            few, many = (
                read_split(f"{options.out}/splits/{split.name}-train-{share}-seed{seed}.txt", NAMES)
                for share in ("020", "100")
            )
            assert few.keys() < many.keys() == split.train.keys()
            assert len(few) == 4
            assert not many.keys() & read_split(f"{options.out}/splits/{split.name}-test.txt", NAMES).keys()


@pytest.mark.parametrize(("fraction", "name"), [(0.05, "005"), (0.33, "033"), (1.0, "100")])
def test_percent(fraction, name):
    assert percent(fraction) == name
