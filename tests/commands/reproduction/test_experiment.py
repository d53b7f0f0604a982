"""Steps and cells of the plan."""

import dataclasses
import itertools
from collections import Counter

import pytest

from attn.commands.reproduction import run_plan
from attn.commands.reproduction.experiment import make_steps
from attn.commands.reproduction.lists import make_lists, unlabelled
from attn.datasets.protocol import Split
from attn.engine.run_steps import recorded_options
from attn.errors import UsageError
from attn.video.transform import Resampling


def test_every_step_comes_after_what_it_needs(two_splits, plan):
    steps, _ = make_steps(two_splits, plan)
    names = [step.name for step in steps]
    assert len(set(names)) == len(names)
    for place, step in enumerate(steps):
        assert set(step.needs) <= set(names[:place])


def test_every_set_of_scores_is_planned(two_splits, plan):
    steps, cells = make_steps(two_splits, plan)
    found = {(cell.seed, cell.split, cell.trained_on) for cell in cells}
    shares = ("web", "adapted", "adapted-020", "adapted-100", "020", "100", "noimage")
    assert found == {(seed, split, share) for seed in (0, 1) for split in ("split1", "split2") for share in shares}
    assert {cell.scores for cell in cells} == {step.name for step in steps if step.job == "evaluate"}


def test_evaluations_have_the_options_by_which_earlier_versions_recorded_them(two_splits, plan):
    """A finished step is recognised by them; another option or default would do every evaluation again."""
    first = next(step for step in make_steps(two_splits, plan)[0] if step.job == "evaluate")
    root = f"{plan.out}/small_cnn/seed0/web"
    assert recorded_options(first) == {
        "store": f"{root}/store",
        "split": f"{plan.out}/splits/split1-test.txt",
        "out": f"{root}/split1",
        "methods": ["cnn", "unatt"],
        "model": None,
        "energynet": None,
        "train_split": None,
        "fraction": 1.0,
        "svm_c": 1.0,
        "seed": 0,
        "window": 3,
        "calibrate": f"{root}/store",
        "calibrate_lists": [f"{plan.out}/splits/split1-train-100-seed0.txt"],
        "allow_missing": False,
        "allow_partial": False,
    }


def test_a_cell_reads_what_the_steps_before_it_write(two_splits, plan):
    steps = {step.name: step for step in make_steps(two_splits, plan)[0]}
    root = "small_cnn/seed1/split2/020"
    cnn, maps, net, scores = (steps[f"{root}/{name}"].options for name in ("cnn", "maps", "energynet", "scores"))
    assert cnn.weights == steps["small_cnn/seed1/split2/adapted/cnn"].options.out
    assert maps.weights == cnn.out
    assert net.store == scores.store == maps.out
    assert scores.energynet == net.out
    assert cnn.split == net.split == scores.train_split
    assert maps.lists == (cnn.split, scores.split, *scores.calibrate_lists)
    assert (cnn.seed, net.seed) == (1, 1)
    assert cnn.frames == steps["frames"].options.out


def test_the_cnn_of_web_images_is_adapted_to_training_videos_alone(two_splits, plan):
    steps = {step.name: step for step in make_steps(two_splits, plan)[0]}
    root, web = "small_cnn/seed1/split2/adapted", "small_cnn/seed1/web"
    adapted, maps, scores = (steps[f"{root}/{name}"].options for name in ("cnn", "maps", "scores"))
    train = steps["small_cnn/seed1/split2/100/cnn"].options.split
    assert adapted.weights == steps[f"{web}/cnn"].options.out
    assert adapted.lists == scores.calibrate_lists == (train,)
    assert scores.split not in adapted.lists
    assert maps.weights == adapted.out
    assert set(maps.lists) == {train, scores.split}
    assert scores.store == scores.calibrate == maps.out
    plain = steps[f"{web}/split2"].options
    assert (plain.split, plain.calibrate_lists) == (scores.split, (train,))


def test_an_energynet_learns_some_labels_on_maps_of_the_adapted_cnn(two_splits, plan):
    steps = {step.name: step for step in make_steps(two_splits, plan)[0]}
    root = "small_cnn/seed1/split2/adapted"
    net, scores = (steps[f"{root}/020/{name}"].options for name in ("energynet", "scores"))
    assert net.store == scores.store == steps[f"{root}/maps"].options.out
    assert net.split == steps["small_cnn/seed1/split2/020/cnn"].options.split
    assert (scores.energynet, scores.methods) == (net.out, ("energynet",))


def test_scores_of_few_labels_are_calibrated_on_training_videos_without_them(two_splits, plan):
    steps = {step.name: step.options for step in make_steps(two_splits, plan)[0]}
    lists = dict(make_lists(two_splits, plan))
    whole = two_splits.splits[1].train
    for root in ("small_cnn/seed1/split2/020", "small_cnn/seed1/split2/adapted/020"):
        scores = steps[f"{root}/scores"]
        (others,) = scores.calibrate_lists
        assert scores.calibrate == scores.store
        assert lists[others] == {
            v: name for v, name in whole.items() if v not in lists[steps[f"{root}/energynet"].split]
        }
        assert len(lists[others]) == 16
    assert steps["small_cnn/seed1/split2/100/scores"].calibrate is None  # no video is left


