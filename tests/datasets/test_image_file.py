"""Images as the Web has them: every mode becomes the RGB a viewer shows, and no broken file gets through."""

import os
import re
import resource
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn.datasets.image_file import ImageError, read_image
from attn.errors import UsageError

ORANGE = (255, 102, 51)  # a colour of the palette that conversion to mode P uses


def saved(path: Path, image: Image.Image, **options: object) -> str:
    image.save(path, **options)
    return str(path)


def picture(mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", (24, 16), ORANGE).convert(mode)


@pytest.mark.parametrize("suffix", ["png", "jpg", "webp", "bmp", "gif", "tif"])
def test_formats(tmp_path, suffix):
    image = read_image(saved(tmp_path / f"a.{suffix}", picture()))
    assert (image.mode, image.size) == ("RGB", (24, 16))
    assert np.abs(np.asarray(image, int) - ORANGE).max() <= 6


@pytest.mark.parametrize(
    ("mode", "suffix", "shown"),
    [
        ("P", "png", ORANGE),
        ("RGBA", "png", ORANGE),
        ("CMYK", "jpg", ORANGE),
        ("CMYK", "tif", ORANGE),
        ("YCbCr", "jpg", ORANGE),
        ("L", "png", (142, 142, 142)),
        ("LA", "png", (142, 142, 142)),
        ("1", "png", None),
    ],
)
def test_modes(tmp_path, mode, suffix, shown):
    image = read_image(saved(tmp_path / f"a.{suffix}", picture(mode)))
    assert image.mode == "RGB"
    if shown:
        assert np.abs(np.asarray(image, int) - shown).max() <= 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_lies_over_white(tmp_path, mode):
    image = Image.new("RGBA", (2, 1), (0, 0, 0, 0))
    image.putpixel((1, 0), (0, 0, 0, 255))
    assert np.asarray(read_image(saved(tmp_path / "a.png", image.convert(mode)))).tolist() == [[[255] * 3, [0] * 3]]


def test_half_transparency_is_mixed(tmp_path):
    assert read_image(saved(tmp_path / "a.png", Image.new("RGBA", (1, 1), (0, 0, 0, 128)))).getpixel((0, 0))[0] == 127


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_16_bits_are_scaled_not_clipped(tmp_path, suffix):
    values = np.array([[0, 1000, 32896, 65535]], np.uint16)
    image = read_image(saved(tmp_path / f"a.{suffix}", Image.fromarray(values)))
    assert np.asarray(image).tolist() == [[[0] * 3, [3] * 3, [128] * 3, [255] * 3]]


def test_a_turned_camera_is_turned_back(tmp_path):
    image = Image.new("RGB", (24, 16), "black")
    image.paste("white", (0, 0, 12, 16))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90° clockwise
    turned = read_image(saved(tmp_path / "a.jpg", image, exif=exif, quality=95))
    assert turned.size == (16, 24)
    assert np.asarray(turned)[:10].min() > 240
    assert np.asarray(turned)[14:].max() < 15
    assert 0x0112 not in turned.getexif()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_broken_exif_says_nothing_about_the_picture(tmp_path):
    path = saved(tmp_path / "a.jpg", picture(), exif=b"Exif\0\0II*\0\xff\xff\xff\xff rubbish")
    assert read_image(path).size == (24, 16)


def test_the_extension_is_not_believed(tmp_path):
    assert read_image(saved(tmp_path / "really.jpg", picture(), format="PNG")).getpixel((0, 0)) == ORANGE


def test_the_first_picture_of_an_animation(tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    assert read_image(saved(tmp_path / "a.gif", frames[0], save_all=True, append_images=frames[1:])).getpixel(
        (0, 0)
    ) == (255, 0, 0)


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "tif", "bmp"])
@pytest.mark.parametrize("kept", [0.3, 0.8])
def test_a_file_cut_off_is_refused(tmp_path, suffix, kept):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    path = tmp_path / f"a.{suffix}"
    saved(path, Image.fromarray(noise))
    path.write_bytes(path.read_bytes()[: int(kept * path.stat().st_size)])
    with pytest.raises(ImageError, match=r"a\."):
        read_image(str(path))


@pytest.mark.parametrize("data", [b"", b"<html>404</html>", b"\xff\xd8\xff", b"GIF89a", b"\0" * 4096])
def test_what_is_no_image_is_refused(tmp_path, data):
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.raises(ImageError, match=r"a\.jpg: \S"):
        read_image(str(tmp_path / "a.jpg"))


def test_floating_point_is_refused(tmp_path):
    with pytest.raises(ImageError, match="no known range"):
        read_image(saved(tmp_path / "a.tif", Image.new("F", (4, 4), 0.5)))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
@pytest.mark.parametrize("side", [11, 16])
def test_a_bomb_is_refused_where_pillow_only_warns(tmp_path, monkeypatch, side):
    path = saved(tmp_path / "a.png", Image.new("RGB", (side, side)))
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match="pixels"):
        read_image(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", side * side)
    assert read_image(path).size == (side, side)


def test_a_missing_file_is_the_storages_fault(tmp_path):
    with pytest.raises(UsageError, match=r"nowhere\.jpg: does not exist"):
        read_image(str(tmp_path / "nowhere.jpg"))


def test_a_picture_that_is_a_program_is_not_executed(tmp_path, monkeypatch):
    interpreter = tmp_path / "gs"
    interpreter.write_text(f"#!/bin/sh\ntouch {tmp_path}/executed\n")
    interpreter.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)  # forgets that there was none
    path = saved(tmp_path / "really.jpg", picture(), format="EPS")
    with pytest.raises(ImageError, match=r"really\.jpg: not an image"):
        read_image(path)
    assert not (tmp_path / "executed").exists()


def claims_in_png(data: bytes) -> bytes:
    start = data.index(b"IHDR")
    header = b"IHDR" + struct.pack(">II", 100_000, 100_000) + data[start + 12 : start + 17]
    return data[:start] + header + struct.pack(">I", zlib.crc32(header)) + data[start + 21 :]


def claims_in_tiff(data: bytes) -> bytes:
    """Width and height are the tags 256 and 257, long integers of one value each."""
    changed = bytearray(data)
    for tag in (256, 257):
        start = re.search(struct.pack("<H", tag) + b"[\3\4]\0\1\0\0\0", data).start()
        struct.pack_into("<HHII", changed, start, tag, 4, 1, 100_000)
    return bytes(changed)


def claims_in_bmp(data: bytes) -> bytes:
    return data[:18] + struct.pack("<ii", 100_000, 100_000) + data[26:]


@pytest.mark.parametrize(("suffix", "claim"), [("png", claims_in_png), ("tif", claims_in_tiff), ("bmp", claims_in_bmp)])
def test_a_header_that_claims_ten_thousand_million_pixels(tmp_path, suffix, claim):
    path = Path(saved(tmp_path / f"a.{suffix}", picture()))
    path.write_bytes(claim(path.read_bytes()))
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(ImageError, match=r"10000000000 pixels"):
        read_image(str(path))
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib < 10 << 10
