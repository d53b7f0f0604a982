"""Clip stores: rows of a network of clips, scores by evaluate, and bad input."""

import dataclasses
import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from attn.commands.clip_maps import frames_of_steps
from attn.commands.evaluate import evaluate
from attn.commands.evaluate_boxes import read_localisation
from attn.commands.evaluate_options import EvaluateOptions
from attn.commands.precompute import precompute
from attn.commands.precompute_options import PrecomputeOptions
from attn.commands.verify import verify
from attn.commands.verify_options import VerifyOptions
from attn.errors import UsageError
from attn.eval.pointing import find
from attn.models.attention_distillation import ClipArchitecture, ClipCnn
from attn.models.clip_file import TrainedClipCnn, load_clip_cnn, save_clip_cnn
from attn.models.clip_input import ClipInput
from attn.stages.clip_columns import ComputeClips
from attn.storage.manifest import FLOW_FIELDS
from attn.storage.store import AttentionStore, FrameStore
from attn.video.transform import BILINEAR
from tests.flow_stores import new_flow_manifest, write_flow

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES, SIZE, CROP = ("Wave", "Kick"), 36, 32
STUDENT = ClipArchitecture("small_clip_cnn", "rgb", num_classes=2)


def trained_of(**change) -> TrainedClipCnn:
    torch.manual_seed(0)
    net = ClipCnn(dataclasses.replace(STUDENT, **change))
    torch.nn.init.normal_(net.classifier.weight)  # scores of clips differ
    torch.nn.init.normal_(net.attentions["motion"].score.weight) if net.attentions else None
    taken = ClipInput(4, 2, SIZE, CROP, str(BILINEAR), {"stride": 1})
    return TrainedClipCnn(net.eval(), CLASSES, taken)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> str:
    url = str(tmp_path_factory.mktemp("weights") / "student.safetensors")
    save_clip_cnn(url, trained_of())
    return url


def options_of(footage, weights, out, **change) -> PrecomputeOptions:
    told = {"clip": (4, 2), "columns": ("logits", "attention"), **change}
    return PrecomputeOptions(videos=str(footage / "videos"), weights=weights, out=str(out), **told)


@pytest.fixture(scope="module")
def store(footage, weights, tmp_path_factory) -> AttentionStore:
    out = tmp_path_factory.mktemp("clips") / "store"
    assert precompute(options_of(footage, weights, out)) == 0
    return AttentionStore.open(str(out))


def test_rows_are_the_clips_of_each_video(store, weights):
    manifest = store.manifest
    assert (manifest.kind, manifest.class_names, manifest.map_shape) == ("clip store", CLASSES, (4, 4))
    assert manifest.clip == {"length": 4, "step": 2, "every": 8, "crop": CROP, "crops": 1}
    assert manifest.map_names == ("motion", "appearance")
    assert manifest.weights_sha256 == load_clip_cnn(weights).sha256
    videos = list(store.videos(["logits", "attention"]))
    assert len(videos) == 12
    # Videos of 1, 23, 8, 31, 12 and 16 frames; a clip has 7.
    assert sorted(rows.frame.tolist() for rows in videos if rows.label == 0) == [
        *([0], [0], [0], [0, 8], [0, 8, 16], [0, 8, 16, 24])
    ]
    for rows in videos:
        assert rows.tensors["attention"].shape[1:] == (2, 1, 4, 4)
        assert rows.tensors["attention"].astype(float).sum((3, 4)) == pytest.approx(1, abs=0.01)