def test_a_thousand_videos_calibrate(two_splits, plan):
    many = {f"v_{name}_g{group:04}_c01": name for group in range(1200) for name in ("Kick", "Wave")}
    split = Split("split1", many, {})
    found = unlabelled(dataclasses.replace(two_splits, splits=(split,)), split, {}, plan)
    assert Counter(found.values()) == {"Kick": 500, "Wave": 500}


@pytest.mark.parametrize("count", [0, 1, 2])
def test_with_videos_of_no_split_all_but_the_labelled_ones_calibrate(two_splits, plan, count):
    both = dataclasses.replace(two_splits, unlabelled=count), dataclasses.replace(plan, adapt_to="all")
    steps = {step.name: step.options for step in make_steps(*both)[0]}
    for root in ("small_cnn/seed0/split1/100", "small_cnn/seed0/split1/adapted/100"):
        scores = steps[f"{root}/scores"]
        wanted = (scores.store, steps[f"{root}/energynet"].split) if count == 2 else (None, None)
        assert (scores.calibrate, scores.calibrate and scores.train_split) == wanted
        assert scores.calibrate_lists == ()
    maps = steps["small_cnn/seed0/split1/100/maps"]
    assert (maps.lists == ()) == (count == 2)  # all videos


def test_the_paper_adapts_nothing_and_calibrates_nothing(two_splits, plan):
    steps, cells = make_steps(two_splits, dataclasses.replace(plan, recipe="paper"))
    assert {cell.trained_on for cell in cells} == {"web", "020", "100", "noimage"}
    assert not [step for step in steps if step.job == "adapt_cnn"]
    cnns = [step.options for step in steps if step.job == "train_cnn"]
    assert {(cnn.recipe, cnn.lr, cnn.clip_norm, cnn.mix_images) for cnn in cnns} == {("paper", 1e-3, 0, None)}
    assert not any(step.options.calibrate for step in steps if step.job == "evaluate")


@pytest.mark.parametrize("adapt", [True, False])
def test_what_starts_from_web_images_learns_them_beside_the_frames(two_splits, plan, adapt):
    steps, _ = make_steps(two_splits, out_of_fold(plan, adapt=adapt, folds=2))
    mixed = {step.name: step.options.mix_images for step in steps if step.job == "train_cnn"}
    without = {name for name, images in mixed.items() if images is None}
    assert without == {name for name in mixed if "/web/" in name or "/noimage/" in name}
    assert {images for name, images in mixed.items() if name not in without} == {"images"}
    assert any("/fold1of2/" in name for name in mixed.keys() - without)


def test_a_cnn_without_batchnorm_is_aligned_with_its_web_images(two_splits, plan):
    steps, _ = make_steps(two_splits, dataclasses.replace(plan, backbones=("small_cnn", "vgg16")))
    adapted = [step for step in steps if step.job == "adapt_cnn"]
    assert {(step.name.split("/")[0], step.options.images) for step in adapted} == {
        ("small_cnn", None),
        ("vgg16", "images"),
    }


@pytest.mark.parametrize(("backbone", "change"), [("vgg16", {"web_cnn": "web.safetensors"}), ("small_cnn", {})])
def test_a_cnn_that_cannot_or_shall_not_is_not_adapted(two_splits, plan, backbone, change):
    without = dataclasses.replace(two_splits, images=None) if change else two_splits
    plan = dataclasses.replace(plan, backbones=(backbone,), adapt=bool(change), **change)
    steps, _ = make_steps(without, plan)
    assert not [step for step in steps if step.job == "adapt_cnn"]
    cnn = next(step.options for step in steps if step.name == f"{backbone}/seed0/split1/020/cnn")
    assert cnn.weights.endswith("web.safetensors" if change else "/web/cnn.safetensors")


def test_near_duplicates_are_looked_for_among_web_images_alone(two_splits, plan):
    steps, _ = make_steps(two_splits, out_of_fold(plan, near_duplicates=0.9, folds=2))
    cnns = [step for step in steps if step.job == "train_cnn"]
    assert {step.name for step in cnns if step.options.near_duplicates == 0.9} == {
        f"small_cnn/seed{seed}/web/cnn" for seed in (0, 1)
    }
    assert {step.options.near_duplicates for step in cnns} == {None, 0.9}


def test_word_vectors_and_their_aggregation_reach_every_energynet(two_splits, plan):
    steps, _ = make_steps(two_splits, dataclasses.replace(plan, word_vectors="words", aggregation="average"))
    nets = [step.options for step in steps if step.job == "train_energynet"]
    assert {(net.word_vectors, net.aggregation) for net in nets} == {("words", "average")}


