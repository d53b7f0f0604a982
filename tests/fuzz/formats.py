"""Pixel formats and encoders that few videos have."""

import dataclasses
from random import Random

from clips import H264, ONE_THREAD, REALTIME, Clip, encode

# container, encoder, pixel format
FORMATS = (
    *(("matroska", "ffv1", name) for name in ("gray", "gray10le", "gray16le", "yuva420p", "yuv444p12le", "gbrp16le")),
    *(("matroska", "ffv1", name) for name in ("yuv410p", "yuv440p", "rgba64le", "gbrap12le", "ya8")),
    *(("avi", "rawvideo", name) for name in ("gray", "rgb24", "yuyv422", "nv12", "rgb555le", "uyvy422")),
    *(("mov", "qtrle", name) for name in ("argb", "gray", "rgb24", "rgb555be")),
    *(("mov", "png", name) for name in ("rgba", "gray16be", "monob", "ya8", "rgb48be")),
    *(("mp4", "libx264", name) for name in ("yuv420p10le", "yuv422p", "gray", "nv21")),
    *(("mp4", "libx265", name) for name in ("yuv420p10le", "yuv444p12le", "gray")),
    ("webm", "libvpx-vp9", "yuva420p"),
    ("webm", "libvpx-vp9", "yuv444p"),
    ("mov", "prores_ks", "yuva444p10le"),
    ("avi", "huffyuv", "yuv422p"),
    ("avi", "utvideo", "gbrap"),
    ("avi", "magicyuv", "gray"),
)
CODECS = (
    *(("avi", name, "yuv420p") for name in ("msmpeg4v2", "msmpeg4", "snow", "asv1", "asv2", "h263p", "mpeg1video")),
    *(("avi", name, pix_fmt) for name, pix_fmt in (("msvideo1", "rgb555le"), ("zmbv", "bgr0"), ("ljpeg", "bgr24"))),
    *(("mov", name, pix_fmt) for name, pix_fmt in (("rpza", "rgb555le"), ("cfhd", "yuv422p10le"), ("svq1", "yuv410p"))),
    *(("mov", name, pix_fmt) for name, pix_fmt in (("mjpeg", "yuvj420p"), ("jpeg2000", "yuv420p"), ("dxv", "rgba"))),
    *(("asf", name, "yuv420p") for name in ("wmv1", "wmv2")),
    *(("rm", name, "yuv420p") for name in ("rv10", "rv20")),
    *(("flv", name, "bgr24") for name in ("flashsv", "flashsv2")),
)


def pixel_format(random: Random) -> Clip:
    """Gray, transparent, with a palette, of 10 to 16 bits."""
    if random.random() < 0.1:
        return Clip("pal8", ".avi", encode("apng", "apng", "rgba", frames=5))
    return rare(*random.choice(FORMATS))


def rare_codec(random: Random) -> Clip:
    """An encoder that no one uses any more; more often than not some bits are wrong."""
    clip = rare(*random.choice(CODECS))
    data = bytearray(clip.data)
    for _ in range(random.choice((0, 3, 100))):
        data[random.randrange(len(data) // 4, len(data))] ^= 1 << random.randrange(8)
    return dataclasses.replace(clip, data=bytes(data))


def rare(container: str, codec: str, pix_fmt: str) -> Clip:
    """Six frames of it; what the file is called says nothing of what it is."""
    slow = {"libx264": H264, "libx265": ONE_THREAD, "libvpx-vp9": REALTIME}
    options = {"strict": "-2", **slow.get(codec, {})}
    return Clip(
        f"{codec} {pix_fmt}", ".mov", encode(container, codec, pix_fmt, frames=6, size=(96, 128), options=options)
    )
