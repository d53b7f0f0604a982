import io
import os

import av
import numpy as np
import pytest
from av.stream import Disposition
from PIL import Image

from attn.errors import VideoError
from attn.video.pyav_decoder import pyav_frames
from attn.video.reading import Reading
from attn.video.sample import Fps, Sampling, Stride

EVERY_FRAME = Stride(1)


@pytest.fixture
def read():
    """Frames of a file and whether it is truncated."""

    def run(path, sampling: Sampling = EVERY_FRAME):
        frames = Reading(pyav_frames(str(path), sampling.start()))
        return list(frames), frames.end.truncated

    return run


def assert_same(frames, images, indices):
    assert [frame.index for frame in frames] == list(indices)
    for frame in frames:
        assert np.array_equal(frame.rgb, images[frame.index])


@pytest.mark.parametrize("suffix", [".avi", ".mkv"])
@pytest.mark.parametrize("step", [1, 5])
def test_lossless_frames_come_back_exactly(suffix, step, read, write_clip, numbered):
    images = numbered(23)
    frames, truncated = read(write_clip(images, suffix), Stride(step))
    assert_same(frames, images, range(0, 23, step))
    assert [frame.time_s for frame in frames] == pytest.approx([i / 25 for i in range(0, 23, step)])
    assert not truncated


def assert_same_fifths(frames, fifths):
    assert [frame.index for frame in frames] == list(range(0, 5 * len(fifths), 5))
    assert all(np.array_equal(frame.rgb, image) for frame, image in zip(frames, fifths, strict=True))


CODECS = {
    "mpeg4.avi": (".avi", "mpeg4", 0),
    "mpeg4 with B-frames": (".avi", "mpeg4", 2),
    "h264.mp4": (".mp4", "libx264", 0),
    "h264 with B-frames": (".mp4", "libx264", 3),
    "transport stream": (".ts", "libx264", 3),
    "webm": (".webm", "libvpx-vp9", 0),
    "no time stamps": (".h264", "libx264", 3),
}


@pytest.mark.parametrize(("suffix", "codec", "most_b_frames"), CODECS.values(), ids=CODECS.keys())
def test_frames_are_those_of_a_sequential_decode(suffix, codec, most_b_frames, read, write_clip, numbered, sequential):
    path = write_clip(numbered(40), suffix, codec, "yuv420p", most_b_frames=most_b_frames, g="12")
    images = sequential(path)
    assert len(images) == 40
    frames, truncated = read(path, Stride(5))
    assert_same(frames, images, range(0, 40, 5))
    assert np.diff([frame.time_s for frame in frames]) == pytest.approx([0.2] * 7)
    assert not truncated


def test_real_clips_are_decoded_as_pyav_does(real_clip, read, sequential):
    frames, truncated = read(real_clip, Stride(5))
    assert_same_fifths(frames, sequential(real_clip, every=5))
    assert (np.diff([frame.time_s for frame in frames]) > 0).all()
    assert not truncated


def test_variable_frame_rate_is_sampled_by_time(read, write_clip, numbered):
    images, pts = numbered(10), [0, 1, 2, 3, 10, 20, 30, 31, 32, 60]
    frames, _ = read(write_clip(images, pts=pts, rate=10), Fps(1.0))
    assert_same(frames, images, [0, 4, 5, 6, 9])
    assert [frame.time_s for frame in frames] == pytest.approx([0, 1, 2, 3, 6])


FORMATS = ["gray", "gray10le", "yuv420p10le", "yuva420p", "yuv444p", "gbrp10le", "bgra"]


@pytest.mark.parametrize("pix_fmt", FORMATS)
@pytest.mark.parametrize("size", [(48, 64), (23, 37), (1, 1), (4, 400)])
def test_pixel_formats_and_sizes(pix_fmt, size, read, write_clip, smooth, sequential):
    path = write_clip(smooth(3, *size), pix_fmt=pix_fmt)
    frames, _ = read(path)
    assert_same(frames, sequential(path), range(3))
    assert frames[0].rgb.shape == (*size, 3)


