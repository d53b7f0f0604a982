"""The whole reproduction on a rendered data set, tiny, and what it refuses before it begins."""

import csv
import dataclasses
import json
import os

import pytest

from attn.engine.options import ReproduceOptions
from attn.engine.reproduce import reproduce
from attn.errors import UsageError
from attn.stages.energy_config import EnergyConfig

TINY = EnergyConfig(updates=40, look_every=20, candidates_initial=16, candidates_final=32, num_hard=8)


@pytest.fixture(scope="module")
def finished(ray_local, tmp_path_factory):
    """Options of a reproduction that is done, without the cells of other shares; its paths are relative."""
    options = ReproduceOptions(
        dataset="synthetic",
        out=os.path.relpath(tmp_path_factory.mktemp("reproduced")),
        splits=(1,),
        fractions=(1.0,),
        image_epochs=1,
        frame_epochs=1,
        energynet=TINY,
        no_image=False,
        stride=8,
        input_size=64,
        render_images=48,
        render_videos=32,
    )
    assert reproduce(options) == 0
    return options


def results_of(options):
    with open(f"{options.out}/tables.json") as file:
        return json.load(file)


def test_every_method_has_its_figures(finished):
    results = results_of(finished)
    assert [(one["trained_on"], one["method"]) for one in results["methods"]] == [
        ("web", "CNN"),
        ("web", "UnAtt"),
        ("100", "finetune+CNN"),
        ("100", "finetune+UnAtt"),
        ("100", "finetune+EnergyNet"),
        ("100", "finetune+SVM"),
    ]
    with open(f"{finished.out}/small_cnn/seed0/split1/100/scores/metrics.json") as file:
        metrics = json.load(file)["methods"]
    by_method = {one["method"]: one for one in results["methods"]}
    for name, shown in (("energynet", "finetune+EnergyNet"), ("svm", "finetune+SVM"), ("cnn", "finetune+CNN")):
        assert by_method[shown]["top_1"]["value"] == pytest.approx(metrics[name]["top_1"]["value"])
        assert by_method[shown]["top_1"]["videos"] == metrics[name]["videos"]
    assert results["failed"] == {}
    assert results["web_images"][0]["images"] == 16


def test_tables_stand_in_three_forms(finished):
    with open(f"{finished.out}/tables.csv") as file:
        assert len(list(csv.DictReader(file))) == 12
    with open(f"{finished.out}/tables.md") as file:
        assert "## Figures 4 and 5" in file.read()


def test_what_is_finished_is_not_done_again(finished, caplog):
    before = results_of(finished)
    with caplog.at_level("INFO"):
        assert reproduce(finished) == 0
    assert "8 steps, 8 of them finished before" in caplog.text
    assert "started" not in caplog.text
    assert results_of(finished) == before


def test_a_dry_run_writes_nothing(finished, tmp_path, caplog):
    dry = dataclasses.replace(
        finished, out=str(tmp_path / "dry"), root=f"{finished.out}/data", dry_run=True, seeds=(0, 1)
    )
    with caplog.at_level("INFO"):
        assert reproduce(dry) == 0
    assert "15 steps, 4 sets of scores" in caplog.text
    assert not (tmp_path / "dry").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset": "ucf101"}, "--dataset ucf101 needs --root"),
        ({"seeds": (1, 1)}, "--seeds 1 1: give different numbers"),
        ({"fractions": (0.0,)}, "--fractions 0: give whole per cents"),
        ({"fractions": (0.333,)}, "--fractions 0.333: give whole per cents"),
        ({"splits": (1, 1)}, "--splits 1 1: name each once"),
        ({"image_epochs": 0}, "--image-epochs 0: give 1 or more"),
        ({"splits": (4,)}, "--splits 4: synthetic has the splits 1 to 3"),
        ({"energynet": dataclasses.replace(TINY, num_hard=17)}, "--num-hard 17"),
        ({"root": "/nowhere"}, "/nowhere"),
    ],
)
def test_what_cannot_be_is_refused_at_once(finished, change, said):
    with pytest.raises(UsageError) as refused:
        reproduce(dataclasses.replace(finished, **change))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
