"""Pack, CNN, maps, EnergyNet, search and scores from one bucket, each a job on a cluster of four nodes."""

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import s3fs
import torch

from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.precompute_plan import make_plan
from attn.commands.train_energynet_plan import make_energy_training
from attn.models.energynet_file import load_energynet
from attn.stages.attention import ComputeMaps
from attn.storage.store import AttentionStore
from attn.synthetic.render import render_images, render_videos
from attn.training.checkpoints import CheckpointFolder
from attn.training.energynet_learner import EnergyLearner
from attn.training.energynet_maps import _read
from attn.training.energynet_options import TrainEnergyNetOptions
from attn.training.group import Group
from attn.training.loop import TrainingLoop
from attn.training.status import StatusWriter
from attn.training.trial_records import read_trials, trial_url
from attn.video.sandbox.guard import FrameReader

pytestmark = [pytest.mark.long, pytest.mark.timeout(900)]  # a machine of two cores is busy with four nodes

QUICK = {"updates": 60, "look_every": 20, "candidates_initial": 16, "candidates_final": 32, "num_hard": 8}
QUICK_FLAGS = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in QUICK.items())
SMALL_CNN = "--backbone small_cnn --epochs 1 --input-size 64"
SMALL_PARTS = "--actors 2 2 --stride 8 --batch-size 16 --part-mb 1"
TRIALS = 3


@pytest.fixture(scope="module")
def places(s3_of_module: str, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """URLs in the bucket, which holds a rendered data set."""
    folder, bucket = tmp_path_factory.mktemp("data"), s3_of_module
    render_images(folder, 48, workers=1)
    render_videos(folder, 48, workers=1)
    s3fs.S3FileSystem(use_listings_cache=False).put(str(folder), f"{bucket}/data", recursive=True)
    lists = f"{bucket}/data/ucfTrainTestlist"
    named = {name: f"{bucket}/{name}" for name in ("shards", "store", "energynet", "search", "scores")}
    return SimpleNamespace(
        images=f"{bucket}/data/images",
        videos=f"{bucket}/data/UCF-101",
        train=f"{lists}/trainlist01.txt",
        test=f"{lists}/testlist01.txt",
        classes=f"{lists}/classInd.txt",
        cnn=f"{bucket}/cnn.safetensors",
        **named,
    )


@pytest.fixture(scope="module")
def said(four_nodes: Any, places: SimpleNamespace) -> dict[str, str]:
    """What each job printed; all of them ended well."""
    at = places
    learn = f"--store {at.store} --split {at.train} --holdout-fraction 0.3 {QUICK_FLAGS}"
    score = "--methods cnn unatt energynet"
    commands = {
        "pack": f"jobs/pack.py --videos {at.videos} --out {at.shards} --shard-mb 1 --classes {at.classes}",
        "train_cnn": f"jobs/train_cnn.py --images {at.images} --out {at.cnn} --workers 2 {SMALL_CNN}",
        "precompute": f"jobs/precompute.py --videos {at.shards} --weights {at.cnn} --out {at.store} {SMALL_PARTS}",
        "train_energynet": f"jobs/train_energynet.py --out {at.energynet} --workers 2 {learn}",
        "search": f"tune/search.py --out {at.search} --trials {TRIALS} --space margins {learn}",
        "evaluate": f"jobs/evaluate.py --store {at.store} --split {at.test} --out {at.scores} {score}"
        f" --energynet {at.energynet}",
    }
    printed = {}
    for name, command in commands.items():
        code, printed[name] = four_nodes.submit("python", *command.split()).wait()
        assert code == 0, printed[name]
    return printed


def test_every_job_says_what_it_does_and_no_secret(said: dict[str, str]) -> None:
    for name, printed in said.items():
        assert "succeeded" in printed, name
        assert "testing-secret" not in printed, name
    assert "videos, " in said["precompute"]
    assert all(f"trial {number}: validation" in said["search"] for number in range(1, TRIALS + 1))


def test_rows_are_those_of_a_single_process(said: dict[str, str], places: SimpleNamespace) -> None:
    store = AttentionStore.open(places.store)
    found = {rows.video_id: rows for rows in store.videos(["maps", "logits"])}
    expected = {rows["video_id"]: rows for rows in maps_alone(places)}
    assert len(found) == 48
    assert found.keys() == expected.keys()
    for video_id, rows in found.items():
        np.testing.assert_array_equal(rows.frame, expected[video_id]["frame"])
        assert rows.label == expected[video_id]["label"]
        for name in ("maps", "logits"):
            np.testing.assert_allclose(rows.tensors[name], expected[video_id][name], rtol=2e-3, atol=1e-4)


def maps_alone(places: SimpleNamespace) -> Iterator[dict[str, Any]]:
    """The same without Ray, from the videos as they were before they were packed."""
    plan = make_plan(PrecomputeOptions(videos=places.videos, out=f"{places.store}-alone", weights=places.cnn, stride=8))
    compute = ComputeMaps(plan.cnn, columns=("maps", "logits"), precision="fp32", device="cpu")
    with FrameReader() as reader:
        for video in plan.videos:
            batches = [batch for batch in plan.stage([video], reader) if isinstance(batch, dict)]
            columns = {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
            tensors = compute(columns["image"])
            yield {"video_id": video.video_id, "label": video.label, "frame": columns["frame"], **tensors}


@pytest.fixture(scope="module")
def weights_alone(said: dict[str, str], places: SimpleNamespace, tmp_path_factory) -> dict[str, torch.Tensor]:
    """Of an EnergyNet trained in this process."""
    options = TrainEnergyNetOptions(
        store=places.store, split=places.train, out=f"{places.energynet}-alone", holdout_fraction=0.3, **QUICK
    )
    run, job, _ = make_energy_training(options)
    run.begin({})
    group = Group.alone(torch.device("cpu"))
    maps, refusal = _read(job, group)
    assert maps is not None, refusal
    learner = EnergyLearner(job, *maps, group, lambda text: None)
    checkpoints = CheckpointFolder(str(tmp_path_factory.mktemp("alone")))
    loop = TrainingLoop(learner, StatusWriter(None, rank=1), checkpoints, run_url=job.run_url)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in a trial: more would add in another order
    try:
        assert loop.run() is None
    finally:
        torch.set_num_threads(threads)
    return learner.state(loop.rows).best


def test_two_workers_on_two_nodes_learn_what_a_single_process_learns(
    places: SimpleNamespace, weights_alone: dict[str, torch.Tensor]
) -> None:
    found = load_energynet(places.energynet).net.state_dict()
    for name, weight in weights_alone.items():
        torch.testing.assert_close(found[name], weight, rtol=1e-4, atol=1e-5)


def test_a_trial_is_what_a_single_process_trains(
    places: SimpleNamespace, weights_alone: dict[str, torch.Tensor]
) -> None:
    trials = read_trials(places.search)
    assert [trial.number for trial in trials] == list(range(1, TRIALS + 1))
    assert {trial.status for trial in trials} <= {"finished", "stopped"}
    found = load_energynet(trial_url(places.search, 1)).net.state_dict()  # the paper's settings come first
    for name, weight in weights_alone.items():
        torch.testing.assert_close(found[name], weight, rtol=0, atol=0)


def test_scores_are_of_every_test_video(said: dict[str, str], places: SimpleNamespace) -> None:
    fs = s3fs.S3FileSystem(use_listings_cache=False)
    listed = fs.cat_file(places.test).decode().split()
    methods = json.loads(fs.cat_file(f"{places.scores}/metrics.json"))["methods"]
    assert {methods[name]["videos"] for name in ("cnn", "unatt", "energynet")} == {len(listed)}
