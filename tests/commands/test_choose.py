"""The choice of a method for own videos: what is compared, what is refused, and the whole of it once."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import torch

from attn.commands.choose import CHOICE, COMPARE, MODEL, _calibration, choose, comparison
from attn.commands.choose_options import ChooseOptions
from attn.commands.evaluate import evaluate
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.precompute import precompute
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.reproduction.data import open_data
from attn.commands.reproduction.lists import write_lists
from attn.commands.reproduction.reproduce import resolved
from attn.errors import UsageError
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, load_checkpoint, save_checkpoint
from attn.models.model_file import Model, load_model
from attn.storage.store import AttentionStore
from attn.training.energy_config import EnergyConfig
from tests.small_inputs import write_clip

TINY = EnergyConfig(updates=40, look_every=20, candidates_initial=16, candidates_final=32, num_hard=8)
CLASSES = ("Wave", "Kick", "Hug")


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    """Four clips of each class in a flat folder, and three without a label, as many as classes."""
    root = tmp_path_factory.mktemp("own")
    for seed in range(15):
        write_clip(root / f"clip{seed:02}.avi", 40, seed)
    return root


@pytest.fixture
def weights(tmp_path):
    """A small CNN of random weights that has seen images: its BatchNorm has statistics."""
    torch.manual_seed(0)
    backbone = build_backbone("small_cnn", 3).train()
    with torch.no_grad():
        for _ in range(20):
            backbone(torch.randn(8, 3, 64, 64))
    url = str(tmp_path / "web.safetensors")
    save_checkpoint(url, Cnn(backbone.eval(), "small_cnn", CLASSES, 64))
    return url


@pytest.fixture
def options(videos, weights, tmp_path):
    rows = [f"clip{number:02},{CLASSES[number % 3]},{number // 3}" for number in range(12)]
    labels = tmp_path / "labels.csv"
    labels.write_text("\n".join(["video_id,label,group", *rows, ""]))
    return ChooseOptions(
        weights=weights,
        videos=str(videos),
        labels=str(labels),
        out=str(tmp_path / "choice"),
        parts=2,
        epochs=1,
        energynet=TINY,
        map_source="same_cnn",
        stride=1,
    )


def test_a_dry_run_names_every_step_and_writes_nothing(options, caplog, tmp_path):
    with caplog.at_level("INFO"):
        assert choose(dataclasses.replace(options, dry_run=True)) == 0
    root = "small_cnn/seed0"
    steps = [line.split(": ") for line in caplog.messages]
    jobs = {name: job for name, job, *_ in (step for step in steps if len(step) == 2)}
    assert jobs[f"{root}/adapted/cnn"] == "adapt_cnn"
    assert "small_cnn/seed0/web/cnn" not in jobs
    for part in ("part1", "part2"):
        assert jobs[f"{root}/{part}/adapted/100/energynet"] == jobs[f"{root}/{part}/100/energynet"] == "train_energynet"
    assert not (tmp_path / "choice").exists()


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["clip00,Wave,1", "clip03,Jump,2"], "class 'Jump' is not among the 3 class names"),
        (["clip00,Wave,1", "clip03,Wave,2", "clip01,Kick,1", "clip04,Kick,2"], "class 'Hug' has 0 labelled videos"),
        (
            ["clip00,Wave,1", "clip03,Wave,2", "clip01,Kick,1", "clip04,Kick,2", "clip02,Hug,1"],
            "Hug' has 1 labelled video",
        ),
        (["clip00,Wave,1", "clip00,Kick,1"], "row 2: video 'clip00' appears twice"),
        (
            ["clip00,Wave,1", "clip03,Wave,2", "clip01,Kick,1", "clip04,Kick,2", "clip02,Hug,1", "gone,Hug,2"],
            "gone.*Add them",
        ),
        (
            ["clip00,Wave,1", "clip03,Wave,2", "clip01,Kick,1", "clip04,Kick,2", "clip02,Hug,1", "clip05,Hug,1"],
            "2 parts leave no video of 'Hug' to train on",
        ),
    ],
)
def test_labels_that_cannot_be_used_are_refused_before_any_work(options, tmp_path, rows, said):
    (tmp_path / "labels.csv").write_text("\n".join(["video_id,label,group", *rows, ""]))
    with pytest.raises(UsageError, match=said):
        choose(options)
    assert not (tmp_path / "choice").exists()


def test_a_model_is_calibrated_on_videos_that_it_was_not_trained_on(weights, new_manifest, write_store, tmp_path):
    manifest, rng, zeros = new_manifest(class_names=CLASSES), np.random.default_rng(0), np.zeros((2, 3), np.float32)
    rows = {f"clip{i}": {"logits": zeros, "maps": rng.random((2, 3, 4, 4)).astype(np.float16)} for i in range(9)}
    model = Model(load_checkpoint(weights), "unatt", {}, trained_on=("clip0", "clip4", "gone"))
    store = AttentionStore.open(write_store(str(tmp_path / "store"), manifest, rows))
    others = {video_id: tensors for video_id, tensors in rows.items() if video_id not in model.trained_on}
    of_others = AttentionStore.open(write_store(str(tmp_path / "others"), manifest, others))
    assert _calibration(model, store) == _calibration(dataclasses.replace(model, trained_on=()), of_others)


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_best_method_becomes_one_file_that_scores_new_videos(ray_local, options, videos, tmp_path):
    assert choose(options) == 0
    with open(f"{options.out}/{CHOICE}") as file:
        record = json.load(file)
    methods = {one["method"]: one["top_1"]["value"] for one in record["compared"]}
    assert {"CNN", "adapted+UnAtt", "adapted+EnergyNet", "finetune+CNN", "finetune+EnergyNet"} <= methods.keys()
    assert {"adapted+calibrated EnergyNet", "finetune+calibrated CNN", "finetune+calibrated UnAtt"} <= methods.keys()
    written = f"{options.out}/{MODEL}"
    model = load_model(written)
    assert model.chosen["method"] == record["chosen"]["method"]
    new, store = tmp_path / "new", str(tmp_path / "store")
    for number, name in enumerate(CLASSES):
        (new / name).mkdir(parents=True)
        shutil.copy(videos / f"clip{number:02}.avi", new / name / f"new{number}.avi")
    assert precompute(PrecomputeOptions(videos=str(new), weights=written, out=store, batch_size=4)) == 0
    split = tmp_path / "new.txt"
    split.write_text("".join(f"{name}/new{number}.avi\n" for number, name in enumerate(CLASSES)))
    out = str(tmp_path / "results")
    assert evaluate(EvaluateOptions(store, str(split), out, model=(written,))) == 0
    with pytest.MonkeyPatch.context() as patch:  # nothing is done twice
        patch.setattr("attn.engine.run_steps.run_step", None)
        assert choose(options) == 0
    assert (tmp_path / "choice" / COMPARE / "tables.md").exists()


def test_other_labels_or_videos_in_the_same_folder_are_refused(options, videos, tmp_path):
    plan = resolved(comparison(options))
    write_lists(open_data(plan), plan)
    labels = tmp_path / "labels.csv"
    first = labels.read_text()
    labels.write_text(first.replace("clip00,Wave,0", "clip12,Wave,0"))
    with pytest.raises(UsageError, match=r"compare: was made with other videos or labels .* Choose another --out\."):
        choose(options)
    labels.write_text(first)
    (tmp_path / "choice" / COMPARE / "plan.json").write_text(
        json.dumps({"options": json.loads(json.dumps(dataclasses.asdict(plan))), "videos": "others"})
    )
    with pytest.raises(UsageError, match=r"the videos differ from those that .* was adapted to and calibrated on"):
        choose(options)
