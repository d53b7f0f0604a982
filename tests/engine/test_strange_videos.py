"""One run over every kind of strange video: each gives its right rows or one failure, and hurts no other."""

import wave
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from attn.commands.precompute import precompute
from attn.commands.precompute_options import PrecomputeOptions
from attn.engine.exit_codes import EXIT_FAILED_VIDEOS
from attn.storage.failures import read_failures
from attn.storage.ledger import Ledger
from attn.storage.store import AttentionStore, VideoRows

STRIDE = 5
HOUR_RATE, HOUR_FRAMES = 2, 2 * 3600
VARIABLE_PTS = (0, 1, 2, 10, 11, 30, 31, 32, 33, 60, 61, 62)  # in 25ths of a second

Videos = dict[str, VideoRows]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, write_clip, smooth, numbered, with_display_matrix) -> Path:
    """One file of each kind."""
    root = tmp_path_factory.mktemp("strange")

    def add(name: str, source: Path) -> None:
        (root / name).write_bytes(source.read_bytes())

    mpeg4 = {"suffix": ".avi", "codec": "mpeg4", "pix_fmt": "yuv420p"}
    good = write_clip(numbered(47), **mpeg4)
    add("good.avi", good)
    for name in ("two words.avi", "dots.in.it.avi", "Gewichtheben_für_Öl.avi", "体操.avi", "-dash.avi", "quo'te\".avi"):
        add(name, good)
    (root / "truncated.avi").write_bytes(good.read_bytes()[: good.stat().st_size * 2 // 3])
    add("one_frame.avi", write_clip(smooth(1), **mpeg4))
    add("pixel.mkv", write_clip(numbered(7, 1, 1)))
    add("ribbon.mkv", write_clip(smooth(7, 16, 1600)))
    add("tower.mkv", write_clip(smooth(7, 1600, 16)))
    h264 = write_clip(smooth(12), ".mp4", "libx264", "yuv420p")
    add("portrait.mp4", with_display_matrix(h264, (0, 1, -1, 0)))
    add("variable.mkv", write_clip(smooth(len(VARIABLE_PTS)), pts=VARIABLE_PTS))
    add("hour.avi", write_clip(smooth(40, 32, 32) * (HOUR_FRAMES // 40), rate=HOUR_RATE, **mpeg4))
    (root / "empty.avi").touch()
    (root / "text.avi").write_text("no video, but words\n" * 1000)
    (root / "header_only.avi").write_bytes(good.read_bytes()[:2048])
    (root / "vanished.avi").symlink_to(root / "nowhere.avi")
    with wave.open(str(root / "sound.avi"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16000))
    (root / "zeros.mkv").write_bytes(bytes(100_000))
    return root


ROWS: dict[str, Callable[[], list[int]]] = {
    **dict.fromkeys(
        ("good", "two words", "dots.in.it", "Gewichtheben_für_Öl", "体操", "-dash", "quo'te\""),
        lambda: list(range(0, 47, STRIDE)),
    ),
    "one_frame": lambda: [0],
    **dict.fromkeys(("pixel", "ribbon", "tower"), lambda: [0, 5]),
    "portrait": lambda: [0, 5, 10],
    "variable": lambda: [0, 5, 10],
    "hour": lambda: list(range(0, HOUR_FRAMES, STRIDE)),
}
FAILURES = {"empty", "text", "header_only", "vanished", "sound", "zeros"}


@pytest.fixture(scope="module")
def options(folder: Path, small_weights: Path, tmp_path_factory: pytest.TempPathFactory) -> PrecomputeOptions:
    return PrecomputeOptions(
        videos=str(folder),
        out=str(tmp_path_factory.mktemp("out") / "store"),
        weights=str(small_weights),
        stride=STRIDE,
        batch_size=16,
        decode_timeout_s=30,
    )


@pytest.fixture(scope="module")
def videos(options: PrecomputeOptions) -> Videos:
    assert precompute(options) == EXIT_FAILED_VIDEOS
    return {video.video_id: video for video in AttentionStore.open(options.out).videos(["maps", "logits"])}


def test_every_video_has_its_rows_or_one_failure(videos: Videos, options: PrecomputeOptions) -> None:
    ledger = Ledger.at(options.out)
    failures = read_failures(ledger.folder)
    assert failures.keys() == FAILURES
    assert videos.keys() == ROWS.keys() | {"truncated"}
    for name, failure in failures.items():
        assert failure.stage == "decode"
        assert name in failure.message
        assert "\n" not in failure.message


@pytest.mark.parametrize("name", ROWS)
def test_the_rows_are_the_kept_frames(name: str, videos: Videos) -> None:
    video = videos[name]
    np.testing.assert_array_equal(video.frame, ROWS[name]())
    assert not video.truncated
    assert np.isfinite(video.maps).all()
    assert np.isfinite(video.tensors["logits"]).all()


def test_a_truncated_video_keeps_its_frames_and_is_marked(videos: Videos) -> None:
    video, good = videos["truncated"], videos["good"]
    assert video.truncated
    count = len(video.frame)
    assert 0 < count < len(good.frame)
    np.testing.assert_array_equal(video.frame, good.frame[:count])
    np.testing.assert_allclose(video.maps, good.maps[:count], atol=2e-3)


def test_times_are_the_sources(videos: Videos) -> None:
    np.testing.assert_allclose(videos["variable"].time_s, np.array(VARIABLE_PTS)[[0, 5, 10]] / 25, atol=2e-3)
    assert videos["hour"].time_s[-1] == pytest.approx((HOUR_FRAMES - STRIDE) / HOUR_RATE)


def test_a_name_changes_no_value(videos: Videos) -> None:
    for name in ("体操", "two words", "-dash"):
        np.testing.assert_allclose(videos[name].maps, videos["good"].maps, atol=2e-3)
