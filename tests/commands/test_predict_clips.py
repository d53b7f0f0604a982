"""Predictions of a network of clips from videos, and their overlays, whose map is that of the motion."""

import dataclasses
from pathlib import Path

import av
import numpy as np
import polars as pl
import pytest
import torch
from PIL import Image

from attn.commands.clip_maps import clip_tracks
from attn.commands.precompute_clips import ClipPlan
from attn.commands.predict import predict
from attn.commands.predict_options import PredictOptions
from attn.commands.predict_overlays import FOLDER
from attn.commands.predict_plan import make_prediction_plan
from attn.errors import UsageError
from attn.models.attention_distillation import ClipArchitecture, ClipCnn
from attn.models.clip_file import TrainedClipCnn, load_clip_cnn, save_clip_cnn
from attn.models.clip_input import ClipInput
from attn.storage.store import VideoRows
from attn.video.decode import read_frames
from attn.video.sample import Stride
from attn.video.transform import BILINEAR, Resampling, resize_and_crop

pytestmark = pytest.mark.usefixtures("one_thread")

CLASSES, SIZE, CROP = ("Wave", "Kick"), 48, 32
STUDENT = ClipArchitecture("small_clip_cnn", "rgb", num_classes=2)


def write_network(url, **change):
    torch.manual_seed(0)
    net = ClipCnn(dataclasses.replace(STUDENT, **change))
    torch.nn.init.normal_(net.classifier.weight)
    taken = ClipInput(4, 2, SIZE, CROP, str(BILINEAR), {"stride": 1})
    save_clip_cnn(str(url), TrainedClipCnn(net.eval(), CLASSES, taken))
    return str(url)


@pytest.fixture(scope="module")
def student(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("student") / "student.safetensors")


@pytest.fixture
def options(footage, student, tmp_path):
    return PredictOptions(f"{footage}/videos/Wave", (student,), str(tmp_path / "out"))


def test_scores_are_mean_probabilities_of_the_clips(options, student, footage):
    assert predict(options) == 0
    found = pl.read_csv(f"{options.out}/predictions.csv")
    trained = load_clip_cnn(student)
    assert len(found) == 6
    for row in found.iter_rows(named=True):
        frames = [frame.rgb for frame in read_frames(row["url"], Stride(1))]
        pixels = np.stack([resize_and_crop(frame, SIZE) for frame in frames])[:, 8:40, 8:40]
        starts = range(0, max(len(pixels) - 6, 1), 8)
        clips = np.stack([pixels[np.minimum(start + 2 * np.arange(4), len(pixels) - 1)] for start in starts])
        with torch.no_grad():
            logits = trained.net(
                trained.input.normalised(torch.from_numpy(clips.transpose(0, 4, 1, 2, 3).copy()))
            ).logits
        expected = torch.softmax(logits, 1).mean(0)
        assert row["class"] == CLASSES[int(expected.argmax())]
        assert row["score"] == pytest.approx(float(expected.max()), abs=1e-4)


def test_overlays_show_the_motion_map_in_the_window(options):
    assert predict(dataclasses.replace(options, overlays=2)) == 0
    folder = Path(options.out, FOLDER)
    assert sorted(path.suffix for path in folder.iterdir()) == [".mp4", ".mp4", ".png", ".png"]
    for path in folder.glob("*.mp4"):
        with av.open(str(path)) as file:
            assert file.streams.video[0].codec_context.name == "h264"
    for path in folder.glob("*.png"):
        Image.open(path).verify()
    plan, _, names = make_prediction_plan(options)
    assert names == CLASSES
    assert plan.resampling == Resampling(crop=CROP / SIZE)


def test_tracks_have_a_map_and_a_probability_for_every_time_step(options):
    plan, _, _ = make_prediction_plan(options)
    assert isinstance(plan, ClipPlan)
    manifest = dataclasses.replace(plan.manifest, map_time=2)
    random = np.random.default_rng(0)
    tensors = {
        "logits": np.array([[0.0, 0.0], [0.0, np.log(3)]], np.float32),
        "attention": random.random((2, 2, 2, 4, 4)).astype(np.float16),
    }
    rows = VideoRows("a", None, False, np.array([0, 8]), np.array([1.0, 1.5]), tensors)
    kick, wave = ("Kick", 0.6, 1), ("Wave", 0.4, 0)
    found = clip_tracks(rows, manifest, [kick, wave], BILINEAR, rate=1.0)
    assert found.frame.tolist() == [2, 6, 10, 14]
    assert found.time_s.tolist() == [1.125, 1.375, 1.625, 1.875]
    first, second = found.classes
    assert (first.name, first.score, second.name) == ("Kick", 0.6, "Wave")
    assert first.energies == pytest.approx([0.5, 0.5, 0.75, 0.75])
    assert second.energies == pytest.approx([0.5, 0.5, 0.25, 0.25])
    assert second.maps is None
    motion = tensors["attention"][:, 0].reshape(4, 4, 4)
    assert np.array_equal(np.asarray(first.maps), motion.astype(np.float32))
    single = VideoRows("a", None, False, rows.frame[:1], rows.time_s[:1], {k: v[:1] for k, v in tensors.items()})
    assert clip_tracks(single, manifest, [kick], BILINEAR, rate=4.0).time_s.tolist() == [1.5, 2.5]


@pytest.mark.parametrize(
    ("change", "network", "message"),
    [
        ({"stride": 2}, {}, "its clips are sampled as in its training. Leave out --stride and --fps"),
        ({"fps": 2.0}, {}, "its clips are sampled as in its training"),
        ({"method": "cnn"}, {}, "has its own method. Leave out --method"),
        (
            {"overlays": 1, "overlay_class": "Kick"},
            {},
            "a network of clips has no maps of classes",
        ),
        ({"overlays": 1}, {"num_maps": 0}, "--overlays: the network has no attention maps"),
        ({}, {"modality": "flow", "num_maps": 1}, "takes flow, but videos have frames. Give its student"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused(options, tmp_path, change, network, message):
    url = write_network(tmp_path / "network.safetensors", **network)
    with pytest.raises(UsageError, match=message):
        predict(dataclasses.replace(options, model=(url,), **change))
    assert not (tmp_path / "out").exists()
