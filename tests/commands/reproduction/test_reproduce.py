"""Complete reproduction on a tiny rendered data set, and invalid input that is rejected before the first step."""

import collections
import csv
import dataclasses
import json
import os
import re
import shutil
from pathlib import Path

import pytest

from attn.commands.reproduction.data import open_data, render
from attn.commands.reproduction.experiment import make_steps
from attn.commands.reproduction.lists import write_lists
from attn.commands.reproduction.page import with_page
from attn.commands.reproduction.plan_file import write_plan
from attn.commands.reproduction.reproduce import reproduce, resolved
from attn.commands.reproduction.reproduce_options import ReproduceOptions
from attn.errors import UsageError
from attn.training.energy_config import EnergyConfig

pytestmark = pytest.mark.timeout(900)  # the first test waits for the whole reproduction

TINY = EnergyConfig(updates=40, look_every=20, candidates_initial=16, candidates_final=32, num_hard=8)


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """Options of a reproduction of one share, with relative paths, that was interrupted before its first step."""
    options = ReproduceOptions(
        dataset="synthetic",
        out=os.path.relpath(tmp_path_factory.mktemp("reproduced")),
        splits=(1,),
        fractions=(1.0,),
        image_epochs=1,
        frame_epochs=1,
        energynet=TINY,
        image_free=False,
        map_source="same_cnn",
        stride=4,
        input_size=64,
        render_images=48,
        render_videos=32,
    )
    full = resolved(options)
    steps, _ = make_steps(open_data(full), full)
    render(full)
    write_lists(open_data(full), full)
    write_plan(full, steps)
    return options


@pytest.fixture(scope="module")
def finished(ray_local, planned):
    """Options of the same reproduction, finished."""
    assert reproduce(planned) == 0
    return planned


def test_it_ends_with_a_page(finished, caplog):
    caplog.set_level("INFO", "attn")
    assert with_page(reproduce)(finished) == 0
    page = Path(finished.out, "report.html")
    assert page.read_text().startswith("<!doctype html>")
    assert caplog.messages[-1] == f"{page}; open it in a browser"


def test_a_page_that_cannot_be_written_leaves_the_exit_code(finished, caplog):
    page = Path(finished.out, "report.html")
    page.unlink(missing_ok=True)
    page.mkdir()
    try:
        assert [with_page(lambda _, code=code: code)(finished) for code in (0, 1)] == [0, 1]
    finally:
        page.rmdir()
    assert caplog.messages[-1].startswith("no page: ")
    assert f"Then run python jobs/report.py --runs {finished.out}" in caplog.text
    dry = dataclasses.replace(finished, dry_run=True)
    assert with_page(lambda _: 0)(dry) == 0
    assert not page.exists()


def results_of(options):
    with open(f"{options.out}/tables.json") as file:
        return json.load(file)