def test_one_frame_is_a_video(read, write_clip, numbered):
    frames, truncated = read(write_clip(numbered(1)), Stride(5))
    assert_same(frames, numbered(1), [0])
    assert not truncated


def test_the_size_may_change_in_the_middle(read, numbered, tmp_path):
    path, sizes = tmp_path / "two-sizes.mjpeg", [(48, 64)] * 3 + [(30, 20)] * 3
    with path.open("wb") as file:
        for i, size in enumerate(sizes):
            Image.fromarray(numbered(6, *size)[i]).save(file, "JPEG")
    frames, _ = read(path)
    assert [frame.rgb.shape[:2] for frame in frames] == sizes


CUTS = {
    "mpeg4.avi": (".avi", "mpeg4", 0, {}),
    "mpeg4 with B-frames": (".avi", "mpeg4", 2, {}),
    "ffv1.avi": (".avi", "ffv1", 0, {}),
    "h264.mp4": (".mp4", "libx264", 0, {"movflags": "faststart"}),
    "h264 with B-frames": (".mp4", "libx264", 3, {"movflags": "faststart"}),
    "h264 with its index behind": (".mp4", "libx264", 3, {}),
}


@pytest.mark.parametrize(("suffix", "codec", "most_b_frames", "options"), CUTS.values(), ids=CUTS.keys())
@pytest.mark.parametrize("where", ["10 KB", 0.5, 0.9])
@pytest.mark.parametrize("step", [1, 5])
def test_cut_files_give_what_they_have(
    suffix, codec, most_b_frames, options, where, step, read, write_clip, numbered, sequential, tmp_path
):
    pix_fmt = "bgr0" if codec == "ffv1" else "yuv420p"
    path = write_clip(numbered(40), suffix, codec, pix_fmt, most_b_frames=most_b_frames, **options)
    images, data = sequential(path), path.read_bytes()
    short = tmp_path / path.name
    short.write_bytes(data[: 10_240 if where == "10 KB" else int(where * len(data))])
    if suffix == ".mp4" and not options:
        with pytest.raises(VideoError):
            read(short)
        return
    try:
        frames, truncated = read(short, Stride(step))
    except VideoError:
        assert where == "10 KB"  # too little for the first frame
        return
    assert truncated
    assert_same(frames, images, range(0, 40, step)[: len(frames)])
    if where == 0.9:
        assert len(frames) >= 25 // step


@pytest.mark.parametrize("where", [0.5, 0.9])
def test_cut_real_clips_give_what_they_have(some_real_clip, where, read, sequential, tmp_path):
    short = tmp_path / some_real_clip.name
    short.write_bytes(some_real_clip.read_bytes()[: int(where * some_real_clip.stat().st_size)])
    frames, truncated = read(short, Stride(5))
    assert truncated
    assert_same_fifths(frames, sequential(some_real_clip, every=5)[: len(frames)])


DAMAGED = [
    (".avi", "mjpeg", "yuvj420p", 0),
    (".avi", "mpeg4", "yuv420p", 0),
    (".avi", "mpeg4", "yuv420p", 2),
    (".mp4", "libx264", "yuv420p", 3),
]


