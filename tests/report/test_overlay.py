import dataclasses
import io
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from attn.report.overlay import Strip, draw_strip, enlarge, save_strip


def strip_of(maps: np.ndarray, source: tuple[int, int] = (60, 90), shade: int = 128) -> Strip:
    """Even grey frames, so that every colour in the picture comes from the maps."""
    count = len(maps)
    return Strip("video", "Wave", np.full((count, *source, 3), shade, np.uint8), maps, np.arange(count) / 4)


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def panel(picture: np.ndarray, i: int) -> np.ndarray:
    """Pixels of the i-th frame, from the layout: 1.5 inch a frame, a gap of 0.06, 200 dots an inch."""
    left, size = round((0.06 + 1.5 * i) * 200), round(1.44 * 200)
    bottom = len(picture) - round(0.06 * 200)
    return picture[bottom - size : bottom, left : left + size]


def coloured(pixels: np.ndarray) -> np.ndarray:
    return np.ptp(pixels, axis=-1) > 30


@pytest.mark.parametrize("cell", [(0, 0), (0, 3), (2, 1), (3, 3)])
@pytest.mark.parametrize("source", [(60, 90), (90, 60)])
def test_attention_lies_on_its_own_cell(cell: tuple[int, int], source: tuple[int, int]) -> None:
    maps = np.zeros((1, 4, 4), np.float32)
    maps[0, *cell] = 2
    rows, cols = np.nonzero(coloured(panel(pixels(draw_strip(strip_of(maps, source))), 0)))
    size = 1.44 * 200
    assert rows.mean() / size * 4 == pytest.approx(cell[0] + 0.5, abs=0.15)
    assert cols.mean() / size * 4 == pytest.approx(cell[1] + 0.5, abs=0.15)


def test_one_scale_for_the_strip() -> None:
    maps = np.stack([np.full((4, 4), 1.0), np.full((4, 4), 0.05)]).astype(np.float32)
    picture = pixels(draw_strip(strip_of(maps)))
    assert coloured(panel(picture, 0)).mean() > 0.9
    assert not coloured(panel(picture, 1)).any()


def test_a_frame_without_attention_shows_itself() -> None:
    picture = pixels(draw_strip(strip_of(np.zeros((2, 4, 4), np.float16))))
    inner = panel(picture, 1)[20:-20, 20:-20]
    assert np.abs(inner - 128).max() <= 1


def test_box_is_drawn_where_it_lies_in_the_source() -> None:
    strip = strip_of(np.zeros((1, 4, 4), np.float32))
    boxed = dataclasses.replace(strip, boxes=np.array([[30.0, 15.0, 60.0, 45.0]]))  # centred square: columns 15 to 75
    rows, cols = np.nonzero(coloured(panel(pixels(draw_strip(boxed)), 0)))
    size = 1.44 * 200
    assert (rows.min() / size, rows.max() / size) == (pytest.approx(0.25, abs=0.02), pytest.approx(0.75, abs=0.02))
    assert (cols.min() / size, cols.max() / size) == (pytest.approx(0.25, abs=0.02), pytest.approx(0.75, abs=0.02))


def test_half_precision_maps_and_any_name_are_drawn_without_a_warning(tmp_path: Path) -> None:
    maps = np.random.default_rng(0).random((3, 7, 7)).astype(np.float16)
    strip = dataclasses.replace(strip_of(maps), video_id="$\\frac{$/\n发\udcff", class_name="a_b" * 60)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = save_strip(strip, tmp_path / "new folder")
    picture = pixels(path.read_bytes())
    assert picture.shape[1::-1] == (round((3 * 1.5 + 0.8) * 200), round((1.5 + 0.36) * 200))
    assert [path] == list((tmp_path / "new folder").iterdir())


def test_equal_strips_are_equal_files() -> None:
    maps = np.random.default_rng(1).random((2, 7, 7)).astype(np.float32)
    assert draw_strip(strip_of(maps)) == draw_strip(strip_of(maps))


@pytest.mark.parametrize("frames", [0, 2])
def test_counts_that_disagree_are_an_error(frames: int) -> None:
    strip = dataclasses.replace(strip_of(np.zeros((1, 4, 4), np.float32)), frames=np.zeros((frames, 9, 9, 3), np.uint8))
    with pytest.raises(ValueError, match="maps, times and boxes must be equal"):
        draw_strip(strip)


def test_enlarging_is_bilinear_between_cell_centres() -> None:
    small = np.array([[0.0, 1.0], [2.0, 3.0]])
    large = enlarge(small, 20)
    assert large.shape == (20, 20)
    assert (large[0, 0], large[-1, -1]) == (0, 3)  # beyond the outer centres the edge value holds
    np.testing.assert_allclose(large[9:11, 9:11], 1.5, atol=0.2)
    assert np.ptp(large[:, 0]) == pytest.approx(2)
    assert large.mean() == pytest.approx(small.mean())
