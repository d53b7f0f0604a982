"""Files under the names of cameras, discs and the Web are found, and the decoder opens them."""

from pathlib import Path

import av
import numpy as np
import pytest

from attn.video.decode import read_frames
from attn.video.sample import Stride
from attn.video.source import list_videos

WRITTEN = {
    "mpegts": (("mts", "m2ts", "m2t", "ts", "trp"), "mpeg2video"),
    "vob": (("vob", "mpe", "mpg", "m2p", "tod"), "mpeg2video"),
    "asf": (("asf", "wmv"), "wmv2"),
    "avi": (("divx", "xvid", "avi"), "mpeg4"),
    "ogg": (("ogv",), "libvpx"),
    "mov": (("qt", "mov"), "mpeg4"),
    "3gp": (("3g2", "3gpp"), "mpeg4"),
    "f4v": (("f4v",), "libx264"),
    "mxf": (("mxf",), "mpeg2video"),
    "nut": (("nut",), "mpeg4"),
    "ivf": (("ivf",), "libvpx"),
    "webm": (("webm",), "libvpx"),
    "mpeg2video": (("m2v", "mpv"), "mpeg2video"),
    "mpeg1video": (("m1v",), "mpeg1video"),
    "h264": (("264", "h264", "avc"), "libx264"),
    "mjpeg": (("mjpg", "mjpeg"), "mjpeg"),
}


@pytest.mark.parametrize("container", WRITTEN)
def test_every_name_of_a_format_is_taken_and_decoded(tmp_path: Path, container: str) -> None:
    names, codec = WRITTEN[container]
    path = tmp_path / "v"
    with av.open(str(path), "w", format=container) as file:
        stream = file.add_stream(codec, rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for number in range(10):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(np.full((48, 64, 3), 20 * number, np.uint8))))
        file.mux(stream.encode())
    for number, name in enumerate(names):
        (tmp_path / f"{number}.{name.upper()}").write_bytes(path.read_bytes())
    path.unlink()
    videos = list_videos(str(tmp_path))
    assert len(videos) == len(names)
    for video in videos:
        frames = list(read_frames(video.url, Stride(1)))
        assert len(frames) >= 9
