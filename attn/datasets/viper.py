"""Bounding boxes from ViPER's XML files (.xgtf), the annotation of UCF-11.

    <object name="PERSON"> <attribute name="Location">
        <data:bbox framespan="1:4" x="142" y="73" width="40" height="84"/>
    <file name="Information"> <attribute name="H-FRAME-SIZE"> <data:dvalue value="320"/>

Frames are counted from 1, and both ends of a span are included.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Mapping
from xml.parsers import expat

import numpy as np
from jaxtyping import Float

from attn.errors import UsageError
from attn.storage.error_messages import shown
from attn.storage.location import Location

_BOX = "http://lamp.cfar.umd.edu/viperdata# bbox"
_NUMBER = "http://lamp.cfar.umd.edu/viperdata# dvalue"
_ATTRIBUTE = "http://lamp.cfar.umd.edu/viper# attribute"
_SIZES = ("V-FRAME-SIZE", "H-FRAME-SIZE")
MOST_FRAMES = 1_000_000
"""Largest frame number that is accepted; a short file could otherwise claim any number of frames."""


def read_boxes(url: str) -> dict[int, Float[np.ndarray, "box 4"]]:
    """Boxes of each annotated frame.

    Args:
        url: URL of an .xgtf file.

    Returns:
        Frame index, from 0 → left, top, right, bottom of each box, in source pixels; edges, as in
        `attn.eval.localisation`. Boxes of several objects are in the order of the file.

    Raises:
        UsageError: the file is missing, is not XML, declares entities, or contains an invalid box.
    """
    boxes: defaultdict[int, list[tuple[float, float, float, float]]] = defaultdict(list)

    def start(name: str, attributes: Mapping[str, str]) -> None:
        if name == _BOX:
            left, top, width, height = (float(attributes[key]) for key in ("x", "y", "width", "height"))
            first, _, last = attributes["framespan"].partition(":")
            finite = all(map(math.isfinite, (left, top, width, height)))
            if not (finite and 1 <= int(first) <= int(last) <= MOST_FRAMES and width >= 0 and height >= 0):
                raise ValueError(f"box {dict(attributes)}")
            for frame in range(int(first) - 1, int(last)):
                boxes[frame].append((left, top, left + width, top + height))

    _parse(url, start)
    return {frame: np.array(found) for frame, found in sorted(boxes.items())}


def read_size(url: str) -> tuple[int, int]:
    """Rows and columns of the frames.

    Args:
        url: URL of an .xgtf file.

    Raises:
        UsageError: as for `read_boxes`, or the file does not state the size.
    """
    sizes: dict[str, int] = {}
    attribute = ""

    def start(name: str, attributes: Mapping[str, str]) -> None:
        nonlocal attribute
        attribute = attributes["name"] if name == _ATTRIBUTE else attribute
        if name == _NUMBER and attribute in _SIZES:
            sizes[attribute] = int(attributes["value"])

    _parse(url, start)
    rows, cols = (sizes.get(name, 0) for name in _SIZES)
    if min(rows, cols) < 1:
        raise UsageError(f"{shown(url)}: no frame size. Add the attributes {' and '.join(_SIZES)}.")
    return rows, cols


def _parse(url: str, start: Callable[[str, Mapping[str, str]], None]) -> None:
    """Call a function for the start of each element."""

    def refuse(*declared: object) -> None:
        raise ValueError("a document type, which is not needed and may expand to any size")

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.StartElementHandler, parser.StartDoctypeDeclHandler = start, refuse
    text = Location.at(url).read_text()
    try:
        parser.Parse(text.encode(), True)
    except (expat.ExpatError, ValueError, KeyError) as error:
        raise UsageError(f"{shown(url)}: not a ViPER file, or a damaged one ({error!r}). Correct the file.") from error
