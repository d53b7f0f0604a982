"""Folders of boxes: JSON and ViPER files, and damaged ones."""

import json

import numpy as np
import pytest

from attn.datasets.boxes import BoxFolder
from attn.errors import UsageError
from attn.synthetic.boxes import BoxTrack, write_boxes
from attn.synthetic.figure import Box


def test_boxes_of_a_rendered_video_are_read(tmp_path):
    write_boxes(tmp_path / "a.json", BoxTrack("a", 160, 120, (1, 3), (Box(0, 0, 5, 6), Box(1, 2, 3, 4)) * 2))
    found = BoxFolder(str(tmp_path)).read("Hug/a")
    assert found.shape == (120, 160)
    assert list(found.boxes) == [1, 2]
    np.testing.assert_array_equal(found.boxes[1], [[1, 2, 3, 4]])
    assert BoxFolder(str(tmp_path)).read("b") is None


@pytest.mark.parametrize(
    "change",
    [
        {"boxes": [[3, 0, 1, 2]]},
        {"boxes": [[1, 2]]},
        {"boxes": [0, 0, 1, 1]},
        {"boxes": [[0, 0, 1, 1] * 2]},
        {"boxes": None},
        {"width": 0},
        {"width": float("inf")},
        {"acting": 3},
        {"acting": [0, float("inf")]},
    ],
)
def test_a_damaged_file_is_named(tmp_path, change):
    track = {"width": 30, "height": 20, "boxes": [[0, 0, 1, 1]], **change}
    (tmp_path / "a.json").write_text(json.dumps(track))
    with pytest.raises(UsageError, match=r"a\.json: not a file of boxes"):
        BoxFolder(str(tmp_path)).read("a")


def test_boxes_in_folders_below_are_found(tmp_path):
    for name in ("walking", "diving"):
        (tmp_path / name / "Annotation").mkdir(parents=True)
    track = {"width": 30, "height": 20, "boxes": [[0, 0, 1, 1]]}
    (tmp_path / "walking" / "Annotation" / "a.json").write_text(json.dumps(track))
    assert BoxFolder(str(tmp_path)).read("a").shape == (20, 30)
    (tmp_path / "diving" / "Annotation" / "a.json").write_text(json.dumps(track))
    with pytest.raises(UsageError, match=r"boxes of the same video as .*a\.json"):
        BoxFolder(str(tmp_path))
