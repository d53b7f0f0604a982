"""Film strip: its pictures, names and times; names cannot spoil it."""

import base64
import io
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from attn.report.film_strip import film_strip
from tests.report.tracks import one_cell, tracks_of

SVG = "{http://www.w3.org/2000/svg}"
STRANGE = '</text><script>alert("1")</script>'


@pytest.fixture(scope="module")
def drawn():
    """Strip of the first and the last of three sampled frames; only the last has attention, at the top left."""
    maps = one_cell((0, 0), (0, 0), (0, 0))
    maps[:2] = 0
    video = tracks_of(maps, names=("Wave", STRANGE, "Hug"), video_id="v & w")
    return ET.fromstring(film_strip(video, [0, 2], np.full((2, 120, 120, 3), 90, np.uint8)))  # noqa: S314  made above


def pictures(drawn, kind):
    urls = [one.get("href") for one in drawn.iter(f"{SVG}image")]
    data = [url.partition("base64,")[2] for url in urls if url.startswith(f"data:image/{kind}")]
    return [np.asarray(Image.open(io.BytesIO(base64.b64decode(one))).convert("RGB")).astype(int) for one in data]


def test_a_frame_shows_its_map(drawn):
    first, last = pictures(drawn, "jpeg")
    assert np.abs(first - 90).max() < 5
    rows, cols = np.nonzero(np.abs(last - 90).max(2) > 30)
    assert rows.max() < 160
    assert cols.max() < 160


def test_the_row_of_a_class_is_bright_when_it_has_energy(drawn):
    wave = pictures(drawn, "png")[0].sum(2)[0]
    assert wave[0] < 10
    assert wave.argmax() > len(wave) / 2


def test_names_and_times_are_texts(drawn):
    said = [one.text for one in drawn.iter(f"{SVG}text")]
    assert said[:4] == ["Wave", "v & w", "0.00 s", "0.40 s"]
    assert "</text…cript>" in said
    assert not list(drawn.iter(f"{SVG}script"))
    assert len(list(drawn.iter(f"{SVG}line"))) == 2
