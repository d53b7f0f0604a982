import itertools
from typing import Any

import av
import numpy as np
import pytest

from attn.video.decode import read_frames
from attn.video.gop_tails import BIDIRECTIONAL, INTRA, PREDICTED, needed_frames, picture_type
from attn.video.sample import Fps, Stride

GROUPS_OF_12 = {"g": "12", "sc_threshold": "1000000000"}


@pytest.fixture(scope="module")
def groups_of_12(write_clip, numbered):
    """A key frame every 12 frames and no B-frames, as UCF101 has them."""
    return write_clip(numbered(40), ".avi", "mpeg4", "yuv420p", **GROUPS_OF_12)


def packets_of(path):
    with av.open(str(path)) as container:
        return [packet for packet in container.demux(container.streams.video[0]) if packet.size]


def test_picture_types_are_read_from_the_packets(groups_of_12):
    types = [picture_type(packet) for packet in packets_of(groups_of_12)]
    assert types == [PREDICTED if i % 12 else INTRA for i in range(40)]


def test_b_pictures_are_told(write_clip, numbered):
    path = write_clip(numbered(20), ".avi", "mpeg4", "yuv420p", most_b_frames=2)
    assert BIDIRECTIONAL in {picture_type(packet) for packet in packets_of(path)}


@pytest.mark.parametrize("data", [b"", b"\0\0\1\xb6", b"\0\0\1\xb6\x10", b"\xff" * 40, b"\0\0\1\xb0" + b"\0" * 30])
def test_what_holds_no_coded_picture_has_no_type(data):
    packet: Any = av.Packet(data)
    assert picture_type(packet) is None


@pytest.mark.parametrize("sampling", [Stride(1), Stride(5), Stride(7), Stride(12), Stride(30), Fps(3.0), Fps(11.0)])
def test_frames_that_an_edit_list_hides_in_the_middle_are_not_counted(
    sampling, with_edits, write_clip, numbered, sequential
):
    """0 to 0.6 s and 1.2 to 2 s are shown; pictures from 0.96 s on are there because others refer to them."""
    path = with_edits(write_clip(numbered(50), ".mp4", "mpeg4", "yuv420p", **GROUPS_OF_12), [(600, 0), (800, 15360)])
    everything = sequential(path)
    assert len(everything) == 35
    keep, frames = sampling.start(), read_frames(str(path), sampling)
    for frame, index in zip(frames, [i for i in range(35) if keep(i, i / 25)], strict=True):
        assert frame.index == index
        assert np.array_equal(frame.rgb, everything[index])
    assert not frames.end.truncated


@pytest.mark.parametrize("sampling", [Stride(1), Stride(5), Stride(7), Stride(12), Stride(30), Fps(3.0), Fps(11.0)])
def test_left_out_frames_change_nothing(sampling, groups_of_12, sequential):
    everything = sequential(groups_of_12)
    keep = sampling.start()
    wanted = [i for i in range(len(everything)) if keep(i, i / 25)]
    frames = list(read_frames(str(groups_of_12), sampling))
    assert [frame.index for frame in frames] == wanted
    assert all(np.array_equal(frame.rgb, everything[frame.index]) for frame in frames)


def test_few_packets_are_held(groups_of_12, sequential, monkeypatch):
    monkeypatch.setattr("attn.video.gop_tails.MOST_HELD", 4)
    everything = sequential(groups_of_12)
    frames = list(read_frames(str(groups_of_12), Stride(11)))
    assert [frame.index for frame in frames] == [0, 11, 22, 33]
    assert all(np.array_equal(frame.rgb, everything[frame.index]) for frame in frames)


def test_only_what_is_needed_is_decoded(groups_of_12):
    packets = packets_of(groups_of_12)
    with av.open(str(groups_of_12)) as container:
        context, decoded, asked = container.streams.video[0].codec_context, [], itertools.count()

        def decode(packet):
            decoded.append(packet.pts)
            return context.decode(packet)[0]

        kept = [frame.pts for frame in needed_frames(iter(packets), decode, lambda _: next(asked) % 5 == 0)]
    assert kept == list(range(0, 40, 5))
    assert decoded == [*range(11), *range(12, 21), *range(24, 36)]


def test_it_ends_at_the_first_packet_that_is_not_certain(groups_of_12):
    packets = packets_of(groups_of_12)
    strange: Any = av.Packet(b"placeholder")
    packets.insert(3, strange)
    with av.open(str(groups_of_12)) as container:
        context = container.streams.video[0].codec_context
        given = needed_frames(iter(packets), lambda packet: context.decode(packet)[0], lambda _: True)
        assert [next(given).pts for _ in range(3)] == [0, 1, 2]
        with pytest.raises(StopIteration) as stop:
            next(given)
    assert stop.value.value is strange


@pytest.mark.parametrize(("strategy", "uses_them"), [("1", False), ("2", True)])
def test_a_stream_that_may_have_b_frames_is_left_alone(strategy, uses_them, write_clip, numbered, sequential):
    """The encoder uses them where they pay, perhaps nowhere; the decoder is one frame late in any case."""
    images = [*numbered(12), *numbered(30)] * 2
    path = write_clip(images, ".avi", "mpeg4", "yuv420p", most_b_frames=1, b_strategy=strategy, **GROUPS_OF_12)
    assert (BIDIRECTIONAL in {picture_type(packet) for packet in packets_of(path)}) == uses_them
    everything = sequential(path)
    frames = list(read_frames(str(path), Stride(5)))
    assert [frame.index for frame in frames] == list(range(0, len(everything), 5))
    assert all(np.array_equal(frame.rgb, everything[frame.index]) for frame in frames)


def test_a_dropped_frame_among_pictures_costs_only_speed(write_clip, numbered, sequential):
    pts = [i + (i > 17) * 3 for i in range(40)]
    path = write_clip(numbered(40), ".avi", "mpeg4", "yuv420p", pts=pts, **GROUPS_OF_12)
    everything = sequential(path)
    frames = list(read_frames(str(path), Stride(5)))
    assert [frame.index for frame in frames] == list(range(0, 40, 5))
    assert all(np.array_equal(frame.rgb, everything[frame.index]) for frame in frames)
