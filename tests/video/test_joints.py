"""Transport streams that were joined, or that lost packets on their way."""

import av
import numpy as np
import pytest

from attn.video.decode import read_frames
from attn.video.sample import Stride

TS_PACKET_BYTES = 188


@pytest.fixture
def read():
    """Frames of some bytes of a transport stream, and whether it is truncated."""

    def run(path, data):
        path.write_bytes(data)
        frames = read_frames(str(path), Stride(1))
        return list(frames), frames.end.truncated

    return run


@pytest.fixture(scope="module", params=[("libx264", 2), ("mpeg2video", 2), ("mpeg4", 0)], ids=lambda param: param[0])
def clip(request, write_clip, numbered):
    codec, most_b_frames = request.param
    return write_clip(numbered(50), ".ts", codec, "yuv420p", most_b_frames=most_b_frames, g="12")


def of_the_film(data):
    """Where the packets of 188 bytes lie that carry pictures."""
    places = range(0, len(data), TS_PACKET_BYTES)
    return [place for place in places if data[place + 1] & 0x1F == 1 and data[place + 2] == 0]


@pytest.mark.parametrize("copies", [2, 3])
def test_joined_files_are_decoded_whole(copies, clip, read, sequential, tmp_path):
    frames, truncated = read(tmp_path / "joined.ts", copies * clip.read_bytes())
    assert [frame.index for frame in frames] == list(range(copies * 50))
    images = sequential(clip)
    assert all(np.array_equal(frame.rgb, images[frame.index % 50]) for frame in frames)
    assert (np.diff([frame.time_s for frame in frames]) > 0).all()
    assert not truncated


def test_behind_lost_packets_the_film_goes_on(clip, read, sequential, tmp_path):
    """With the frames that any other decoder gives, those included of which it guessed a part."""
    data = bytearray(clip.read_bytes())
    for place in reversed(of_the_film(data)[20:-60:97]):
        del data[place : place + TS_PACKET_BYTES]
    path = tmp_path / "lossy.ts"
    frames, truncated = read(path, data)
    images = sequential(path)
    assert len(frames) == len(images) > 45
    assert all(np.array_equal(frame.rgb, image) for frame, image in zip(frames, images, strict=True))
    assert guessed(path)
    assert not truncated


def guessed(path):
    with av.open(str(path)) as container:
        return any(frame.is_corrupt for frame in container.decode(video=0))


def test_a_cut_behind_a_joint_is_seen(clip, read, sequential, tmp_path):
    data = clip.read_bytes()
    cut = of_the_film(data)[-40]
    alone, _ = read(tmp_path / "cut.ts", data[:cut])
    frames, truncated = read(tmp_path / "joined.ts", data + data[:cut])
    assert truncated
    assert len(frames) == 50 + len(alone) < 100
    images = sequential(clip)
    assert all(np.array_equal(frame.rgb, images[frame.index % 50]) for frame in frames)


def test_a_long_loss_holds_few_frames(clip, read, sequential, tmp_path, monkeypatch):
    monkeypatch.setattr("attn.video.pyav_decoder.MOST_GUESSED", 1)
    data = bytearray(clip.read_bytes())
    for place in reversed(of_the_film(data)[20:-60:9]):
        del data[place : place + TS_PACKET_BYTES]
    path = tmp_path / "lossy.ts"
    frames, truncated = read(path, data)
    assert len(frames) == len(sequential(path))
    assert not truncated