@pytest.mark.long
def test_every_method_has_its_figures(finished):
    results = results_of(finished)
    assert [(one["trained_on"], one["method"]) for one in results["methods"]] == [
        ("web", "CNN"),
        ("web", "calibrated CNN"),
        ("web", "UnAtt"),
        ("web", "calibrated UnAtt"),
        ("adapted", "adapted+CNN"),
        ("adapted", "adapted+calibrated CNN"),
        ("adapted", "adapted+UnAtt"),
        ("adapted", "adapted+calibrated UnAtt"),
        ("100", "finetune+CNN"),
        ("100", "finetune+UnAtt"),
        ("100", "finetune+EnergyNet"),
        ("100", "adapted+EnergyNet"),
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
    assert results["web_images"][0]["paper"] is None


@pytest.mark.long
def test_tables_stand_in_three_forms(finished):
    with open(f"{finished.out}/tables.csv") as file:
        tables = collections.Counter(line["table"] for line in csv.DictReader(file))
    # Pairs within the three CNNs, of adaptation, and of labels; a single share has neither gains nor crossings.
    assert tables == {"web_images": 1, "methods": 2 * 13, "pairs": 3 + 3 + 7 + 4 + 5}
    with open(f"{finished.out}/tables.md") as file:
        assert "## Figures 4 and 5" in file.read()


@pytest.mark.long
def test_what_is_finished_is_not_done_again(finished, caplog):
    before = results_of(finished)
    with caplog.at_level("INFO"):
        assert reproduce(finished) == 0
    assert "13 steps, 13 of them finished before" in caplog.text
    assert "started" not in caplog.text
    assert results_of(finished) == before


def test_a_dry_run_writes_nothing(planned, tmp_path, caplog):
    dry = dataclasses.replace(
        planned, out=str(tmp_path / "dry"), root=f"{planned.out}/data", dry_run=True, seeds=(0, 1)
    )
    with caplog.at_level("INFO"):
        assert reproduce(dry) == 0
    assert "25 steps, 8 sets of scores" in caplog.text
    assert not (tmp_path / "dry").exists()


def test_a_dry_run_of_what_is_not_rendered_yet_says_the_same(planned, tmp_path, caplog):
    with caplog.at_level("INFO"):
        assert reproduce(dataclasses.replace(planned, out=str(tmp_path / "dry"), dry_run=True)) == 0
    assert "13 steps, 4 sets of scores" in caplog.text
    assert not (tmp_path / "dry").exists()


def test_what_a_later_step_would_refuse_is_refused_before_anything_is_rendered(planned, tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("apple 1 0\npear 0 1\n")
    new = dataclasses.replace(planned, out=str(tmp_path / "new"))
    for change, said in (
        ({"backbones": ("no_net",)}, "'no_net': unknown backbone"),
        ({"weights": str(tmp_path / "none.pth")}, "none.pth"),
        ({"word_vectors": str(words)}, "words.txt: no word vectors for"),
        ({"splits": (4,)}, "--splits 4: synthetic has no such split. Choose from 1 to 3."),
    ):
        with pytest.raises(UsageError, match=re.escape(said)):
            reproduce(dataclasses.replace(new, **change))
    assert not (tmp_path / "new").exists()


def test_listed_videos_that_are_not_there_are_refused_unless_allowed(planned, tmp_path):
    root = tmp_path / "data"
    shutil.copytree(f"{planned.out}/data", root)
    next((root / "UCF-101").rglob("*.avi")).unlink()
    dry = dataclasses.replace(planned, out=str(tmp_path / "out"), root=str(root), dry_run=True)
    with pytest.raises(UsageError, match=r"1 of the 32 videos of split1 are missing: v_.*\. Add them, or give --al"):
        reproduce(dry)
    assert reproduce(dataclasses.replace(dry, allow_missing=True)) == 0


def test_a_class_without_web_images_is_refused(planned, tmp_path):
    images = tmp_path / "images"
    shutil.copytree(f"{planned.out}/data/images", images)
    shutil.rmtree(next(images.iterdir()))
    with pytest.raises(UsageError, match="no image"):
        reproduce(dataclasses.replace(planned, out=str(tmp_path / "out"), images=str(images)))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dataset": "ucf101"}, "--dataset ucf101: --root is missing"),
        ({"seeds": (1, 1)}, "--seeds 1 1: not valid. Give different integers"),
        ({"fractions": (0.0,)}, "--fractions 0: not valid. Give multiples of 0.01"),
        ({"fractions": (0.333,)}, "--fractions 0.333: not valid. Give multiples of 0.01"),
        ({"splits": (1, 1)}, "--splits 1 1: duplicate values. List each value once."),
        ({"image_epochs": 0}, "--image-epochs 0: too small. Give 1 or more."),
        ({"folds": 1}, "--folds 1: too small. Give 2 or more."),
        ({"splits": (4,)}, "--splits 4: synthetic has no such split. Choose from 1 to 3."),
        ({"energynet": dataclasses.replace(TINY, num_hard=17)}, "--energynet.num-hard 17"),
        ({"root": "/nowhere"}, "/nowhere"),
        ({"render_videos": 40}, "--render-videos 40: 32 were rendered in"),
        ({"image_epochs": 2}, "--image-epochs 2: "),
        ({"energynet": dataclasses.replace(TINY, lr=0.5)}, "was made with 0.001. Choose another --out."),
        ({"input_size": 0}, "--input-size 0: too small. Give 1 or more."),
        ({"actors": (5, 2)}, "--actors 5 2: not a valid range. Give the minimum and the maximum"),
        ({"max_failed_fraction": 2.0}, "--max-failed-fraction 2: out of range. Give a number from 0 to 1."),
        ({"std": (0.0, 0.0, 0.0)}, "std"),
        ({"render_images": 40}, "--render-images 40: 48 were rendered in"),
    ],
)
def test_what_cannot_be_is_refused_at_once(planned, change, said):
    with pytest.raises(UsageError) as refused:
        reproduce(dataclasses.replace(planned, **change))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
