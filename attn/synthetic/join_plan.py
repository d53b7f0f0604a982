"""Choice of the clips of an untrimmed video: those of a class come from one recording, rarely used ones first."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from fractions import Fraction
from math import inf
from typing import NamedTuple

import numpy as np

from attn.synthetic.annotated_video import IDLE, RATES
from attn.synthetic.untrimmed_plan import classes_of_video
from attn.video.source import Video


@dataclasses.dataclass(frozen=True)
class Clip:
    """Trimmed clip of one class.

    Attributes:
        video: location of its file.
        label: name of its class.
        recording: recording it was cut from, counted within its class; empty if unknown.
    """

    video: Video
    label: str
    recording: str


@dataclasses.dataclass(frozen=True)
class Stretch:
    """Part of an untrimmed video: an action, or idle time.

    Attributes:
        label: class of the action, `IDLE` without one.
        clips: clips that are shown one after another until the time is over.
        most_s: largest length in seconds.
        still: whether only the first frame of the first clip is shown, for the largest length.
    """

    label: str
    clips: tuple[Clip, ...]
    most_s: float = inf
    still: bool = False


class Planned(NamedTuple):
    """Plan of one video: idle time, an action, idle time, and so on."""

    fps: Fraction
    stretches: list[Stretch]


@dataclasses.dataclass(frozen=True)
class JoinSettings:
    """Settings of untrimmed videos made of clips.

    Attributes:
        videos_per_part: number of videos of each part.
        clips: smallest and largest number of actions in a video that is not background.
        background: classes whose clips are idle time; empty for still frames.
        background_share: share of videos without an action.
        idle_s: shortest and longest idle time in seconds.
        size: width and height of the frames in pixels, even.
        seed: seed of the choices.
    """

    videos_per_part: int = 40
    clips: tuple[int, int] = (1, 4)
    background: tuple[str, ...] = ()
    background_share: float = 0.2
    idle_s: tuple[float, float] = (3.0, 8.0)
    size: int = 112
    seed: int = 0


class JoinPlan:
    """Plan of the videos of one part.

    Args:
        clips: clips of the part, some of each class and of each background class.
        class_names: classes of the actions.
        settings: settings of the videos.
        rng: random generator.
    """

    def __init__(
        self, clips: Sequence[Clip], class_names: Sequence[str], settings: JoinSettings, rng: np.random.Generator
    ) -> None:
        self._class_names, self._settings, self._rng = class_names, settings, rng
        self._recordings: defaultdict[str, defaultdict[str, list[Clip]]] = defaultdict(lambda: defaultdict(list))
        self._uses: Counter[str] = Counter()
        for clip in clips:
            self._recordings[clip.label][clip.recording].append(clip)

    def __iter__(self) -> Iterator[Planned]:
        return map(self._video, range(self._settings.videos_per_part))

    def _video(self, item: int) -> Planned:
        clips, share = self._settings.clips, self._settings.background_share
        names = classes_of_video(item, self._class_names, self._rng, clips=clips, background_share=share)
        taken = {name: self._take(name, names.count(name)) for name in dict.fromkeys(names)}
        acting = [taken[name].pop() for name in names if taken[name]]
        pauses = len(acting) + 1 if acting else int(self._rng.integers(clips[0], clips[1] + 1)) + 1
        idle = self._idle(acting, pauses)
        actions = [Stretch(clip.label, (clip,)) for clip in acting]
        stretches = [one for pair in zip(idle, actions, strict=False) for one in pair] + idle[len(actions) :]
        return Planned(RATES[self._rng.integers(len(RATES))], stretches)

    def _idle(self, acting: Sequence[Clip], pauses: int) -> list[Stretch]:
        """Draw the idle times: clips of a background class, or still frames of the clips that follow."""
        background = self._settings.background
        if acting and not background:  # the clip that follows; after the last action, its own
            shown = [*acting, acting[-1]]
        else:
            shown = self._take(self._any(background or self._class_names), 2 * pauses)
        return [
            Stretch(
                IDLE,
                tuple(shown[i % len(shown) :] + shown[: i % len(shown)]),
                float(self._rng.uniform(*self._settings.idle_s)),
                still=not background,
            )
            for i in range(pauses)
        ]

    def _any(self, names: Sequence[str]) -> str:
        return names[int(self._rng.integers(len(names)))]

    def _take(self, label: str, count: int) -> list[Clip]:
        """Choose clips of one recording, at most as many as it has; the least used recording and clips first."""
        recordings = self._recordings[label]
        order = self._rng.permutation(sorted(recordings)).tolist()
        uses = {name: sum(self._uses[one.video.video_id] for one in recordings[name]) for name in order}
        clips = recordings[min(order, key=lambda name: uses[name] / len(recordings[name]))]
        shuffled = [clips[i] for i in self._rng.permutation(len(clips))]
        chosen = sorted(shuffled, key=lambda clip: self._uses[clip.video.video_id])[:count]
        self._uses.update(clip.video.video_id for clip in chosen)
        return chosen
