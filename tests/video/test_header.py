"""What a header declares, and that nonsense of it stays within bounds."""

import contextlib
from fractions import Fraction
from types import SimpleNamespace

import pytest

from attn.errors import VideoError
from attn.video import header
from attn.video.header import read_header
from attn.video.reading import VideoHeader
from attn.video.sandbox.wire import dump, parse_from_decoder


@pytest.mark.parametrize("suffix", [".avi", ".mp4", ".mkv"])
def test_rate_and_frames(suffix, write_clip, smooth):
    path = write_clip(smooth(30), suffix, "mpeg4", "yuv420p", rate=10)
    assert read_header(str(path)) == VideoHeader(10.0, 30.0)  # Matroska declares no count but a duration


def test_no_video(tmp_path):
    (tmp_path / "bad.avi").write_bytes(b"no video")
    with pytest.raises(VideoError, match="cannot be opened as a video"):
        read_header(str(tmp_path / "bad.avi"))


@pytest.mark.parametrize(
    ("average", "guessed", "frames", "duration", "expected"),
    [
        (Fraction(30000, 1001), Fraction(1), 7, None, VideoHeader(30000 / 1001, 7.0)),
        (None, Fraction(50), 0, 2_000_000, VideoHeader(50.0, 100.0)),
        (None, None, 0, 2_000_000, VideoHeader(25.0, 50.0)),
        (None, None, 0, None, VideoHeader(25.0, 0.0)),
        (Fraction(-25), Fraction(50), 7, None, VideoHeader(50.0, 7.0)),
        (Fraction(25), None, 2**32 - 1, None, VideoHeader(25.0, 2.0**31)),
        (Fraction(25), None, -7, None, VideoHeader(25.0, 0.0)),
        (Fraction(25), None, 0, -(2**62), VideoHeader(25.0, 0.0)),
        (Fraction(2**31 - 1), None, 0, 2**62, VideoHeader(2.0**31 - 1, 2.0**31)),
        (Fraction(1, 2**31 - 1), None, 1, None, VideoHeader(1 / (2**31 - 1), 1.0)),
    ],
)
def test_what_the_owner_is_told_it_believes(average, guessed, frames, duration, expected, monkeypatch):
    """A strange header is no sign of a decoder in wrong hands."""
    stream = SimpleNamespace(average_rate=average, guessed_rate=guessed, frames=frames)
    opened = contextlib.nullcontext((SimpleNamespace(duration=duration), stream))
    monkeypatch.setattr(header, "open_video_stream", lambda path: opened)
    assert read_header("any.avi") == expected
    assert parse_from_decoder(dump(expected)) == expected