def test_a_row_is_the_networks_output_for_its_frames(store, footage, weights, tmp_path):
    """Frames come from another job, and the window is cut here."""
    from attn.commands.decode_frames import decode_listed
    from attn.commands.decode_frames_options import DecodeFramesOptions

    lists = (str(footage / "split.txt"),)
    url = str(tmp_path / "frames")
    decode_listed(DecodeFramesOptions(videos=str(footage / "videos"), lists=lists, out=url, input_size=SIZE))
    frames = FrameStore.open(url)
    images = {}
    for part in frames.parts:
        for rows in frames.runs(part, ["video_id", "image"]):
            values = rows["image"].flatten().to_numpy().reshape(-1, SIZE, SIZE, 3)
            images.setdefault(rows["video_id"][0].as_py(), []).append(values)
    trained = load_clip_cnn(weights)
    for rows in store.videos(["logits", "attention"]):
        if rows.video_id not in images:
            continue
        video = np.concatenate(images[rows.video_id])
        wanted = np.minimum(rows.frame[:, None] + 2 * np.arange(4), len(video) - 1)
        clips = torch.from_numpy(video[wanted][:, :, 2:34, 2:34].transpose(0, 4, 1, 2, 3).copy())
        with torch.no_grad():
            logits, attention = trained.net(trained.input.normalised(clips))
        assert rows.logits == pytest.approx(logits.numpy(), abs=1e-4)
        expected = torch.softmax(attention.flatten(3), -1).view_as(attention).numpy()
        assert rows.tensors["attention"] == pytest.approx(expected, abs=1e-3)


def test_probabilities_of_three_windows_are_averaged():
    trained = trained_of()
    images = np.random.default_rng(0).integers(0, 256, (2, 4, SIZE, SIZE, 3), np.uint8)
    found = ComputeClips(trained, columns=("logits", "attention"), crops=3)(images)
    single = []
    for left in (0, 2, 4):
        clips = torch.from_numpy(images[:, :, 2:34, left : left + 32].transpose(0, 4, 1, 2, 3).copy())
        with torch.no_grad():
            single.append(trained.net(trained.input.normalised(clips)))
    expected = torch.stack([torch.softmax(one.logits, 1) for one in single]).mean(0)
    torch.testing.assert_close(torch.softmax(torch.from_numpy(found["logits"]), 1), expected)
    middle = torch.softmax(single[1].attention.flatten(3), -1).view_as(single[1].attention)
    assert found["attention"] == pytest.approx(middle.numpy(), abs=1e-3)


def test_short_videos_are_marked(store):
    repeated = {}
    for part in store.parts:
        for rows in store.runs(part, ["video_id", "repeated"]):
            repeated[rows["video_id"][0].as_py()] = rows["repeated"].to_pylist()
    assert repeated["v_Wave_g00_c01"] == [3]
    assert sum(sum(values) for values in repeated.values()) == 6


def test_a_finished_store_is_verified_evaluated_and_not_computed_again(store, footage, weights, tmp_path):
    options = options_of(footage, weights, store.url)
    assert precompute(options) == 0
    assert not verify(VerifyOptions(store=store.url, videos=options.videos)).faults
    videos = {rows.video_id: rows for rows in store.videos(["logits"])}
    lines = [f"{name}.avi {CLASSES[rows.label]}\n" for name, rows in videos.items()]
    (tmp_path / "test.txt").write_text("".join(lines))
    told = {"store": store.url, "split": str(tmp_path / "test.txt"), "out": str(tmp_path / "results")}
    assert evaluate(EvaluateOptions(**told, methods=("cnn",), model=(weights,))) == 0
    scores = pq.read_table(tmp_path / "results" / "scores.parquet").to_pylist()
    assert {row["method"] for row in scores} >= {"cnn", "clip_cnn"}
    assert {row["video_id"] for row in scores} == videos.keys()
    for row in [row for row in scores if row["method"] == "clip_cnn"]:
        votes = torch.softmax(torch.tensor(videos[row["video_id"]].logits), 1)
        assert row["scores"] == pytest.approx(votes.mean(0).tolist(), abs=1e-5)


