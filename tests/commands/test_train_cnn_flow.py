"""A CNN of optical flow: trained on stacks of a flow store, then run on it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from attn.commands.cli import run
from attn.commands.precompute import precompute
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.train_cnn import train_cnn
from attn.commands.train_cnn_plan import make_training
from attn.commands.verify import verify
from attn.commands.verify_options import VerifyOptions
from attn.engine.exit_codes import EXIT_USAGE
from attn.errors import UsageError
from attn.models.checkpoint import load_weights
from attn.schema import FLOW
from attn.stages.attention import ComputeMaps
from attn.stages.flow.stacks import stack_rows, stacked
from attn.storage.store import AttentionStore, FlowStore
from attn.storage.tensors import tensor_values
from attn.training.cnn_options import TrainCnnOptions
from tests.flow_stores import SIZE, plant_directions, write_flow


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a flow store, its lists and a CNN that was trained on it."""
    folder = tmp_path_factory.mktemp("directions")
    plant_directions(folder)
    assert train_cnn(training(folder)) == 0
    return folder


def training(folder: Path, **told) -> TrainCnnOptions:
    usual = {
        "modality": "flow",
        "flow": str(folder / "flow"),
        "split": str(folder / "train.txt"),
        "classes": str(folder / "classInd.txt"),
        "backbone": "small_cnn",
        "out": str(folder / "cnn.safetensors"),
        "epochs": 3,
        "batch_size": 8,
        "batchnorm": "frozen",
        "head_lr": 0.05,
        "cpus_per_worker": 1,
    }
    return TrainCnnOptions(**{**usual, **told})


def maps_of(folder: Path, out: Path, **told) -> PrecomputeOptions:
    usual = {
        "flow": str(folder / "flow"),
        "weights": str(folder / "cnn.safetensors"),
        "columns": ("features", "logits", "maps"),
        "out": str(out),
        "batch_size": 4,
    }
    return PrecomputeOptions(**{**usual, **told})


def test_directions_are_learnt_and_the_checkpoint_names_its_flow(planted: Path) -> None:
    cnn = load_weights(str(planted / "cnn.safetensors"), of_flow=True)
    assert cnn.flow is not None
    assert (cnn.flow.length, cnn.flow.kind["algorithm"], cnn.flow.kind["bound_px"]) == (5, "dis", 20.0)
    assert (cnn.input_size, cnn.class_names) == (SIZE, ("Down", "Up"))
    assert cnn.trained["validation_accuracy"] == 1
    assert cnn.trained["videos"]["trained"] + cnn.trained["videos"]["held_out"] == 12


def test_its_maps_fill_an_attention_store_with_a_row_per_frame(planted: Path, tmp_path: Path) -> None:
    options = maps_of(planted, tmp_path / "store", lists=(str(planted / "test.txt"), str(planted / "train.txt")))
    assert precompute(options) == 0
    cnn, flow = load_weights(options.weights, of_flow=True), FlowStore.open(str(options.flow))
    compute = ComputeMaps(cnn, columns=("features", "logits", "maps"), precision="fp32", device="cpu")
    values = {video_id: [] for video_id in flow.video_ids}
    for part in flow.parts:
        for rows in flow.runs(part, ["video_id", FLOW]):
            values[rows["video_id"][0].as_py()].append(tensor_values(rows[FLOW], flow.manifest.schema.field(FLOW)))
    flows = {video_id: np.concatenate(own) for video_id, own in values.items()}
    expected = {name: compute(stacked(own[stack_rows([len(own)], 5)])) for name, own in flows.items()}
    store = AttentionStore.open(options.out)
    videos = {video.video_id: video for video in store.videos(("features", "logits", "maps"))}
    assert videos.keys() == expected.keys()
    for video_id, video in videos.items():
        assert video.label == (1 if "Up" in video_id else 0)
        assert video.logits.mean(0).argmax() == video.label
        for name, values in expected[video_id].items():
            np.testing.assert_allclose(video.tensors[name], values, atol=2e-3, rtol=2e-3)
    assert store.manifest.flow is not None
    assert store.manifest.flow["length"] == 5
    verdict = verify(VerifyOptions(options.out))
    assert verdict.exit_code == 0, str(verdict)


