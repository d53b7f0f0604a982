"""Rendered untrimmed videos: clips of one group strung together with idle stretches, at four frame rates.

A video is a sequence of shots by one camera. In a shot with an action, people stand or walk to and fro, act for 1.5 to
4.5 s, and stand or walk again; in an idle shot they only stand or walk. Shots of one video share place and people, and
no two videos do. One core renders a video of half a minute in about 1.7 s.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial

import numpy as np

from attn.datasets.thumos14 import AMBIGUOUS
from attn.errors import UsageError, some
from attn.storage.filesystem import join
from attn.synthetic.actions import ACTIONS
from attn.synthetic.annotated_video import IDLE, RAMP_S, RATES, AnnotatedVideo, LabelledFrame, write_annotated
from attn.synthetic.camera import Camera, random_camera
from attn.synthetic.clip import FPS, Clip, Group, make_clip, make_group
from attn.synthetic.numbering import Stream, random_state
from attn.synthetic.parallel import for_each
from attn.synthetic.shift import DomainShift, Range
from attn.synthetic.untrimmed_plan import check_plan, classes_of_video
from attn.synthetic.untrimmed_set import PARTS, Part, UntrimmedSet, finish_set, new_set, video_name

LENGTH_S: Range = (20.0, 40.0)
"""Length of a video, up to a second; one with many actions may be a little longer."""
ACTING_S: Range = (1.5, 4.5)
"""Length of an action, without its ramps."""
BESIDE_S: Range = (0.8, 2.5)
"""Length of the idle time before and after an action in its shot."""
IDLE_S: Range = (2.5, 6.0)
"""Length of an idle shot."""
REACH = 0.45
"""Distance that people walk away before they turn round, in body heights."""
RATE_FACTOR = 25

_DEFAULT_SHIFT = DomainShift()


@dataclass(frozen=True)
class Shot:
    """Part of a video without a cut.

    Attributes:
        label: class of its action, `IDLE` without one.
        clip: the people, their place, and the times of the action in frames at `FPS`.
    """

    label: str
    clip: Clip

    def frames(self, fps: Fraction, rng: np.random.Generator) -> Iterator[LabelledFrame]:
        """Yield the frames with their labels, drawn at the instants of a frame rate."""
        for i in range(round(self.clip.n_frames * fps / FPS)):
            at = float(i * FPS / fps)
            acting = self.clip.acting(at)
            yield (self.label if acting == 1 else AMBIGUOUS if acting > 0 else IDLE), self.clip.frame(at, rng)[0]


@dataclass(frozen=True)
class Rendering:
    """Settings of a data set; see `render_untrimmed`."""

    class_names: tuple[str, ...]
    seed: int
    clips: tuple[int, int]
    background_share: float
    shift: DomainShift

    def group(self, part: Part, item: int) -> Group:
        """Draw the place and the people of one video."""
        return make_group(random_state(self.seed, Stream.UNTRIMMED_GROUP, PARTS.index(part), item), self.shift)

    def shots(self, part: Part, item: int, rng: np.random.Generator) -> list[Shot]:
        """Draw the shots of one video: those of its actions, and idle ones between them up to the length."""
        group, camera = self.group(part, item), random_camera(rng, self.shift)
        names = classes_of_video(item, self.class_names, rng, clips=self.clips, background_share=self.background_share)
        shots = [self._shot(name, group, camera, rng) for name in names]
        left = FPS * rng.uniform(*LENGTH_S) - sum(shot.clip.n_frames for shot in shots)
        while left > FPS:
            length = FPS * rng.uniform(*IDLE_S)
            length = left if left - length < FPS * IDLE_S[0] else length  # no shot of a few frames at the end
            shots.insert(int(rng.integers(len(shots) + 1)), self._idle(group, camera, length, rng))
            left -= length
        return shots

    def _shot(self, name: str, group: Group, camera: Camera, rng: np.random.Generator) -> Shot:
        before, after = (round(FPS * rng.uniform(*BESIDE_S)) for _ in range(2))
        acting = round(FPS * (rng.uniform(*ACTING_S) + 2 * RAMP_S))
        clip = self._clip(name, group, camera, rng)
        return Shot(name, replace(clip, n_frames=before + acting + after, start=before, stop=before + acting))

    def _idle(self, group: Group, camera: Camera, n_frames: float, rng: np.random.Generator) -> Shot:
        """Draw an idle shot; its people are as many as in the action of some class."""
        clip = self._clip(self.class_names[rng.integers(len(self.class_names))], group, camera, rng)
        start = int(rng.integers(-3 * FPS, 0))  # the action that they walk away from is over
        return Shot(IDLE, replace(clip, n_frames=round(n_frames), start=start, stop=start))

    def _clip(self, name: str, group: Group, camera: Camera, rng: np.random.Generator) -> Clip:
        clip = make_clip(ACTIONS.index(name), group, rng, self.shift)
        return replace(clip, camera=camera, ramp=RAMP_S * FPS, reach=REACH)


def render_untrimmed(
    out: str,
    *,
    training: int = 40,
    test: int = 40,
    seed: int = 0,
    class_names: Sequence[str] = ACTIONS,
    clips: tuple[int, int] = (1, 4),
    background_share: float = 0.2,
    shift: DomainShift = _DEFAULT_SHIFT,
    workers: int | None = None,
) -> UntrimmedSet:
    """Render untrimmed videos of 160 x 120 pixels with labels and temporal annotation; see `untrimmed_set`.

    Equal arguments give equal bytes, whatever the number of processes, and the videos of a number are the first ones of
    any larger number. The trimmed partner is the ordinary data set of `render_videos`, which has other people and
    places, with another `shift` if the two are to differ by known transforms.

    Args:
        out: URL of the folder of the data set, local or remote.
        training: number of training videos.
        test: number of test videos.
        seed: seed of the random states.
        class_names: classes of the actions, some of `ACTIONS`, in the order of their IDs.
        clips: smallest and largest number of actions in a video that is not background.
        background_share: share of videos without an action.
        shift: constants of the camera, the place and the size of people.
        workers: number of processes; 1 renders in this process. Default: one per CPU core. With more than one, the
            calling script must guard its entry point with `if __name__ == "__main__"`.

    Returns:
        URLs of the videos, the label tables and the annotation; `open_set` returns them again later.

    Raises:
        UsageError: a class is unknown, a setting is out of range, a part would show no action, or the folder holds
            a complete data set or other videos.
    """
    if unknown := [name for name in class_names if name not in ACTIONS]:
        raise UsageError(f"{some(unknown)}: the renderer has no such class. Choose from {', '.join(ACTIONS)}.")
    check_plan(class_names, clips, background_share)
    counts: dict[Part, int] = {"training": training, "test": test}
    made = new_set(out, class_names, counts)
    rendering = Rendering(made.class_names, seed, clips, background_share, shift)
    parts: dict[Part, list[AnnotatedVideo]] = {
        part: for_each(partial(_render, rendering, made.videos, part), count, workers, chunk=2)
        for part, count in counts.items()
    }
    finish_set(made, parts)
    return made


def _render(rendering: Rendering, folder: str, part: Part, item: int) -> AnnotatedVideo:
    rng = random_state(rendering.seed, Stream.UNTRIMMED, PARTS.index(part), item)
    fps = RATES[rng.integers(len(RATES))]
    name, shots = video_name(part, item), rendering.shots(part, item, rng)
    frames = itertools.chain.from_iterable(shot.frames(fps, rng) for shot in shots)
    video = write_annotated(join(folder, f"{name}.mp4"), name, frames, fps, RATE_FACTOR)
    assert video is not None  # noqa: S101  for the type checker: every video has frames
    return video
