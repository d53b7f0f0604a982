"""Overlays of generated clips: what becomes of each kind of video, and what predict says about it."""

import dataclasses
import errno
import itertools
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from attn.commands.cli import parse
from attn.commands.predict import CSV, predict
from attn.commands.predict_options import PredictOptions
from attn.commands.predict_overlays import FOLDER, Overlays, spread
from attn.commands.predict_plan import make_prediction_plan
from attn.errors import UsageError
from attn.models.backbone import build_backbone
from attn.models.checkpoint import Cnn, load_checkpoint, save_checkpoint
from attn.report.class_track import VideoTracks
from attn.stages.attention import ComputeMaps
from attn.storage.store import VideoRows
from attn.video.decode import read_frames
from attn.video.sample import Stride
from attn.video.source import list_videos
from attn.video.transform import Resampling
from tests.untrained_models import untrained

VFR_MS = [0, 40, 80, 500, 540, 1500, 1540]
SIZES = {
    "odd": (128, 96),
    "turned": (64, 96),
    "varying": (64, 48),
    "single": (64, 48),
    "cut": (64, 48),
    "clip": (64, 48),
}


@pytest.fixture(scope="module")
def videos(write_clip, smooth, with_display_matrix, tmp_path_factory):
    """A folder with a video of each kind; `turned` is white on the left, which is its top when it is upright."""
    root = tmp_path_factory.mktemp("videos")
    half = np.zeros((64, 96, 3), np.uint8)
    half[:, :48] = 255
    made = {
        "odd.mkv": write_clip(smooth(12, 95, 127)),
        "turned.mp4": with_display_matrix(write_clip([half] * 12, ".mp4", "libx264", "yuv420p"), (0, 1, -1, 0)),
        "varying.mkv": write_clip(smooth(len(VFR_MS)), rate=1000, pts=VFR_MS),
        "single.mkv": write_clip(smooth(1)),
        "cut.mkv": write_clip(smooth(40), ".mkv", "mpeg4", "yuv420p", g="1"),
        "clip.mp4": write_clip(smooth(30), ".mp4", "libx264", "yuv420p", most_b_frames=2),
    }
    for name, path in made.items():
        data = path.read_bytes()
        (root / name).write_bytes(data[: len(data) * 2 // 3] if name == "cut.mkv" else data)
    (root / "broken.avi").write_text("no video")
    return root


@pytest.fixture
def options(videos, small_weights, tmp_path):
    """Two of them, all to be drawn."""
    return PredictOptions(f"{videos}/c*", (str(small_weights),), str(tmp_path / "out"), overlays="all")


@pytest.fixture(scope="module")
def overlays(videos, small_weights, tmp_path_factory):
    """The folder of overlays of all of them, with the runner-up as second class."""
    out = tmp_path_factory.mktemp("out")
    options = PredictOptions(str(videos), (str(small_weights),), str(out), max_failed_fraction=0.2, overlays="all")
    assert predict(dataclasses.replace(options, overlay_class="runner-up")) == 0
    return out / FOLDER


def source_times(path: Path) -> list[float]:
    return [frame.time_s for frame in read_frames(str(path), Stride(1))]


def shown(path: Path) -> tuple[list[float], list[np.ndarray], float]:
    """Times and pictures of an MP4, and its duration in seconds."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        frames = [(float(frame.time), frame.to_ndarray(format="rgb24")) for frame in container.decode(stream)]
        return [time_s for time_s, _ in frames], [rgb for _, rgb in frames], float(stream.duration * stream.time_base)


def test_each_readable_video_has_an_mp4_and_a_sheet(overlays):
    assert sorted(path.name for path in overlays.iterdir()) == sorted(f"{v}.{s}" for v in SIZES for s in ("mp4", "png"))
    for name in SIZES:
        Image.open(overlays / f"{name}.png").verify()


@pytest.mark.parametrize("name", SIZES)
def test_it_has_the_sources_size_and_is_one_that_browsers_play(name, overlays):
    with av.open(str(overlays / f"{name}.mp4")) as container:
        (stream,) = container.streams
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height) == SIZES[name]


@pytest.mark.parametrize("name", SIZES)
def test_it_has_the_sources_frames_at_their_times(name, overlays, videos):
    times = source_times(next(videos.glob(f"{name}.*")))
    found, _, duration_s = shown(overlays / f"{name}.mp4")
    assert found == pytest.approx([time_s - times[0] for time_s in times], abs=1e-3)
    frame_s = max([late - early for early, late in itertools.pairwise(times)] or [0.04])
    assert times[-1] - times[0] < duration_s <= times[-1] - times[0] + frame_s + 1e-3


def test_a_cut_video_ends_where_its_decoding_ends(overlays):
    assert 20 < len(shown(overlays / "cut.mp4")[0]) < 30


def test_a_turned_video_is_upright(overlays):
    picture = shown(overlays / "turned.mp4")[1][0]
    assert picture[25:40].mean() > 2 * picture[56:66].mean()


def test_what_the_network_does_not_see_is_darker(videos, small_weights, tmp_path):
    cnn = dataclasses.replace(load_checkpoint(str(small_weights)), resampling=Resampling(crop=0.5))
    save_checkpoint(url := str(tmp_path / "cnn.safetensors"), cnn)
    assert predict(PredictOptions(f"{videos}/clip.mp4", (url,), str(tmp_path / "out"), overlays="all")) == 0
    source = next(iter(read_frames(str(videos / "clip.mp4"), Stride(1)))).rgb
    picture = shown(tmp_path / "out" / FOLDER / "clip.mp4")[1][0]
    (height, width), quarter = source.shape[:2], min(source.shape[:2]) // 4
    left = (width - min(height, width)) // 2
    within_the_square = np.s_[height // 2 - 4 : height // 2 + 4, left : left + quarter - 2]
    assert picture[within_the_square].mean() < 0.8 * source[within_the_square].mean()


def test_the_maps_are_those_of_the_prediction_at_their_times(options, write_clip):
    """Attention for the predicted class moves from the left to the lower right of the central square."""
    clip = write_clip([np.full((120, 160, 3), 128, np.uint8)] * 30)
    maps = np.zeros((6, 3, 4, 4), np.float16)
    maps[0, 1, 1, 0] = maps[5, 1, 2, 3] = 2
    maps[:, [0, 2]] = 1  # of other classes
    frame = np.arange(0, 30, 5, dtype=np.int32)
    rows = VideoRows(clip.stem, None, False, frame, (frame / 25).astype(np.float32), {"maps": maps})
    with Overlays(options, list_videos(str(clip)), ("Wave", "Kick", "Hug")) as overlays:
        overlays.draw(rows, np.array([0.0, 2.0, 1.0]))
    pictures = shown(Path(options.out) / FOLDER / f"{clip.stem}.mp4")[1]
    left, right = (
        [int(np.ptp(picture.astype(int), axis=-1)[place].mean()) for picture in pictures]
        for place in (np.s_[40:50, 30:40], np.s_[65:80, 120:130])
    )
    assert left[0] > left[2] > left[4] > left[5] - 3
    assert right[25] > right[23] > right[21] > right[20] - 3
    assert max(*left[5:], *right[:21]) < 10 < 60 < min(left[0], *right[25:])


def test_the_cnn_sees_each_frame_once(options, monkeypatch):
    seen, compute = [], ComputeMaps.__call__
    monkeypatch.setattr(ComputeMaps, "__call__", lambda self, images: seen.append(len(images)) or compute(self, images))
    assert predict(options) == 0
    rows = (Path(options.out) / CSV).read_text().splitlines()[1:]
    assert sum(seen) == sum(int(row.split(",")[6]) for row in rows)


def test_without_the_flag_nothing_is_drawn(options):
    assert predict(dataclasses.replace(options, overlays=0)) == 0
    assert not (Path(options.out) / FOLDER).exists()


def test_a_model_of_one_class_and_names_of_any_kind_are_drawn(options, videos, tmp_path):
    url = str(tmp_path / "one.safetensors")
    save_checkpoint(url, Cnn(build_backbone("small_cnn", 1).eval(), "small_cnn", ("a/b\n$x_{1}$ 发球",), 64))
    for name in ("a/clip.mp4", "b/clip.mp4", "50% \n$.mp4"):
        (tmp_path / "named" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "named" / name).write_bytes((videos / "clip.mp4").read_bytes())
    one = dataclasses.replace(options, model=(url,), videos=str(tmp_path / "named"), overlay_class="runner-up")
    assert predict(one) == 0
    drawn = sorted(path.name for path in (Path(options.out) / FOLDER).glob("*.mp4") if path.is_file())
    assert drawn == ["50%25 %0A%24.mp4", "a%2Fclip.mp4", "b%2Fclip.mp4"]


def test_attention_of_a_model_of_sequences_is_drawn(options, tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(
        "attn.commands.predict_overlays.VideoTracks", lambda *told: seen.append(told) or VideoTracks(*told)
    )
    plan = make_prediction_plan(options)[0]
    model = (untrained("soft_attention", plan.manifest, str(tmp_path / "net")), *options.model)
    assert predict(dataclasses.replace(options, model=model)) == 0
    assert {path.suffix for path in (Path(options.out) / FOLDER).iterdir()} == {".mp4", ".png"}
    with pytest.raises(UsageError, match=r"--overlay-class runner-up: soft_attention has no maps of classes"):
        predict(dataclasses.replace(options, model=model, overlay_class="runner-up"))
    for _, frame, _, classes, *_ in seen:
        first, second = classes
        assert second.maps is None
        np.testing.assert_allclose(first.maps.sum((1, 2)), 1, rtol=1e-5)
        np.testing.assert_allclose(first.energies + second.energies, np.ones(len(frame)), rtol=1e-5)
        assert first.score >= second.score


def test_a_model_of_features_is_drawn_without_maps_of_its_cnn(options, tmp_path, monkeypatch):
    """Its classes are not those of the CNN, whose maps would be of other classes."""
    seen = []
    monkeypatch.setattr(
        "attn.commands.predict_overlays.VideoTracks", lambda *told: seen.append(told) or VideoTracks(*told)
    )
    plan = make_prediction_plan(options)[0]
    model = (untrained("tsrnet", plan.manifest, str(tmp_path / "net")), *options.model)
    assert predict(dataclasses.replace(options, model=model)) == 0
    assert {path.suffix for path in (Path(options.out) / FOLDER).iterdir()} == {".mp4", ".png"}
    (_, frame, _, classes, _, values_are), *_ = seen
    assert values_are == "probability of the frame by itself"
    assert [one.maps for one in classes] == [None, None]
    np.testing.assert_allclose(classes[0].energies + classes[1].energies, np.ones(len(frame)), rtol=1e-5)
    with pytest.raises(UsageError, match=r"--overlay-class runner-up: tsrnet has no maps of classes\. Leave it out"):
        predict(dataclasses.replace(options, model=model, overlay_class="runner-up"))


def test_a_video_that_cannot_be_decoded_again_does_not_stop_the_others(videos, options, caplog):
    gone, clip = (video for video in list_videos(str(videos)) if video.video_id in {"odd", "clip"})
    gone, clip = sorted((gone, clip), key=lambda video: video.video_id, reverse=True)
    lost = dataclasses.replace(gone, url=f"{videos}/lost.mkv")
    rows = VideoRows("odd", None, False, np.array([0]), np.array([0.0]), {"maps": np.zeros((1, 3, 4, 4), np.float16)})
    with Overlays(options, [lost, clip], ("Wave", "Kick", "Hug")) as overlays:
        overlays.draw(rows, np.arange(3.0))
        overlays.draw(dataclasses.replace(rows, video_id="clip"), np.arange(3.0))
    assert "overlay of odd not drawn: " in caplog.text
    assert sorted(path.name for path in (Path(options.out) / FOLDER).iterdir()) == ["clip.mp4", "clip.png"]


def test_a_full_disk_ends_the_overlays_but_not_the_tables(options, monkeypatch, caplog):
    def full(*_):
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr("attn.report.overlay_video.write_overlay", full)
    assert predict(options) == 1
    assert caplog.text.count("no space left. Make room, or choose another disk. No further overlays are drawn.") == 1
    assert (Path(options.out) / CSV).exists()


def test_some_videos_are_spread_over_the_list(videos):
    listed = list_videos(str(videos))
    assert spread(listed, 3) == [listed[0], listed[3], listed[6]]
    assert spread(listed, 0) == []
    assert spread(listed, 99) == spread(listed, "all") == listed


@pytest.mark.parametrize(("words", "value"), [([], 0), (["--overlays"], "all"), (["--overlays", "5"], 5)])
def test_the_flag_may_stand_alone(words, value):
    assert parse(PredictOptions, None, [*words, "--videos", "a", "--model", "b", "--out", "c"]).overlays == value


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"overlays": -1}, "--overlays -1"),
        ({"overlays": 0, "overlay_class": "Wave"}, "--overlay-class Wave: needs --overlays"),
        ({"overlay_class": "Dive"}, r"--overlay-class Dive: not a class of the model\. Give runner-up or one of Wave,"),
    ],
)
def test_flags_that_cannot_be_met_are_refused_before_any_work(change, said, options):
    with pytest.raises(UsageError, match=said):
        predict(dataclasses.replace(options, **change))
    assert not Path(options.out).exists()


def test_a_folder_that_cannot_be_made_is_refused_before_any_work(options):
    Path(options.out).mkdir()
    (Path(options.out) / FOLDER).write_text("mine")
    with pytest.raises(UsageError, match="a file exists where a folder is needed"):
        predict(options)
    assert not (Path(options.out) / CSV).exists()
