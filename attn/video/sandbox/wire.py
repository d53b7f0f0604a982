"""Messages between the decoder process and its owner. Images are not sent: they stay in the slots.

Messages are JSON, such as `["Filled", 2, [32, 224, 224, 3], …]`: a type name and its fields. The owner trusts none of
them, because a hostile video may have taken over the decoder, and the owner holds credentials. A message of another
form, or with a value out of range, is refused.
"""

import dataclasses
import itertools
import json
from collections.abc import Callable
from typing import Any, cast

from attn.video.chunks import MOST_FRAMES, Shape
from attn.video.reading import MOST_DECLARED, MOST_PIXELS, DecoderName, VideoEnd, VideoHeader
from attn.video.sample import Fps, Sampling, Stride
from attn.video.sandbox.channel import MessageError
from attn.video.sandbox.confinement import LAYERS, Layer
from attn.video.transform import BILINEAR, Resampling

DECODERS = ("pyav", "decord")
LONGEST_TEXT = 2000
MOST_INDEX = 2**31 - 1
LATEST_S = 2.0**100  # far beyond any time stamp, and representable as a float32
HIGHEST_RATE = 2.0**31  # a rate is the ratio of two int32; the lowest rate is the inverse


@dataclasses.dataclass(frozen=True)
class Decode:
    """Request to decode a video. Chunks follow, then one of `VideoEnd`, `Failed` and `Stopped`."""

    path: str
    sampling: Sampling
    size: int | None
    decoder: DecoderName
    alive_every_s: float
    resampling: Resampling = BILINEAR


@dataclasses.dataclass(frozen=True)
class Look:
    """Request to read the header of a video. `VideoHeader` or `Failed` follows."""

    path: str


@dataclasses.dataclass(frozen=True)
class Free:
    """Notice that slots may be written again."""

    slots: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Stop:
    """Request to stop decoding the current video."""


@dataclasses.dataclass(frozen=True)
class Ready:
    """First message of the decoder, with the layers of the sandbox in effect."""

    layers: list[Layer]


@dataclasses.dataclass(frozen=True)
class Alive:
    """Sign of life of the decoder while it decodes frames but samples none."""


@dataclasses.dataclass(frozen=True)
class Filled:
    """Notice that a slot contains a chunk."""

    slot: int
    shape: Shape
    index: list[int]
    time_s: list[float]


@dataclasses.dataclass(frozen=True)
class Failed:
    """Notice that the video cannot be decoded, or not any further."""

    message: str


@dataclasses.dataclass(frozen=True)
class Stopped:
    """Confirmation of `Stop`."""


FromDecoder = Ready | Alive | Filled | Failed | Stopped | VideoEnd | VideoHeader
FromOwner = Decode | Look | Free | Stop


def dump(message: FromDecoder | FromOwner) -> bytes:
    """Return a message as JSON."""
    return json.dumps(message, default=_name_and_fields, separators=(",", ":")).encode()


def parse_from_owner(data: bytes) -> FromOwner:
    """Parse a message from the owner, which is trusted."""
    name, *fields = json.loads(data)
    if name == "Decode":
        path, (rule, step), size, decoder, alive_every_s, (_, *resampling) = fields
        sampling = {"Stride": Stride, "Fps": Fps}[rule](step)
        return Decode(path, sampling, size, decoder, alive_every_s, Resampling(*resampling))
    if name == "Look":
        return Look(*fields)
    return Free(tuple(fields[0])) if name == "Free" else Stop()


def parse_from_decoder(data: bytes) -> FromDecoder:
    """Parse and validate a message from the decoder.

    Raises:
        MessageError: the type of the message is unknown, or a value is out of range.
    """
    try:
        name, *fields = json.loads(data)
        return _FROM_DECODER[name](*fields)
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise MessageError("an invalid message") from error


def _name_and_fields(message: Any) -> list[object]:
    return [type(message).__name__, *(getattr(message, field.name) for field in dataclasses.fields(message))]


def _ready(layers: object) -> Ready:
    named = _list_of(str, layers)
    _demand(all(layer in LAYERS for layer in named))
    return Ready(named)


def _filled(slot: object, shape: object, index: object, time_s: object) -> Filled:
    frames, rows, cols, channels = _list_of(int, shape)
    places, times_s = _list_of(int, index), _list_of(float, time_s)
    _demand(type(slot) is int)
    _demand(0 < frames <= MOST_FRAMES and len(places) == len(times_s) == frames)
    _demand(channels == 3 and rows > 0 and cols > 0 and frames * rows * cols <= MOST_PIXELS)
    _demand(all(-1 < place <= MOST_INDEX for place in places))
    _demand(all(early < late for early, late in itertools.pairwise(places)))
    _demand(all(abs(time_s) < LATEST_S for time_s in times_s))  # neither infinite nor NaN
    return Filled(cast("int", slot), (frames, rows, cols, channels), places, times_s)


def _failed(message: object) -> Failed:
    """Parse a failure. Its text goes to logs and tables, so control characters and lone surrogates are replaced."""
    _demand(isinstance(message, str))
    text = cast("str", message)[:LONGEST_TEXT]
    return Failed("".join(each if each.isprintable() else " " for each in text))


def _video_end(truncated: object, decoder: object) -> VideoEnd:
    _demand(type(truncated) is bool and decoder in DECODERS)
    return VideoEnd(cast("bool", truncated), cast("str", decoder))


def _video_header(rate: object, frames: object) -> VideoHeader:
    numbers = _list_of(float, [rate, frames])
    _demand(1 / HIGHEST_RATE <= numbers[0] <= HIGHEST_RATE)  # not NaN, and not 0, because the owner divides by it
    _demand(0 <= numbers[1] <= MOST_DECLARED)
    return VideoHeader(*numbers)


def _list_of(kind: type, values: object) -> list[Any]:
    _demand(isinstance(values, list) and all(type(value) is kind for value in values))
    return cast("list[Any]", values)


def _demand(condition: bool) -> None:
    if not condition:
        raise ValueError


_FROM_DECODER: dict[str, Callable[..., FromDecoder]] = {
    "Ready": _ready,
    "Alive": Alive,
    "Stopped": Stopped,
    "Filled": _filled,
    "Failed": _failed,
    "VideoEnd": _video_end,
    "VideoHeader": _video_header,
}
