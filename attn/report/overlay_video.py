"""Overlay of a video: an MP4 of its frames with heat maps and a time line, and a contact sheet."""

import contextlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from attn.report.class_track import VideoTracks
from attn.report.contact_sheet import ContactSheet
from attn.report.mp4 import mp4_writer
from attn.report.overlay_frames import OverlayPainter

SourceFrame = tuple[int, float, UInt8[np.ndarray, "row col 3"]]
"""Index, time in seconds and picture of a decoded frame."""


def write_overlay(path: Path, video: VideoTracks, frames: Iterable[SourceFrame]) -> bytes:
    """Write the MP4 and return the contact sheet as a PNG. Only one frame is in memory, and the tiles of the sheet.

    Args:
        path: path of the MP4, with any suffix.
        video: attention of the classes.
        frames: all frames of the video, at least one.

    Raises:
        OSError: the file cannot be written.
    """
    sheet = ContactSheet(video)
    with contextlib.ExitStack() as stack:
        painter = mp4 = None
        for index, time_s, rgb in frames:
            if painter is None or mp4 is None:
                painter = OverlayPainter(video, rgb.shape[1], rgb.shape[0])
                mp4 = stack.enter_context(mp4_writer(path, *painter.size))
            sheet.see(index, time_s, rgb)
            mp4.add(painter.paint(rgb, time_s), time_s)
    return sheet.png()
