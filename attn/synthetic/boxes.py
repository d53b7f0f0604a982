"""Position of the action in a video: one JSON file per video, `<root>/boxes/<video_id>.json`.

    {"video_id": …, "width": 160, "height": 120,   # size of a frame in pixels
     "acting": [first, stop],                      # the action happens in the frames first … stop - 1
     "boxes": [[left, top, right, bottom], …]}     # one per source frame, in pixels; right and bottom are exclusive

A box is the smallest around the people who act (not bystanders), clipped to the frame.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from attn.synthetic.figure import Box


@dataclass(frozen=True)
class BoxTrack:
    """Boxes of one video."""

    video_id: str
    width: int
    height: int
    acting: tuple[int, int]
    boxes: tuple[Box, ...]


def write_boxes(path: Path, track: BoxTrack) -> None:
    """Write the file, with coordinates rounded to a tenth of a pixel."""
    rounded = [[round(side, 1) for side in box] for box in track.boxes]
    path.write_text(json.dumps({**asdict(track), "boxes": rounded}) + "\n")


def read_boxes(path: Path) -> BoxTrack:
    """Read the track of one file."""
    fields = json.loads(path.read_text())
    fields["acting"] = tuple(fields["acting"])
    fields["boxes"] = tuple(Box(*box) for box in fields["boxes"])
    return BoxTrack(**fields)
