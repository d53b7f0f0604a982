"""Times of detections in real MP4 files of several frame rates, from the encoded file to the detection."""

import itertools
import json

import numpy as np
import pytest
import torch

from attn.commands.detect import detect
from attn.commands.detect_options import DetectOptions
from attn.commands.precompute import precompute
from attn.commands.precompute_options import PrecomputeOptions
from attn.models.tsrnet import Architecture, Tsrnet
from attn.models.tsrnet_file import TrainedTsrnet, save_tsrnet
from attn.schema import FEATURES
from attn.stages.sampled_videos import sampled_videos
from attn.storage.manifest import FEATURE_FIELDS, STORE_FIELDS
from attn.storage.store import AttentionStore

FRAMES, START, STOP, STRIDE = 120, 42, 76, 2
"""Number of frames, the first one of the plateau and the first one after it, and the sampling; both are sampled."""
TICKS = 30000
"""Ticks per second of the time stamps."""
RATES = {"24": 1250, "25": 1200, "29.97": 1001, "variable": (1250, 1001, 2400)}
"""Name of a frame rate → ticks from a frame to the next one; in the variable one, each third of the video has its own,
so the plateau begins in the second one and ends there."""


def stamps(rate):
    """Time stamps of all frames, and of the end of the video, in ticks."""
    steps = np.broadcast_to(RATES[rate], 3) if np.ndim(RATES[rate]) == 0 else np.array(RATES[rate])
    return [0, *itertools.accumulate(np.repeat(steps, FRAMES // 3).tolist())]


def pictures():
    """Dark frames with noise, and bright ones of another colour in the plateau."""
    random = np.random.default_rng(0)
    images = random.integers(20, 40, (FRAMES, 64, 64, 3), np.uint8)
    images[START:STOP, :, :, 0] += 180
    images[START:STOP, ::8] += 30
    return list(images)


@pytest.fixture(scope="module")
def features(write_clip, small_weights, tmp_path_factory):
    """Store of the features of one video of each frame rate."""
    paths = {
        rate: write_clip(
            pictures(), codec="libx264", pix_fmt="yuv420p", rate=TICKS, pts=stamps(rate)[:-1], name=f"{rate}.mp4"
        )
        for rate in RATES
    }
    folder = tmp_path_factory.mktemp("rates")
    for path in paths.values():
        (folder / path.name).symlink_to(path)
    given = {"videos": str(folder), "weights": str(small_weights), "out": str(folder / "store")}
    assert precompute(PrecomputeOptions(**given, columns=("features",), stride=STRIDE)) == 0
    return AttentionStore.open(str(folder / "store"))


@pytest.fixture(scope="module")
def model(features, tmp_path_factory):
    """Network whose attention is e⁵ times as large on the bright frames of one video as on its dark ones."""
    values = next(one.values for one in sampled_videos(features, FEATURES, "all") if one.video_id == "25")
    bright = np.zeros(len(values), bool)
    bright[START // STRIDE : STOP // STRIDE] = True
    between = torch.from_numpy(values[bright].mean(0) - values[~bright].mean(0))
    net = Tsrnet(Architecture(2, values.shape[1], attention_dim=1, hidden_dim=1))
    for parameter in net.parameters():
        torch.nn.init.zeros_(parameter)
    assert net.project is not None
    assert net.weigh is not None
    net.project.weight.data[0] = 1e-3 * between / between.square().sum()  # so small that tanh is linear
    net.weigh.weight.data[:] = 5e3
    net.classify.bias.data[:] = torch.tensor([4.0, 0.0])
    folder = tmp_path_factory.mktemp("tsr")
    about = {STORE_FIELDS: features.manifest.of(FEATURE_FIELDS)}
    fingerprint = features.manifest.fingerprint
    save_tsrnet(str(folder), TrainedTsrnet(net.eval(), ("Act", "Other"), "all", "small_cnn", fingerprint, about))
    return folder


@pytest.fixture(scope="module")
def detected(features, model, tmp_path_factory):
    """Detections of each video."""
    out = tmp_path_factory.mktemp("found")
    assert detect(DetectOptions(store=(features.url,), model=(str(model),), out=str(out))) == 0
    return json.loads((out / "detections.json").read_text())["results"]


@pytest.mark.parametrize("rate", RATES)
def test_a_plateau_in_an_encoded_video_is_found_within_half_a_sample(detected, rate):
    time_s = np.array(stamps(rate)) / TICKS
    (found,) = detected[rate]
    assert found["label"] == "Act"
    half_s = np.diff(time_s[::STRIDE])[START // STRIDE : STOP // STRIDE].min() / 2
    np.testing.assert_allclose(found["segment"], time_s[[START, STOP]], rtol=0, atol=half_s)
    assumed_s = np.abs(np.array([START, STOP]) / 30 - time_s[[START, STOP]]).max()
    assert assumed_s > half_s or rate == "29.97"  # 30 frames per second would be wrong, in so short a video not here
