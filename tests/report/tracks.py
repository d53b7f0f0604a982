"""Tracks of one video, to be drawn."""

import numpy as np

from attn.report.class_track import ClassTrack, VideoTracks


def tracks_of(maps, *, others=(), names=("Wave", "Kick", "Hug"), step=5, video_id="video"):
    """Tracks whose first class has these maps, the second ones `others` if given, and a third class without maps.

    A frame lasts 1/25 s, and every `step`-th is sampled.
    """
    frame = np.arange(len(maps), dtype=np.int32) * step
    drawn = [np.asarray(one, np.float16) for one in (maps, *others)]
    classes = [
        ClassTrack(name, 2.5, one.max((1, 2)).astype(np.float32), one) for name, one in zip(names, drawn, strict=False)
    ]
    plain = [ClassTrack(name, 0.5, np.full(len(maps), 0.1, np.float32)) for name in names[len(drawn) :]]
    return VideoTracks(video_id, frame, (frame / 25).astype(np.float32), (*classes, *plain))


def one_cell(*cells, shape=(4, 4)):
    """Maps with one cell of attention each, and no other attention."""
    maps = np.zeros((len(cells), *shape), np.float32)
    for one, cell in zip(maps, cells, strict=True):
        one[cell] = 2
    return maps
