"""Files that are strange but keep to their formats, or nearly so: what encoders, cameras and jokers may well write."""

import io
from collections.abc import Callable
from fractions import Fraction
from random import Random
from typing import cast

import av
from assembly import black_png, muxed, packets_of, with_number
from av.audio.stream import AudioStream
from clips import EXACT, H264, SAMPLE_RATE, Clip, encode
from formats import pixel_format, rare_codec

LARGE = (4000, 10_000, 16_000, 17_000)  # of the last FFmpeg wants nothing


def one_frame_claims_many(random: Random) -> Clip:
    """A frame, and a header that promises a thousand million."""
    many = random.choice((10**9, 2**31 - 1, 2**32 - 1))
    if random.random() < 0.5:
        data = with_number(encode("avi", "mpeg4", frames=1), b"avih", 24, many, "little")
        return Clip("1 frame", ".avi", with_number(data, b"strh", 40, many, "little"))
    return Clip("1 frame", ".mp4", with_number(encode("mp4", "mpeg4", frames=1), b"stts", 12, many, "big"))


def tiny_packets(random: Random) -> Clip:
    """Up to ten million chunks of no byte, or of one, behind a few good ones; no index says where they lie."""
    count = random.choices((1000, 100_000, 1_000_000, 10_000_000), (8, 8, 4, 1))[0]
    chunk = random.choice((b"00dc\0\0\0\0", b"00dc\x01\0\0\0\x7f\0"))
    data = encode("avi", "mpeg4", frames=5)
    data = data[: data.index(b"idx1")] + chunk * count
    return Clip(f"{count} packets", ".avi", with_number(data, b"RIFF", 4, len(data) - 8, "little"))


def far_times(random: Random) -> Clip:
    """Frames that stand ages ahead, or before the beginning, or ages apart."""
    if random.random() < 0.5:
        first, step = random.choice((-(2**20), -1, 2**31, 2**40, 2**62)), random.choice((1, 2**16, 2**31, 2**40))
        tick = random.choice((Fraction(1, 1000), Fraction(1, 90_000), Fraction(1, 1)))
        packets = packets_of(encode("avi", "mjpeg", "yuvj420p", frames=8))
        times = [first + i * step for i in range(8)]
        return Clip("far", ".mkv", muxed("matroska", "mjpeg", "yuvj420p", packets, times, tick))
    data = encode("mp4", "mpeg4", frames=8)
    for mark, place in ((b"stts", 16), (b"mdhd", 16), (b"elst", 16)):
        if random.random() < 0.5:
            data = with_number(data, mark, place, random.choice((1, 2**31 - 1, 2**32 - 1)), "big")
    return Clip("far", ".mp4", data)


def frame_rate(random: Random) -> Clip:
    """From one frame in thirty years to a thousand million a second."""
    scale, rate = random.choice(((1, 10**9), (10**9, 1), (1, 1000), (2**31 - 1, 2**31 - 1), (1001, 2**32 - 1), (7, 2)))
    data = encode("avi", "mpeg4", b_frames=random.choice((0, 2)))
    data = with_number(with_number(data, b"strh", 28, scale, "little"), b"strh", 32, rate, "little")
    return Clip(f"{rate}/{scale}", ".avi", data)


def size_changes(random: Random) -> Clip:
    """The pictures grow or shrink half way, in bytes that are simply joined or in packets of one stream."""
    sizes = random.sample([(48, 64), (64, 48), (240, 320), (2, 2), (1080, 16)], 2)
    if random.random() < 0.5:
        packets = [
            packet for size in sizes for packet in packets_of(encode("avi", "mjpeg", "yuvj420p", frames=8, size=size))
        ]
        return Clip("sizes", ".mkv", muxed("matroska", "mjpeg", "yuvj420p", packets))
    streams = ("mpegts", "libx264", H264), ("mpeg", "mpeg2video", {}), ("mpegts", "mpeg2video", {})
    container, codec, options = random.choice(streams)
    return Clip(
        "sizes", ".ts", b"".join(encode(container, codec, frames=8, size=size, options=options) for size in sizes)
    )


def thin(random: Random) -> Clip:
    """Of one pixel, or thousands long and one wide."""
    size = random.choice(((1, 1), (1, 2), (1, 8000), (8000, 1), (2, 16_000), (16_000, 2)))
    container, codec, pix_fmt = random.choice((("avi", "rawvideo", "bgr24"), ("mov", "png", "rgb24")))
    return Clip(f"{size[1]}x{size[0]}", ".mkv", encode(container, codec, pix_fmt, frames=6, size=size))


