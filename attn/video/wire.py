"""What the decoder's process and its owner say to each other. Images stay in the slots, only words travel."""

import dataclasses

from attn.video.chunks import Shape
from attn.video.decode import DecoderName
from attn.video.reading import VideoEnd
from attn.video.sample import Sampling


@dataclasses.dataclass(frozen=True)
class Decode:
    """Owner: decode this. Chunks follow, then one of `VideoEnd`, `Failed` and `Stopped`."""

    path: str
    sampling: Sampling
    size: int | None
    decoder: DecoderName
    alive_every_s: float


@dataclasses.dataclass(frozen=True)
class Free:
    """Owner: these slots may be written again."""

    slots: tuple[int, ...]


class Stop:
    """Owner: no more of this video."""


class Ready:
    """Decoder: started."""


class Alive:
    """Decoder: frames come, though none to keep."""


@dataclasses.dataclass(frozen=True)
class Filled:
    """Decoder: a chunk lies in a slot."""

    slot: int
    shape: Shape
    index: list[int]
    time_s: list[float]


@dataclasses.dataclass(frozen=True)
class Failed:
    """Decoder: nothing more can be had of this video."""

    message: str


class Stopped:
    """Decoder: stopped, as told."""


FromDecoder = Ready | Alive | Filled | Failed | Stopped | VideoEnd
