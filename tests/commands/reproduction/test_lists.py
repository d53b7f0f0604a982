"""Split lists of the experiments."""

import dataclasses
from pathlib import Path

import pytest

from attn.commands.reproduction.experiment import make_steps
from attn.commands.reproduction.lists import check_lists, percent, write_lists
from attn.datasets.split import read_recordings, read_split
from attn.datasets.ucf101 import group_of
from attn.errors import UsageError

NAMES = ("Kick", "Wave")


def test_lists_hold_nested_shares_and_never_a_test_video(two_splits, plan):
    write_lists(two_splits, plan)
    for split in two_splits.splits:
        for seed in (0, 1):
            few, many = (
                read_split(f"{plan.out}/splits/{split.name}-train-{share}-seed{seed}.txt", NAMES)
                for share in ("020", "100")
            )
            assert few.keys() < many.keys() == split.train.keys()
            assert len(few) == 4
            assert not many.keys() & read_split(f"{plan.out}/splits/{split.name}-test.txt", NAMES).keys()


@pytest.mark.parametrize(("fraction", "name"), [(0.05, "005"), (0.33, "033"), (1.0, "100")])
def test_percent(fraction, name):
    assert percent(fraction) == name


def listed(plan, name):
    return read_split(f"{plan.out}/splits/{name}.txt", NAMES)


@pytest.mark.parametrize("folds", [2, 3])
def test_the_lists_of_the_folds_part_those_of_the_shares(two_splits, plan, folds):
    plan = dataclasses.replace(plan, map_source="out_of_fold", folds=folds)
    write_lists(two_splits, plan)
    for split in ("split1", "split2"):
        for share in ("020", "100"):
            name = f"{split}-train-{share}-seed1"
            whole, seen = listed(plan, name), []
            for number in range(1, folds + 1):
                train, left = (listed(plan, f"{name}-{what}{number}of{folds}") for what in ("fold", "left"))
                assert train | left == whole
                assert set(train.values()) == set(NAMES)
                seen += left
            assert sorted(seen) == sorted(whole)


def test_folds_differ_between_seeds_and_keep_groups_whole(two_splits, plan):
    of_groups = dataclasses.replace(two_splits, group_of=lambda video_id: group_of(video_id) // 2)
    plan = dataclasses.replace(plan, map_source="out_of_fold", folds=2)
    write_lists(of_groups, plan)
    parts = [[listed(plan, f"split1-train-100-seed{k}-left{i}of2") for i in (1, 2)] for k in (0, 1)]
    assert parts[0] != parts[1]
    for part in parts:
        first, second = ({(name, group_of(video_id) // 2) for video_id, name in left.items()} for left in part)
        assert not first & second


def test_folds_without_a_class_name_the_labels_and_the_flag_that_asks_for_folds(two_splits, plan):
    whole = dataclasses.replace(two_splits, group_of=two_splits.labels.__getitem__, across_classes=True)
    plan = dataclasses.replace(plan, labels="labels.csv", map_source="out_of_fold", folds=2)
    with pytest.raises(
        UsageError, match=r"^labels\.csv, split1: 2 parts leave no .* change --folds or --map-source\.$"
    ):
        check_lists(whole, plan)


def test_lists_of_your_own_videos_name_their_recordings_but_older_ones_stay(two_splits, plan):
    own = dataclasses.replace(two_splits, name="labelled", group_of=lambda video_id: f"place{group_of(video_id) // 2}")
    write_lists(own, plan)
    url = f"{plan.out}/splits/split1-train-100-seed0.txt"
    assert read_recordings(url, read_split(url)) == {one: own.group_of(one) for one in own.splits[0].train}

    older = dataclasses.replace(plan, out=f"{plan.out}-older")
    write_lists(two_splits, older)
    before = Path(older.out, "splits/split1-train-100-seed0.txt").read_text()
    check_lists(own, older)
    write_lists(own, older)
    assert Path(older.out, "splits/split1-train-100-seed0.txt").read_text() == before


@pytest.mark.parametrize("map_source", ["same_cnn", "out_of_fold"])
def test_every_list_that_a_step_reads_is_written_and_no_other(two_splits, plan, map_source):
    plan = dataclasses.replace(plan, map_source=map_source, fractions=(0.2,))
    write_lists(two_splits, plan)
    read = set()
    for step in make_steps(two_splits, plan)[0]:
        named = [getattr(step.options, flag, None) for flag in ("classes", "split", "train_split")]
        read |= {url for url in (*named, *getattr(step.options, "lists", ())) if url}
    assert read == {str(path) for path in Path(plan.out, "splits").iterdir()}