def test_another_clip_is_refused_in_the_same_store(store, footage, weights):
    with pytest.raises(UsageError, match=r"clip: .*here"):
        precompute(options_of(footage, weights, store.url, clip=(4, 1)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clip": (0, 2)}, "--clip 0 2: must be two numbers of at least 1"),
        ({"clip_every": 0}, "--clip-every 0: must be at least 1"),
        ({"columns": ("maps", "logits")}, "--columns maps: clips have other columns"),
        ({"columns": ()}, "--columns : clips have other columns"),
        ({"input_size": 64}, "--input-size 64: not used with --clip"),
        ({"clip": None}, "--columns attention: needs --clip"),
        ({"clip": None, "columns": ("logits",), "crops": 3}, "--crops 3: needs --clip"),
        ({"clip": (1, 1), "weights": "none.safetensors"}, "none.safetensors"),
        ({"flow": "flow"}, "--videos or --flow: exactly one is required"),
    ],
)
def test_bad_flags(footage, weights, tmp_path, change, message):
    told = {"weights": weights, **change}
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        precompute(options_of(footage, told.pop("weights"), tmp_path / "out", **told))


def test_networks_that_do_not_fit_are_refused(footage, tmp_path):
    for name, message in (("flow", "takes flow, but videos have frames"), ("plain", "a network without attention")):
        url = str(tmp_path / f"{name}.safetensors")
        save_clip_cnn(url, trained_of(**({"modality": "flow"} if name == "flow" else {"num_maps": 0})))
        with pytest.raises(UsageError, match=message):
            precompute(options_of(footage, url, tmp_path / "out"))


@pytest.fixture(scope="module")
def flow(tmp_path_factory):
    """Flow of two videos, and the URLs of its store and of a network that takes it."""
    random, root = np.random.default_rng(0), tmp_path_factory.mktemp("flow")
    flows = {f"v_{name}_g01_c01": random.integers(-90, 90, (11, 2, SIZE, SIZE), np.int8) for name in CLASSES}
    trained = dataclasses.replace(
        trained_of(modality="flow", num_maps=1),
        flow=new_flow_manifest(input_size=SIZE).of(FLOW_FIELDS),
    )
    save_clip_cnn(str(root / "teacher.safetensors"), trained)
    return flows, write_flow(str(root / "flow"), flows, input_size=SIZE), str(root / "teacher.safetensors")


def test_rows_of_a_teacher_come_from_flow(flow, tmp_path):
    flows, url, weights = flow
    names = sorted(flows)
    (tmp_path / "test.txt").write_text("".join(f"{name}.avi {CLASSES[i]}\n" for i, name in enumerate(names)))
    told = {"flow": url, "weights": weights, "lists": (str(tmp_path / "test.txt"),), "out": str(tmp_path / "clips")}
    options = PrecomputeOptions(**told, clip=(4, 2), columns=("logits", "attention"))
    assert precompute(options) == 0
    trained, store = load_clip_cnn(weights), AttentionStore.open(options.out)
    assert (store.manifest.kind, store.manifest.map_names) == ("clip store", ("motion",))
    assert store.manifest.flow == {"length": 4, "kind": trained.flow}
    for rows in store.videos(["logits", "attention"]):
        assert (rows.label, rows.frame.tolist()) == (names.index(rows.video_id), [0])
        clip = torch.from_numpy(flows[rows.video_id][:8:2, :, 2:34, 2:34].transpose(1, 0, 2, 3).copy())
        with torch.no_grad():
            logits, attention = trained.net(trained.input.normalised(clip[None]))
        assert rows.logits == pytest.approx(logits.numpy(), abs=1e-4)
        expected = torch.softmax(attention.flatten(3), -1).view_as(attention).numpy()
        assert rows.tensors["attention"] == pytest.approx(expected, abs=1e-3)
    scored = EvaluateOptions(options.out, options.lists[0], str(tmp_path / "results"), model=(f"teacher={weights}",))
    assert evaluate(scored) == 0


def test_flow_that_does_not_fit_is_refused(flow, weights, tmp_path):
    flows, url, teacher = flow
    other = write_flow(str(tmp_path / "other"), flows, input_size=SIZE, bound_px=4.0)
    told = {"clip": (4, 2), "columns": ("logits",), "out": str(tmp_path / "clips")}
    for change, message in (
        ({"flow": url, "weights": weights}, "takes frames. Give --videos in place of --flow"),
        ({"flow": other, "weights": teacher}, r"flow of another kind than .* \(bound_px: 4.0 here, 20.0 there\)"),
        ({"flow": url, "weights": teacher, "stride": 2}, "--stride: does not apply to --flow"),
    ):
        with pytest.raises(UsageError, match=message):
            precompute(PrecomputeOptions(**told, **change))


