"""Stores that an EnergyNet can be trained on; no training is run."""

import dataclasses
import re
import shutil
from pathlib import Path

import pytest

from attn.commands.train_energynet_plan import make_energy_training
from attn.errors import UsageError
from attn.training.energynet_options import TrainEnergyNetOptions


@pytest.fixture
def options(planted, tmp_path):
    return TrainEnergyNetOptions(
        store=str(planted / "store"), split=str(planted / "train.txt"), out=str(tmp_path / "energynet")
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"class_names": ("Hug", "Kick", "Yo")},
            'class_names: ["Hug", "Kick", "Yo"] here, ["Hug", "Kick", "Wave"] there',
        ),
        ({"map_shape": (2, 8)}, "map_shape: [2, 8] here, [4, 4] there"),
        ({"map_layer": "layer3"}, 'map_layer: "layer3" here, "trunk" there'),
        ({"alpha_reduce": "sum"}, 'alpha_reduce: "sum" here, "mean" there'),
        ({"preprocessing": "old"}, 'preprocessing: "old" here, "test" there'),
        ({"sampling": {"stride": 2}}, 'sampling: {"stride": 2} here, {"stride": 5} there'),
        ({"input_size": 64}, "input_size: 64 here, 32 there"),
    ],
)
def test_maps_that_do_not_stand_for_those_of_the_store_are_refused(options, by_fold, planted, change, said):
    name = f"other-{next(iter(change))}"
    other = by_fold.write(name, [], weights_sha256="9" * 64, **change)
    with pytest.raises(UsageError) as refused:
        make_energy_training(dataclasses.replace(options, out_of_fold=(*by_fold.folds, other)))
    complaint = (
        f"--out-of-fold {other}: does not match --store {planted / 'store'} ({said}). Precompute both with the same "
    )
    assert str(refused.value) == f"{complaint}settings."
    assert not Path(options.out).exists()


def test_maps_of_another_backbone_precision_and_mean_are_not_refused(options, by_fold):
    """Only fields that change the meaning of a map are compared."""
    change = {"backbone": "resnet18", "precision": "bf16", "mean": (0.4, 0.4, 0.4), "columns": ("maps",)}
    other = by_fold.write("other", by_fold.listed[2::3], weights_sha256="9" * 64, **change)
    make_energy_training(dataclasses.replace(options, out_of_fold=(*by_fold.folds[:2], other)))


def test_a_store_of_the_same_cnn_is_not_out_of_fold(options, by_fold, planted):
    same = by_fold.write("same", by_fold.listed[2::3])
    with pytest.raises(UsageError, match=rf"^--out-of-fold {same}: made by the CNN of --store [^\n]+$"):
        make_energy_training(dataclasses.replace(options, out_of_fold=(*by_fold.folds[:2], same)))


@pytest.mark.parametrize("bare", ["--store", "--out-of-fold"])
def test_a_store_without_maps_is_refused(options, by_fold, bare):
    columns = {"columns": ("logits",), "weights_sha256": "8" * 64}
    logits = by_fold.write(f"no-maps{bare}", by_fold.listed[2::3], **columns)
    change = {"store": logits} if bare == "--store" else {"out_of_fold": (*by_fold.folds[:2], logits)}
    where = logits if bare == "--store" else f"--out-of-fold {logits}"
    with pytest.raises(
        UsageError, match=rf"^{where}: contains no maps\. Precompute it again with --columns maps logits\.$"
    ):
        make_energy_training(dataclasses.replace(options, **{"out_of_fold": by_fold.folds, **change}))


def test_a_video_with_maps_in_two_stores_is_refused_if_it_is_listed(options, by_fold):
    twice = by_fold.write("twice", [by_fold.listed[3], *by_fold.listed[2::3]], weights_sha256="7" * 64)
    folds = (*by_fold.folds[:2], twice)
    complaint = rf"^--out-of-fold: {folds[0]} and {twice} both contain {by_fold.listed[3]}\. Leave out [^\n]+$"
    with pytest.raises(UsageError, match=complaint):
        make_energy_training(dataclasses.replace(options, out_of_fold=folds))
    with pytest.raises(UsageError, match=rf"^--out-of-fold: {twice} and {twice} both contain [^\n]+$"):
        make_energy_training(dataclasses.replace(options, out_of_fold=(*folds[1:], twice)))
    tested = by_fold.write("tested", ["v_Hug_g09_c01", *by_fold.listed[::3]], weights_sha256="7" * 64)
    also = by_fold.write("also", ["v_Hug_g09_c01", *by_fold.listed[1::3]], weights_sha256="7" * 64)
    make_energy_training(dataclasses.replace(options, out_of_fold=(tested, also, by_fold.folds[2])))


def test_a_video_without_maps_out_of_fold_is_refused_unless_allowed(options, by_fold):
    """Although --store contains the video."""
    two = dataclasses.replace(options, out_of_fold=by_fold.folds[:2])
    where = re.escape(" + ".join(by_fold.folds[:2]))
    with pytest.raises(UsageError, match=rf"^{where}: 8 of the 24 videos [^\n]+--allow-missing\.$"):
        make_energy_training(two)
    _, job, _ = make_energy_training(dataclasses.replace(two, allow_missing=True))
    assert len(job.train.video_ids) + len(job.held_out.video_ids) == 16


def test_a_store_out_of_fold_that_is_none_or_not_finished_is_refused(options, by_fold, tmp_path):
    with pytest.raises(UsageError, match=r"^/nowhere/fold: no attention store here"):
        make_energy_training(dataclasses.replace(options, out_of_fold=(*by_fold.folds, "/nowhere/fold")))
    shutil.copytree(by_fold.folds[2], tmp_path / "fold2")
    (tmp_path / "fold2" / "_SUCCESS.json").unlink()
    partial = dataclasses.replace(options, out_of_fold=(*by_fold.folds[:2], str(tmp_path / "fold2")))
    with pytest.raises(UsageError, match=r"fold2: the store is not finished.*--allow-partial"):
        make_energy_training(partial)
    make_energy_training(dataclasses.replace(partial, allow_partial=True))


def test_which_cnn_made_whose_maps_is_decisive(options, by_fold):
    """Swapping the videos of the fingerprints gives other maps."""
    a, b, c = (by_fold.listed[i::3] for i in range(3))
    first = dataclasses.replace(options, out_of_fold=by_fold.folds)
    swapped = [by_fold.write(f"swapped{i}", v, weights_sha256=f"{i + 1}" * 64) for i, v in enumerate((b, a, c))]
    second = dataclasses.replace(options, out_of_fold=tuple(swapped))
    one, other, plain = (make_energy_training(each)[0] for each in (first, second, options))
    assert len({one.name, other.name, plain.name}) == 3
    assert one.decisive["out_of_fold"].keys() == other.decisive["out_of_fold"].keys()
    halves = [by_fold.write(f"half{i}", c[i::2], weights_sha256="3" * 64) for i in range(2)]
    halved = dataclasses.replace(options, out_of_fold=(*by_fold.folds[:2], *halves))
    assert make_energy_training(halved)[0].name == one.name  # maps of one CNN in two folders