@pytest.mark.parametrize(("suffix", "codec", "pix_fmt", "most_b_frames"), DAMAGED)
def test_damage_in_the_middle_ends_the_video(
    suffix, codec, pix_fmt, most_b_frames, read, write_clip, numbered, sequential, tmp_path
):
    """Whether the decoder refuses the picture or guesses it. B-frames that lean on it are shown before it is."""
    path = write_clip(numbered(20), suffix, codec, pix_fmt, most_b_frames=most_b_frames)
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    shown = sorted(packet.pts or 0 for packet in packets)
    start, length = (packets[7].pos or 0) + 8, packets[7].size
    data = bytearray(path.read_bytes())
    data[start + length // 4 : start + length] = bytes(length - length // 4)
    damaged = tmp_path / path.name
    damaged.write_bytes(data)
    frames, truncated = read(damaged)
    assert truncated
    decoded_before = {shown.index(packet.pts or 0) for packet in packets[:7]}
    assert 5 <= len(frames) <= shown.index(packets[7].pts or 0)
    sound = [frame for frame in frames if frame.index in decoded_before]
    assert_same(sound, sequential(path), sorted(decoded_before)[: len(sound)])


def write_sound(path):
    with av.open(str(path), "w", format="wav") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), "s16", "mono")
        sound.rate = 8000
        container.mux(stream.encode(sound))


SESSION = """v=0
o=- 0 0 IN IP4 127.0.0.1
s=a stream that no one sends
c=IN IP4 127.0.0.1
t=0 0
m=video 5004 RTP/AVP 96
a=rtpmap:96 H264/90000
"""

BAD = {
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("This is no video.\n" * 1000),
    "network": lambda path: path.write_text(SESSION),
    "zeros": lambda path: path.write_bytes(bytes(20_000)),
    "sound": write_sound,
    "missing": lambda path: None,
    "folder": lambda path: path.mkdir(),
}


@pytest.mark.parametrize("make", BAD.values(), ids=BAD.keys())
def test_what_is_no_video_says_so_in_one_line(make, read, tmp_path):
    path = tmp_path / "bad.avi"
    make(path)
    with pytest.raises(VideoError, match=r"bad\.avi: .") as error:
        read(path)
    assert "\n" not in str(error.value)


def test_a_container_without_frames_says_so(read, write_clip, numbered, tmp_path):
    data = write_clip(numbered(2), ".avi").read_bytes()
    empty = tmp_path / "empty.avi"
    empty.write_bytes(data[: data.index(b"movi") + 4])
    with pytest.raises(VideoError, match=r"empty\.avi: "):
        read(empty)


def test_cover_art_is_no_video(read, numbered, tmp_path):
    cover = io.BytesIO()
    Image.fromarray(numbered(1)[0]).save(cover, "PNG")
    path = tmp_path / "song.avi"
    with av.open(str(path), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=44100)
        picture = container.add_stream("png")
        picture.width, picture.height, picture.pix_fmt = 64, 48, "rgb24"
        packet = av.Packet(cover.getvalue())
        packet.stream = picture
        packet.pts = packet.dts = 0
        picture.disposition = Disposition.attached_pic
        silence = av.AudioFrame.from_ndarray(np.zeros((2, 44100), np.float32), "fltp", "stereo")
        silence.rate = 44100
        packets = [*sound.encode(silence), *sound.encode(None)]
        container.mux(packet)
        for each in packets:
            container.mux(each)
    with pytest.raises(VideoError, match="contains no video stream"):
        read(path)


@pytest.mark.parametrize("name", ["a b.c ü 日本.avi", "x:y.avi", "http:z.avi", "img%03d.avi", b"\xff\xfe.avi"])
def test_any_name_will_do(name, read, write_clip, numbered, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    name = os.fsdecode(name)
    (tmp_path / name).write_bytes(write_clip(numbered(3), ".avi").read_bytes())
    assert len(read(name)[0]) == len(read(tmp_path / name)[0]) == 3


def test_of_a_cut_file_some_frame_is_left_or_it_is_none(read, write_clip, smooth, tmp_path):
    """Of a few bytes, a decoder may give only frames that are shown after others that are missing."""
    content = write_clip(smooth(6), ".avi", "mpeg4", "yuv420p", most_b_frames=2).read_bytes()
    path, readable = tmp_path / "cut.avi", 0
    for size in range(0, len(content), 50):
        path.write_bytes(content[:size])
        try:
            frames, _ = read(path)
        except VideoError:
            continue
        readable += 1
        assert frames, f"{size} of {len(content)} bytes"
    assert readable
