import numpy as np
import pytest

from attn.errors import VideoError
from attn.video.decode import FRAMES_PER_SIGN, read_frames
from attn.video.sample import Fps, Stride


@pytest.mark.parametrize(
    ("decoder", "most_b_frames", "used"),
    [("auto", 0, "pyav"), ("pyav", 0, "pyav"), ("decord", 0, "decord"), ("decord", 2, "pyav")],
)
def test_the_decoder_is_the_one_that_is_right(decoder, most_b_frames, used, write_clip, numbered, sequential):
    path = write_clip(numbered(20), ".avi", "mpeg4", "yuv420p", most_b_frames=most_b_frames)
    frames, images = read_frames(str(path), Stride(3), decoder), sequential(path)
    for frame, index in zip(frames, range(0, 20, 3), strict=True):
        assert frame.index == index
        assert abs(frame.rgb.astype(int) - images[index]).max() <= 2 * (used == "decord")
    assert frames.end.decoder == used
    assert not frames.end.truncated


def test_what_decord_leaves_to_pyav_is_sampled_from_the_start(write_clip, numbered):
    path = write_clip(numbered(20), rate=10)
    assert [frame.index for frame in read_frames(str(path), Fps(2.0), "decord")] == [0, 5, 10, 15]


@pytest.mark.parametrize("decoder", ["auto", "pyav", "decord"])
def test_the_decoders_agree_on_real_clips(decoder, some_real_clip, sequential):
    images = sequential(some_real_clip, every=25)
    frames = list(read_frames(str(some_real_clip), Stride(25), decoder))
    assert [frame.index for frame in frames] == list(range(0, 25 * len(images), 25))
    for frame, image in zip(frames, images, strict=True):
        assert abs(frame.rgb.astype(np.int16) - image).max() <= 2 * (decoder == "decord")


@pytest.mark.parametrize("decoder", ["auto", "pyav", "decord"])
def test_nothing_to_decode_is_an_error_of_the_video(decoder, tmp_path):
    with pytest.raises(VideoError, match=r"missing\.avi: cannot be opened"):
        next(read_frames(str(tmp_path / "missing.avi"), Stride(1), decoder))


def test_signs_of_life_come_with_frames_that_are_not_kept(write_clip, numbered):
    signs = []
    path = write_clip(numbered(3 * FRAMES_PER_SIGN, 16, 16))
    assert len(list(read_frames(str(path), Stride(1000), alive=lambda: signs.append(1)))) == 1
    assert len(signs) == 3