def test_without_web_images_nothing_asks_for_them(two_splits, plan):
    bare = dataclasses.replace(two_splits, images=None)
    steps, cells = make_steps(bare, dataclasses.replace(plan, weights="imagenet"))
    assert {cell.trained_on for cell in cells} == {"020", "100"}
    assert not [step for step in steps if "web" in step.name]
    adapted = {step.options.out: step.options for step in steps if step.job == "adapt_cnn"}
    assert {step.options.weights for step in steps if step.job == "train_cnn"} == adapted.keys()
    assert {(one.weights, one.features_only) for one in adapted.values()} == {("imagenet", True)}
    assert {step.options.mix_images for step in steps if step.job == "train_cnn"} == {None}


def out_of_fold(plan, **change):
    return dataclasses.replace(plan, map_source="out_of_fold", **change)


@pytest.mark.parametrize("folds", [2, 3])
def test_out_of_fold_every_finetuned_cell_gets_a_cnn_and_maps_per_fold(two_splits, plan, folds):
    steps = {step.name: step for step in make_steps(two_splits, out_of_fold(plan, folds=folds))[0]}
    root = "small_cnn/seed1/split2/020"
    whole = steps[f"{root}/cnn"]
    net, scores = (steps[f"{root}/{name}-folds{folds}"] for name in ("energynet", "scores"))
    stores, needs = [], [f"{root}/maps"]
    for number in range(1, folds + 1):
        cnn, maps = (steps[f"{root}/fold{number}of{folds}/{name}"] for name in ("cnn", "maps"))
        lists, end = whole.options.split.removesuffix(".txt"), f"{number}of{folds}.txt"
        assert cnn.options == dataclasses.replace(whole.options, split=f"{lists}-fold{end}", out=cnn.options.out)
        assert cnn.needs == whole.needs
        assert maps.options.weights == cnn.options.out
        assert maps.options.lists == (f"{lists}-left{end}",)
        assert maps.options.columns == ("maps", "logits")
        assert maps.needs == (cnn.name,)
        stores.append(maps.options.out)
        needs.append(maps.name)
    outs = [step.options.out for step in steps.values()]
    assert len(set(outs)) == len(outs)
    assert net.options.out_of_fold == tuple(stores)
    assert net.options.split == whole.options.split
    assert net.options.store == steps[f"{root}/maps"].options.out
    assert net.needs == tuple(needs)
    assert scores.options.energynet == net.options.out
    assert scores.needs == (f"{root}/maps", net.name)


def test_out_of_fold_the_rest_stays_as_it_is(two_splits, plan):
    """One folder can hold both plans, and their common steps run only once."""
    same = {step.name: step for step in make_steps(two_splits, plan)[0]}
    steps, cells = make_steps(two_splits, out_of_fold(plan))
    other = {step.name: step for step in steps}
    assert len(other) == len(steps)
    for place, step in enumerate(steps):
        assert set(step.needs) <= {before.name for before in steps[:place]}
    both = same.keys() & other.keys()
    assert all(same[name] == other[name] for name in both)
    names = itertools.product((0, 1), (1, 2), ("020", "100"), ("energynet", "scores"))
    assert same.keys() - both == {f"small_cnn/seed{k}/split{n}/{share}/{what}" for k, n, share, what in names}
    assert not [name for name in other if "noimage/fold" in name or "web/fold" in name]
    assert {one.scores for one in cells} == {step.name for step in steps if step.job == "evaluate"}


def test_folds_that_the_videos_do_not_make_are_refused_before_anything_is_planned(two_splits, plan):
    with pytest.raises(UsageError, match="5 folds of 4 videos or recordings: some are empty"):
        make_steps(two_splits, out_of_fold(plan, folds=5))
    make_steps(two_splits, dataclasses.replace(plan, folds=5))  # map source same_cnn has no folds


def test_trainings_side_by_side_share_the_cpus_and_the_first_have_them_all(two_splits, plan, monkeypatch):
    steps, _ = make_steps(two_splits, dataclasses.replace(plan, seeds=(0,), image_free=False))
    monkeypatch.setattr(run_plan, "cluster_totals", lambda: {"CPU": 8.0, "GPU": 0.0})
    cpus = {step.name: step.options.cpus_per_worker for step in run_plan._sharing(steps, 4) if step.job == "train_cnn"}
    assert cpus.pop("small_cnn/seed0/web/cnn") == 8
    assert set(cpus.values()) == {2}
    monkeypatch.setattr(run_plan, "cluster_totals", lambda: {"CPU": 8.0, "GPU": 2.0})
    assert run_plan._sharing(steps, 2) == steps


def test_frames_are_prepared_as_the_network_of_timm_expects_them(two_splits, plan):
    steps, _ = make_steps(two_splits, dataclasses.replace(plan, backbones=("timm:test_resnet",)))
    assert steps[0].options.input_size == 160
    assert steps[0].options.preprocessing == str(Resampling("bilinear", 0.95))
    (size,) = {step.options.input_size for step in steps if step.job == "train_cnn"}
    assert size == 160


def test_networks_that_expect_other_frames_do_not_share_them(two_splits, plan):
    both = dataclasses.replace(plan, backbones=("resnet18", "timm:test_resnet"), input_size=96)
    with pytest.raises(UsageError, match=r"--backbones: resnet18 and timm:test_resnet expect frames of different size"):
        make_steps(two_splits, both)
