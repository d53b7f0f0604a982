"""Words survive the journey; the owner believes nothing that cannot be."""

import json
import pickle

import pytest

from attn.video.reading import VideoEnd, VideoHeader
from attn.video.sample import Fps, Stride
from attn.video.sandbox.channel import MessageError
from attn.video.sandbox.wire import (
    LONGEST_TEXT,
    Alive,
    Decode,
    Failed,
    Filled,
    Free,
    Look,
    Ready,
    Stop,
    Stopped,
    dump,
    parse_from_decoder,
    parse_from_owner,
)
from attn.video.transform import Resampling

FILLED = ["Filled", 1, [2, 4, 6, 3], [0, 5], [0.0, 0.2]]

OURS = [
    Decode("/a ü \udcff.avi", Stride(5), 224, "auto", 15.0),
    Decode("/b.mkv", Fps(2.5), None, "decord", 0.1),
    Decode("/b.mkv", Fps(2.5), 64, "auto", 0.1, Resampling("bicubic", 0.875, squash=True)),
    Look("/a ü \udcff.avi"),
    Free(()),
    Free((3, 0)),
    Stop(),
]
THEIRS = [
    Ready([]),
    Ready(["landlock", "seccomp"]),
    VideoHeader(30000 / 1001, 2.0**31),
    VideoHeader(2.0**-31, 0.0),
    Alive(),
    Stopped(),
    Failed("no video"),
    VideoEnd(truncated=True, decoder="pyav"),
    Filled(3, (2, 4320, 7680, 3), [0, 2**31 - 1], [-0.04, 1e9]),
]


@pytest.mark.parametrize("message", OURS, ids=str)
def test_what_the_owner_says(message):
    assert parse_from_owner(dump(message)) == message


@pytest.mark.parametrize("message", THEIRS, ids=str)
def test_what_the_decoder_says(message):
    assert parse_from_decoder(dump(message)) == message


def filled(place: int, value: object) -> list[object]:
    return [*FILLED[:place], value, *FILLED[place + 1 :]]


NONSENSE = [
    *[filled(1, slot) for slot in ("1", 1.0, True, None)],
    *[filled(2, shape) for shape in ([2, 4, 6], [2, 4, 6, 4], [2, 4, 0, 3], [2, -4, -6, 3], [0, 4, 6, 3], 5, "2463")],
    *[filled(2, shape) for shape in ([33, 4, 6, 3], [2, 2**15, 2**15, 3], [2, 4.0, 6, 3], [2, 2**70, 6, 3])],
    *[filled(3, index) for index in ([0], [0, 5, 10], [5, 5], [5, 0], [-1, 5], [0, 2**31], [0.0, 5.0], ["0", "5"])],
    *[filled(4, times) for times in ([0.0], [0.0, float("nan")], [0.0, float("inf")], [0.0, 1e39], [0, 1], [[], {}])],
    FILLED[:4],
    [*FILLED, 0],
    ["Failed", 7],
    ["Failed"],
    ["VideoEnd", 1, "pyav"],
    ["VideoEnd", False, "other"],
    ["Ready"],
    *[["Ready", layers] for layers in (1, "landlock", [1], ["wall"], [["landlock"]], {"landlock": 1})],
    *[["VideoHeader", rate, 7.0] for rate in (0.0, -25.0, 1e-10, 1e10, float("nan"), float("inf"), 25, "25", True)],
    *[["VideoHeader", 25.0, frames] for frames in (-1.0, 1e10, float("nan"), float("inf"), 7, None, [7.0])],
    ["VideoHeader", 25.0],
    ["VideoHeader", 25.0, 7.0, 7.0],
    ["Look", "/etc/passwd"],
    ["Decode", "/etc/passwd", ["Stride", 1], None, "auto", 1.0],
    ["exec", "import os"],
    ["__class__"],
    [["Filled"]],
    [{}],
    [],
    {},
    7,
    None,
    "Ready",
]


@pytest.mark.parametrize("nonsense", NONSENSE, ids=str)
def test_what_the_decoder_cannot_say(nonsense):
    assert parse_from_decoder(json.dumps(FILLED).encode()).slot == 1
    with pytest.raises(MessageError):
        parse_from_decoder(json.dumps(nonsense).encode())


@pytest.mark.parametrize(
    "data", [b"", b"\xff", b'["Ready"', b"[" * 60_000, b"[" + b"9" * 60_000, pickle.dumps(Ready([]))]
)
def test_what_is_no_json(data):
    with pytest.raises(MessageError):
        parse_from_decoder(data)


def test_no_terminal_obeys_a_failure_and_no_table_chokes_on_it():
    failed = parse_from_decoder(json.dumps(["Failed", "\x1b[2Jgone\n\udc80\0 ü" + "x" * 5000]).encode())
    assert failed.message.startswith(" [2Jgone    ü")
    assert len(failed.message) == LONGEST_TEXT
