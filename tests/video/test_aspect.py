"""Pixels that are not square: frames come as they are shown, against a twin whose pixels are square."""

from fractions import Fraction
from typing import Any

import av
import numpy as np
import pytest

from attn.video import aspect
from attn.video.decode import read_frames
from attn.video.decord_decoder import frame_times
from attn.video.sample import Stride
from attn.video.transform import resize_and_crop

WIDE = Fraction(64, 45)


def circle(rows, cols, shown_cols):
    """A disc as wide as high when a picture of `cols` columns is shown in `shown_cols`."""
    y, x = np.mgrid[0:rows, 0:cols] + 0.5
    distance = np.hypot(y - rows / 2, x * shown_cols / cols - shown_cols / 2)
    grey = np.clip((rows / 3 - distance) / 4, 0, 1) * 255
    return np.repeat(grey.astype(np.uint8)[:, :, None], 3, 2)


@pytest.fixture
def write(tmp_path):
    """A file of images whose pixels have this ratio."""

    def run(suffix, codec, images, ratio, most_b_frames=0, name="clip", **options):
        path = tmp_path / f"{name}{suffix}"
        container: Any = av.open(str(path), "w")
        with container:
            stream = container.add_stream(codec, rate=Fraction(25), options=options)
            stream.height, stream.width = images[0].shape[:2]
            stream.pix_fmt = "yuv420p"
            stream.codec_context.max_b_frames = most_b_frames
            stream.codec_context.sample_aspect_ratio = ratio
            for i, image in enumerate(images):
                frame = av.VideoFrame.from_ndarray(image, "rgb24")
                frame.pts, frame.time_base = i, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        return path

    return run


def read(path):
    return [frame.rgb for frame in read_frames(str(path), Stride(1))]


FORMATS = [
    (".mp4", "libx264"),
    (".mov", "mpeg4"),
    (".mkv", "libx264"),
    (".avi", "mpeg4"),
    (".ts", "libx264"),
    (".mpg", "mpeg1video"),
    (".wmv", "wmv2"),
    (".dv", "dvvideo"),
]


@pytest.mark.parametrize(("suffix", "codec"), FORMATS)
def test_frames_are_those_of_the_twin_with_square_pixels(suffix, codec, write):
    frames = read(write(suffix, codec, [circle(576, 720, 1024)] * 3, WIDE, b="20000000"))
    wanted = circle(576, 1024, 1024)
    for frame in frames:
        assert frame.shape == wanted.shape
        assert abs(frame.astype(int) - wanted).mean() < 2
        small = resize_and_crop(frame, 224)[..., 0] > 128
        assert small.any(0).sum() == pytest.approx(small.any(1).sum(), abs=1)


@pytest.mark.parametrize(("ratio", "cols"), [(Fraction(8, 9), 57), (Fraction(2), 128), (Fraction(1, 2), 32)])
def test_narrow_and_wide_pixels(ratio, cols, write, smooth):
    (frame, *_) = read(write(".mp4", "libx264", smooth(2), ratio))
    assert frame.shape == (48, cols, 3)


def test_the_container_goes_over_the_codec(write, smooth):
    """As in FFmpeg."""
    path = write(".mp4", "libx264", smooth(2), Fraction(2))
    data = path.read_bytes()
    place = data.index(b"pasp") + 4
    assert data[place : place + 8] == bytes([0, 0, 0, 2, 0, 0, 0, 1])
    for wide, cols in [(1, 64), (3, 192)]:
        path.write_bytes(data[:place] + bytes([0, 0, 0, wide]) + data[place + 4 :])
        assert read(path)[0].shape == (48, cols, 3)


@pytest.mark.parametrize(("codec", "most_b_frames"), [("libx264", 2), ("mpeg2video", 2), ("mpeg4", 0)])
@pytest.mark.parametrize("step", [1, 5])
def test_it_may_change_within_a_stream(codec, most_b_frames, step, write, smooth, tmp_path):
    """Each frame has its own ratio, although the decoder is some frames ahead of what is shown."""
    parts = [
        write(".ts", codec, smooth(20, 72, 96), ratio, most_b_frames, name=f"part{i}")
        for i, ratio in enumerate([Fraction(1), Fraction(4, 3), Fraction(1)])
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    widths = [round(frame.rgb.shape[1] / 72 * 9) for frame in read_frames(str(joined), Stride(step))]
    assert widths == ([12] * 20 + [16] * 20 + [12] * 20)[::step]


@pytest.mark.parametrize("turned", [False, True])
def test_a_turned_picture_is_scaled_as_it_was_taken(turned, write, smooth, with_display_matrix):
    path = write(".mp4", "libx264", smooth(2), Fraction(2))
    path = with_display_matrix(path, (0, 1, -1, 0)) if turned else path
    assert read(path)[0].shape == ((128, 48, 3) if turned else (48, 128, 3))


@pytest.mark.parametrize("ratio", [Fraction(1), Fraction(4096, 4083), Fraction(17), Fraction(1, 17), Fraction(60000)])
def test_square_pixels_but_for_rounding_and_nonsense_change_nothing(ratio, write, smooth, sequential):
    path = write(".mp4", "libx264", smooth(2), ratio)
    assert all(np.array_equal(frame, image) for frame, image in zip(read(path), sequential(path), strict=True))


def test_frames_stay_within_the_limit_of_pixels(write, smooth, monkeypatch):
    path = write(".mp4", "libx264", smooth(2), Fraction(2))
    monkeypatch.setattr(aspect, "MOST_PIXELS", 48 * 128 - 1)
    assert read(path)[0].shape == (48, 64, 3)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_they_are_not_decords(codec, write, smooth):
    assert frame_times(str(write(".mp4", codec, smooth(5), Fraction(1))))
    assert frame_times(str(write(".mp4", codec, smooth(5), Fraction(4, 3)))) == []
