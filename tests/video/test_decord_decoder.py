import subprocess
import sys

import numpy as np
import pytest

from attn.video.decord_decoder import decord_frames, frame_times
from attn.video.reading import Reading
from attn.video.sample import Stride

pytest.importorskip("decord")

# The inverse cosine transform of decord's FFmpeg is another one.
MOST_DIFFERENCE = 2


@pytest.fixture
def read():
    def run(path, step=5):
        frames = Reading(decord_frames(str(path), Stride(step).start()))
        return list(frames)

    return run


RIGHT = {"mpeg4.avi": (".avi", "mpeg4"), "mpeg4.mp4": (".mp4", "mpeg4"), "h264.mp4": (".mp4", "libx264")}


@pytest.mark.parametrize(("suffix", "codec"), RIGHT.values(), ids=RIGHT.keys())
@pytest.mark.parametrize("step", [1, 5, 13])
def test_where_it_is_right_its_frames_are_pyavs(suffix, codec, step, read, write_clip, numbered, sequential):
    path = write_clip(numbered(40), suffix, codec, "yuv420p", g="12")
    frames, images = read(path, step), sequential(path)
    assert [frame.index for frame in frames] == list(range(0, 40, step))
    assert [frame.time_s for frame in frames] == pytest.approx([i / 25 for i in range(0, 40, step)])
    for frame in frames:
        assert abs(frame.rgb.astype(int) - images[frame.index]).max() <= MOST_DIFFERENCE


def test_on_real_clips_it_is_right_or_gives_nothing(some_real_clip, read, sequential):
    frames = read(some_real_clip)
    if not frames:
        assert some_real_clip.stem not in ("v_BaseballPitch_g01_c01", "v_SoccerJuggling_g23_c01")
        return
    images = sequential(some_real_clip, every=5)
    differing = 0
    for frame, image in zip(frames, images, strict=True):
        difference = abs(frame.rgb.astype(np.int16) - image)
        assert difference.max() <= MOST_DIFFERENCE
        differing += np.count_nonzero(difference)
    assert differing < 1e-4 * len(images) * images[0].size


WRONG = {
    "B-frames": lambda write, images: write(images, ".avi", "mpeg4", "yuv420p", most_b_frames=2),
    "B-frames in mp4": lambda write, images: write(images, ".mp4", "libx264", "yuv420p", most_b_frames=2),
    "an announced delay": lambda write, images: write(images[:2], ".avi", "mpeg4", "yuv420p", most_b_frames=2),
    "dropped frames": lambda write, images: write(images, ".avi", "mpeg4", "yuv420p", pts=[3 * i for i in range(20)]),
    "variable rate": lambda write, images: write(images, ".mp4", "mpeg4", "yuv420p", pts=[i * i for i in range(20)]),
    "another container": lambda write, images: write(images, ".mkv", "mpeg4", "yuv420p"),
    "another codec": lambda write, images: write(images, ".avi", "mjpeg", "yuvj420p"),
    "another pixel format": lambda write, images: write(images, ".mp4", "libx264", "yuv444p"),
}


@pytest.mark.parametrize("make", WRONG.values(), ids=WRONG.keys())
def test_where_it_may_be_wrong_it_gives_nothing(make, read, write_clip, numbered):
    path = make(write_clip, numbered(20))
    assert frame_times(str(path)) == []
    assert read(path) == []


def test_a_rotated_video_is_not_its_own(write_clip, numbered, with_display_matrix):
    upright = write_clip(numbered(5), ".mp4", "mpeg4", "yuv420p")
    assert frame_times(str(upright))
    assert frame_times(str(with_display_matrix(upright, (0, 1, -1, 0)))) == []


def test_a_video_with_hidden_frames_is_not_its_own(write_clip, numbered, with_edits):
    path = write_clip(numbered(50), ".mp4", "mpeg4", "yuv420p", g="12")
    assert frame_times(str(path))
    assert frame_times(str(with_edits(path, [(600, 0), (800, 15360)]))) == []


def test_a_cut_video_is_not_its_own(read, write_clip, numbered, tmp_path):
    path = write_clip(numbered(20), ".avi", "mpeg4", "yuv420p")
    short = tmp_path / "short.avi"
    short.write_bytes(path.read_bytes()[: int(0.9 * path.stat().st_size)])
    assert read(short) == []


def test_b_frames_that_the_header_hides_are_found(write_clip, numbered, tmp_path):
    """An AVI file whose second half has B-frames, behind a header that knows of none."""
    plain = write_clip(numbered(20), ".avi", "mpeg4", "yuv420p")
    assert frame_times(str(plain))
    data = bytearray(plain.read_bytes())
    start = data.rindex(b"\x00\x00\x01\xb6") + 4
    data[start] = data[start] & 0x3F | 0x80  # the last picture calls itself a B-frame
    hidden = tmp_path / "hidden.avi"
    hidden.write_bytes(data)
    assert frame_times(str(hidden)) == []


@pytest.mark.parametrize("content", [b"", b"no video\n" * 999])
def test_what_is_no_video_is_left_to_pyav(content, read, tmp_path):
    path = tmp_path / "bad.avi"
    path.write_bytes(content)
    assert read(path) == []


LACK = """
import sys
from attn.video.sandbox.confinement import confine
from attn.video.decord_decoder import NoThreadError, decord_frames
frames = decord_frames(sys.argv[1], lambda index, time_s: index % 5 == 0)
next(frames)
confine(threads=False)
try:
    print(len(list(frames)))
except NoThreadError:
    print("no thread")
"""


def test_a_lack_of_threads_is_not_taken_for_the_end_of_the_video(write_clip, numbered):
    path = write_clip(numbered(40), ".avi", "mpeg4", "yuv420p", g="12")
    ran = subprocess.run([sys.executable, "-c", LACK, str(path)], capture_output=True, text=True, check=True)
    assert ran.stdout == "no thread\n"