def interlaced(random: Random) -> Clip:
    """Two half pictures in one."""
    if random.random() < 0.5:
        return Clip("h264 fields", ".mkv", encode("matroska", "libx264", options={"x264-params": "threads=1:tff=1"}))
    return Clip(
        "mpeg2 fields", ".mpg", encode("mpeg", "mpeg2video", options={"flags": "+bitexact+ildct+ilme", "b": "200000"})
    )


def sound_only(random: Random) -> Clip:
    """No picture, perhaps no tone either."""
    container, codec = random.choice(
        (("wav", "pcm_s16le"), ("mp3", "mp3"), ("mp4", "aac"), ("matroska", "flac"), ("ogg", "flac"))
    )
    file, samples = io.BytesIO(), random.choice((0, 1, SAMPLE_RATE))
    with av.open(file, "w", format=container, options={"fflags": "+bitexact"}) as out:
        stream = cast("AudioStream", out.add_stream(codec, SAMPLE_RATE, EXACT, layout="mono"))
        out.start_encoding()
        if samples:
            frame = av.AudioFrame(format="s16", layout="mono", samples=samples)
            frame.sample_rate, frame.pts, frame.time_base = SAMPLE_RATE, 0, Fraction(1, SAMPLE_RATE)
            frame.planes[0].update(bytes(frame.planes[0].buffer_size))
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return Clip(f"{codec} {samples}", ".mp4", file.getvalue())


def many_streams(random: Random) -> Clip:
    """The description of the one stream, up to 1500 times."""
    data, count = encode("avi", "mpeg4"), random.choice((2, 130, 999, 1500))
    start = data.index(b"strl") - 8
    size = int.from_bytes(data[start + 4 : start + 8], "little") + 8
    described = data[start : start + size] * count
    data = with_number(
        data[:start] + described + data[start + size :], b"RIFF", 4, len(data) + size * (count - 1) - 8, "little"
    )
    data = with_number(data, b"avih", 32, count, "little")
    return Clip(
        f"{count} streams",
        ".avi",
        with_number(data, b"hdrl", -4, len(described) + start - data.index(b"hdrl"), "little"),
    )


def large_pictures(random: Random) -> Clip:
    """Black pictures of up to 300 million pixels, a few hundred kilobytes each."""
    side = random.choice(LARGE)
    png = black_png(side, side, random.choice((0, 2, 4)))
    return Clip(f"{side}x{side}", ".mov", muxed("mov", "png", "rgb24", [png] * random.choice((1, 3))))


def one_picture_often(random: Random) -> Clip:
    """The table of samples names the same bytes up to ten thousand times: a long video in a small file."""
    count = random.choice((2, 500, 10_000))
    data = muxed("mov", "png", "rgb24", [black_png(48, 64, 2)])
    data = data.replace(b"edts", b"free")  # which would show it once
    place = int.from_bytes(data[(start := data.index(b"stco") + 12) : start + 4], "big")
    data = data[:start] + place.to_bytes(4, "big") * count + data[start + 4 :]
    for mark in (b"stts", b"stsz"):
        data = with_number(data, mark, 12, count, "big")
    data = with_number(data, b"stco", 8, count, "big")
    for box in (b"stco", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        size = int.from_bytes(data[(start := data.index(box) - 4) : start + 4], "big")
        data = with_number(data, box, -4, size + 4 * (count - 1), "big")
    return Clip(f"{count} times", ".mov", data)


def pictures_before_sound(random: Random) -> Clip:
    """All pictures stand before all of the tone, or the tone goes on when they have ended."""
    container, codec = random.choice((("avi", "pcm_s16le"), ("mp4", "aac"), ("matroska", "flac")))
    return Clip(f"{codec}", ".mkv", encode(container, "mpeg4", sound=codec, frames=random.choice((1, 100))))


STRANGE: dict[str, Callable[[Random], Clip]] = {
    function.__name__: function
    for function in (
        one_frame_claims_many,
        tiny_packets,
        far_times,
        frame_rate,
        size_changes,
        thin,
        pixel_format,
        rare_codec,
        interlaced,
        sound_only,
        many_streams,
        large_pictures,
        one_picture_often,
        pictures_before_sound,
    )
}
