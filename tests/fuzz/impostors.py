"""Files that are no videos, named as such."""

import gzip
import io
import pickle
import tarfile
import zipfile
from collections.abc import Callable
from random import Random

from PIL import Image

NEIGHBOUR = "control.avi"
"""A good clip that campaigns put beside the mutants: what playlists point at must not be read."""


TRACE = "run-by-mistake"
"""A file that appears in the current folder if a mutant is unpickled, or run."""


class _Trap:
    def __reduce__(self) -> tuple:
        return open, (TRACE, "w")


def _hls(random: Random, target: str) -> bytes:
    return f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{target}\n#EXT-X-ENDLIST\n".encode()


def _concat(random: Random, target: str) -> bytes:
    return f"ffconcat version 1.0\nfile {target}\n".encode() * random.choice((1, 1000))


def _dash(random: Random, target: str) -> bytes:
    return (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4"><Representation id="1">'
        f"<BaseURL>{target}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    ).encode()


def _sdp(random: Random, target: str) -> bytes:
    return b"v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 26\n"


def _reference_movie(random: Random, target: str) -> bytes:
    """A QuickTime file whose only content is the name of another."""
    url = target.encode() + b"\0"
    rdrf = _box(b"rdrf", bytes(4) + b"url " + len(url).to_bytes(4, "big") + url)
    return _box(b"moov", _box(b"rmra", _box(b"rmda", rdrf)))


def _box(name: bytes, content: bytes) -> bytes:
    return (len(content) + 8).to_bytes(4, "big") + name + content


def playlist(random: Random) -> bytes:
    """A list that points elsewhere: at a neighbour, at a file of the machine, into a pipe, into the network."""
    elsewhere = (NEIGHBOUR, f"file:{NEIGHBOUR}", "/etc/hostname", "pipe:0", "http://127.0.0.1:9/x.ts", "concat:a|b")
    return random.choice((_hls, _concat, _dash, _sdp, _reference_movie))(random, random.choice(elsewhere))


def archive(random: Random) -> bytes:
    """Of a member that unpacks to a thousand times its size."""
    file, content = io.BytesIO(), bytes(2_000_000)
    kind = random.choice(("zip", "tar", "gzip", "pickle"))
    if kind == "zip":
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
            packed.writestr(zipfile.ZipInfo("video.avi"), content)
    elif kind == "tar":
        with tarfile.open(fileobj=file, mode="w", format=tarfile.USTAR_FORMAT) as tar:
            info = tarfile.TarInfo("../video.avi")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    else:
        return gzip.compress(content, mtime=0) if kind == "gzip" else pickle.dumps(_Trap(), 4)
    return file.getvalue()


def picture_file(random: Random) -> bytes:
    """A photograph is no video, though FFmpeg could show it."""
    file = io.BytesIO()
    Image.linear_gradient("L").convert("RGB").save(file, random.choice(("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP")))
    return file.getvalue()


def text(random: Random) -> bytes:
    """Words, markup, subtitles, a script, another's header and nothing behind it."""
    return random.choice(
        (
            b"no video, but words\n" * 500,
            b"<html><body><video src='control.avi' autoplay></video></body></html>",
            b"1\n00:00:01,000 --> 00:00:02,000\nwords\n\n" * 200,
            b"[Script Info]\nScriptType: v4.00+\n\n[Events]\nDialogue: 0,0:00:01.00,0:00:02.00,x,,0,0,0,,words\n" * 20,
            f"#!/bin/sh\ntouch {TRACE}\n".encode(),
            b"YUV4MPEG2 W1000000 H1000000 F25:1\nFRAME\n",
            b"\x7fELF\x02\x01\x01" + bytes(1000),
            b"RIFF\x00\x00\x00\x00AVI ",
            b"\x1a\x45\xdf\xa3\x01\xff\xff\xff\xff\xff\xff\xff",
            "Ünïcödé \x00 \x1b[31m \r\n".encode() * 300,
            b";FFMETADATA1\ntitle=x\n" * 100,
        )
    )


def noise(random: Random) -> bytes:
    """Bytes without a meaning, all alike or all different, few or many; or none."""
    size = random.choice((0, 1, 3, 188, 5000, 300_000))
    return random.choice((bytes, random.randbytes, lambda n: b"\xff" * n, lambda n: b"\x47" * n))(size)


IMPOSTORS: dict[str, Callable[[Random], bytes]] = {
    function.__name__: function for function in (playlist, archive, picture_file, text, noise)
}
