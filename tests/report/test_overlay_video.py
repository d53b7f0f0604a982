import weakref

import numpy as np

from attn.report.overlay_video import write_overlay
from tests.report.tracks import one_cell, tracks_of


def test_memory_holds_a_few_frames_of_a_long_video(tmp_path):
    alive, most = set(), 0

    def frames():
        nonlocal most
        for i in range(200):
            rgb = np.full((48, 64, 3), i, np.uint8)
            alive.add(i)
            weakref.finalize(rgb, alive.discard, i)
            most = max(most, len(alive))
            yield i, i / 25, rgb

    write_overlay(tmp_path / "video.mp4", tracks_of(one_cell(*[(0, 0)] * 40)), frames())
    assert most <= 3
