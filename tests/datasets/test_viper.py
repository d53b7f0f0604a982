"""ViPER's boxes: frames from 1, spans with both ends, width and height."""

import numpy as np
import pytest

from attn.datasets.viper import read_boxes, read_size
from attn.errors import UsageError
from attn.eval.localisation import box_coverage

PAGE = """<?xml version="1.0" encoding="UTF-8"?>
<viper xmlns="http://lamp.cfar.umd.edu/viper#" xmlns:data="http://lamp.cfar.umd.edu/viperdata#">
 <config><descriptor name="PERSON" type="OBJECT"><attribute dynamic="true" name="Location"
  type="http://lamp.cfar.umd.edu/viperdata#bbox"/></descriptor></config>
 <data><sourcefile filename="v_shooting_01_01.mpg">
  <file id="0" name="Information"><attribute name="NUMFRAMES"><data:dvalue value="9"/></attribute>
   <attribute name="H-FRAME-SIZE"><data:dvalue value="320"/></attribute>
   <attribute name="V-FRAME-SIZE"><data:dvalue value="240"/></attribute></file>
  <object framespan="2:6" id="0" name="PERSON"><attribute name="Location">{first}</attribute></object>
  <object framespan="4:4" id="1" name="PERSON"><attribute name="Location">{second}</attribute></object>
 </sourcefile></data>
</viper>
"""


def box(span: str, x: str = "142", y: str = "73", width: str = "40", height: str = "84") -> str:
    return f'<data:bbox framespan="{span}" height="{height}" width="{width}" x="{x}" y="{y}"/>'


@pytest.fixture
def write(tmp_path):
    """write(first, second): URL of a file with the boxes of two objects."""

    def write(first: str, second: str = "") -> str:
        path = tmp_path / "clip.xgtf"
        path.write_text(PAGE.format(first=first, second=second))
        return str(path)

    return write


def test_boxes_of_each_frame(write):
    found = read_boxes(write(box("2:4") + box("6:6", x="-3"), box("4:4", x="1", y="2", width="3", height="4")))
    assert list(found) == [1, 2, 3, 5]
    np.testing.assert_array_equal(found[1], [[142, 73, 182, 157]])
    np.testing.assert_array_equal(found[3], [[142, 73, 182, 157], [1, 2, 4, 6]])
    np.testing.assert_array_equal(found[5], [[-3, 73, 37, 157]])


def test_they_are_boxes_of_the_localisation(write):
    found = read_boxes(write(box("1:1", x="40", y="0", width="240", height="240")))
    assert box_coverage(found[0], source_shape=(240, 320), map_shape=(7, 7)).min() == 1


def test_a_file_without_boxes(write):
    assert read_boxes(write("")) == {}


@pytest.mark.parametrize(
    "wrong",
    [
        box("0:3"),
        box("3:2"),
        box("x"),
        box("2"),
        box("1000001:1000001"),
        box("1:1", width="-1"),
        box("1:1", x="nan"),
        box("1:1", width="inf"),
        box("1:1", height="tall"),
        '<data:bbox framespan="1:1" x="1" y="2" width="3"/>',
        "</object>",
    ],
)
def test_a_wrong_box_is_refused(write, wrong):
    with pytest.raises(UsageError, match=r"clip\.xgtf: not a ViPER file, or a damaged one \([^\n]+\)\. Correct"):
        read_boxes(write(wrong))


def test_entities_are_not_expanded(tmp_path):
    path = tmp_path / "bomb.xgtf"
    path.write_text('<!DOCTYPE v [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><v>&b;</v>')
    with pytest.raises(UsageError, match="a document type"):
        read_boxes(str(path))


def test_other_files(tmp_path):
    (tmp_path / "text").write_text("1 2 3")
    for name in ("text", "nowhere"):
        with pytest.raises(UsageError, match=name):
            read_boxes(str(tmp_path / name))


def test_the_size_of_the_frames(write, tmp_path):
    url = write(box("1:4"))
    assert read_size(url) == (240, 320)
    without = tmp_path / "without.xgtf"
    without.write_text((tmp_path / "clip.xgtf").read_text().replace("V-FRAME-SIZE", "HEIGHT"))
    with pytest.raises(UsageError, match=r"no frame size\. Add the attributes V-FRAME-SIZE and H-FRAME-SIZE"):
        read_size(str(without))
