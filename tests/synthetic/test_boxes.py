"""Boxes survive their file."""

from attn.synthetic.boxes import BoxTrack, read_boxes, write_boxes
from attn.synthetic.figure import Box


def test_a_track_comes_back_to_a_tenth_of_a_pixel(tmp_path):
    track = BoxTrack("v_Wave_g01_c01", 160, 120, (3, 9), (Box(1.04, 2.0, 3.96, 120.0), Box(0, 0, 160, 120)))
    write_boxes(tmp_path / "a.json", track)
    assert read_boxes(tmp_path / "a.json") == BoxTrack(
        "v_Wave_g01_c01", 160, 120, (3, 9), (Box(1.0, 2.0, 4.0, 120.0), Box(0, 0, 160, 120))
    )