@pytest.mark.long
def test_actors_on_ray_give_the_rows_of_one_process(on_ray, planted: Path, tmp_path: Path, monkeypatch) -> None:
    assert precompute(maps_of(planted, tmp_path / "ray")) == 0
    monkeypatch.delenv("RAY_ADDRESS")
    assert precompute(maps_of(planted, tmp_path / "alone")) == 0
    ray, alone = (
        {video.video_id: video.tensors for video in AttentionStore.open(str(tmp_path / name)).videos(("features",))}
        for name in ("ray", "alone")
    )
    assert ray.keys() == alone.keys()
    for video_id, tensors in alone.items():
        np.testing.assert_allclose(ray[video_id]["features"], tensors["features"], atol=2e-3, rtol=2e-3)


def test_a_run_resumes_and_frames_do_not_join_the_store(planted: Path, tmp_path: Path) -> None:
    some = maps_of(planted, tmp_path / "store", lists=(str(planted / "test.txt"),))
    assert precompute(some) == 0
    assert precompute(dataclasses.replace(some, lists=())) == 0
    assert len(AttentionStore.open(some.out).video_ids) == 16


def test_a_cnn_of_images_lends_its_weights_and_only_the_first_statistics_move(
    planted: Path, small_weights: Path, tmp_path: Path
) -> None:
    options = training(
        planted, weights=str(small_weights), out=str(tmp_path / "crossed.safetensors"), batchnorm="auto", epochs=1
    )
    planned = make_training(options)
    assert (planned.job.freeze_batchnorm, planned.job.partial_batchnorm) == (True, True)
    assert planned.job.start_share == 0
    start = {name: tensor.clone() for name, tensor in planned.cnn.backbone.export_weights().items()}
    assert train_cnn(options) == 0
    end = load_weights(options.out, of_flow=True).backbone.export_weights()
    moved = [name for name in start if name.endswith("running_mean") and not torch.equal(start[name], end[name])]
    assert moved == [next(name for name in start if name.endswith("running_mean"))]
    again = training(planted, weights=options.out, out=str(tmp_path / "again.safetensors"), batchnorm="auto")
    assert not make_training(again).job.partial_batchnorm, "a CNN of flow has seen flow"


def test_training_again_on_the_same_flow_keeps_the_classifier_and_other_flow_is_refused(
    planted: Path, tmp_path: Path
) -> None:
    again = training(planted, weights=str(planted / "cnn.safetensors"), out=str(tmp_path / "again.safetensors"))
    assert make_training(again).job.fresh == "nothing"
    with pytest.raises(UsageError, match=r"--flow-stack 3: .*cnn\.safetensors takes stacks of 5"):
        make_training(dataclasses.replace(again, flow_stack=3))
    rows = {name: np.zeros((4, 2, SIZE, SIZE), np.int8) for name in FlowStore.open(str(planted / "flow")).video_ids}
    other = write_flow(str(tmp_path / "other"), rows, bound_px=10.0)
    with pytest.raises(UsageError, match=r"other: flow of another kind than .*bound_px: 10\.0 here, 20\.0 there"):
        make_training(dataclasses.replace(again, flow=other))
    assert run(precompute, maps_of(planted, tmp_path / "store", flow=other)) == EXIT_USAGE
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("told", "culprit"),
    [
        ({"flow": None}, "--images, --videos or --flow"),
        ({"modality": "rgb"}, "--modality rgb: contradicts --flow"),
        ({"split": None}, "--flow: requires --split"),
        ({"input_size": 64}, "--input-size: does not apply to --flow"),
        ({"stride": 2}, "--stride: does not apply to --flow"),
        ({"flow_stack": 0}, "--flow-stack 0"),
        ({"flow": "/nowhere"}, "/nowhere: no flow store here"),
    ],
)
def test_flags_that_contradict_each_other_are_one_line(planted: Path, told, culprit: str, tmp_path, capsys) -> None:
    options = training(planted, out=str(tmp_path / "cnn.safetensors"), **told)
    assert run(train_cnn, options) == EXIT_USAGE
    message = capsys.readouterr().err
    assert culprit in message
    assert message.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("told", "culprit"),
    [
        ({"flow": None}, "--videos or --flow"),
        ({"videos": "v"}, "--videos or --flow"),
        ({"stride": 2}, "--stride: does not apply to --flow"),
        ({"mean": (0.1, 0.1, 0.1)}, "--mean: does not apply to --flow"),
        ({"weights": "images"}, "a CNN of images"),
    ],
)
def test_precompute_refuses_what_does_not_suit_flow(
    planted: Path, told, culprit: str, tmp_path, capsys, small_weights: Path
) -> None:
    told = {name: str(small_weights) if value == "images" else value for name, value in told.items()}
    assert run(precompute, maps_of(planted, tmp_path / "store", **told)) == EXIT_USAGE
    assert culprit in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
