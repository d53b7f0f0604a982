import io

import numpy as np
import pytest
from PIL import Image

from attn.report.contact_sheet import HEAD_PX, LEAST_WIDTH_PX, MARGIN_PX, TILE_PX, ContactSheet
from tests.report.tracks import one_cell, tracks_of


def sheet_of(samples, frames, size=(32, 24)):
    """Sheet of grey frames; the shade of a frame is its index."""
    sheet = ContactSheet(tracks_of(one_cell(*[(0, 0)] * samples) * 0))
    for i in range(frames):
        sheet.see(i, i / 25, np.full((size[1], size[0], 3), i, np.uint8))
    return Image.open(io.BytesIO(sheet.png()))


def test_eight_sampled_frames_are_spread_over_the_video():
    pixels, shades = np.asarray(sheet_of(40, 200)), []
    for place in range(8):
        line, column = divmod(place, 4)
        x = MARGIN_PX + column * (TILE_PX + MARGIN_PX) + TILE_PX // 2
        y = HEAD_PX + line * (TILE_PX * 24 // 32 + 24) + 100
        shades.append(int(pixels[y, x, 0]))
    assert shades == [0, 30, 55, 85, 110, 140, 165, 195]


@pytest.mark.parametrize(("samples", "frames"), [(1, 1), (2, 6), (8, 0)])
def test_a_video_of_few_frames_has_a_sheet(samples, frames):
    assert sheet_of(samples, frames).width == LEAST_WIDTH_PX


def test_a_tiny_or_tall_video_has_readable_tiles():
    assert sheet_of(8, 40, (16, 16)).width == 4 * (TILE_PX + MARGIN_PX) + MARGIN_PX
    assert sheet_of(8, 40, (9, 160)).height > 2 * TILE_PX