def test_maps_are_compared_with_boxes(store, tmp_path):
    """A box around a quarter of the window holds the share of the maps' cells there, which are computed here."""
    videos = {rows.video_id: rows for rows in store.videos(["attention"]) if len(rows.frame) > 1}
    (tmp_path / "boxes").mkdir()
    for name in videos:
        # The source has 64×48 pixels. Its central square of 48 becomes 36; the window is that without 2 at each side.
        side, left, top = 48 / 36 * 16, 8 + 48 / 36 * 2, 48 / 36 * 2
        track = {"width": 64, "height": 48, "boxes": [[left, top, left + side, top + side]] * 40}
        (tmp_path / "boxes" / f"{name}.json").write_text(json.dumps(track))
    (tmp_path / "test.txt").write_text("".join(f"{name}.avi {CLASSES[rows.label]}\n" for name, rows in videos.items()))
    told = {"store": store.url, "split": str(tmp_path / "test.txt"), "boxes": str(tmp_path / "boxes")}
    assert evaluate(EvaluateOptions(**told, out=str(tmp_path / "results"), methods=("cnn",))) == 0
    found = json.loads((tmp_path / "results" / "metrics.json").read_text())["localisation"]["methods"]
    assert found.keys() == {"motion", "appearance"}
    for number, name in enumerate(("motion", "appearance")):
        maps = np.concatenate([rows.tensors["attention"][:, number].astype(float) for rows in videos.values()])
        assert found[name]["share"] == pytest.approx(maps[..., :2, :2].sum((2, 3)).mean(), abs=1e-3)
        assert found[name]["chance"] == pytest.approx(0.25)
        assert found[name]["num_frames"] == len(maps)
        # All boxes are the upper left quarter of the maps.
        quarter = np.array([[0.0, 0, 2, 2]])
        places = np.array([find(one, quarter, pixels=CROP) for one in maps[:, 0]])
        assert found[name]["pointing"] == pytest.approx(places[:, 0].mean())
        assert found[name]["precision"] == pytest.approx((places[:, 1] >= 0.5).mean())
        assert found[name]["pixel_precision"] == pytest.approx(places[:, 2].mean())
        assert found[name]["uniform_precision"] == 0
        for video_id, of_video in read_localisation(str(tmp_path / "results"))[name].items():
            own = videos[video_id].tensors["attention"][:, number].astype(float)
            assert of_video["share"] == pytest.approx(own[..., :2, :2].sum((2, 3)).mean(), abs=1e-3)
            assert of_video["num_frames"] == len(own)
    with pytest.raises(UsageError, match="--box-threshold 0: must be above 0"):
        evaluate(EvaluateOptions(**told, out=str(tmp_path / "no"), methods=("cnn",), box_threshold=0))


def test_frames_of_time_steps(store):
    manifest = dataclasses.replace(store.manifest, map_time=2, sampling={"stride": 3})
    assert frames_of_steps(manifest, np.array([0, 24])).tolist() == [6, 18, 30, 42]


def test_boxes_need_maps(footage, weights, tmp_path):
    out = str(tmp_path / "logits")
    assert precompute(options_of(footage, weights, out, columns=("logits",))) == 0
    (tmp_path / "boxes").mkdir()
    (tmp_path / "boxes" / "v_Wave_g01_c01.json").write_text(
        json.dumps({"width": 64, "height": 48, "boxes": [[0, 0, 9, 9]]})
    )
    (tmp_path / "test.txt").write_text("v_Wave_g01_c01.avi Wave\n")
    told = {"store": out, "split": str(tmp_path / "test.txt"), "out": str(tmp_path / "results"), "methods": ("cnn",)}
    with pytest.raises(UsageError, match=r"lacks attention\. Run precompute with --columns logits attention"):
        evaluate(EvaluateOptions(**told, boxes=str(tmp_path / "boxes")))
